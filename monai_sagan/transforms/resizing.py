"""From an image's own grid to the network's, and back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

__all__ = ["resize"]


def resize(images: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Resizes by a linear filter that is widened when shrinking, so that nothing aliases.

    In 2D this is PIL's bilinear ``Image.resize`` without its rounding to whole grey levels; in 3D the same along each
    axis. MONAI's ``Resize`` has no such filter.

    Args:
        images: (B, C, *spatial), floating point, with two or three spatial axes.
        size: the new spatial size.

    Returns:
        (B, C, *size).
    """
    if len(size) == 2:
        return _resize_planes(images, size)
    batch, channels, slices, *_ = images.shape
    planes = _resize_planes(images.flatten(1, 2), size[1:])
    # Rows and columns as one axis, along which nothing changes.
    columns = planes.reshape(batch, channels, slices, -1)
    return _resize_planes(columns, [size[0], columns.shape[3]]).reshape(batch, channels, *size)


def _resize_planes(images: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    return F.interpolate(images, size=list(size), mode="bilinear", align_corners=False, antialias=True)
