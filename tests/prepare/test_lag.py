"""The LAG database."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from monai_sagan.errors import UserError
from monai_sagan.prepare import SplitCounts, prepare_lag


def test_photographs_are_copied_and_nothing_else(lag: Path, tmp_path: Path, counts: SplitCounts) -> None:
    report = prepare_lag(lag, tmp_path / "target", counts=counts)
    assert list(report.counts.values()) == [3, 2, 2, 1, 1]
    assert (report.notes, report.left_out, report.is_incomplete) == ([], [], False)
    written = {path.name: path.read_bytes() for path in (tmp_path / "target" / "images").iterdir()}
    assert written == {path.name: path.read_bytes() for path in lag.glob("*/*/image/*.jpg")}
    assert len(written) == 9


def test_labels_are_the_folders(lag: Path, tmp_path: Path, counts: SplitCounts) -> None:
    prepare_lag(lag, tmp_path / "target", counts=counts)
    layout = json.loads((tmp_path / "target" / "data.json").read_text())
    anomalous = layout["train"]["unlabeled"]["1"] + layout["test"]["1"]
    assert sorted(anomalous) == ["0006.jpg", "0007.jpg", "0008.jpg"]


def test_one_part_of_the_download(lag: Path, tmp_path: Path, counts: SplitCounts) -> None:
    shutil.rmtree(lag / "part_1")
    report = prepare_lag(lag, tmp_path / "target", counts=counts)
    assert report.is_incomplete
    assert report.notes == [
        f"{lag}: {found} images of the published split are there; its proportions were kept."
        for found in ("3 of the 6 healthy", "2 of the 3 anomalous")
    ]
    assert sum(report.counts.values()) == 5


def test_a_photograph_in_both_folders(lag: Path, tmp_path: Path, counts: SplitCounts) -> None:
    shutil.copy(
        lag / "part_0" / "non_glaucoma" / "image" / "0002.jpg", lag / "part_0" / "suspicious_glaucoma" / "image"
    )
    report = prepare_lag(lag, tmp_path / "target", counts=counts)
    assert report.notes[0] == "Not used, because they are said to be healthy and not: 0002."
    assert not (tmp_path / "target" / "images" / "0002.jpg").exists()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("part_0/non_glaucoma/label", "{}: holds no photograph; this folder should hold {}."),
        ("none", "{}: there is no such folder; give the download's, which should hold {}."),
        (
            "part_0/non_glaucoma/image/0000.jpg",
            "{}: this is a file; unpack it and give the folder, which should hold {}.",
        ),
    ],
)
def test_nothing_there(name: str, sentence: str, lag: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        prepare_lag(lag / name, tmp_path / "target")
    expected = "non_glaucoma/image/*.jpg and suspicious_glaucoma/image/*.jpg of the LAG database"
    assert str(refused.value) == sentence.format(lag / name, expected)
    assert not (tmp_path / "target").exists()
