"""Conformal p-values and thresholds hold what they promise, with any number of healthy images."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import kstest

from monai_sagan.calibration import (
    conformal_p_value,
    conformal_threshold,
    false_positive_rate,
    smallest_p_value,
)

REPEATS = 4000


def scores(count: int, seed: int) -> np.ndarray:
    """Skewed, as scores are."""
    return np.random.default_rng(seed).lognormal(size=count)


class TestPValue:
    def test_by_hand(self) -> None:
        healthy = [0.1, 0.2, 0.3, 0.4]
        assert [conformal_p_value(score, healthy) for score in (0.05, 0.2, 0.35, 0.9)] == [1.0, 0.8, 0.4, 0.2]
        assert smallest_p_value(4) == 0.2
        assert smallest_p_value(20) == 1 / 21

    def test_of_healthy_images_it_is_uniform(self) -> None:
        healthy = scores(999, seed=0)
        p_values = [conformal_p_value(score, healthy) for score in scores(500, seed=1)]
        assert kstest(p_values, "uniform").pvalue > 0.01

    def test_it_is_never_too_small_too_often(self) -> None:
        """With 19 healthy images the chance of the smallest one, 1/20, is exactly that."""
        generator = np.random.default_rng(2)
        found = [conformal_p_value(draw[0], draw[1:]) for draw in generator.lognormal(size=(REPEATS, 20))]
        for level in (0.05, 0.1, 0.5):
            spread = math.sqrt(level * (1 - level) / REPEATS)
            assert np.mean(np.asarray(found) <= level + 1e-12) == pytest.approx(level, abs=4 * spread)

    def test_equal_scores_count_as_high(self) -> None:
        assert conformal_p_value(0.5, [0.5] * 9) == 1.0


class TestThreshold:
    def test_by_hand(self) -> None:
        healthy = [float(number) for number in range(1, 20)]
        assert conformal_threshold(healthy, 0.05) == 19.0
        assert conformal_threshold(healthy, 0.1) == 18.0
        assert conformal_threshold(healthy, 0.5) == 10.0
        # 25 times 0.56 is a little above 14 in floating point; 11 of 25 are 44%.
        healthy = [float(number) for number in range(1, 25)]
        assert conformal_threshold(healthy, 0.44) == 14.0
        assert conformal_p_value(14.5, healthy) <= 0.44

    def test_too_few_healthy_images(self) -> None:
        assert conformal_threshold(list(range(18)), 0.05) is None
        with pytest.raises(ValueError, match=r"^18 healthy images are too few for .* of 0.05; at least 19 are needed"):
            false_positive_rate(18, 0.05)
        assert false_positive_rate(19, 0.05).expected == pytest.approx(0.05)

    def test_above_it_is_what_has_a_p_value_of_at_most_the_rate(self) -> None:
        healthy = scores(57, seed=3)
        for rate in (0.02, 0.05, 0.1, 0.3):
            threshold = conformal_threshold(healthy, rate)
            for score in scores(200, seed=4):
                assert (score > threshold) == (conformal_p_value(score, healthy) <= rate)

    @pytest.mark.parametrize(("count", "rate"), [(19, 0.05), (60, 0.05), (60, 0.1), (100, 0.2)])
    def test_the_guarantee_is_exact(self, count: int, rate: float) -> None:
        """Of uniform scores, the share of healthy images above a threshold is 1 minus the threshold."""
        generator = np.random.default_rng(5)
        above = [1 - conformal_threshold(draw, rate) for draw in generator.random((REPEATS, count))]
        promised = false_positive_rate(count, rate)
        assert promised.expected <= rate
        assert np.mean(above) == pytest.approx(promised.expected, abs=4 * np.std(above) / math.sqrt(REPEATS))
        inside = np.mean([promised.low <= share <= promised.high for share in above])
        assert inside == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / REPEATS))


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, math.nan])
def test_rates_out_of_range(rate: float) -> None:
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        conformal_threshold([1.0], rate)


def test_scores_that_are_none() -> None:
    with pytest.raises(ValueError, match="no healthy image"):
        conformal_p_value(1.0, [])
    with pytest.raises(ValueError, match="healthy images must be finite"):
        conformal_threshold([1.0, math.nan], 0.5)
    with pytest.raises(ValueError, match="must be a finite number, not inf"):
        conformal_p_value(math.inf, [1.0])
