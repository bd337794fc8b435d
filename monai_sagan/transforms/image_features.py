"""A picture in some hundred numbers: how bright where, which edges where, and how often each grey level occurs."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

__all__ = ["differences", "image_features"]

_BLOCKS = 16  # a side
_CELLS = 8  # a side
_ORIENTATIONS = 9
_GREY_LEVELS = 32


def image_features(images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Describes pictures by classical features.

    Args:
        images: (B, 1, rows, columns) in [-1, 1], at least 16 pixels a side.

    Returns:
        - ``brightness`` (B, 256): mean of each of 16x16 blocks, in [0, 1].
        - ``edges`` (B, 576): of 8x8 cells, how strong the edges of 9 orientations are, as the root of the mean
          gradient; of the image less its mean, in units of its standard deviation (Dalal and Triggs, CVPR 2005, without
          their normalisation of blocks, which would hide how strong edges are).
        - ``histogram`` (B, 32): root of the share of pixels in each of 32 equal ranges of grey.

    Raises:
        ValueError: if the images are of another shape.
    """
    if images.dim() != 4 or images.shape[1] != 1 or min(images.shape[2:]) < _BLOCKS:
        raise ValueError(
            f"expected pictures (B, 1, rows, columns) of at least {_BLOCKS} pixels a side, not {tuple(images.shape)}."
        )
    grey = (images + 1) / 2
    return {
        "brightness": F.adaptive_avg_pool2d(grey, _BLOCKS).flatten(1),
        "edges": _edges(grey),
        "histogram": _histogram(grey),
    }


def differences(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Central differences across and down of images (..., rows, columns), in the same shape; 0 at the borders."""
    across = F.pad(images[..., 2:] - images[..., :-2], (1, 1))
    down = F.pad(images[..., 2:, :] - images[..., :-2, :], (0, 0, 1, 1))
    return across, down


def _edges(grey: torch.Tensor) -> torch.Tensor:
    spread, mean = torch.std_mean(grey, dim=(2, 3), keepdim=True)
    normal = (grey - mean) / (spread + 1e-3)
    across, down = differences(normal)
    strength = torch.hypot(across, down)
    place = (torch.atan2(down, across) % math.pi) / math.pi * _ORIENTATIONS
    # Shared between the two nearest orientations, so that a slight turn changes little.
    below = place.floor()
    share = place - below
    orientation = below.long() % _ORIENTATIONS
    shares = grey.new_zeros(len(grey), _ORIENTATIONS, *grey.shape[2:])
    shares.scatter_add_(1, orientation, strength * (1 - share))
    shares.scatter_add_(1, (orientation + 1) % _ORIENTATIONS, strength * share)
    return F.adaptive_avg_pool2d(shares, _CELLS).sqrt().flatten(1)


def _histogram(grey: torch.Tensor) -> torch.Tensor:
    level = (grey.flatten(1) * _GREY_LEVELS).long().clamp_(0, _GREY_LEVELS - 1)
    counts = grey.new_zeros(len(grey), _GREY_LEVELS).scatter_add_(1, level, torch.ones_like(level, dtype=grey.dtype))
    return (counts / level.shape[1]).sqrt()
