"""Pictures that are no volumes: read as the map of such a picture lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import phantoms
import pytest
import scenes
from monai_sagan.viewer.AnomalyMapLib.volumes import VolumeError, read_map
from PIL import Image

from monai_sagan.errors import UserError
from monai_sagan.image_names import is_picture
from monai_sagan.viewer import open_viewer
from monai_sagan.viewer.pictures import read_picture

ROWS = np.arange(12, dtype=np.uint8).reshape(3, 4)


def voxels_of(path: Path) -> np.ndarray:
    import slicer

    return slicer.util.arrayFromVolume(read_picture(path))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.png", "uint8"), ("a.png", "uint16"), ("a.bmp", "uint8"), ("A.TIFF", "int32"), ("a.tif", "float32")],
)
def test_grey_values_are_kept(tmp_path: Path, name: str, kind: str) -> None:
    pixels = ROWS.astype(kind) * np.array(20 if kind == "uint8" else 1000, kind)
    Image.fromarray(pixels).save(tmp_path / name)
    assert is_picture(tmp_path / name)
    np.testing.assert_array_equal(voxels_of(tmp_path / name), pixels[None])


def test_high_byte_first(tmp_path: Path) -> None:
    pixels = (ROWS * np.uint16(1000)).astype(">u2")
    Image.frombytes("I;16B", (4, 3), pixels.tobytes()).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(voxels_of(tmp_path / "a.tif"), pixels[None])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "1"])
def test_colours_become_grey(tmp_path: Path, mode: str) -> None:
    Image.fromarray(np.array([[0, 255]], np.uint8)).convert(mode).save(tmp_path / "a.png")
    np.testing.assert_array_equal(voxels_of(tmp_path / "a.png"), [[[0, 255]]])


def test_the_map_of_a_picture_lies_over_it(tmp_path: Path) -> None:
    picture = phantoms.write_picture(tmp_path)
    read_map(tmp_path / "maps" / "head_anomaly.nrrd", read_picture(picture))
    turned = scenes.write_map(tmp_path / "turned.nrrd", scenes.phantom()[1][:1].swapaxes(1, 2), np.eye(4))
    with pytest.raises(VolumeError, match="does not fit head"):
        read_map(turned, read_picture(picture))


def test_one_of_several_pages(tmp_path: Path) -> None:
    pages = [Image.new("L", (8, 8), grey) for grey in (0, 90)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(VolumeError, match=r"pages.tif: the file holds 2 pictures; save each as a file of its own.$"):
        read_picture(tmp_path / "pages.tif")


def test_a_damaged_one(tmp_path: Path) -> None:
    picture = phantoms.write_picture(tmp_path)
    picture.write_bytes(picture.read_bytes()[:60])
    with pytest.raises(UserError) as refused:
        open_viewer(picture, tmp_path / "maps")
    assert str(refused.value) == f"{picture}: this file is damaged or not a picture."
