"""From files to the network's size and axes, as the published preprocessing does it by PIL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose
from PIL import Image

from monai_sagan.transforms import Greyscale, ScaleToNetworkRange, ToNetworkGrid, ToNetworkGridd, resize

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
        prepared = Compose([Greyscale(), ScaleToNetworkRange(), ToNetworkGrid(size)])(image)
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
        prepared = preprocessing({"image": str(path)})["image"]
        assert prepared.shape == (1, *size)
        assert np.abs(prepared[0].numpy() - published(path, size)).max() <= ONE_GREY_LEVEL

    def test_at_the_size_of_the_network_nothing_changes(self, a_picture: Callable[..., Path]) -> None:
        path = a_picture(size=(48, 32))
        with Image.open(path) as image:
            pixels = np.asarray(image)
        prepared = ToNetworkGrid((32, 48))(pixels.T[None])
        assert torch.equal(prepared[0], torch.from_numpy(pixels.astype(np.float32)))


class TestResize:
    @pytest.mark.parametrize("size", [(8, 8), (5, 30), (32, 24)], ids=str)
    def test_in_2d_it_is_the_filter_of_pil_without_rounding(self, size: tuple[int, int]) -> None:
        image = np.random.default_rng(0).random((20, 24), dtype=np.float32)
        expected = np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))
        # PIL computes in 64 bits here, torch in 32.
        assert resize(torch.from_numpy(image)[None, None], size)[0, 0].numpy() == pytest.approx(expected, abs=1e-6)

    @pytest.mark.parametrize("size", [(7, 5, 4), (20, 6, 9), (8, 8, 8), (3, 17, 6)], ids=str)
    def test_in_3d_constant_stays_constant(self, size: tuple[int, ...]) -> None:
        volume = torch.full((2, 3, 8, 9, 6), 0.7)
        resized = resize(volume, size)
        assert resized.shape == (2, 3, *size)
        assert float((resized - 0.7).abs().max()) < 1e-6  # weights add up to 1 up to rounding

    @pytest.mark.parametrize("size", [(7, 5, 4), (20, 6, 9), (3, 17, 6)], ids=str)
    def test_in_3d_it_is_separable(self, size: tuple[int, ...]) -> None:
        """A product of three functions of one axis each becomes the product of the three resized ones."""
        generator = torch.Generator().manual_seed(0)
        lines = [torch.rand(side, generator=generator) for side in (8, 9, 6)]
        resized = [tent_filter(len(line), side) @ line for line, side in zip(lines, size)]
        volume = torch.einsum("i,j,k->ijk", *lines)[None, None]
        expected = torch.einsum("i,j,k->ijk", *resized)[None, None]
        assert float((resize(volume, size) - expected).abs().max()) < 1e-6  # 32-bit rounding

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_in_3d_with_one_axis_kept_it_is_2d_plane_by_plane(self, axis: int) -> None:
        volume = torch.rand(2, 3, 8, 9, 6, generator=torch.Generator().manual_seed(0))
        size = [12, 5, 7]
        size[axis] = volume.shape[2 + axis]
        plane_size = [side for other, side in enumerate(size) if other != axis]
        planes = [resize(plane, plane_size) for plane in volume.unbind(2 + axis)]
        # The same filter; the order of sums may differ.
        assert float((resize(volume, size) - torch.stack(planes, dim=2 + axis)).abs().max()) < 1e-6

    def test_in_3d_images_and_channels_are_apart(self) -> None:
        volume = torch.rand(2, 3, 8, 9, 6, generator=torch.Generator().manual_seed(0))
        together = resize(volume, (5, 12, 4))
        for image in range(2):
            for channel in range(3):
                alone = resize(volume[image, channel][None, None], (5, 12, 4))[0, 0]
                assert torch.equal(together[image, channel], alone)

    @pytest.mark.parametrize("size", [(8, 9), (8, 9, 6)], ids=str)
    def test_at_its_own_size_nothing_changes(self, size: tuple[int, ...]) -> None:
        image = torch.rand(1, 2, *size, generator=torch.Generator().manual_seed(0))
        assert torch.equal(resize(image, size), image)

    def test_nothing_aliases(self) -> None:
        """A checkerboard that is shrunk becomes even grey, away from the border."""
        board = (torch.arange(64)[:, None] + torch.arange(64)) % 2
        small = resize(board.float()[None, None], (16, 16))
        # Tent of four pixels: neighbours' weights cancel exactly but for rounding.
        assert float((small[..., 1:-1, 1:-1] - 0.5).abs().max()) < 1e-6


class TestToNetworkGrid:
    def test_axes_are_reversed(self) -> None:
        """x first, as files are read, to rows first."""
        image = torch.zeros(1, 6, 4)
        image[0, 5, 1] = 1
        assert ToNetworkGrid((4, 6))(image)[0, 1, 5] == 1
        volume = torch.zeros(1, 6, 4, 3)
        volume[0, 5, 1, 2] = 1
        assert ToNetworkGrid((3, 4, 6))(volume)[0, 2, 1, 5] == 1

    def test_a_volume_of_one_slice_is_an_image(self) -> None:
        image = torch.rand(1, 20, 24, generator=torch.Generator().manual_seed(0))
        assert torch.equal(ToNetworkGrid((8, 8))(image[..., None]), ToNetworkGrid((8, 8))(image))

    def test_result_is_a_plain_tensor_of_32_bits(self) -> None:
        prepared = ToNetworkGrid((8, 8))(MetaTensor(torch.arange(400, dtype=torch.int16).reshape(1, 20, 20)))
        assert type(prepared) is torch.Tensor
        assert prepared.dtype == torch.float32

    @pytest.mark.parametrize(
        ("shape", "size", "message"),
        [
            ((1, 8, 8, 3), (8, 8), "An image with 3 axes does not suit a network that works in 2D"),
            ((1, 8), (8, 8), "An image with 1 axes does not suit a network that works in 2D"),
            ((1, 8, 8), (8, 8, 8), "An image with 2 axes does not suit a network that works in 3D"),
            ((1, 8, 8, 8, 2), (8, 8, 8), "An image with 4 axes does not suit a network that works in 3D"),
        ],
    )
    def test_wrong_number_of_axes(self, shape: tuple[int, ...], size: tuple[int, ...], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            ToNetworkGrid(size)(torch.zeros(shape))

    def test_dictionary_form(self) -> None:
        image = torch.rand(1, 20, 24, generator=torch.Generator().manual_seed(0))
        data = {"image": image, "other": image}
        prepared = ToNetworkGridd("image", (8, 16))(data)
        assert torch.equal(prepared["image"], ToNetworkGrid((8, 16))(image))
        assert prepared["other"] is image
        assert data["image"] is image
        assert ToNetworkGridd("image", (8, 8), allow_missing_keys=True)({}) == {}
        with pytest.raises(KeyError):
            ToNetworkGridd("image", (8, 8))({})
