"""Networks in 3D: windows that slide over a volume give a map of its own size and resolution."""

from __future__ import annotations

import pytest
import torch

from monai_sagan.inferers import RestorationInferer
from monai_sagan.networks import SAGANGenerator

WINDOW = (8, 16, 24)  # slices, rows, columns: of a plain tensor, its axes from the last to the first
# A whole number of windows, or not; smaller than one along some axes, or all.
SIZES = [(48, 32, 16), (50, 37, 19), (24, 16, 8), (25, 15, 9), (60, 10, 3), (10, 6, 5), (1, 40, 20)]
# Windows' weights are added and divided by.
ROUNDING = 1e-6


def some_voxels(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8


def largest_difference(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return float((actual - expected).abs().max())


@pytest.mark.parametrize("background", [None, -0.9])
@pytest.mark.parametrize("size", SIZES, ids=str)
class TestEveryVoxel:
    """Of volumes of any size."""

    def test_nothing_changed_is_exactly_nothing(self, size: tuple[int, ...], background: float | None) -> None:
        volume = some_voxels(1, 1, *size)
        results = RestorationInferer(WINDOW, background=background)(volume, lambda windows, **_: windows)
        assert torch.equal(results["anomaly_map"], torch.zeros_like(volume))
        assert torch.equal(results["pred"], volume)

    def test_a_constant_change_is_a_constant_map(self, size: tuple[int, ...], background: float | None) -> None:
        volume = some_voxels(1, 1, *size)
        results = RestorationInferer(WINDOW, background=background)(volume, lambda windows, **_: windows - 0.2)
        assert largest_difference(results["anomaly_map"], torch.full_like(volume, 0.1)) < ROUNDING
        assert largest_difference(results["pred"], volume - 0.2) < ROUNDING

    def test_a_change_of_single_voxels_stays_with_them(self, size: tuple[int, ...], background: float | None) -> None:
        """No voxel is smoothed, shifted, or mixed up with another."""
        volume = some_voxels(1, 1, *size)
        results = RestorationInferer(WINDOW, background=background)(volume, lambda windows, **_: windows.clamp(max=0))
        assert largest_difference(results["anomaly_map"], volume.clamp(min=0) / 2) < ROUNDING
        assert largest_difference(results["pred"], volume.clamp(max=0)) < ROUNDING


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_network_gets_windows_of_its_size(size: tuple[int, ...]) -> None:
    shapes: set[tuple[int, ...]] = set()
    counts: list[int] = []
    shares: list[float] = []

    def network(windows: torch.Tensor) -> torch.Tensor:
        shapes.add(tuple(windows.shape[1:]))
        counts.append(len(windows))
        return windows

    inferer = RestorationInferer(WINDOW, batch_size=4)
    inferer.on_progress = shares.append
    inferer(some_voxels(2, 1, *size), network)
    assert shapes == {(1, *WINDOW)}
    assert max(counts) <= 4
    assert len(shares) == len(counts)
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_restored_volumes_stay_in_range() -> None:
    results = RestorationInferer(WINDOW)(some_voxels(1, 1, 50, 37, 19), lambda windows: windows * 3)
    assert float(results["pred"].abs().max()) == 1


@pytest.mark.parametrize("keep_restored", [True, False])
def test_overlapping_windows_are_between_what_each_restores(keep_restored: bool) -> None:
    """Two windows, one of which the network makes dark and the other bright: there is no seam between them."""
    torch.manual_seed(0)
    volume = torch.zeros(1, 1, 24, 16, 12)  # windows of slices 0 to 7 and 4 to 11
    sides = iter([-0.4, 0.8])

    def network(windows: torch.Tensor) -> torch.Tensor:
        return torch.full_like(windows, next(sides))

    results = RestorationInferer(WINDOW, batch_size=1, keep_restored=keep_restored)(volume, network)
    assert ("pred" in results) == keep_restored
    found = results["anomaly_map"][0, 0, 12, 8]  # in the middle: in corners MONAI weighs all windows alike
    assert found[:4].tolist() == pytest.approx([0.2] * 4)
    assert found[8:].tolist() == pytest.approx([0.4] * 4)
    if keep_restored:
        blended = results["pred"][0, 0, 12, 8]
        assert bool((blended.diff() >= -ROUNDING).all())
        assert bool((blended[4:8].diff() > 0.01).all())  # in the overlap, slice by slice
        # As near to the one window's edge as to the other's.
        assert float(blended[5] + blended[6]) == pytest.approx(0.4, abs=1e-5)


def test_a_real_network_in_one_window_equals_the_network_alone() -> None:
    torch.manual_seed(0)
    network = SAGANGenerator(3, base_channels=2, num_res_blocks=1, patch_grid=1).eval()
    volume = some_voxels(1, 1, 24, 16, 8)
    with torch.no_grad():
        restored = network(volume.permute(0, 1, 4, 3, 2)).permute(0, 1, 4, 3, 2)
    results = RestorationInferer(WINDOW)(volume, network)
    assert largest_difference(results["pred"], restored) < ROUNDING


def test_around_a_volume_smaller_than_a_window_is_black() -> None:
    seen: list[torch.Tensor] = []

    def network(windows: torch.Tensor) -> torch.Tensor:
        seen.append(windows.clone())
        return windows

    volume = some_voxels(1, 1, 10, 6, 5)  # above -0.8
    RestorationInferer(WINDOW)(volume, network)
    (window,) = seen
    assert int((window == -1).sum()) == window.numel() - volume.numel()
    assert torch.equal(window[window > -0.9].sort().values, volume.flatten().sort().values)
