"""What shows nothing of the patient is not computed, and what is computed does not depend on it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from monai_sagan.inferers import RestorationInferer
from monai_sagan.networks import SAGANGenerator

BACKGROUND = -0.9
# Sums are made in another order.
ROUNDING = 1e-5


def tissue(*shape: int, seed: int = 0) -> torch.Tensor:
    """From -0.8 to 1."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 1.8 - 0.8


def air(*shape: int, seed: int = 1) -> torch.Tensor:
    """From -1 to -0.92, never quite the same."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 0.08 - 1


def a_volume(shown: Sequence[int], slices: int = 9) -> torch.Tensor:
    """A stack of slices along its last axis, those of numbers that are not given without tissue."""
    volume = air(1, 1, 40, 50, slices)
    volume[..., list(shown)] = tissue(1, 1, 40, 50, len(shown))
    return volume


def largest_difference(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return float((actual - expected).abs().max())


class Counting:
    """A network, and how many images it got at each call."""

    def __init__(self, network: SAGANGenerator) -> None:
        self.network = network
        self.calls: list[int] = []

    def __call__(self, images: torch.Tensor, background: float | None = None) -> torch.Tensor:
        self.calls.append(len(images))
        return self.network(images, background=background)


@pytest.fixture(scope="module")
def generator() -> SAGANGenerator:
    torch.manual_seed(0)
    return SAGANGenerator(base_channels=2, num_res_blocks=1).eval()


@pytest.fixture(scope="module")
def generator_3d() -> SAGANGenerator:
    torch.manual_seed(0)
    return SAGANGenerator(3, base_channels=2, num_res_blocks=1, patch_grid=1).eval()


class TestSlices:
    SHOWN = (1, 2, 6)

    @pytest.mark.parametrize(
        ("batch_size", "calls"), [(1, [1, 1, 1]), (2, [1, 1, 1]), (3, [2, 1]), (4, [2, 1]), (100, [3])], ids=str
    )
    def test_only_those_with_foreground_pass_the_network(
        self, generator: SAGANGenerator, batch_size: int, calls: list[int]
    ) -> None:
        network = Counting(generator)
        RestorationInferer((32, 48), batch_size=batch_size, background=BACKGROUND)(a_volume(self.SHOWN), network)
        assert network.calls == calls

    def test_background_is_left_as_it_is(self, generator: SAGANGenerator) -> None:
        volume = a_volume(self.SHOWN)
        results = RestorationInferer((32, 48), background=BACKGROUND)(volume, generator)
        for number in range(volume.shape[-1]):
            if number in self.SHOWN:
                assert float(results["anomaly_map"][..., number].max()) > 0.01
            else:
                assert not results["anomaly_map"][..., number].any()
                assert torch.equal(results["pred"][..., number], volume[..., number])

    @pytest.mark.parametrize("batch_size", [2, 3, 100])
    def test_batches_equal_slice_by_slice(self, generator: SAGANGenerator, batch_size: int) -> None:
        volume = a_volume(self.SHOWN)
        together = RestorationInferer((32, 48), batch_size=batch_size, background=BACKGROUND)(volume, generator)
        alone = RestorationInferer((32, 48), batch_size=1, background=BACKGROUND)
        for number in self.SHOWN:
            slice_alone = alone(volume[..., number : number + 1], generator)
            for key, result in slice_alone.items():
                assert largest_difference(together[key][..., number], result[..., 0]) < ROUNDING

    def test_the_others_are_as_if_all_were_computed(self, generator: SAGANGenerator) -> None:
        volume = a_volume(self.SHOWN)
        some = RestorationInferer((32, 48), background=BACKGROUND)(volume, generator)
        every = RestorationInferer((32, 48))(volume, generator)
        for key in some:
            shown = list(self.SHOWN)
            assert largest_difference(some[key][..., shown], every[key][..., shown]) < ROUNDING

    def test_nothing_but_air(self, generator: SAGANGenerator) -> None:
        network, volume = Counting(generator), a_volume(())
        with pytest.raises(ValueError, match="no slice shows anything but background; leave the volume out"):
            RestorationInferer((32, 48), background=BACKGROUND)(volume, network)
        assert network.calls == []

    def test_pictures_are_computed_whatever_they_show(self, generator: SAGANGenerator) -> None:
        pictures = air(3, 1, 40, 50)
        results = RestorationInferer((32, 48), background=BACKGROUND)(pictures, generator)
        expected = RestorationInferer((32, 48))(pictures, generator)
        assert torch.equal(results["anomaly_map"], expected["anomaly_map"])


class TestWindows:
    def test_only_those_with_foreground_pass_the_network(self, generator_3d: SAGANGenerator) -> None:
        """Tissue in one corner is in one of the three windows along an axis."""
        network, volume = Counting(generator_3d), air(1, 1, 32, 32, 16)
        volume[..., :6, :6, :] = tissue(1, 1, 6, 6, 16)
        results = RestorationInferer((8, 16, 16), background=BACKGROUND)(volume, network)
        assert sum(network.calls) == 3
        assert not results["anomaly_map"][..., 16:, :, :].any()
        assert not results["anomaly_map"][..., :, 16:, :].any()
        assert torch.equal(results["pred"][..., 16:, :, :], volume[..., 16:, :, :])
        assert float(results["anomaly_map"].max()) > 0.01

    @pytest.mark.parametrize("batch_size", [2, 100])
    def test_batches_equal_one_by_one(self, generator_3d: SAGANGenerator, batch_size: int) -> None:
        volume = air(1, 1, 66, 42, 19)
        volume[..., :30, :, :] = tissue(1, 1, 30, 42, 19)
        together = RestorationInferer((16, 32, 32), batch_size=batch_size, background=BACKGROUND)(volume, generator_3d)
        alone = RestorationInferer((16, 32, 32), batch_size=1, background=BACKGROUND)(volume, generator_3d)
        for key, result in alone.items():
            assert largest_difference(together[key], result) < ROUNDING


class TestPatches:
    """Those of images (2, 1, 32, 48), four each."""

    AIR = ((0, slice(0, 16), slice(24, 48)), (1, slice(16, 32), slice(0, 24)), (1, slice(16, 32), slice(24, 48)))

    @pytest.fixture
    def images(self) -> torch.Tensor:
        images = tissue(2, 1, 32, 48)
        for image, rows, columns in self.AIR:
            images[image, :, rows, columns] = air(1, 16, 24)
        return images

    def test_those_of_air_are_given_back_and_the_others_restored(
        self, generator: SAGANGenerator, images: torch.Tensor
    ) -> None:
        with torch.no_grad():
            expected = generator(images)
            for image, rows, columns in self.AIR:
                expected[image, :, rows, columns] = images[image, :, rows, columns]
            assert largest_difference(generator(images, background=BACKGROUND), expected) < ROUNDING

    @pytest.mark.parametrize(("background", "computed"), [(BACKGROUND, 5), (None, 8), (-2.0, 8), (2.0, 0)])
    def test_those_of_air_are_not_computed(
        self, generator: SAGANGenerator, images: torch.Tensor, background: float | None, computed: int
    ) -> None:
        counts: list[int] = []
        hook = generator.stem.register_forward_hook(lambda _, inputs, __: counts.append(len(inputs[0])))
        with torch.no_grad():
            restored = generator(images, background=background)
        hook.remove()
        assert sum(counts) == computed
        assert torch.equal(restored, images) == (computed == 0)

    def test_one_bright_pixel_is_foreground(self, generator: SAGANGenerator, images: torch.Tensor) -> None:
        images[0, 0, 3, 30] = 0.5
        with torch.no_grad():
            restored = generator(images, background=BACKGROUND)
        assert not torch.equal(restored[0, :, :16, 24:], images[0, :, :16, 24:])

    def test_the_background_itself_is_none(self, generator: SAGANGenerator) -> None:
        images = torch.full((1, 1, 32, 48), BACKGROUND)
        with torch.no_grad():
            assert torch.equal(generator(images, background=BACKGROUND), images)
