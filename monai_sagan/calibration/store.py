"""What a bundle knows of healthy images: their scores, kept beside its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from monai_sagan.bundles import CALIBRATION
from monai_sagan.errors import UserError
from monai_sagan.files import write_whole

__all__ = ["Calibration", "read_calibration", "write_calibration"]

_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Calibration:
    """Scores of healthy images that were not trained on.

    Args:
        weights_sha256: of the weights that gave the scores.
        slice_direction: along which volumes were taken apart.
        rate: the false positive rate wanted of the threshold.
        image_scores: of pictures.
        volume_scores: of volumes.
        slice_scores: of each volume, those of its slices in anatomical order; 0 is background.
    """

    weights_sha256: str
    slice_direction: str
    rate: float
    image_scores: tuple[float, ...] = ()
    volume_scores: tuple[float, ...] = ()
    slice_scores: tuple[tuple[float, ...], ...] = field(default=())

    def scores(self, *, of_volumes: bool) -> tuple[float, ...]:
        """The scores that one of these kinds is compared with."""
        return self.volume_scores if of_volumes else self.image_scores


def read_calibration(bundle_root: str | Path) -> Calibration | None:
    """Reads what a bundle knows of healthy images; None where it was not calibrated.

    Args:
        bundle_root: the bundle's folder.

    Raises:
        UserError: if the file is damaged.
    """
    path = Path(bundle_root) / CALIBRATION
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("schema_version") != _SCHEMA_VERSION:
            raise ValueError("another version")
        return _from_json(content)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path}: this file is damaged or of another version; run 'monai-sagan calibrate' again."
        ) from error


def write_calibration(bundle_root: str | Path, calibration: Calibration) -> Path:
    """Writes what a bundle knows of healthy images, whole or not at all.

    Args:
        bundle_root: the bundle's folder.
        calibration: what is written.

    Returns:
        The file.
    """
    path = Path(bundle_root) / CALIBRATION
    content = {"schema_version": _SCHEMA_VERSION, **asdict(calibration)}
    with write_whole(path) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def _from_json(content: Mapping[str, Any]) -> Calibration:
    numbers = {key: tuple(map(float, content[key])) for key in ("image_scores", "volume_scores")}
    slices = tuple(tuple(map(float, scores)) for scores in content["slice_scores"])
    return Calibration(
        weights_sha256=str(content["weights_sha256"]),
        slice_direction=str(content["slice_direction"]),
        rate=float(content["rate"]),
        slice_scores=slices,
        **numbers,
    )
