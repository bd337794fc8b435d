"""How long a work will still take."""

from __future__ import annotations

import math

import pytest
from AnomalyMapLib.time_left import TimeLeft, words_for_seconds


def test_a_steady_work() -> None:
    time_left = TimeLeft(100.0)
    assert time_left.seconds(103.0) is None
    for second in range(1, 6):
        time_left.update(100.0 + second, second / 10)
    assert time_left.fraction == 0.5
    assert time_left.seconds(105.0) == pytest.approx(5.0)
    assert time_left.seconds(107.0) == pytest.approx(3.0)
    assert time_left.seconds(200.0) == 0


def test_what_is_recent_counts_more_than_what_was_long_ago() -> None:
    time_left = TimeLeft(0.0)
    time_left.update(60.0, 0.01)  # loading
    when = 60.0
    for step in range(2, 51):
        when += 1.0
        time_left.update(when, step / 100)
    # On the average of all, a minute for the first hundredth included, 109 seconds were left.
    assert time_left.seconds(when) == pytest.approx(50.0, rel=0.02)


def test_a_single_outlier_is_smoothed() -> None:
    time_left = TimeLeft(0.0)
    for second in range(1, 21):
        time_left.update(float(second), second / 100)
    time_left.update(20.1, 0.21)  # ten times as fast
    seconds = time_left.seconds(20.1)
    assert seconds is not None
    assert 65 < seconds < 79


def test_steps_at_the_same_moment_count_for_the_next() -> None:
    time_left = TimeLeft(0.0)
    time_left.update(1.0, 0.1)
    time_left.update(1.0, 0.2)
    assert time_left.fraction == 0.2
    assert time_left.seconds(1.0) == pytest.approx(8.0)


@pytest.mark.parametrize("fraction", [0.1, -1.0, math.nan])
def test_going_back_is_ignored(fraction: float) -> None:
    time_left = TimeLeft(0.0)
    time_left.update(1.0, 0.5)
    time_left.update(2.0, fraction)
    assert time_left.fraction == 0.5
    assert time_left.seconds(2.0) == pytest.approx(0.0)


def test_more_than_all_is_all() -> None:
    time_left = TimeLeft(0.0)
    time_left.update(1.0, 7.0)
    assert time_left.fraction == 1
    assert time_left.seconds(1.0) == 0


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "1 s"), (1.2, "2 s"), (89.5, "90 s"), (90, "2 min"), (3601, "61 min")]
)
def test_words(seconds: float, words: str) -> None:
    assert words_for_seconds(seconds) == words
