from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, roc_auc_score

from monai_sagan.metrics import classification, classification_metrics, image_auc
from monai_sagan.metrics.resampled_area import ResampledArea

NAMES = ["a", "b", "c"]


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(classification, "RESAMPLES", 50)


def some_probabilities(counts=(40, 30, 20), *, steps: int | None = None, seed: int = 0):
    """Labels, and probabilities that are higher of the true class; rounded to `steps` values, many are equal."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    logits = generator.normal(size=(labels.size, len(counts))) + 1.5 * np.eye(len(counts))[labels]
    if steps:
        logits = np.round(logits * steps / 6) * 6 / steps
    return labels, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def test_values_are_those_of_scikit_learn():
    labels, probabilities = some_probabilities()
    found = probabilities.argmax(axis=1)
    metrics = classification_metrics(labels, probabilities, NAMES)
    assert metrics["num_cases"] == 90
    assert metrics["num_per_class"] == {"a": 40, "b": 30, "c": 20}
    assert metrics["classes"] == NAMES
    assert metrics["accuracy"]["value"] == accuracy_score(labels, found)
    assert metrics["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, found))
    assert metrics["macro_auc"]["value"] == pytest.approx(roc_auc_score(labels, probabilities, multi_class="ovr"))
    assert metrics["confusion_matrix"] == confusion_matrix(labels, found).tolist()
    assert metrics["warnings"] == []
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_values_by_hand():
    #                true a           true b           true b           true c
    probabilities = [[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1], [0.1, 0.2, 0.7]]
    metrics = classification_metrics([0, 1, 1, 2], probabilities, NAMES)
    assert metrics["confusion_matrix"] == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert metrics["recall_per_class"] == {"a": 1.0, "b": 0.5, "c": 1.0}
    assert metrics["precision_per_class"] == {"a": 0.5, "b": 1.0, "c": 1.0}
    assert metrics["accuracy"]["value"] == 0.75
    assert metrics["balanced_accuracy"] == pytest.approx(2.5 / 3)
    assert metrics["auc_per_class"] == {"a": 1.0, "b": 1.0, "c": 1.0}


def test_the_interval_of_the_accuracy_is_wilsons():
    labels, probabilities = [0] * 10, [[0.9, 0.1]] * 8 + [[0.1, 0.9]] * 2
    accuracy = classification_metrics(labels, probabilities, ["a", "b"])["accuracy"]
    # (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n) for p = 0.8, n = 10, z = 1.959964
    assert accuracy == {"value": 0.8, "low": pytest.approx(0.49016, abs=1e-5), "high": pytest.approx(0.94332, abs=1e-5)}


@pytest.mark.parametrize("steps", [None, 4])
def test_a_resampled_area_is_that_of_scikit_learn(steps):
    labels, probabilities = some_probabilities(steps=steps)
    times = np.random.default_rng(1).integers(0, 4, labels.size)
    assert (times == 0).any()
    expected = roc_auc_score(labels == 1, probabilities[:, 1], sample_weight=times)
    assert ResampledArea(labels == 1, probabilities[:, 1])(times) == pytest.approx(expected, abs=1e-12)


def test_the_interval_of_the_macro_auc_is_that_of_a_plain_stratified_bootstrap():
    labels, probabilities = some_probabilities()
    generator = np.random.default_rng(7)
    areas = []
    for _ in range(50):
        chosen = np.concatenate([generator.choice(np.flatnonzero(labels == k), (labels == k).sum()) for k in range(3)])
        areas.append(roc_auc_score(labels[chosen], probabilities[chosen], multi_class="ovr"))
    found = classification_metrics(labels, probabilities, NAMES, seed=7)["macro_auc"]
    assert [found["low"], found["high"]] == pytest.approx(np.quantile(areas, [0.025, 0.975]), abs=1e-12)
    assert found["low"] < found["value"] < found["high"]


def test_the_seed_decides_the_interval_of_the_macro_auc_alone():
    labels, probabilities = some_probabilities()
    first, again, other = (classification_metrics(labels, probabilities, NAMES, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first["macro_auc"]["low"] != other["macro_auc"]["low"]
    assert {**first, "macro_auc": None} == {**other, "macro_auc": None}


def test_order_of_the_images_is_of_no_account_to_the_values():
    labels, probabilities = some_probabilities()
    order = np.random.default_rng(0).permutation(labels.size)
    first = classification_metrics(labels, probabilities, NAMES)
    other = classification_metrics(labels[order], probabilities[order], NAMES)
    assert first["macro_auc"]["value"] == pytest.approx(other["macro_auc"]["value"])
    assert {**first, "macro_auc": None} == {**other, "macro_auc": None}


def test_two_classes_have_one_auc():
    labels, probabilities = some_probabilities((30, 20))
    metrics = classification_metrics(labels, probabilities, ["healthy", "ill"])
    expected = pytest.approx(roc_auc_score(labels, probabilities[:, 1]))
    assert metrics["auc_per_class"] == {"healthy": expected, "ill": expected}
    assert metrics["macro_auc"]["value"] == expected
    assert metrics["macro_auc"] == image_auc(labels, probabilities[:, 1]).as_dict()
    assert metrics["bootstrap_resamples"] is None


def test_of_two_classes_it_is_the_mean_too_where_probabilities_are_rounded_to_one():
    healthy = np.array([0.9, 0.5, 1e-9, 0.7, 1e-10, 1e-11], dtype=np.float32)
    probabilities = np.stack([healthy, 1 - healthy], axis=1)
    metrics = classification_metrics([0, 0, 0, 1, 1, 1], probabilities, ["healthy", "ill"])
    of_classes = list(metrics["auc_per_class"].values())
    assert of_classes[0] > of_classes[1]
    assert metrics["macro_auc"]["value"] == pytest.approx(np.mean(of_classes))
    assert metrics["macro_auc"]["low"] < of_classes[1] < of_classes[0] < metrics["macro_auc"]["high"]


def test_few_images_of_two_classes_leave_much_to_chance():
    metrics = classification_metrics([0, 1], np.eye(2), ["healthy", "ill"])
    assert metrics["macro_auc"]["value"] == 1.0
    assert metrics["macro_auc"]["low"] < 0.5
    assert metrics["warnings"] == []


def test_a_class_without_a_test_case():
    labels, probabilities = some_probabilities((40, 30, 0))
    metrics = classification_metrics(labels, probabilities, NAMES)
    assert metrics["macro_auc"] is None
    assert metrics["auc_per_class"]["c"] is None
    assert metrics["recall_per_class"]["c"] is None
    assert metrics["auc_per_class"]["a"] == pytest.approx(roc_auc_score(labels == 0, probabilities[:, 0]))
    recalls = [metrics["recall_per_class"][name] for name in "ab"]
    assert metrics["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    assert metrics["warnings"] == [
        "The test set has no case of c, so a macro AUC cannot be given, and the balanced accuracy is that of the other "
        "classes."
    ]
    json.dumps(metrics, allow_nan=False)


def test_one_class_alone_has_no_auc():
    metrics = classification_metrics([1, 1], [[0.2, 0.7, 0.1], [0.5, 0.4, 0.1]], NAMES)
    assert metrics["auc_per_class"] == {"a": None, "b": None, "c": None}
    assert metrics["balanced_accuracy"] == 0.5
    assert "no case of a and c" in metrics["warnings"][0]


def test_a_class_that_is_never_found_has_no_precision():
    metrics = classification_metrics([0, 1, 2], [[0.9, 0.05, 0.05]] * 3, NAMES)
    assert metrics["precision_per_class"] == {"a": pytest.approx(1 / 3), "b": None, "c": None}
    assert metrics["recall_per_class"] == {"a": 1.0, "b": 0.0, "c": 0.0}


def test_perfect_separation_is_not_sold_as_certainty():
    metrics = classification_metrics([0, 1, 2], np.eye(3), NAMES)
    assert metrics["macro_auc"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert metrics["accuracy"]["low"] < 0.5
    assert "no width" in metrics["warnings"][0]


def test_guessing_has_half_the_area():
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(3), 3000)
    metrics = classification_metrics(np.repeat([0, 1, 2], 1000), probabilities, NAMES)
    # The standard error of one AUC is sqrt((1000 + 2000 + 1) / (12 * 1000 * 2000)) = 0.011.
    assert metrics["macro_auc"]["value"] == pytest.approx(0.5, abs=0.03)
    assert metrics["accuracy"]["low"] < 1 / 3 < metrics["accuracy"]["high"]


@pytest.mark.parametrize(
    ("labels", "probabilities", "classes", "message"),
    [
        ([], np.zeros((0, 2)), ["a", "b"], "no case"),
        ([0], [[1.0]], ["a"], "At least two classes"),
        ([0], [[0.5, 0.5]], ["a", "a"], "different names"),
        ([0, 1], [[0.5, 0.5]], ["a", "b"], r"shape \(2, 2\), not \(1, 2\)"),
        ([0], [[0.5, 0.5]], ["a", "b", "c"], r"shape \(1, 3\), not \(1, 2\)"),
        ([2], [[0.5, 0.5]], ["a", "b"], "from 0 to 1, not 2"),
        ([-1], [[0.5, 0.5]], ["a", "b"], "from 0 to 1, not -1"),
        ([0.5], [[0.5, 0.5]], ["a", "b"], "from 0 to 1, not 0.5"),
        ([0], [[np.nan, 0.5]], ["a", "b"], "1 of 2 probabilities are not finite"),
        ([0], [[-0.2, 1.2]], ["a", "b"], "1 of 2 probabilities are negative"),
        ([0, 0], [[0.5, 0.5], [0.5, 0.502]], ["a", "b"], "of case 1 must sum to 1, not to 1.002"),
    ],
)
def test_what_makes_no_sense_is_refused(labels, probabilities, classes, message):
    with pytest.raises(ValueError, match=message):
        classification_metrics(labels, probabilities, classes)


def test_a_sum_that_is_off_by_rounding_is_accepted():
    assert classification_metrics([0, 1], [[0.5, 0.5005], [0.2, 0.7995]], ["a", "b"])["num_cases"] == 2
