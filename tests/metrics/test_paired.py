"""Paired comparisons: the plain t-test, the corrected one, and what cannot be tested."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_rel

from monai_sagan.metrics import paired_difference

ONE, OTHER = [0.91, 0.88, 0.93, 0.90, 0.89], [0.90, 0.85, 0.93, 0.86, 0.88]


def test_the_plain_one_is_scipys() -> None:
    expected = ttest_rel(ONE, OTHER)
    interval = expected.confidence_interval(0.95)
    found = paired_difference(ONE, OTHER)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.mean == pytest.approx(0.018)


def test_the_corrected_one_widens_as_published() -> None:
    plain, corrected = paired_difference(ONE, OTHER), paired_difference(ONE, OTHER, test_to_train=0.25)
    assert corrected.mean == plain.mean
    # (1/5 + 1/4) / (1/5)
    assert corrected.high - corrected.low == pytest.approx((plain.high - plain.low) * 2.25**0.5)
    assert corrected.p_value > plain.p_value


def test_without_a_difference_it_rarely_finds_one() -> None:
    """Repetitions that share a part of their error, as those of divided data do."""
    generator = np.random.default_rng(0)
    # The share that makes 1/4 the right correction: rho / (1 - rho) = 1/4.
    shared, own = 0.2**0.5, 0.8**0.5
    rejected = [
        paired_difference(
            shared * generator.standard_normal() + own * generator.standard_normal(5), np.zeros(5), test_to_train=0.25
        ).p_value
        < 0.05
        for _ in range(2000)
    ]
    # 5% of 2000, with four standard deviations (0.5%) on both sides.
    assert np.mean(rejected) == pytest.approx(0.05, abs=0.02)


def test_what_cannot_be_tested() -> None:
    for values, reference in (([0.9], [0.8]), ([0.9, 0.8], [0.8, 0.7])):
        found = paired_difference(values, reference)
        assert found.mean == pytest.approx(0.1)
        assert (found.low, found.high, found.p_value) == (None, None, None)
    with pytest.raises(ValueError, match="no repetition"):
        paired_difference([], [])
    with pytest.raises(ValueError, match="shorter"):
        paired_difference([1.0, 2.0], [1.0])
