from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from monai_sagan.metrics import (
    Interval,
    binomial_rate,
    dice,
    image_auc,
    image_average_precision,
    pixel_average_precision,
)

IMAGE_METRICS = pytest.mark.parametrize("metric", [image_auc, image_average_precision])


def some_scores(healthy: int = 80, anomalous: int = 40, shift: float = 1.0, seed: int = 3):
    generator = np.random.default_rng(seed)
    labels = np.repeat([0, 1], [healthy, anomalous])
    return labels, generator.normal(size=labels.size) + shift * labels


def test_interval_as_dict():
    assert Interval(0.8, 0.7, 0.9).as_dict() == {"value": 0.8, "low": 0.7, "high": 0.9}


@pytest.mark.parametrize(
    ("metric", "reference"), [(image_auc, roc_auc_score), (image_average_precision, average_precision_score)]
)
def test_value_is_that_of_scikit_learn(metric, reference):
    labels, scores = some_scores()
    assert metric(labels, scores).value == reference(labels, scores)


def test_values_by_hand():
    # Pairs (anomalous, healthy): 0.9 beats both, 0.4 beats 0.1 and loses to 0.6. Precision 1/1, then 2/3.
    labels, scores = [1, 0, 1, 0], [0.9, 0.6, 0.4, 0.1]
    assert image_auc(labels, scores).value == 0.75
    assert image_average_precision(labels, scores).value == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_interval_covers_the_true_area():
    labels, scores = some_scores(200, 200)
    true_area = 0.5 * (1 + math.erf(1.0 / 2))  # of two normal distributions one standard deviation apart
    interval = image_auc(labels, scores)
    assert interval.low < true_area < interval.high
    assert interval.low < interval.value < interval.high


def test_interval_has_the_width_of_theory():
    labels, scores = some_scores(200, 200)
    interval = image_auc(labels, scores)
    area = interval.value
    # Hanley and McNeil (1982)
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    error = math.sqrt((area * (1 - area) + 199 * (q1 - area**2) + 199 * (q2 - area**2)) / (200 * 200))
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * error, rel=0.15)


@IMAGE_METRICS
def test_interval_widens_with_confidence(metric):
    labels, scores = some_scores()
    narrow, wide = metric(labels, scores, confidence=0.5), metric(labels, scores)
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_ends_of_the_interval_are_as_far_as_chance_goes():
    labels, scores = some_scores(30, 12)
    interval = image_auc(labels, scores, confidence=0.9)
    for end in (interval.low, interval.high):
        # Newcombe (2006), method 5; (42 - 2) / 2 is the mean number of the other images of a class.
        shared = 20 * (1 - end) / (2 - end) + 20 * end / (1 + end)
        error = math.sqrt(end * (1 - end) * (1 + shared) / (30 * 12))
        assert abs(interval.value - end) == pytest.approx(1.644854 * error, rel=1e-6)


def test_the_interval_of_average_precision_is_wilsons():
    # Precision is 1, 2/3 and 3/4 at the anomalous images.
    # (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n) for p = 29/36, n = 3, z = 1.959964
    interval = image_average_precision([1, 0, 1, 1, 0], [0.9, 0.8, 0.7, 0.6, 0.1])
    assert interval.value == pytest.approx(29 / 36)
    assert (interval.low, interval.high) == (pytest.approx(0.29137, abs=1e-5), pytest.approx(0.97660, abs=1e-5))


@pytest.mark.parametrize(("count", "low", "high"), [(10, 0.66, 0.97), (50, 0.82, 0.95), (200, 0.86, 0.93)])
def test_intervals_that_the_readme_names(count, low, high):
    scores = np.arange(count, dtype=float)
    anomalous = np.where(
        scores < 0.2 * count, scores[count // 2] - 0.5, count
    )  # a fifth above half, the others above all
    interval = image_auc([0] * count + [1] * count, np.concatenate([scores, anomalous]))
    assert interval.value == pytest.approx(0.9)
    assert (round(interval.low, 2), round(interval.high, 2)) == (low, high)


@pytest.mark.parametrize("count", [1, 10, 1000])
def test_perfect_separation_is_not_sold_as_certainty(count):
    labels = [0] * count + [1] * count
    for metric, scores, perfect in [(image_auc, labels, 1.0), (image_auc, [1 - label for label in labels], 0.0)]:
        interval = metric(labels, scores)
        assert interval.value == perfect
        assert perfect in (interval.low, interval.high)
        assert interval.high - interval.low > 0.5 / count
    precision = image_average_precision(labels, labels)
    assert precision.high == 1.0
    assert precision.low == pytest.approx(1 / (1 + 1.959964**2 / count), rel=1e-6)  # Wilson's for n of n


@pytest.mark.parametrize("count", range(1, 60))  # scikit-learn sums precisions of 1/count, at 9 to above 1
def test_a_perfect_average_precision_is_not_rounded_above_one(count):
    interval = image_average_precision([0] * 3 + [1] * count, range(3 + count))
    assert interval.value == pytest.approx(1.0, abs=1e-12)
    assert interval.value <= interval.high <= 1.0


def test_repeated_trainings_have_their_mean_and_widen_the_interval():
    labels, scores = some_scores()
    other = np.where(labels, scores - 0.5, scores)
    mean = (image_auc(labels, scores).value + image_auc(labels, other).value) / 2
    repeated = image_auc(labels, [scores, other])
    assert repeated.value == pytest.approx(mean)
    alone = image_auc(labels, scores)
    assert repeated.high - repeated.low > 1.2 * (alone.high - alone.low)
    same = image_auc(labels, [scores, scores])
    assert (same.low, same.high) == (alone.low, alone.high)


@IMAGE_METRICS
def test_order_of_the_images_is_of_no_account_to_the_value(metric):
    labels, scores = some_scores()
    order = np.random.default_rng(0).permutation(labels.size)
    assert metric(labels[order], scores[order]).value == pytest.approx(metric(labels, scores).value)


@IMAGE_METRICS
@pytest.mark.parametrize(
    ("labels", "scores", "options", "message"),
    [
        ([1, 1], [0.1, 0.2], {}, "only one class"),
        ([0, 0], [0.1, 0.2], {}, "only one class"),
        ([], [], {}, "only one class"),
        ([0, 1], [0.1], {}, "one length"),
        ([[0, 1]], [[0.1, 0.2]], {}, "one length"),
        ([0, 2], [0.1, 0.2], {}, "0 \\(healthy\\) or 1"),
        ([0, 1], [0.1, float("nan")], {}, "1 of 2 scores are not finite"),
        ([0, 1], [0.1, float("inf")], {}, "not finite"),
        ([0, 1], [0.1, 0.2], {"confidence": 1.0}, "confidence"),
    ],
)
def test_what_cannot_be_measured_is_refused(metric, labels, scores, options, message):
    with pytest.raises(ValueError, match=message):
        metric(labels, scores, **options)


def test_pixels_of_all_images_count_together():
    generator = np.random.default_rng(0)
    maps = [generator.random((4, 5)), generator.random((3, 2)), generator.random((2, 2, 2))]
    masks = [generator.random(map_.shape) > 0.7 for map_ in maps]
    expected = average_precision_score(
        np.concatenate([mask.ravel() for mask in masks]), np.concatenate([map_.ravel() for map_ in maps])
    )
    assert pixel_average_precision(maps, masks) == expected


def test_a_healthy_image_lowers_pixel_average_precision():
    lesion_map, lesion = np.array([[0.9, 0.1]]), np.array([[True, False]])
    false_alarm, nothing = np.array([[0.95]]), np.array([[False]])
    assert pixel_average_precision([lesion_map], [lesion]) == 1.0
    assert pixel_average_precision([lesion_map, false_alarm], [lesion, nothing]) == 0.5


def test_dice_by_hand():
    maps = [np.array([[0.9, 0.8], [0.2, 0.5]]), np.array([[0.1, 0.2, 0.3]]), np.array([[0.9]])]
    masks = [np.array([[1, 0], [1, 0]]), np.array([[0, 0, 1]]), np.array([[0]])]
    # First: two found, of which one is of the two lesion pixels (0.5 itself is not above it). Second: nothing found.
    # Third: no lesion, left out.
    assert dice(maps, masks, 0.5) == pytest.approx((2 * 1 / (2 + 2) + 0) / 2)


def test_dice_of_a_perfect_map():
    mask = np.eye(4, dtype=bool)
    assert dice([mask.astype(np.float32)], [mask], 0.5) == 1.0


@pytest.mark.parametrize("metric", [pixel_average_precision, lambda maps, masks: dice(maps, masks, 0.5)])
@pytest.mark.parametrize(
    ("maps", "masks", "message"),
    [
        ([np.ones((2, 2))], [], "1 maps and 0 masks"),
        ([np.ones((2, 2))], [np.ones((2, 3))], "Map 0 has the shape"),
        ([np.full((2, 2), np.nan)], [np.ones((2, 2))], "not finite"),
        ([np.ones((2, 2))], [np.zeros((2, 2))], "none does"),
        ([], [], "none does"),
    ],
)
def test_maps_that_do_not_fit_are_refused(metric, maps, masks, message):
    with pytest.raises(ValueError, match=message):
        metric(maps, masks)


def test_dice_refuses_a_threshold_that_is_no_number():
    with pytest.raises(ValueError, match="threshold"):
        dice([np.ones((2, 2))], [np.ones((2, 2))], float("nan"))


def test_an_exact_binomial_interval() -> None:
    """Clopper and Pearson: where none or all of n are found, the other end is the n-th root of 2.5%."""
    none, every = binomial_rate(0, 10), binomial_rate(10, 10)
    assert (none.value, none.low, none.high) == (0.0, 0.0, pytest.approx(1 - 0.025**0.1))
    assert (every.value, every.low, every.high) == (1.0, pytest.approx(0.025**0.1), 1.0)
