"""Findings among many p-values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from monai_sagan.calibration import false_discovery_mask


def test_by_hand() -> None:
    # 0.05 * rank / 5: 0.01, 0.02, 0.03, 0.04, 0.05
    p_values = np.array([[0.9, 0.028], [0.001, 0.029], [0.5, 0.6]])
    assert false_discovery_mask(p_values[:, :1]).tolist() == [[False], [True], [False]]
    found = false_discovery_mask(p_values)
    # Of six, 0.029 is the third smallest, and above 0.05 * 3 / 6.
    assert found.tolist() == [[False, False], [True, False], [False, False]]
    assert false_discovery_mask(np.array([0.9, 0.028, 0.001, 0.029, 0.5])).tolist() == [False, True, True, True, False]
    assert false_discovery_mask(np.zeros((0, 3))).shape == (0, 3)


def test_the_share_of_false_findings() -> None:
    generator = np.random.default_rng(1)
    shares = []
    for _ in range(300):
        is_lesion = np.arange(1000) < 100
        p_values = norm.sf(generator.standard_normal(1000) + 3.0 * is_lesion)
        found = false_discovery_mask(p_values, 0.1)
        shares.append((found & ~is_lesion).sum() / max(1, found.sum()))
        assert (found & is_lesion).sum() > 30
    # What is promised is 0.1 times the share of healthy pixels.
    assert np.mean(shares) == pytest.approx(0.09, abs=4 * np.std(shares) / 300**0.5)


def test_nothing_is_a_finding_where_nothing_is_small() -> None:
    assert not false_discovery_mask(np.ones((4, 4))).any()


def test_out_of_range() -> None:
    for values in ([0.5, 1.5], [-0.1], [np.nan]):
        with pytest.raises(ValueError, match="p-values must lie in"):
            false_discovery_mask(np.array(values))
    with pytest.raises(ValueError, match="rate must lie between 0 and 1, not 1"):
        false_discovery_mask(np.array([0.5]), 1.0)
