"""Who goes where: a split of labelled images into the groups of the Med-AD layout."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise
from pathlib import Path

from monai_sagan.data import stem
from monai_sagan.data.layout import LABELS, Split, listed_twice, parse_split
from monai_sagan.errors import UserError, such_as

__all__ = ["SplitCounts", "draw_split", "read_split"]


@dataclass(frozen=True)
class SplitCounts:
    """How many images each group should have.

    Args:
        healthy: known to be healthy, to train on.
        unlabeled_healthy: healthy, in the unlabelled mixture.
        unlabeled_anomalous: not healthy, in the unlabelled mixture.
        test_healthy: healthy, to test with.
        test_anomalous: not healthy, to test with.
    """

    healthy: int
    unlabeled_healthy: int
    unlabeled_anomalous: int
    test_healthy: int
    test_anomalous: int

    def of_label(self, label: int) -> dict[str, int]:
        """The groups of a label, 0 or 1, and how many images each should have."""
        groups = {name.replace("_", "/"): count for name, count in asdict(self).items()}
        return {name: count for name, count in groups.items() if LABELS[name] == label}


def draw_split(labels: Mapping[str, int], counts: SplitCounts, seed: int) -> Split:
    """Deals labelled images out to the groups at random.

    The order in which they are dealt depends on the seed and an image's own name alone: it is the same on every
    computer, and does not change when other images come or go. Where there are fewer images of a label than wanted,
    its groups keep their proportions.

    Args:
        labels: 0 (healthy) or 1 for each image.
        counts: images wanted in each group.
        seed: another number gives another split.

    Returns:
        The names in each group, in the order in which they were dealt.
    """
    split: Split = {}
    for label in (0, 1):
        wanted = counts.of_label(label)
        names = sorted((name for name, value in labels.items() if value == label), key=lambda name: _lot(seed, name))
        total = sum(wanted.values())
        ends = accumulate(wanted.values(), initial=0)
        bounds = pairwise(end if len(names) >= total else end * len(names) // total for end in ends)
        split |= {group: names[start:end] for group, (start, end) in zip(wanted, bounds)}
    return split


def _lot(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed} {name}".encode()).digest()


def read_split(path: Path) -> Split:
    """Reads which image belongs to which group from a ``data.json``, such as a published one.

    Args:
        path: the file.

    Returns:
        The images in each group, without folder and ending.

    Raises:
        UserError: if there is no such file, it is no ``data.json``, or it lists an image twice.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; give the data.json whose split is to be used.")
    split = {group: _ids(names) for group, names in parse_split(path.read_bytes(), str(path)).items()}
    twice = listed_twice(split)
    if twice:
        raise UserError(f"{path}: lists images more than once: {such_as(twice)}; list each once.")
    return split


def _ids(names: Iterable[str]) -> list[str]:
    return [stem(Path(name)) for name in names]
