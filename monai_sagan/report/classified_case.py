"""One image of a test set that was classified."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["ClassifiedCase"]


# Compared by identity: arrays have no single answer to "are these equal?".
@dataclass(frozen=True, eq=False)
class ClassifiedCase:
    """One image of a test set, with the class that the model found.

    Args:
        name: shown to the reader, most often the file's name.
        label: number of the true class.
        probabilities: (K,), of each class.
        thumbnail: the image or one slice of it, (H, W), grey levels, uint8.
    """

    name: str
    label: int
    probabilities: np.ndarray
    thumbnail: np.ndarray

    @property
    def found(self) -> int:
        """Number of the class of the highest probability."""
        return int(self.probabilities.argmax())

    @property
    def confidence(self) -> float:
        """The probability of the class that was found."""
        return float(self.probabilities.max())

    @property
    def is_right(self) -> bool:
        """Whether the true class was found."""
        return self.found == self.label
