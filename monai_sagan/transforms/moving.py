"""Pictures turned, stretched and shifted."""

from __future__ import annotations

import torch
from torch.nn import functional as F

__all__ = ["move_pictures"]


def move_pictures(
    pictures: torch.Tensor,
    angle: torch.Tensor,
    zoom: tuple[torch.Tensor, torch.Tensor],
    shift: tuple[torch.Tensor, torch.Tensor],
    outside: str,
) -> torch.Tensor:
    """Moves each picture by an amount of its own.

    Args:
        pictures: (B, C, rows, columns).
        angle: (B,), radians.
        zoom: (B,) each, across and down: how many pixels become one; below 0 mirrored.
        shift: (B,) each, across and down, as a share of the side.
        outside: what comes in from outside, as ``padding_mode`` of :func:`torch.nn.functional.grid_sample`.

    Returns:
        The same shape.
    """
    across = torch.stack([angle.cos() * zoom[0], -angle.sin() * zoom[1], 2 * shift[0]], dim=1)
    down = torch.stack([angle.sin() * zoom[0], angle.cos() * zoom[1], 2 * shift[1]], dim=1)
    maps = torch.stack([across, down], dim=1).to(pictures.device)
    grid = F.affine_grid(maps, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode=outside, align_corners=False)
