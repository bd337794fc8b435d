"""Pixel values to [-1, 1]."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_sagan.errors import SettingError
from monai_sagan.transforms import ScaleToNetworkRange, ScaleToNetworkRanged


def as_array(values: np.ndarray) -> Any:
    return values


KINDS = pytest.mark.parametrize("kind", [as_array, torch.from_numpy, lambda v: MetaTensor(torch.from_numpy(v))])


def a_ramp(dtype: type) -> np.ndarray:
    """0 to 1000, once each."""
    return np.arange(1001).reshape(1, 7, 143).astype(dtype)


@KINDS
def test_8_bit_by_the_range_of_the_type(kind: Any) -> None:
    image = np.array([[[0, 51, 102], [127, 200, 255]]], dtype=np.uint8)
    scaled = ScaleToNetworkRange()(kind(image))
    # Published: ToTensor, then (x - 0.5) / 0.5. Rounding in 32 bits.
    assert np.asarray(scaled) == pytest.approx(image / 127.5 - 1, abs=1e-6)
    assert torch.as_tensor(scaled).dtype == torch.float32


def test_8_bit_does_not_depend_on_what_is_in_the_image() -> None:
    dark = torch.full((1, 4, 4), 10, dtype=torch.uint8)
    bright = dark.clone()
    bright[0, 0, 0] = 255
    assert torch.equal(ScaleToNetworkRange()(dark)[0, 1:], ScaleToNetworkRange()(bright)[0, 1:])


@KINDS
@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int32, np.float32, np.float64])
def test_others_by_percentiles_of_their_foreground(kind: Any, dtype: type) -> None:
    scaled = np.asarray(ScaleToNetworkRange(lower=10, upper=90)(kind(a_ramp(dtype))))
    # Percentiles of 0 ... 1000 are 100 and 900, so 141 ... 1000 are foreground, 860 values: those at ranks 86 and 774.
    expected = np.clip((a_ramp(np.float64) - 570) / 344, -1, 1)
    assert scaled == pytest.approx(expected, abs=1e-6)
    assert scaled.dtype == np.float32


def test_default_percentiles() -> None:
    scaled = np.asarray(ScaleToNetworkRange()(a_ramp(np.float32)))
    # 5 and 995; what is above 54.5 is foreground, 946 values, of which 5 on either side are cut off.
    assert (scaled == -1).sum() == 55 + 5
    assert (scaled == 1).sum() == 1000 - 996 + 1


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_air_around_the_patient_does_not_matter(dtype: type) -> None:
    rng = np.random.default_rng(0)
    patient = rng.normal(800, 100, (1, 30, 30)).astype(dtype)
    expected = np.asarray(ScaleToNetworkRange()(patient + np.zeros_like(patient)))
    for margin in (3, 30):
        padded = np.pad(patient, ((0, 0), (margin, margin), (margin, margin)))
        padded[:, 0, :10] = rng.normal(0, 8, 10).astype(dtype)  # its noise
        scaled = np.asarray(ScaleToNetworkRange()(padded))
        # The patient alone loses its darkest to the share that counts as air; ranks shift by a few values.
        assert np.abs(scaled[0, margin:-margin, margin:-margin] - expected[0])[expected[0] > -0.5].max() < 0.25
        assert (scaled[0, :margin] == -1).all()


def test_hot_pixels_do_not_matter() -> None:
    image = np.random.default_rng(0).normal(800, 100, (1, 100, 100)).astype(np.float32)
    expected = np.asarray(ScaleToNetworkRange()(image))
    image[0, 5, 5:8] = 1e6
    scaled = np.asarray(ScaleToNetworkRange()(image))
    scaled[0, 5, 5:8] = expected[0, 5, 5:8]
    # Three of the fifty values that are cut off above: the limit moves by a few hundredths of the range.
    assert scaled == pytest.approx(expected, abs=0.05)


@KINDS
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_a_window(kind: Any, dtype: type) -> None:
    """Hounsfield units: -1000 to 400, say; the same for every image, whatever is in it."""
    image = np.array([[[0, 50, 100], [120, 110, 75]]]).astype(dtype)
    scaled = np.asarray(ScaleToNetworkRange(window=[50, 110])(kind(image)))
    assert scaled[0] == pytest.approx(np.array([[-1, -1, 2 / 3], [1, 1, -1 / 6]]), abs=1e-6)


@pytest.mark.parametrize("window", [[400, -1000], [0, 0], [100], [0, 50, 100]])
def test_a_window_that_is_none(window: list[float]) -> None:
    with pytest.raises(SettingError, match="intensity_window must be two growing numbers such as"):
        ScaleToNetworkRange(window=window)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_the_order_of_voxels_does_not_matter(dtype: type) -> None:
    image = np.random.default_rng(0).normal(100, 40, (1, 9, 10, 11)).astype(dtype)
    turned = np.asarray(ScaleToNetworkRange()(np.ascontiguousarray(image.transpose(0, 3, 1, 2)[:, ::-1])))
    assert np.array_equal(turned[:, ::-1].transpose(0, 2, 3, 1), np.asarray(ScaleToNetworkRange()(image)))


def test_the_image_itself_is_left_alone() -> None:
    image = torch.from_numpy(a_ramp(np.float32))
    before = image.clone()
    ScaleToNetworkRange()(image)
    assert torch.equal(image, before)


@pytest.mark.parametrize(("factor", "offset"), [(1000.0, 0.0), (1e-3, -5.0), (2.0, 1e4)])
def test_units_do_not_matter(factor: float, offset: float) -> None:
    image = np.random.default_rng(0).normal(size=(1, 20, 20)).astype(np.float32)
    expected = np.asarray(ScaleToNetworkRange()(image))
    # An offset of ten thousand takes four of seven digits off the rest.
    assert np.asarray(ScaleToNetworkRange()(image * np.float32(factor) + np.float32(offset))) == pytest.approx(
        expected, abs=3e-3
    )


@KINDS
def test_something_small_on_a_plain_background(kind: Any) -> None:
    """Both percentiles are then the background's value."""
    image = np.zeros((1, 20, 20, 20), dtype=np.float32)
    image[0, 3:5, 4:6, 7] = 1000
    image[0, 10, 10, 10] = 500
    scaled = np.asarray(ScaleToNetworkRange()(kind(image)))
    assert sorted(np.unique(scaled)) == [-1, 0, 1]
    assert scaled[0, 3, 4, 7] == 1
    assert scaled[0, 10, 10, 10] == 0


def test_one_value_only_stays_in_range() -> None:
    scaled = np.asarray(ScaleToNetworkRange()(np.full((1, 4, 4), 300.0, dtype=np.float32)))
    assert np.unique(scaled) == [-1]


def test_metadata_stays() -> None:
    image = MetaTensor(torch.from_numpy(a_ramp(np.int16)), affine=torch.diag(torch.tensor([2.0, 3.0, 1.0])))
    scaled = ScaleToNetworkRange()(image)
    assert isinstance(scaled, MetaTensor)
    assert torch.equal(scaled.affine, image.affine)


def test_dictionary_form() -> None:
    image = torch.from_numpy(a_ramp(np.int16))
    data = {"image": image, "other": image}
    scaled = ScaleToNetworkRanged("image", lower=10, upper=90)(data)
    assert torch.equal(scaled["image"], ScaleToNetworkRange(10, 90)(image))
    assert not torch.equal(scaled["image"], ScaleToNetworkRange()(image))
    assert scaled["other"] is image
    assert data["image"] is image
    assert ScaleToNetworkRanged("image", allow_missing_keys=True)({}) == {}
    with pytest.raises(KeyError):
        ScaleToNetworkRanged("image")({})
