"""What is found of pictures for a whole batch at once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

__all__ = ["PictureScoring", "is_picture"]

_PICTURE = 3  # axes, with the channels'

Score = TypeVar("Score")


class PictureScoring(MapTransform, Generic[Score]):
    """A transform that scores pictures, and can score those of a batch before it is called with one after another.

    Small pictures take a GPU, and a processor too, less time together than one by one.

    Args:
        keys: key of the image, one.
    """

    def __init__(self, keys: KeysCollection) -> None:
        super().__init__(keys)
        self._waiting = f"{type(self).__name__} of the batch"

    @abstractmethod
    def score_pictures(self, pictures: Sequence[torch.Tensor]) -> list[Score] | None:
        """Scores pictures, each (C, columns, rows) of any size; None where pictures have no such score."""

    def score_batch(self, cases: Sequence[Mapping[Hashable, Any]]) -> list[dict[Hashable, Any]]:
        """Scores the pictures of a batch together; a call with one of them then takes its score.

        Args:
            cases: with an image or without; volumes stay as they are.

        Returns:
            The same cases, where pictures have a score that waits for the call.
        """
        batch = [dict(case) for case in cases]
        (key,) = self.keys
        pictures = [case for case in batch if case.get(key) is not None and is_picture(case[key])]
        scores = self.score_pictures([case[key] for case in pictures]) if pictures else None
        for case, score in zip(pictures, scores or []):
            case[self._waiting] = score
        return batch

    def take_score(self, case: dict[Hashable, Any]) -> Score | None:
        """The score of a case with a picture, which no longer waits; None where it has none."""
        if self._waiting not in case:
            (case,) = self.score_batch([case])
        return case.pop(self._waiting, None)


def is_picture(image: torch.Tensor) -> bool:
    """Whether an image (C, *spatial) has two spatial axes."""
    return image.dim() == _PICTURE
