"""VinDr-CXR, from PhysioNet and from Kaggle."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_sagan.errors import UserError
from monai_sagan.prepare import PrepareReport, SplitCounts, prepare_vindr_cxr

HEALTHY = [f"h{number}" for number in range(6)]
ANOMALOUS = [f"a{number}" for number in range(3)]
READERS = ("R8", "R9", "R10")


@pytest.fixture
def readings(vindr_cxr: Path, a_table: Callable[..., Path]) -> Path:
    """PhysioNet's: a row an image and reader; of a2, one reader alone finds something."""
    rows = [(name, reader, 0, 0, 1) for name in HEALTHY for reader in READERS]
    rows += [(name, reader, 1, 0, 0) for name in ANOMALOUS[:2] for reader in READERS]
    rows += [("a2", "R8", 0, 0, 1), ("a2", "R9", 0, 1, 0), ("a2", "R10", 0, 0, 1)]
    path = vindr_cxr / "annotations" / "image_labels_train.csv"
    return a_table(path, "image_id,rad_id,Aortic enlargement,Other diseases,No finding", rows)


@pytest.fixture
def boxes(vindr_cxr: Path, a_table: Callable[..., Path]) -> Path:
    """Kaggle's: a row a box, or a row without a box for each reader who finds nothing."""
    rows = [(name, "No finding", 14, reader, "", "", "", "") for name in HEALTHY for reader in READERS]
    rows += [
        (name, "Cardiomegaly", 3, reader, 691.0, 1375.0, 1653.0, 1831.0) for name in ANOMALOUS for reader in READERS
    ]
    rows += [("a2", "No finding", 14, "R11", "", "", "", "")]
    return a_table(vindr_cxr / "train.csv", "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max", rows)


def names_in(target: Path) -> tuple[list[str], list[str]]:
    layout = json.loads((target / "data.json").read_text())
    unlabeled = layout["train"]["unlabeled"]
    healthy = layout["train"]["0"] + unlabeled["0"] + layout["test"]["0"]
    anomalous = unlabeled["1"] + layout["test"]["1"]
    return sorted(name.removesuffix(".png") for name in healthy), sorted(
        name.removesuffix(".png") for name in anomalous
    )


@pytest.mark.parametrize("table", ["readings", "boxes"])
def test_both_forms(
    table: str, vindr_cxr: Path, tmp_path: Path, counts: SplitCounts, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(table)
    report = prepare_vindr_cxr(vindr_cxr, tmp_path / "target", counts=counts)
    assert report == PrepareReport(
        counts={
            "healthy": 3,
            "unlabeled/healthy": 2,
            "unlabeled/anomalous": 2,
            "test/healthy": 1,
            "test/anomalous": 1,
        }
    )
    assert names_in(tmp_path / "target") == (HEALTHY, sorted(ANOMALOUS))


@pytest.mark.usefixtures("readings")
def test_boxes_alone_will_do(vindr_cxr: Path, readings: Path, boxes: Path, tmp_path: Path, counts: SplitCounts) -> None:
    readings.unlink()
    boxes.rename(readings.with_name("annotations_train.csv"))
    prepare_vindr_cxr(vindr_cxr, tmp_path / "target", counts=counts)
    assert names_in(tmp_path / "target") == (HEALTHY, sorted(ANOMALOUS))


@pytest.mark.usefixtures("boxes")
def test_12_bits_become_8(vindr_cxr: Path, tmp_path: Path, counts: SplitCounts) -> None:
    prepare_vindr_cxr(vindr_cxr, tmp_path / "target", counts=counts)
    with Image.open(tmp_path / "target" / "images" / "h0.png") as image:
        pixels = np.asarray(image)
    assert pixels.dtype == np.uint8
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_an_answer_that_is_none(readings: Path, vindr_cxr: Path, tmp_path: Path) -> None:
    readings.write_text(readings.read_text() + "h0,R8,0,0,maybe\n")
    with pytest.raises(UserError, match="'No finding' should be 0 or 1 in every row"):
        prepare_vindr_cxr(vindr_cxr, tmp_path / "target")


def test_no_table(vindr_cxr: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        prepare_vindr_cxr(vindr_cxr, tmp_path / "target")
    assert str(refused.value) == (
        f"{vindr_cxr}: holds no image_labels_train.csv or annotations_train.csv or train.csv; this folder should hold "
        "train/*.dicom and annotations/image_labels_train.csv (PhysioNet) or train.csv (Kaggle) of VinDr-CXR."
    )
