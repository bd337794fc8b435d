"""The chest radiographs of VinDr-CXR, as PhysioNet has them, or Kaggle for the VinBigData challenge (2021)."""

from __future__ import annotations

from pathlib import Path

from monai_sagan.errors import UserError
from monai_sagan.prepare import PNG_SIZE
from monai_sagan.prepare.download import Download, find_table, index_images, not_in_table, read_table, require_folder
from monai_sagan.prepare.public import write_public_data_set
from monai_sagan.prepare.report import PrepareReport
from monai_sagan.prepare.split import SplitCounts
from monai_sagan.progress import ProgressKind

__all__ = ["VINDR_CXR_COUNTS", "prepare_vindr_cxr"]

# As published with Med-AD: all 15,000 training images, 10,606 without a finding and 4394 with one.
VINDR_CXR_COUNTS = SplitCounts(
    healthy=4000, unlabeled_healthy=5606, unlabeled_anomalous=3394, test_healthy=1000, test_anomalous=1000
)

# PhysioNet has a row an image and reader with a column a finding; both have a row an image, reader and finding.
_READINGS = "image_labels_train.csv"
_FINDINGS = ("annotations_train.csv", "train.csv")
_FOLDER = "train"
_EXPECTED = f"{_FOLDER}/*.dicom and annotations/{_READINGS} (PhysioNet) or train.csv (Kaggle) of VinDr-CXR"
_NO_FINDING = "No finding"


def prepare_vindr_cxr(
    source: Path,
    target: Path,
    *,
    seed: int = 0,
    split: Path | None = None,
    size: int = PNG_SIZE,
    counts: SplitCounts = VINDR_CXR_COUNTS,
    progress: ProgressKind = "none",
) -> PrepareReport:
    """Makes a data set of the training images; the labels of Kaggle's test images are not public.

    Healthy is an image of which every reader says "No finding". Images become 8-bit PNG named by the data set's own
    ids.

    Args:
        source: a folder that holds, at any depth, ``train/*.dicom``, and ``image_labels_train.csv`` or
            ``annotations_train.csv`` (PhysioNet) or ``train.csv`` (Kaggle).
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
    table = find_table(source, [_READINGS, *_FINDINGS], _EXPECTED)
    labels: dict[str, int] = {}
    for name, has_finding in _readings(table) if table.name == _READINGS else _findings(table):
        labels[name] = max(labels.get(name, 0), int(has_finding))
    files, doubles = index_images(
        source, lambda path: _FOLDER in path.parts and path.suffix.lower() in (".dicom", ".dcm")
    )
    return Download(source, labels, files, [*doubles, *not_in_table(files, labels)])


def _readings(table: Path) -> list[tuple[str, bool]]:
    readings = read_table(table, ["image_id", _NO_FINDING])
    try:
        return [(name, not int(float(no_finding))) for name, no_finding in readings]
    except ValueError as error:
        raise UserError(f"{table}: '{_NO_FINDING}' should be 0 or 1 in every row; download the table again.") from error


def _findings(table: Path) -> list[tuple[str, bool]]:
    return [(name, finding != _NO_FINDING) for name, finding in read_table(table, ["image_id", "class_name"])]
