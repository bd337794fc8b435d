"""Colour to grey as PIL does it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from monai_sagan.transforms import Greyscale, Greyscaled

CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


def some_pixels(mode: str) -> np.ndarray:
    """Channel last, as PIL has them."""
    return np.random.default_rng(0).integers(0, 256, (64, 48, CHANNELS[mode]), dtype=np.uint8)


def pil_grey(pixels: np.ndarray, mode: str) -> np.ndarray:
    image = Image.frombytes(mode, (pixels.shape[1], pixels.shape[0]), pixels.tobytes())
    return np.asarray(image.convert("L"))


@pytest.mark.parametrize("mode", CHANNELS)
def test_is_pil_mode_l(mode: str) -> None:
    pixels = some_pixels(mode)
    grey = Greyscale()(np.moveaxis(pixels, -1, 0))
    assert grey.shape == (1, 64, 48)
    assert grey.dtype == np.uint8
    difference = np.abs(grey[0].astype(int) - pil_grey(pixels, mode))
    # PIL weighs with 16-bit integers, which may round the other way where a value lies between two levels.
    assert difference.max() <= 1
    assert (difference == 0).mean() > 0.99


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_keeps_type_and_kind(dtype: torch.dtype, channels: int) -> None:
    affine = torch.diag(torch.tensor([2.0, 3.0, 1.0]))
    image = MetaTensor(torch.full((channels, 5, 4), 100, dtype=dtype), affine=affine, meta={"note": "kept"})
    grey = Greyscale()(image)
    assert isinstance(grey, MetaTensor)
    assert grey.dtype == dtype
    assert grey.shape == (1, 5, 4)
    assert torch.equal(grey.affine, image.affine)
    assert grey.meta["note"] == "kept"
    # Equal parts of every colour are that grey; the weights add up to 1 within the type's rounding.
    assert grey.as_tensor().double().numpy() == pytest.approx(100, rel=1e-6)


@pytest.mark.parametrize("colour", range(3))
def test_weights(colour: int) -> None:
    image = torch.zeros(3, 1, 1, dtype=torch.float64)
    image[colour] = 1
    assert Greyscale()(image).item() == pytest.approx((0.299, 0.587, 0.114)[colour], abs=1e-15)  # 64-bit rounding


def test_alpha_is_left_out() -> None:
    image = torch.from_numpy(np.moveaxis(some_pixels("RGBA"), -1, 0).copy())
    assert torch.equal(Greyscale()(image), Greyscale()(image[:3]))


def test_grey_stays_as_it_is() -> None:
    image = torch.from_numpy(np.moveaxis(some_pixels("L"), -1, 0).copy())
    assert torch.equal(Greyscale()(image), image)


def test_volumes() -> None:
    volume = torch.rand(3, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    grey = Greyscale()(volume)
    assert grey.shape == (1, 4, 5, 6)
    assert torch.equal(grey[..., 2], Greyscale()(volume[..., 2]))


@pytest.mark.parametrize("channels", [0, 5])
def test_other_numbers_of_channels(channels: int) -> None:
    with pytest.raises(
        ValueError, match=rf"1 or 2 \(grey, with alpha\) or 3 or 4 \(colour, with alpha\) channels, not {channels}"
    ):
        Greyscale()(torch.zeros(channels, 4, 4))


def test_dictionary_form() -> None:
    image = torch.from_numpy(np.moveaxis(some_pixels("RGB"), -1, 0).copy())
    data = {"image": image, "other": image, "label": 1}
    converted = Greyscaled("image")(data)
    assert torch.equal(converted["image"], Greyscale()(image))
    assert converted["other"] is image
    assert data["image"] is image
    assert converted["label"] == 1


def test_dictionary_form_and_missing_keys() -> None:
    assert Greyscaled("image", allow_missing_keys=True)({"label": 1}) == {"label": 1}
    with pytest.raises(KeyError):
        Greyscaled("image")({"label": 1})
