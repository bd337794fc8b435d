"""Slices are compared with those of healthy volumes that lie as far along the body."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy.stats import kstest

from monai_sagan.calibration import Calibration, CompareWithHealthyd, slice_p_values, write_calibration


def test_by_hand() -> None:
    healthy = [[0.1, 0.2, 0.3], [0.1, 0.4, 0.3], [0.2, 0.2, 0.2]]
    assert slice_p_values([0.15, 0.4, 0.9], healthy) == [0.5, 0.5, 0.25]


def test_background_has_none_and_shifts_nothing() -> None:
    healthy = [[0.0, 0.1, 0.2, 0.3, 0.0], [0.1, 0.2, 0.3, 0.0, 0.0]]
    assert slice_p_values([0.0, 0.0, 0.05, 0.25, 0.35], healthy) == [None, None, 1.0, 1 / 3, 1 / 3]
    assert slice_p_values([0.0, 0.0], healthy) == [None, None]


def test_volumes_of_other_lengths_are_met_at_the_same_share() -> None:
    healthy = [list(np.linspace(0.1, 0.9, 9)), list(np.linspace(0.1, 0.9, 5))]
    # The middle of both is 0.5.
    assert slice_p_values([0.05, 0.51, 2.0], healthy) == [1.0, 1 / 3, 1 / 3]
    assert slice_p_values([0.05, 0.49, 2.0], healthy)[1] == 1.0


def test_of_healthy_volumes_they_are_uniform_at_each_place() -> None:
    """Though the network draws the ends worse than the middle."""
    generator = np.random.default_rng(0)
    worse_at_the_ends = 1 + np.abs(np.linspace(-2, 2, 11))
    volumes = generator.lognormal(size=(600, 11)) * worse_at_the_ends
    healthy = volumes[:300].tolist()
    p_values = np.array([slice_p_values(volume, healthy) for volume in volumes[300:].tolist()], dtype=float)
    for place in range(11):
        assert kstest(p_values[:, place], "uniform").pvalue > 0.001  # of eleven


def test_healthy_volumes_of_background_alone_are_no_volumes() -> None:
    assert slice_p_values([0.3], [[0.0, 0.0], [0.2]]) == [0.5]


@pytest.mark.parametrize("healthy", [[], [[0.0, 0.0]]])
def test_without_healthy_volumes_that_show_something(healthy: list[list[float]]) -> None:
    assert slice_p_values([0.1], healthy) == [None]


def test_a_slice_is_compared_with_the_nearest_one() -> None:
    # A third of the way is 1.67 of 5 steps, so the third of six.
    assert slice_p_values([0.5, 0.25, 0.5, 0.5], [[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]])[1] == 1.0


@pytest.mark.parametrize(("way", "expected"), [(1.0, [0.25, 1.0, 1.0]), (-1.0, [1.0, 1.0, 0.25])])
def test_they_have_the_order_of_the_file(way: float, expected: list[float], tmp_path: Path) -> None:
    """Of a volume that is stored from head to foot too; only its lowest slice is more than usual."""
    known = {"volume_scores": (0.1,) * 3, "slice_scores": ((0.1, 0.5, 0.9),) * 3}
    write_calibration(tmp_path, Calibration("0", "axial", 0.05, **known))
    compare = CompareWithHealthyd("anomaly_map", tmp_path, "0", "axial")
    from_foot = [0.2, 0.3, 0.4]
    anomaly_map = MetaTensor(torch.zeros(1, 8, 8, 3), affine=torch.diag(torch.tensor([-1.0, -1.0, way, 1.0])))
    case = {"anomaly_map": anomaly_map, "slice_axis": 2, "anomaly_score": 0.4}
    found = compare({**case, "slice_scores": from_foot if way > 0 else from_foot[::-1]})
    assert found["slice_p_values"] == expected
