"""Cutting images into a grid of patches that pass a network as a batch, and laying them together again."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

__all__ = ["join_patches", "patch_codes", "split_patches"]


def split_patches(image: torch.Tensor, grid: list[int]) -> torch.Tensor:
    """Cuts images into a grid of equal patches.

    Args:
        image: (B, C, *spatial); every side is a multiple of its entry in ``grid``.
        grid: patches along each spatial axis.

    Returns:
        (B * n, C, *spatial / grid) with the n patches of an image side by side, the last axis fastest.
    """
    dims = len(grid)
    shape = [image.shape[0], image.shape[1]]
    for axis in range(dims):
        shape += [grid[axis], image.shape[2 + axis] // grid[axis]]
    order = [0] + [2 + 2 * axis for axis in range(dims)] + [1] + [3 + 2 * axis for axis in range(dims)]
    patches = image.reshape(shape).permute(order)
    return patches.reshape([-1] + [patches.shape[1 + dims + axis] for axis in range(dims + 1)])


def join_patches(patches: torch.Tensor, grid: list[int]) -> torch.Tensor:
    """Undoes :func:`split_patches`.

    Args:
        patches: (B * n, C, *patch).
        grid: patches along each spatial axis, n in all.

    Returns:
        (B, C, *patch * grid).
    """
    dims = len(grid)
    shape = [-1] + grid + [patches.shape[1 + axis] for axis in range(dims + 1)]
    order = [0, 1 + dims]
    for axis in range(dims):
        order += [1 + axis, 2 + dims + axis]
    image = patches.reshape(shape).permute(order)
    return image.reshape(
        [-1, image.shape[1]] + [image.shape[2 + 2 * axis] * image.shape[3 + 2 * axis] for axis in range(dims)]
    )


def patch_codes(grid: Sequence[int]) -> torch.Tensor:
    """The number of each patch in binary, most significant bit first.

    Args:
        grid: patches along each spatial axis, n in all.

    Returns:
        (n, floor(log2 n) + 1, 1, ...), float, one trailing axis for each spatial one.
    """
    count = math.prod(grid)
    bits = count.bit_length()
    exponents = torch.arange(bits - 1, -1, -1)
    codes = (torch.arange(count)[:, None] >> exponents) & 1
    return codes.float().reshape(count, bits, *(1 for _ in grid))
