"""Patches in batches of few sizes, which a GPU can be prepared for."""

from __future__ import annotations

from collections.abc import Callable

import torch

__all__ = ["FixedBatches"]

Restore = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class FixedBatches:
    """Restores any number of patches by a function that always gets a power of two of them.

    Args:
        restore: maps patches (N, C, *patch) and their places (N,) to restored patches.
        largest: patches at once, at most; rounded up to a power of two.
        only_largest: whether the function gets that many always.
    """

    def __init__(self, restore: Restore, largest: int, only_largest: bool = False) -> None:
        self.restore = restore
        self.largest = _power_of_two(largest)
        self.smallest = self.largest if only_largest else 1

    def __call__(self, patches: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Restores patches.

        Args:
            patches: (N, C, *patch).
            places: (N,).

        Returns:
            (N, C, *patch), 32-bit.
        """
        restored = torch.empty_like(patches, dtype=torch.float32)
        for start in range(0, len(patches), self.largest):
            part, where = (tensor[start : start + self.largest] for tensor in (patches, places))
            size = max(_power_of_two(len(part)), self.smallest)
            filled = part.new_zeros(size, *part.shape[1:]), where.new_zeros(size)
            for full, some in zip(filled, (part, where)):
                full[: len(some)] = some
            restored[start : start + len(part)] = self.restore(*filled)[: len(part)]
        return restored


def _power_of_two(count: int) -> int:
    return 1 << (count - 1).bit_length()
