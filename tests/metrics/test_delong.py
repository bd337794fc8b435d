"""Areas, their variances and their differences, against the definitions written out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score

from monai_sagan.metrics import delong_auc, delong_difference


def kernel(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(m, n): whether an anomalous image scores above a healthy one; one half where they are equal."""
    anomalous, healthy = scores[labels == 1][:, None], scores[labels == 0][None]
    return (anomalous > healthy) + 0.5 * (anomalous == healthy)


def variance(kernel: np.ndarray) -> float:
    """Of the mean of a two-sample kernel, as DeLong and colleagues have it."""
    m, n = kernel.shape
    mean = kernel.mean()
    of_rows = sum((row - mean) ** 2 for row in kernel.mean(axis=1)) / (m - 1)
    of_columns = sum((column - mean) ** 2 for column in kernel.mean(axis=0)) / (n - 1)
    return of_rows / m + of_columns / n


@pytest.fixture(params=["distinct", "ties"])
def sample(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels of 37 images in no order, and the correlated scores of two methods with three trainings each."""
    generator = np.random.default_rng(0)
    labels = generator.permutation(np.repeat([0, 1], [14, 23]))
    shared = generator.normal(size=37) + labels
    found, reference = (shared + generator.normal(size=(3, 37)) for _ in range(2))
    if request.param == "ties":
        found, reference = found.round(), reference.round()
    return labels, found, reference


def test_the_area_and_its_interval(sample) -> None:
    labels, scores, _ = sample
    found = delong_auc(labels, scores[0])
    margin = norm.ppf(0.975) * np.sqrt(variance(kernel(labels, scores[0])))
    assert found.value == pytest.approx(roc_auc_score(labels, scores[0]))
    assert found.low == pytest.approx(found.value - margin)
    assert found.high == pytest.approx(min(1.0, found.value + margin))


def test_a_difference_stays_within_its_range() -> None:
    """Of two trainings the chance in training is hardly known: Student's quantile of one degree of freedom is 13."""
    labels = np.repeat([0, 1], [10, 10])
    right, wrong = labels.astype(float), 1.0 - labels
    found = delong_difference(labels, [right, right + np.eye(20)[0] * 2], [right, wrong])
    assert (found.low, found.high) == (-1.0, 1.0)


def test_the_difference(sample) -> None:
    labels, scores, reference = sample
    found = delong_difference(labels, scores[0], reference[0], confidence=0.9)
    difference = kernel(labels, scores[0]) - kernel(labels, reference[0])
    error = np.sqrt(variance(difference))
    assert found.mean == pytest.approx(difference.mean())
    assert found.low == pytest.approx(difference.mean() - norm.ppf(0.95) * error)
    assert found.high == pytest.approx(difference.mean() + norm.ppf(0.95) * error)
    assert found.p_value == pytest.approx(2 * norm.sf(abs(difference.mean()) / error))


def test_of_repeated_trainings_images_and_training_add_up(sample) -> None:
    labels, scores, reference = sample
    kernels = np.stack([kernel(labels, a) - kernel(labels, b) for a, b in zip(scores, reference)])
    of_images = variance(kernels.mean(axis=0))
    of_trainings = np.var([each.mean() for each in kernels], ddof=1) / 3
    found = delong_difference(labels, scores, reference)
    assert found.mean == pytest.approx(kernels.mean())
    # Welch and Satterthwaite: of two variances, one of which has two degrees of freedom and the other any number.
    freedom = 2 * ((of_images + of_trainings) / of_trainings) ** 2
    error = np.sqrt(of_images + of_trainings)
    assert found.high - found.mean == pytest.approx(student.ppf(0.975, freedom) * error)
    assert found.p_value == pytest.approx(2 * student.sf(abs(found.mean) / error, freedom))
    area = delong_auc(labels, scores)
    assert area.value == pytest.approx(np.mean([roc_auc_score(labels, each) for each in scores]))


def test_intervals_cover_the_truth() -> None:
    """Over 400 test sets and trainings; the noise of a training shifts the anomalous scores of all its images."""
    generator = np.random.default_rng(1)
    labels = np.repeat([0, 1], [40, 40])
    truth = norm.cdf(1.0 / np.sqrt(2 + 0.3**2))  # healthy N(0, 1), anomalous N(1 + the training's shift, 1)
    covered = 0
    for _ in range(400):
        shifts = 0.3 * generator.normal(size=(5, 1))
        image = generator.normal(size=80)
        scores = image + labels * (1.0 + shifts)
        interval = delong_auc(labels, scores)
        covered += interval.low <= truth <= interval.high
    # 95% of 400 is 380; three standard deviations are 13. Without the chance in training, 359 would be covered.
    assert 367 <= covered <= 393


@pytest.mark.parametrize("scores", [[1, 2, 3, 4], [4, 3, 2, 1], [1, 1, 1, 1]])
def test_nothing_varies(scores: list[float]) -> None:
    """Perfect, perfectly wrong, and constant scores."""
    labels = [0, 0, 1, 1]
    area = delong_auc(labels, scores)
    assert area.low == area.value == area.high == roc_auc_score(labels, scores)
    found = delong_difference(labels, scores, scores)
    assert (found.mean, found.low, found.high, found.p_value) == (0.0, None, None, None)


def test_the_same_order_is_no_difference() -> None:
    labels, scores = np.array([0, 1, 0, 1, 1]), np.array([0.1, 0.3, 0.2, 0.15, 0.9])
    found = delong_difference(labels, scores, np.exp(scores))
    assert (found.mean, found.p_value) == (0.0, None)


def test_trainings_that_agree_say_what_one_says(sample) -> None:
    labels, scores, reference = sample
    one = delong_difference(labels, scores[0], reference[0])
    three = delong_difference(labels, np.stack([scores[0]] * 3), np.stack([reference[0]] * 3))
    assert three.mean == pytest.approx(one.mean)
    assert three.p_value == pytest.approx(one.p_value)


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 1], [0.1, 0.2], "two images of each class, not 1 healthy and 1 anomalous"),
        ([0, 0, 1, 1], [0.1, 0.2], "scores of as many images"),
        ([0, 0, 2, 2], [1, 2, 3, 4], "labels must be 0"),
        ([0, 0, 1, 1], [1, 2, 3, np.nan], "1 of 4 scores are not finite"),
    ],
)
def test_what_cannot_be_used(labels: list[int], scores: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        delong_auc(labels, scores)


def test_as_many_trainings_of_both() -> None:
    scores = np.arange(8.0).reshape(2, 4)
    with pytest.raises(ValueError, match="As many trainings of both methods, not 2 and 1"):
        delong_difference([0, 0, 1, 1], scores, scores[0])
