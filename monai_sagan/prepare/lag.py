"""The fundus photographs of the Large-scale Attention-based Glaucoma database (LAG)."""

from __future__ import annotations

from pathlib import Path

from monai_sagan.errors import UserError
from monai_sagan.prepare.download import Download, index_images, require_folder, settle_labels
from monai_sagan.prepare.public import write_public_data_set
from monai_sagan.prepare.report import PrepareReport
from monai_sagan.prepare.split import SplitCounts
from monai_sagan.progress import ProgressKind

__all__ = ["LAG_COUNTS", "prepare_lag"]

# As published with Med-AD: all 3143 without glaucoma and all 1711 with it.
LAG_COUNTS = SplitCounts(
    healthy=1500, unlabeled_healthy=832, unlabeled_anomalous=900, test_healthy=811, test_anomalous=811
)

# Beside these lie attention maps and labels, which are no photographs.
_HEALTHY = ("non_glaucoma", "image")
_ANOMALOUS = ("suspicious_glaucoma", "image")
_EXPECTED = "non_glaucoma/image/*.jpg and suspicious_glaucoma/image/*.jpg of the LAG database"


def prepare_lag(
    source: Path,
    target: Path,
    *,
    seed: int = 0,
    split: Path | None = None,
    counts: SplitCounts = LAG_COUNTS,
    progress: ProgressKind = "none",
) -> PrepareReport:
    """Makes a data set of the photographs, which are copied as they are, in colour.

    Args:
        source: a folder that holds, at any depth, ``non_glaucoma/image/*.jpg`` and
            ``suspicious_glaucoma/image/*.jpg``; the parts of the download may lie side by side.
        target: the data set's folder.
        seed: of the split.
        split: a ``data.json`` whose split is used instead.
        counts: images in each group; with fewer images, the groups keep these proportions.
        progress: how to report progress.

    Returns:
        What became of the images. One that is missing or cannot be read is left out, and the rest are used.

    Raises:
        UserError: if ``source`` is no such download, ``split`` no such file, or ``target`` is not empty.
    """
    return write_public_data_set(
        _read(source), target, counts=counts, seed=seed, split=split, size=None, progress=progress
    )


def _read(source: Path) -> Download:
    require_folder(source, _EXPECTED)
    healthy, double_healthy = index_images(source, lambda path: path.parts[-3:-1] == _HEALTHY)
    anomalous, double_anomalous = index_images(source, lambda path: path.parts[-3:-1] == _ANOMALOUS)
    if not healthy and not anomalous:
        raise UserError(f"{source}: holds no photograph; this folder should hold {_EXPECTED}.")
    labels, contradictions = settle_labels([*((name, 0) for name in healthy), *((name, 1) for name in anomalous)])
    return Download(source, labels, healthy | anomalous, [*contradictions, *double_healthy, *double_anomalous])
