"""The chest radiographs of the RSNA Pneumonia Detection Challenge (2018)."""

from __future__ import annotations

from pathlib import Path

from monai_sagan.errors import UserError
from monai_sagan.prepare import PNG_SIZE
from monai_sagan.prepare.download import (
    Download,
    find_table,
    index_images,
    not_in_table,
    read_table,
    require_folder,
    settle_labels,
)
from monai_sagan.prepare.public import write_public_data_set
from monai_sagan.prepare.report import PrepareReport
from monai_sagan.prepare.split import SplitCounts
from monai_sagan.progress import ProgressKind

__all__ = ["RSNA_COUNTS", "prepare_rsna"]

# As published with Med-AD: all 8851 that are normal and all 6012 with an opacity.
RSNA_COUNTS = SplitCounts(
    healthy=3851, unlabeled_healthy=4000, unlabeled_anomalous=5012, test_healthy=1000, test_anomalous=1000
)

_FOLDER = "stage_2_train_images"
_TABLE = "stage_2_detailed_class_info.csv"
_EXPECTED = f"{_TABLE} and {_FOLDER}/*.dcm of the RSNA Pneumonia Detection Challenge"

# Neither healthy for certain nor with the finding that is sought: not used, as published.
_NEITHER = "No Lung Opacity / Not Normal"
_LABELS = {"Normal": 0, "Lung Opacity": 1}


def prepare_rsna(
    source: Path,
    target: Path,
    *,
    seed: int = 0,
    split: Path | None = None,
    size: int = PNG_SIZE,
    counts: SplitCounts = RSNA_COUNTS,
    progress: ProgressKind = "none",
) -> PrepareReport:
    """Makes a data set of the challenge's training images.

    Healthy is the class "Normal", not healthy "Lung Opacity". Images become 8-bit PNG named by the challenge's own
    ids.

    Args:
        source: a folder that holds, at any depth, ``stage_2_train_images/*.dcm`` and
            ``stage_2_detailed_class_info.csv``.
        target: the data set's folder.
        seed: of the split.
        split: a ``data.json`` whose split is used instead.
        size: pixels of an image's longer side, at most.
        counts: images in each group; with fewer images, the groups keep these proportions.
        progress: how to report progress.

    Returns:
        What became of the images. One that is missing or cannot be read is left out, and the rest are used.

    Raises:
        UserError: if ``source`` is no such download, ``split`` no such file, or ``target`` is not empty.
    """
    return write_public_data_set(
        _read(source), target, counts=counts, seed=seed, split=split, size=size, progress=progress
    )


def _read(source: Path) -> Download:
    require_folder(source, _EXPECTED)
    table = find_table(source, [_TABLE], _EXPECTED)
    classes = [(name, kind) for name, kind in read_table(table, ["patientId", "class"])]
    unknown = {kind for _, kind in classes} - {*_LABELS, _NEITHER}
    if unknown:
        raise UserError(f"{table}: there should be no class '{min(unknown)}'; download the table again.")
    labels, contradictions = settle_labels((name, _LABELS[kind]) for name, kind in classes if kind in _LABELS)
    files, doubles = index_images(source, lambda path: _FOLDER in path.parts and path.suffix.lower() == ".dcm")
    extra = not_in_table(files, [name for name, _ in classes])
    return Download(source, labels, files, [*contradictions, *doubles, *extra])
