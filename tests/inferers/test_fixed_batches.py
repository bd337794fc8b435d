"""Batches of few sizes for what is prepared for them."""

from __future__ import annotations

import pytest
import torch

from monai_sagan.inferers.fixed_batches import FixedBatches


class Halving:
    """Halves patches, adds their places, and remembers how many there were."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, patches: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(patches))
        return patches / 2 + places[:, None, None, None]


@pytest.mark.parametrize(
    ("count", "only_largest", "sizes"),
    [(1, False, [1]), (3, False, [4]), (8, False, [8]), (13, False, [8, 8]), (3, True, [8]), (17, True, [8, 8, 8])],
)
def test_patches_come_in_powers_of_two(count: int, only_largest: bool, sizes: list[int]) -> None:
    patches = torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    places = torch.arange(count)
    restore = Halving()
    restored = FixedBatches(restore, largest=7, only_largest=only_largest)(patches, places)
    torch.testing.assert_close(restored, patches / 2 + places[:, None, None, None])
    assert restore.sizes == sizes


def test_none_at_all() -> None:
    restore = Halving()
    assert FixedBatches(restore, largest=8)(torch.zeros(0, 1, 4, 4), torch.zeros(0)).shape == (0, 1, 4, 4)
    assert restore.sizes == []
