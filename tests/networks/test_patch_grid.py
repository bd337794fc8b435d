"""Cutting into patches, laying together, and the code of each patch's place."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from monai_sagan.networks.patch_grid import join_patches, patch_codes, split_patches

GRIDS = [[1, 1], [2, 2], [2, 4], [3, 1], [1, 5], [1, 1, 1], [2, 2, 1], [1, 3, 2], [2, 3, 4]]


def some_images(sides: list[int]) -> torch.Tensor:
    """Two images of three channels in which no two values are alike."""
    shape = [2, 3, *sides]
    return torch.arange(math.prod(shape), dtype=torch.float32).reshape(shape)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_join_undoes_split(grid: list[int]) -> None:
    images = some_images([n * side for n, side in zip(grid, (3, 2, 5))])
    patches = split_patches(images, grid)
    assert patches.shape == (2 * math.prod(grid), 3, *(3, 2, 5)[: len(grid)])
    assert torch.equal(join_patches(patches, grid), images)


@pytest.mark.parametrize("grid", [grid for grid in GRIDS if len(grid) == 2], ids=str)
def test_order_is_that_of_unfold(grid: list[int]) -> None:
    images = some_images([3 * grid[0], 2 * grid[1]])
    # (B, C * 3 * 2, n): unfold walks through the rows of patches, from left to right.
    columns = nn.functional.unfold(images, kernel_size=(3, 2), stride=(3, 2))
    expected = columns.transpose(1, 2).reshape(-1, 3, 3, 2)
    assert torch.equal(split_patches(images, grid), expected)


def test_in_3d_the_last_axis_is_fastest() -> None:
    volume = some_images([4, 6, 4])
    patches = split_patches(volume, [2, 3, 2])
    places = [(z, y, x) for z in range(2) for y in range(3) for x in range(2)]
    for number, (z, y, x) in enumerate(places):
        cut = volume[0, :, 2 * z : 2 * z + 2, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
        assert torch.equal(patches[number], cut)


def test_images_follow_each_other_whole() -> None:
    images = some_images([4, 4])
    assert torch.equal(split_patches(images, [2, 2])[4:], split_patches(images[1:], [2, 2]))


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        ((1, 1), ["0"]),
        ((2, 2), ["000", "001", "010", "011"]),
        ((3, 1), ["00", "01", "10"]),
        ((2, 4), ["0000", "0001", "0010", "0011", "0100", "0101", "0110", "0111"]),
        ((2, 2, 1), ["000", "001", "010", "011"]),
    ],
)
def test_codes_are_binary_numbers_as_published(grid: tuple[int, ...], expected: list[str]) -> None:
    codes = patch_codes(grid)
    assert codes.dtype == torch.float32
    assert codes.shape == (len(expected), len(expected[0]), *(1 for _ in grid))
    assert ["".join(str(int(bit)) for bit in code.flatten()) for code in codes] == expected


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_number_of_bits(grid: list[int]) -> None:
    count = math.prod(grid)
    assert patch_codes(grid).shape[1] == math.floor(math.log2(count)) + 1
