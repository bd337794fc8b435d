"""Which classified cases a report shows."""

from __future__ import annotations

from collections.abc import Sequence

from monai_sagan.report.classified_case import ClassifiedCase

__all__ = ["choose_right", "choose_wrong"]


def choose_wrong(cases: Sequence[ClassifiedCase], most: int = 12) -> list[ClassifiedCase]:
    """Takes the wrong cases that the model was surest of.

    Args:
        cases: all cases of the test set.
        most: the most cases to take.

    Returns:
        The cases, that of the highest probability first; equal ones by name.
    """
    return _surest([case for case in cases if not case.is_right])[:most]


def choose_right(cases: Sequence[ClassifiedCase], num_classes: int, most: int = 12) -> list[ClassifiedCase]:
    """Takes the right cases that the model was surest of, as many of each class.

    Args:
        cases: all cases of the test set.
        num_classes: how many classes there are.
        most: the most cases to take; more where there are more classes, of each of which there is one.

    Returns:
        The cases class by class, of each that of the highest probability first; equal ones by name.
    """
    per_class = max(1, most // num_classes)
    right = _surest([case for case in cases if case.is_right])
    return [
        case for label in range(num_classes) for case in [case for case in right if case.label == label][:per_class]
    ]


def _surest(cases: Sequence[ClassifiedCase]) -> list[ClassifiedCase]:
    return sorted(cases, key=lambda case: (-case.confidence, case.name))
