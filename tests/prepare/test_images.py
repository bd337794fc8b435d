"""Writing images."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_sagan.errors import ImageError
from monai_sagan.prepare.images import copy_image, write_images, write_png
from monai_sagan.progress import Reporter


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "L"
        return np.asarray(image)


class TestPng:
    def test_8_bit_pixels_stay_as_they_are(self, a_radiograph: Callable[..., Path], tmp_path: Path) -> None:
        pixels = np.arange(256, dtype=np.uint8).reshape(32, 8)
        write_png(a_radiograph(tmp_path / "a.dcm", pixels), tmp_path / "a.png", size=32)
        assert np.array_equal(pixels_of(tmp_path / "a.png"), pixels)

    def test_compressed_ones_are_as_the_codec_gives_them(
        self, a_radiograph: Callable[..., Path], tmp_path: Path
    ) -> None:
        rows, columns = np.mgrid[:48, :32]
        pixels = (rows * 4 + columns).astype(np.uint8)  # smooth, so that JPEG changes little
        write_png(a_radiograph(tmp_path / "a.dcm", pixels, jpeg=True), tmp_path / "a.png", size=64)
        difference = pixels_of(tmp_path / "a.png").astype(int) - pixels
        assert np.abs(difference).max() <= 4

    def test_others_fill_the_range_in_their_order(self, a_radiograph: Callable[..., Path], tmp_path: Path) -> None:
        pixels = np.arange(1000, 1800, dtype=np.uint16).reshape(40, 20)
        write_png(a_radiograph(tmp_path / "a.dcm", pixels), tmp_path / "a.png", size=64)
        grey = pixels_of(tmp_path / "a.png").ravel().astype(int)
        assert (grey[0], grey[-1]) == (0, 255)
        assert (np.diff(grey) >= 0).all()
        assert len(set(grey)) > 200

    @pytest.mark.parametrize(("shape", "small"), [((60, 30), (20, 10)), ((30, 60), (10, 20)), ((90, 9), (20, 2))])
    def test_large_ones_shrink_in_proportion(
        self, shape: tuple[int, int], small: tuple[int, int], a_radiograph: Callable[..., Path], tmp_path: Path
    ) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
        write_png(a_radiograph(tmp_path / "a.dcm", pixels), tmp_path / "a.png", size=20)
        by_pil = np.asarray(Image.fromarray(pixels).resize(small[::-1], Image.Resampling.BILINEAR))
        difference = pixels_of(tmp_path / "a.png").astype(int) - by_pil
        assert np.abs(difference).max() <= 1  # PIL rounds between rows and columns

    def test_nothing_is_left_of_the_patient(self, a_radiograph: Callable[..., Path], tmp_path: Path) -> None:
        path = a_radiograph(tmp_path / "a.dcm")
        write_png(path, tmp_path / "a.png", size=64)
        assert b"Musterfrau" in path.read_bytes()
        assert b"Musterfrau" not in (tmp_path / "a.png").read_bytes()
        with Image.open(tmp_path / "a.png") as image:
            assert image.info == {}

    def test_a_volume_is_no_radiograph(self, a_volume: Callable[..., Path], tmp_path: Path) -> None:
        with pytest.raises(ImageError, match="no greyscale image of one plane"):
            write_png(a_volume(), tmp_path / "a.png", size=64)


class TestMany:
    @pytest.fixture
    def targets(self, tmp_path: Path) -> dict[str, Path]:
        return {name: tmp_path / "out" / f"{name}.txt" for name in "abcdef"}

    def test_each_is_written(self, targets: dict[str, Path]) -> None:
        written = write_images(targets, lambda name, path: path.write_text(name) and None, Reporter())
        assert {name: path.read_text() for name, path in targets.items()} == {name: name for name in targets}
        assert (written.errors, written.repeated) == ({}, {})

    def test_of_one_that_cannot_be_used_nothing_is_left(self, targets: dict[str, Path]) -> None:
        def write(name: str, path: Path) -> None:
            path.write_text(name)
            if name == "c":
                raise ImageError(name, "no.")

        assert write_images(targets, write, Reporter()).errors == {"c": "c: no."}
        assert sorted(path.stem for path in targets["a"].parent.iterdir()) == list("abdef")

    def test_the_same_image_again_is_found(self, targets: dict[str, Path]) -> None:
        written = write_images(targets, lambda name, path: path.write_text(str(name in "bdf")) and None, Reporter())
        assert written.repeated == {"c": "a", "e": "a", "d": "b", "f": "b"}

    def test_an_error_ends_the_rest(self, tmp_path: Path) -> None:
        targets = {str(number): tmp_path / str(number) for number in range(1000)}
        started = threading.Event()
        count = []

        def write(name: str, path: Path) -> None:
            count.append(name)
            if name == "0":
                raise OSError(28, "No space left on device", str(path))
            started.wait(0.01)

        with pytest.raises(OSError, match="No space left"):
            write_images(targets, write, Reporter())
        assert len(count) < len(targets)

    def test_a_copy_is_the_same_file(self, a_picture: Callable[..., Path], tmp_path: Path) -> None:
        picture = a_picture(mode="RGB")
        copy_image(picture, tmp_path / "copy.png")
        assert (tmp_path / "copy.png").read_bytes() == picture.read_bytes()
