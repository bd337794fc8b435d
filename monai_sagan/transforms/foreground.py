"""What of an image is worth a look: the patient, not the air around."""

from __future__ import annotations

import torch

__all__ = ["has_foreground"]

# A slice with less of the patient than this shows noise, or the tip of an ear.
_SMALLEST_SHARE = 0.01
_AT_ONCE = 64  # images compared at once: a volume's worth of true and false would take as much memory as the volume


def has_foreground(images: torch.Tensor, background: float) -> torch.Tensor:
    """Which images show more than background.

    Args:
        images: (N, C, *spatial).
        background: the largest value that counts as background.

    Returns:
        (N,), bool: whether a hundredth of the pixels at least lies above.
    """
    smallest = _SMALLEST_SHARE * images[0].numel()
    # 32 bits are summed five times as fast as the 64 that torch takes by default.
    chunks = images.split(_AT_ONCE)
    counts = [(chunk > background).flatten(1).sum(dim=1, dtype=torch.int32) for chunk in chunks]
    return torch.cat(counts) >= smallest
