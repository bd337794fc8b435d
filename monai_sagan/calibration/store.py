"""What a bundle knows of healthy images: their scores and what is ordinary in their maps, kept beside its weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from monai_sagan.bundle_files import CALIBRATION, CALIBRATION_MAPS
from monai_sagan.calibration.pixel_scale import PixelScale
from monai_sagan.errors import UserError
from monai_sagan.files import read_tensors, save_tensors, write_json
from monai_sagan.transforms import stacked_along

__all__ = ["Calibration", "is_of_several_slices", "read_calibration", "write_calibration"]

_SCHEMA_VERSION = 4


@dataclass(frozen=True)
class Calibration:
    """Scores and maps of healthy images that were not trained on.

    Args:
        weights_sha256: of the weights that gave the scores.
        slice_direction: along which volumes were cut into slices.
        rate: the false positive rate wanted of the threshold.
        image_scores: of pictures.
        volume_scores: of volumes.
        slice_scores: of each volume, those of its slices in anatomical order; 0 is background.
        image_ood_scores: of pictures, how unlike the training images they are; empty if the bundle cannot tell.
        volume_ood_scores: of volumes.
        score_kind: what the scores are: "residual" or "contrast".
        stacked_along: how the slices of the volumes lie in the body, one or several of "axial", "coronal" and
            "sagittal"; empty where that was not written down.
        image_scale: what is ordinary in the maps of pictures; None for too few of them.
        volume_scale: of volumes.
    """

    weights_sha256: str
    slice_direction: str
    rate: float
    image_scores: tuple[float, ...] = ()
    volume_scores: tuple[float, ...] = ()
    slice_scores: tuple[tuple[float, ...], ...] = field(default=())
    image_ood_scores: tuple[float, ...] = ()
    volume_ood_scores: tuple[float, ...] = ()
    score_kind: str = "residual"
    stacked_along: tuple[str, ...] = ()
    # Tensors, which do not compare as a whole; the scores tell one calibration from another.
    image_scale: PixelScale | None = field(default=None, compare=False)
    volume_scale: PixelScale | None = field(default=None, compare=False)

    def scores(self, *, of_volumes: bool) -> tuple[float, ...]:
        """The scores that one of these kinds is compared with."""
        return self.volume_scores if of_volumes else self.image_scores

    def ood_scores(self, *, of_volumes: bool) -> tuple[float, ...]:
        """How unlike the training images those are that one of these kinds is compared with."""
        return self.volume_ood_scores if of_volumes else self.image_ood_scores

    def scale(self, *, of_volumes: bool) -> PixelScale | None:
        """What is ordinary in the maps of one of these kinds."""
        return self.volume_scale if of_volumes else self.image_scale

    def problem(self, case: Mapping[Hashable, Any], weights_sha256: str | None, slice_direction: str) -> str:
        """Why a case cannot be compared with these healthy images, in a sentence; empty if it can.

        Args:
            case: with ``slice_axis``, ``slice_scores`` and ``anomaly_map``, and ``score_kind`` unless that is
                "residual".
            weights_sha256: of the bundle that the case was run with.
            slice_direction: along which volumes were cut into slices.
        """
        of_volumes, kind = is_of_several_slices(case), case.get("score_kind", "residual")
        if self.weights_sha256 != weights_sha256:
            return (
                "The bundle was calibrated with other weights, so there is no p-value, and no findings; calibrate it "
                "again."
            )
        if not self.scores(of_volumes=of_volumes):
            these, others = ("volumes", "pictures") if of_volumes else ("pictures", "volumes")
            return (
                f"The bundle was calibrated with {others} alone, so {these} have no p-value and no findings; calibrate "
                "it with some."
            )
        if of_volumes and self.slice_direction != slice_direction:
            return (
                f"The bundle was calibrated with volumes cut into slices by '{self.slice_direction}', so there is no "
                "p-value for another direction, and no findings."
            )
        if of_volumes and self.stacked_along:
            way = stacked_along(case["anomaly_map"], case["slice_axis"])
            if way not in self.stacked_along:
                return (
                    f"The bundle was calibrated with {' and '.join(self.stacked_along)} slices, and these are {way}, "
                    "so there is no p-value, and no findings; calibrate it with such volumes."
                )
        if self.score_kind != kind:
            return (
                f"The bundle was calibrated with scores of another kind ({self.score_kind}, now {kind}), so there is "
                "no p-value, and no findings; calibrate it again."
            )
        return ""


def is_of_several_slices(case: Mapping[Hashable, Any]) -> bool:
    """Whether a case is compared with volumes; one of a single slice, as a DICOM radiograph is, is with pictures.

    Args:
        case: with ``slice_axis`` and ``slice_scores``.
    """
    return case["slice_axis"] is not None and len(case["slice_scores"]) > 1


_SCALES = ("image_scale", "volume_scale")
_NUMBERS = ("image_scores", "volume_scores", "image_ood_scores", "volume_ood_scores")


def read_calibration(bundle_root: str | Path) -> Calibration | None:
    """Reads what a bundle knows of healthy images; None where it was not calibrated.

    Args:
        bundle_root: the bundle's folder.

    Raises:
        UserError: if a file of it is damaged, or two do not belong together.
    """
    path = Path(bundle_root) / CALIBRATION
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("schema_version") != _SCHEMA_VERSION:
            raise ValueError("another version")
        return _from_json(content, _read_scales(Path(bundle_root) / CALIBRATION_MAPS, content["maps_sha256"]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path}: this file is damaged or of another version; run 'monai-sagan calibrate' again."
        ) from error


def write_calibration(bundle_root: str | Path, calibration: Calibration) -> Path:
    """Writes what a bundle knows of healthy images.

    Two files, each whole or not at all; the one that is written last says what the other one has to be.

    Args:
        bundle_root: the bundle's folder.
        calibration: what is written.

    Returns:
        The file that was written last.
    """
    path, maps = Path(bundle_root) / CALIBRATION, Path(bundle_root) / CALIBRATION_MAPS
    scales = {name: vars(scale) for name in _SCALES if (scale := getattr(calibration, name)) is not None}
    save_tensors(scales, maps)
    content = {"schema_version": _SCHEMA_VERSION, "maps_sha256": _digest(maps)}
    content |= {entry.name: getattr(calibration, entry.name) for entry in fields(calibration) if entry.compare}
    write_json(path, content)
    return path


def _from_json(content: Mapping[str, Any], scales: dict[str, Any]) -> Calibration:
    values: dict[str, Any] = {
        "weights_sha256": str(content["weights_sha256"]),
        "slice_direction": str(content["slice_direction"]),
        "rate": float(content["rate"]),
        "score_kind": str(content["score_kind"]),
        "stacked_along": tuple(map(str, content.get("stacked_along", ()))),
        "slice_scores": tuple(tuple(map(float, scores)) for scores in content["slice_scores"]),
    }
    values |= {key: tuple(map(float, content[key])) for key in _NUMBERS}
    return Calibration(**values | scales)


def _read_scales(path: Path, sha256: str) -> dict[str, Any]:
    if not path.is_file() or _digest(path) != sha256:
        raise ValueError("another file")
    return {name: PixelScale(**values) for name, values in read_tensors(path).items()}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
