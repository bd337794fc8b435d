"""What an anomaly map amounts to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_sagan.transforms import AnomalyScore, AnomalyScored


def as_array(values: np.ndarray) -> Any:
    return values


KINDS = pytest.mark.parametrize("kind", [as_array, torch.from_numpy, lambda v: MetaTensor(torch.from_numpy(v))])


def a_map(shape: tuple[int, ...] = (1, 5, 4, 3)) -> np.ndarray:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


# Means of 32-bit numbers, added in another order.
ROUNDING = 1e-6


@KINDS
@pytest.mark.parametrize("direction", [-1, 0, "acquisition", "axial"])
def test_score_of_an_image_is_the_mean(kind: Any, direction: str | int) -> None:
    values = a_map((1, 8, 6))
    score = AnomalyScore(direction)(kind(values))
    assert isinstance(score, float)
    assert score == pytest.approx(values.mean(), rel=ROUNDING)


@KINDS
@pytest.mark.parametrize("slice_axis", [0, 1, 2, -1, -2, -3])
def test_score_of_a_volume_is_the_mean_of_the_highest_quarter_of_its_slices(kind: Any, slice_axis: int) -> None:
    values = a_map((1, 9, 8, 12))
    expected = sorted((plane.mean() for plane in np.moveaxis(values[0], slice_axis, 0)), reverse=True)
    score = AnomalyScore(slice_axis)
    assert sorted(score.slice_scores(kind(values)), reverse=True) == pytest.approx(expected, rel=ROUNDING)
    highest = {9: 3, 8: 2, 12: 3}[len(expected)]  # a quarter, rounded up
    assert score(kind(values)) == pytest.approx(np.mean(expected[:highest]), rel=ROUNDING)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_of_few_slices_it_is_the_largest(count: int) -> None:
    values = a_map((1, 5, 4, count))
    assert AnomalyScore(-1)(values) == pytest.approx(values.mean(axis=(0, 1, 2)).max(), rel=ROUNDING)


def test_air_above_and_below_does_not_count() -> None:
    values = a_map((1, 5, 4, 12))
    padded = np.pad(values, ((0, 0), (0, 0), (0, 0), (20, 9)))
    assert AnomalyScore(-1)(padded) == pytest.approx(AnomalyScore(-1)(values), rel=ROUNDING)
    assert AnomalyScore(-1)(np.zeros_like(values)) == 0.0


def test_channels_count_alike() -> None:
    values = a_map((3, 5, 4, 2))
    assert AnomalyScore(-1).slice_scores(values) == pytest.approx(values.mean(axis=(0, 1, 2)), rel=ROUNDING)
    assert AnomalyScore()(values[..., 0]) == pytest.approx(values[..., 0].mean(), rel=ROUNDING)


def test_a_lesion_in_few_slices_is_not_drowned() -> None:
    values = np.full((1, 10, 10, 48), 0.01, dtype=np.float32)
    values[0, 2:7, 2:7, 20:23] = 0.8
    # Three slices of 0.2 and nine of 0.01; over all slices it would be 0.022.
    assert AnomalyScore(-1)(values) == pytest.approx((3 * (0.2 + 0.0075) + 9 * 0.01) / 12, rel=1e-5)


class TestDictionaryForm:
    @pytest.mark.parametrize(("slice_axis", "axis"), [(-1, 2), (2, 2), (0, 0), (-2, 1)])
    def test_volume(self, slice_axis: int, axis: int) -> None:
        values = torch.from_numpy(a_map())
        data = {"anomaly_map": values, "path": "a.nii"}
        scored = AnomalyScored(slice_direction=slice_axis)(data)
        score = AnomalyScore(slice_axis)
        assert scored["slice_axis"] == axis
        assert scored["slice_scores"] == score.slice_scores(values)
        assert scored["anomaly_score"] == score(values)
        assert scored["path"] == "a.nii"
        assert set(data) == {"anomaly_map", "path"}

    def test_the_direction_is_told_by_the_geometry(self) -> None:
        """A volume whose first axis runs from left to right, its second from foot to head."""
        affine = torch.tensor([[-1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
        values = MetaTensor(torch.from_numpy(a_map()), affine=affine)
        for direction, axis in (("sagittal", 0), ("axial", 1), ("coronal", 2), ("acquisition", 2)):
            scored = AnomalyScored(slice_direction=direction)({"anomaly_map": values})
            assert scored["slice_axis"] == axis
            assert scored["slice_scores"] == AnomalyScore(axis).slice_scores(values)

    def test_an_image(self) -> None:
        values = torch.from_numpy(a_map((1, 5, 4)))
        scored = AnomalyScored("anomaly_map")({"anomaly_map": values})
        assert scored["slice_axis"] is None
        assert scored["slice_scores"] == []
        assert scored["anomaly_score"] == pytest.approx(float(values.mean()), rel=ROUNDING)

    def test_missing_key(self) -> None:
        assert AnomalyScored(allow_missing_keys=True)({"label": 1}) == {"label": 1}
        with pytest.raises(KeyError):
            AnomalyScored()({"label": 1})
