"""Probabilities with the names of their classes."""

from __future__ import annotations

import pytest
import torch

from monai_sagan.transforms import ClassProbabilitiesd


def test_the_most_probable_class_comes_first() -> None:
    case = ClassProbabilitiesd("probabilities", ["a", "b", "c"])({"probabilities": torch.tensor([0.25, 0.5, 0.25])})
    assert case["classes"] == [
        {"name": "b", "probability": 0.5},
        {"name": "a", "probability": 0.25},
        {"name": "c", "probability": 0.25},
    ]
    assert (case["anomaly_score"], case["slice_axis"], case["slice_scores"]) == (None, None, [])


def test_as_many_names_as_probabilities() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ClassProbabilitiesd("probabilities", ["a", "b", "c"])({"probabilities": torch.tensor([0.5, 0.5])})
