"""From files to the network's size and axes, as the published preprocessing does it by PIL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose
from PIL import Image

from monai_sagan.transforms import Greyscale, NetworkSamples, ScaleToNetworkRange, resize

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "sagan_anomaly_detection"

# PIL rounds to whole grey levels after each of two passes, by half a level at most each time: 1 level of 255 in all,
# which is 2 / 255 in [-1, 1]. A little more for 32-bit rounding.
ONE_GREY_LEVEL = 2 / 255 + 1e-5

# (width, height) of the picture, (rows, columns) of the network: down, up, one of each, one axis only, far down.
SIZES = [
    ((256, 256), (64, 64)),
    ((100, 75), (64, 64)),
    ((31, 47), (64, 48)),
    ((20, 200), (64, 64)),
    ((64, 200), (64, 64)),
    ((333, 211), (128, 96)),
    ((640, 512), (16, 32)),
]


def published(path: Path, size: tuple[int, int]) -> np.ndarray:
    """``Image.convert("L").resize(BILINEAR)``, then to [-1, 1]."""
    with Image.open(path) as image:
        small = image.convert("L").resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(small, dtype=np.float64) / 127.5 - 1


def tent_filter(old: int, new: int) -> torch.Tensor:
    """The weights (new, old) of PIL's bilinear filter along one axis: a tent, widened when shrinking."""
    width = max(old / new, 1.0)
    centers = (torch.arange(new)[:, None] + 0.5) * (old / new)
    weights = (1 - (torch.arange(old) + 0.5 - centers).abs() / width).clamp(min=0)
    return weights / weights.sum(dim=1, keepdim=True)


class TestAsPublished:
    @pytest.mark.parametrize(("picture_size", "size"), SIZES, ids=str)
    @pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
    def test_transforms(
        self, a_picture: Callable[..., Path], mode: str, picture_size: tuple[int, int], size: tuple[int, int]
    ) -> None:
        path = a_picture(mode=mode, size=picture_size)
        with Image.open(path) as image:
            pixels = np.atleast_3d(np.asarray(image))  # rows, columns, channels
        # A file is read with the axes of its geometry: channel, x, y.
        image = np.ascontiguousarray(pixels.transpose(2, 1, 0))
        prepared = Compose([Greyscale(), ScaleToNetworkRange(), NetworkSamples(size)])(image)[0]
        assert prepared.shape == (1, *size)
        assert np.abs(prepared[0].numpy() - published(path, size)).max() <= ONE_GREY_LEVEL

    @pytest.mark.parametrize(("picture_size", "size"), SIZES[:4], ids=str)
    @pytest.mark.parametrize("mode", ["L", "RGB"])
    def test_the_preprocessing_of_the_bundle(
        self,
        a_picture: Callable[..., Path],
        monkeypatch: pytest.MonkeyPatch,
        mode: str,
        picture_size: tuple[int, int],
        size: tuple[int, int],
    ) -> None:
        path = a_picture(mode=mode, size=picture_size)
        monkeypatch.chdir(BUNDLE)  # macros in a config name files from there
        parser = ConfigParser()
        parser.read_config("configs/train.json")
        parser["image_size"] = list(size)
        preprocessing = parser.get_parsed_content("train#preprocessing")
        prepared = preprocessing({"image": str(path)})["image"][0]
        assert prepared.shape == (1, *size)
        assert np.abs(prepared[0].numpy() - published(path, size)).max() <= ONE_GREY_LEVEL

    def test_at_the_size_of_the_network_nothing_changes(self, a_picture: Callable[..., Path]) -> None:
        path = a_picture(size=(48, 32))
        with Image.open(path) as image:
            pixels = np.asarray(image)
        prepared = NetworkSamples((32, 48))(pixels.T[None])[0]
        assert torch.equal(prepared[0], torch.from_numpy(pixels.astype(np.float32)))


class TestResize:
    @pytest.mark.parametrize("size", [(8, 8), (5, 30), (32, 24)], ids=str)
    def test_it_is_the_filter_of_pil_without_rounding(self, size: tuple[int, int]) -> None:
        image = np.random.default_rng(0).random((20, 24), dtype=np.float32)
        expected = np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))
        # PIL computes in 64 bits here, torch in 32.
        assert resize(torch.from_numpy(image)[None, None], size)[0, 0].numpy() == pytest.approx(expected, abs=1e-6)

    def test_it_is_the_filter_of_pil_along_each_axis(self) -> None:
        """A product of two functions of one axis each becomes the product of the two resized ones."""
        generator = torch.Generator().manual_seed(0)
        rows, columns = (torch.rand(side, generator=generator) for side in (9, 40))
        expected = torch.outer(tent_filter(9, 20) @ rows, tent_filter(40, 7) @ columns)
        resized = resize(torch.outer(rows, columns)[None, None], (20, 7))[0, 0]
        assert float((resized - expected).abs().max()) < 1e-6  # 32-bit rounding

    def test_images_and_channels_are_apart(self) -> None:
        images = torch.rand(2, 3, 8, 9, generator=torch.Generator().manual_seed(0))
        together = resize(images, (5, 12))
        for image in range(2):
            for channel in range(3):
                assert torch.equal(together[image, channel], resize(images[image, channel][None, None], (5, 12))[0, 0])

    def test_at_its_own_size_nothing_changes(self) -> None:
        image = torch.rand(1, 2, 8, 9, generator=torch.Generator().manual_seed(0))
        assert torch.equal(resize(image, (8, 9)), image)

    def test_nothing_aliases(self) -> None:
        """A checkerboard that is shrunk becomes even grey, away from the border."""
        board = (torch.arange(64)[:, None] + torch.arange(64)) % 2
        small = resize(board.float()[None, None], (16, 16))
        # Tent of four pixels: neighbours' weights cancel exactly but for rounding.
        assert float((small[..., 1:-1, 1:-1] - 0.5).abs().max()) < 1e-6
