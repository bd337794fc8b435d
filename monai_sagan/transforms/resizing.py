"""From an image's own grid to the network's, and back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

__all__ = ["resize"]


def resize(images: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Resizes by a linear filter that is widened when shrinking, so that nothing aliases.

    This is PIL's bilinear ``Image.resize`` without its rounding to whole grey levels. MONAI's ``Resize`` has no such
    filter.

    Args:
        images: (B, C, rows, columns), floating point.
        size: the new rows and columns.

    Returns:
        (B, C, *size).
    """
    return F.interpolate(images, size=list(size), mode="bilinear", align_corners=False, antialias=True)
