"""The division of breast ultrasound images that docs/results/lesions.md measures."""

from __future__ import annotations

from pathlib import Path

import breast_ultrasound
import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def download(tmp_path: Path) -> Path:
    """Images of 8x6 pixels, with a lesion to the left; one has a second lesion to the right."""
    folder = tmp_path / "download"
    numbers = {"normal": range(1, 105), "benign": (14, 15, 49, 50), "malignant": (50, 51)}
    mask = np.zeros((6, 8), np.uint8)
    mask[:, :2] = 255
    for kind, images in numbers.items():
        (folder / kind).mkdir(parents=True)
        for number in images:
            Image.new("RGB", (8, 6), (number, number, number)).save(folder / kind / f"{kind} ({number}).png")
            Image.fromarray(mask * (kind != "normal")).save(folder / kind / f"{kind} ({number})_mask.png")
    Image.fromarray(mask[:, ::-1]).save(folder / "benign" / "benign (15)_mask_1.png")
    return folder


def test_each_image_has_one_place(download: Path, tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    breast_ultrasound.main([str(download), str(scans)])
    found = {folder: sorted(path.name for path in (scans / folder).iterdir()) for folder in FOLDERS}
    assert [len(found[folder]) for folder in ("healthy", "unlabeled", "test/healthy")] == [95, 8 + 3, 1]
    assert len({name for folder in FOLDERS[:3] for name in found[folder]}) == 107
    assert {name for name in found["unlabeled"] if "normal" not in name} == {
        "benign (14).png",
        "benign (50).png",
        "malignant (51).png",
    }
    tested = ["benign (15).png", "benign (49).png", "malignant (50).png"]
    assert found["test/anomalous"] == found["masks"] == tested
    assert {Image.open(path).size for path in scans.rglob("*.png")} == {(256, 256)}


def test_other_folders_are_refused(download: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for source, target, sentence in (
        (tmp_path, tmp_path / "scans", f"{tmp_path}: holds no folder 'normal'; give the folder of the data set."),
        (download, tmp_path, f"{tmp_path}: exists already; give a folder that does not."),
    ):
        with pytest.raises(SystemExit):
            breast_ultrasound.main([str(source), str(target)])
        assert sentence in capsys.readouterr().err


FOLDERS = ("healthy", "unlabeled", "test/healthy", "test/anomalous", "masks")


def test_outlines_of_an_image_are_joined(download: Path, tmp_path: Path) -> None:
    breast_ultrasound.sort_images(download, tmp_path / "scans")
    two, one = (np.asarray(Image.open(tmp_path / "scans" / "masks" / f"benign ({number}).png")) for number in (15, 49))
    assert set(np.unique(two)) == {0, 255}
    assert two[:, [0, 63, 64, 191, 192, 255]].all(axis=0).tolist() == [True, True, False, False, True, True]
    assert one[:, [0, 63, 64, 191, 192, 255]].all(axis=0).tolist() == [True, True, False, False, False, False]
