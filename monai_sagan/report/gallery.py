"""Which cases a report shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monai_sagan.report.case import EvaluatedCase

__all__ = ["GalleryGroup", "choose_gallery"]

_PER_GROUP = 6  # cases, at most


@dataclass(frozen=True)
class GalleryGroup:
    """Cases of one class from one end of the scores.

    Args:
        heading: which cases they are.
        meaning: what a reader sees in them.
        cases: the most extreme one first.
        total: how many cases the class has.
    """

    heading: str
    meaning: str
    cases: tuple[EvaluatedCase, ...]
    total: int


def choose_gallery(cases: Sequence[EvaluatedCase]) -> list[GalleryGroup]:
    """Takes the highest and the lowest scores of each class, so that successes and failures both show.

    A group has six cases at most, and no case is shown twice: a class with fewer than twelve is divided between its two
    groups, the odd one going to the highest. Equal scores are ordered by name. Groups without a case are left out.

    Args:
        cases: all cases of the test set.

    Returns:
        Up to four groups, those of the anomalous cases first.
    """
    groups = []
    for label, name, high_meaning, low_meaning in (
        (1, "Anomalous", "What the model finds most easily.", "What the model is most likely to miss."),
        (0, "Healthy", "Likely false alarms.", "What the model is surest to be healthy."),
    ):
        ordered = sorted((case for case in cases if case.label == label), key=lambda case: (-case.score, case.name))
        highest = ordered[: min(_PER_GROUP, (len(ordered) + 1) // 2)]
        lowest = ordered[::-1][: min(_PER_GROUP, len(ordered) // 2)]
        for end, meaning, chosen in (("highest", high_meaning, highest), ("lowest", low_meaning, lowest)):
            if chosen:
                groups.append(GalleryGroup(f"{name}, scored {end}", meaning, tuple(chosen), len(ordered)))
    return groups
