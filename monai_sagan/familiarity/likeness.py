"""How unlike the pictures that it knows a picture is."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from monai_sagan.familiarity.features import FEATURES, picture_features
from monai_sagan.familiarity.harmless import harmless_changes
from monai_sagan.transforms import resize

__all__ = ["Likeness", "chosen_pictures", "known_features"]

# How much a group of features counts where others count 1. Where a part of the body may lie anywhere, most of what
# differs between images is where, and texture says what.
_WEIGHTS = {"texture": 2.0}
_COPIES = 2  # of each picture, changed harmlessly
_MOST = 4096  # pictures that are learnt from
_SIDE = 64  # pixels, at which they are changed
_SHARE = 0.97  # of the variance that the axes explain
_MOST_AXES = 96
_NEAREST = 3
_SMALLEST = 1e-6  # a spread that counts as none
# Pictures that are as near are the same: copies in lossless formats all are, and other images none
# (docs/results/out_of_distribution.md).
_THE_SAME = 0.25


class Likeness:
    """Knows pictures by features, and tells how far a picture is from the nearest of them.

    Each group of features (:func:`picture_features`) counts as much as another, but texture twice. Together they are
    brought to their principal axes, in units of the spread along each; what the axes leave over is one more axis, with
    as much weight as all others together, since a picture of another kind shows what none of them did. The distance is
    the mean to the three nearest pictures known, so that a mixture of kinds (planes and sequences of a head) is not a
    difficulty. Pictures are known also as :func:`harmless_changes` makes them, so that those do not count.

    What is not healthy is farther than what is healthy, and still of the kind. So up to a distance that is ordinary all
    are as unusual.

    Distances to nearest neighbours for what does not belong: Ramaswamy, Rastogi, Shim, "Efficient algorithms for mining
    outliers from large data sets", SIGMOD 2000.

    Args:
        state: as :meth:`state` gives it.
    """

    def __init__(self, state: Mapping[str, torch.Tensor]) -> None:
        self._mean, self._scale = state["mean"], state["scale"]
        self._axes, self._spread = state["axes"], state["spread"]
        self._rest, self._known = state["rest"], state["known"]
        self._ordinary = state["ordinary"]

    @classmethod
    def fit(cls, pictures: torch.Tensor, seed: int = 0, ordinary: float = -math.inf) -> Likeness:
        """Learns what pictures look like.

        Args:
            pictures: (N, 1, rows, columns) in [-1, 1]; of more than 4096, so many evenly from all are taken.
            seed: of the harmless changes.
            ordinary: the score up to which a picture is nothing unusual; none has a lower one.

        Raises:
            ValueError: if there is none.
        """
        if not len(pictures):
            raise ValueError("There is no picture to learn from.")
        return cls.of(known_features(pictures[chosen_pictures(len(pictures))], seed), ordinary)

    @classmethod
    def of(cls, known: torch.Tensor, ordinary: float = -math.inf) -> Likeness:
        """The same of pictures by their features.

        Args:
            known: (copies, N, F), as :func:`known_features` gives them.
            ordinary: as for :meth:`fit`.
        """
        features = known.flatten(0, 1).double()
        mean = features.mean(dim=0)
        scale = torch.cat([_scale(name, group) for name, group in _groups(features - mean).items()])
        points = (features - mean) / scale
        variances, directions = torch.linalg.eigh(points.T @ points / len(points))
        variances, directions = variances.flip(0).clamp_min(0), directions.flip(1)
        explained = variances.cumsum(0) / variances.sum().clamp_min(_SMALLEST)
        count = min(int((explained < _SHARE).sum()) + 1, _MOST_AXES)
        likeness = cls(
            {
                "mean": mean.float(),
                "scale": scale.float(),
                "axes": directions[:, :count].float(),
                "spread": variances[:count].sqrt().clamp_min(_SMALLEST).float(),
                "rest": (variances[count:].sum() / count).sqrt().clamp_min(_SMALLEST).float(),
                "known": torch.empty(0, count + 1),
                "ordinary": torch.tensor(ordinary),
            }
        )
        likeness._known = likeness._places(features.float())
        return likeness

    def state(self) -> dict[str, torch.Tensor]:
        """All that is known, as tensors."""
        return {
            "mean": self._mean,
            "scale": self._scale,
            "axes": self._axes,
            "spread": self._spread,
            "rest": self._rest,
            "known": self._known,
            "ordinary": self._ordinary,
        }

    def to(self, device: torch.device) -> Likeness:
        """The same on a device."""
        return Likeness({name: tensor.to(device) for name, tensor in self.state().items()})

    def ood_score(self, pictures: torch.Tensor) -> torch.Tensor:
        """How unlike those known pictures are.

        Args:
            pictures: (B, 1, rows, columns) in [-1, 1].

        Returns:
            (B,): the logarithm of the distance, larger for what is more unusual, and at least what is ordinary.
        """
        return self.compare(pictures)[0]

    def compare(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The same, and which pictures are among those known, whatever file they come from.

        Args:
            pictures: (B, 1, rows, columns) in [-1, 1].

        Returns:
            :meth:`ood_score`; and (B,), whether one of the pictures known is the same.
        """
        distances = torch.cdist(self._places(picture_features(pictures)), self._known)
        nearest = distances.topk(min(_NEAREST, len(self._known)), dim=1, largest=False).values
        ood_scores = nearest.mean(dim=1).clamp_min(_SMALLEST).log().maximum(self._ordinary)
        return ood_scores, nearest[:, 0] <= _THE_SAME

    def _places(self, features: torch.Tensor) -> torch.Tensor:
        """Pictures in units of the spread along each axis, and along what the axes leave over."""
        points = (features - self._mean) / self._scale
        along = points @ self._axes
        rest = (points - along @ self._axes.T).norm(dim=1, keepdim=True)
        return torch.cat([along / self._spread, rest / self._rest], dim=1)


def chosen_pictures(count: int) -> torch.Tensor:
    """Numbers of the pictures to learn from: all of so many, or 4096 evenly from all."""
    return torch.linspace(0, count - 1, min(_MOST, count)).round().long()


def known_features(pictures: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """Features of pictures as they are, and as harmless changes make them.

    Args:
        pictures: (N, 1, rows, columns) in [-1, 1].
        seed: of the harmless changes.

    Returns:
        (1 + 2, N, F): of the pictures themselves first.
    """
    small = resize(pictures, (_SIDE, _SIDE))
    generator = torch.Generator().manual_seed(seed)
    changed = [harmless_changes(small, generator) for _ in range(_COPIES)]
    return torch.stack([picture_features(some) for some in (small, *changed)])


def _groups(features: torch.Tensor) -> dict[str, torch.Tensor]:
    return dict(zip(FEATURES, features.split(list(FEATURES.values()), dim=1)))


def _scale(name: str, group: torch.Tensor) -> torch.Tensor:
    """What a group (N, F) less its mean is divided by, (F,), so that its variance is as large as it counts."""
    variance = group.square().sum(dim=1).mean() / _WEIGHTS.get(name, 1.0)
    return variance.sqrt().clamp_min(_SMALLEST).expand(group.shape[1])
