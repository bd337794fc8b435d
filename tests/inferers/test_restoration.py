"""From an image at its own size to its restoration and map at that size."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.data import MetaTensor, list_data_collate
from monai.inferers import Inferer
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged
from torch import nn
from torch.utils.data import DataLoader

from monai_sagan.data import CaseDataset, CaseReader
from monai_sagan.engines import AnomalyEvaluator
from monai_sagan.inferers import RestorationInferer
from monai_sagan.networks import SAGANGenerator
from monai_sagan.transforms import NetworkSamples, ScaleToNetworkRanged

# Images of different sizes go through sums in another order.
ROUNDING = 1e-5


def identity(images: torch.Tensor) -> torch.Tensor:
    return images


def clip_at_zero(images: torch.Tensor) -> torch.Tensor:
    """A network that takes away whatever is bright."""
    return images.clamp(max=0.0)


def some_images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def largest_difference(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return float((actual - expected).abs().max())


@pytest.fixture(scope="module")
def generator() -> SAGANGenerator:
    torch.manual_seed(0)
    return SAGANGenerator(base_channels=2, num_res_blocks=1).eval()


@pytest.fixture(scope="module")
def generator_3d() -> SAGANGenerator:
    torch.manual_seed(0)
    return SAGANGenerator(3, base_channels=2, num_res_blocks=1, patch_grid=(1, 2, 2)).eval()


class TestAtTheSizeOfTheNetwork:
    @pytest.mark.parametrize("channels", [1, 3])
    def test_map_is_half_the_absolute_difference(self, channels: int) -> None:
        torch.manual_seed(0)
        network = SAGANGenerator(in_channels=channels, base_channels=2, num_res_blocks=1).eval()
        images = some_images(3, channels, 48, 32)  # x first
        with torch.no_grad():
            restored = network(images.transpose(2, 3)).transpose(2, 3)
        results = RestorationInferer((32, 48))(images, network)
        assert torch.equal(results["anomaly_map"], (images - restored).abs() / 2)
        # The difference is taken and put on again.
        assert largest_difference(results["pred"], restored) < 1e-6
        assert set(results) == {"pred", "anomaly_map"}

    def test_in_3d(self, generator_3d: SAGANGenerator) -> None:
        volumes = some_images(2, 1, 48, 32, 16)
        with torch.no_grad():
            restored = generator_3d(volumes.permute(0, 1, 4, 3, 2)).permute(0, 1, 4, 3, 2)
        results = RestorationInferer((16, 32, 48))(volumes, generator_3d)
        assert largest_difference(results["anomaly_map"], (volumes - restored).abs() / 2) < ROUNDING
        assert largest_difference(results["pred"], restored) < ROUNDING

    def test_equals_the_published_score(
        self, reference: dict[str, torch.Tensor], published_weights: dict[str, dict[str, torch.Tensor]]
    ) -> None:
        network = SAGANGenerator(base_channels=8, num_res_blocks=2).eval()
        network.load_published_state_dict(published_weights["generator"])
        results = RestorationInferer((64, 64))(reference["unlabeled"].transpose(2, 3), network)
        scores = results["anomaly_map"].mean(dim=(1, 2, 3))
        # What the published code computed, to five digits and a bit.
        assert scores.tolist() == pytest.approx(reference["anomaly_score"].tolist(), rel=1e-4)


class TestAtOtherSizes:
    @pytest.mark.parametrize("size", [(64, 80), (17, 100), (32, 16), (33, 31), (300, 200)], ids=str)
    def test_shape_and_range(self, generator: SAGANGenerator, size: tuple[int, int]) -> None:
        images = some_images(2, 1, *size)
        results = RestorationInferer((32, 48))(images, generator)
        for result in results.values():
            assert result.shape == images.shape
            assert result.dtype == torch.float32
        assert float(results["anomaly_map"].min()) >= 0
        assert 0.01 < float(results["anomaly_map"].max()) <= 1
        assert float(results["pred"].abs().max()) <= 1

    @pytest.mark.parametrize("shape", [(64, 80), (17, 100), (20, 30, 18)], ids=str)
    def test_a_network_that_changes_nothing(self, shape: tuple[int, ...]) -> None:
        """The image itself is left, to the last bit: it has not been through the network's grid."""
        images = some_images(2, 1, *shape)
        results = RestorationInferer((32, 48))(images, identity)
        assert not results["anomaly_map"].any()
        assert torch.equal(results["pred"], images)

    def test_what_the_network_sees_is_what_it_is_trained_with(self) -> None:
        seen: list[torch.Tensor] = []

        def network(images: torch.Tensor) -> torch.Tensor:
            seen.append(images)
            return images

        images = some_images(2, 1, 50, 70)
        RestorationInferer((32, 48))(images, network)
        expected = torch.cat([NetworkSamples((32, 48))(image) for image in images])
        assert torch.equal(seen[0], expected)

    def test_a_constant_change_is_a_constant_map(self) -> None:
        images = some_images(1, 1, 50, 70) / 2
        results = RestorationInferer((32, 48))(images, lambda small: small - 0.25)
        # Weights of the resizing add up to 1 up to rounding.
        assert largest_difference(results["anomaly_map"], torch.full_like(images, 0.125)) < 1e-6
        assert largest_difference(results["pred"], images - 0.25) < 1e-6

    def test_restored_images_stay_in_range(self) -> None:
        results = RestorationInferer((32, 48))(torch.full((1, 1, 50, 70), 0.9), lambda small: small + 0.5)
        assert float(results["pred"].max()) == 1.0

    @pytest.mark.parametrize("place", [(12, 60), (40, 8), (90, 30)], ids=str)
    def test_the_map_peaks_where_the_anomaly_is(self, place: tuple[int, int]) -> None:
        """x and y are not mixed up, and nothing is shifted."""
        x, y = torch.meshgrid(torch.arange(100.0), torch.arange(70.0), indexing="ij")
        distance = ((x - place[0]) ** 2 + (y - place[1]) ** 2).sqrt()
        image = torch.where(distance < 4, 1.0, -0.5)[None, None]
        results = RestorationInferer((32, 48))(image, clip_at_zero)
        peak = np.unravel_index(int(results["anomaly_map"][0, 0].argmax()), (100, 70))
        # A pixel of the network's grid is about 2 of the image's: within one of those.
        assert np.hypot(peak[0] - place[0], peak[1] - place[1]) < 3
        assert float(results["anomaly_map"][0, 0][distance > 12].max()) == 0
        assert float(results["pred"][0, 0][place]) < 0.2

    def test_the_peak_in_a_volume(self) -> None:
        volume = torch.full((1, 1, 50, 60, 20), -0.5)
        volume[0, 0, 36:41, 10:15, 7] = 1
        results = RestorationInferer((32, 48))(volume, clip_at_zero)
        peak = np.unravel_index(int(results["anomaly_map"][0, 0].argmax()), (50, 60, 20))
        # The middle of the blob, within one pixel of the network's grid; the slice exactly.
        assert abs(peak[0] - 38) <= 2
        assert abs(peak[1] - 12) <= 2
        assert peak[2] == 7


class TestBatches:
    @pytest.mark.parametrize("batch_size", [1, 3, 100])
    def test_a_batch_equals_one_by_one(self, generator: SAGANGenerator, batch_size: int) -> None:
        images = some_images(5, 1, 50, 70)
        together = RestorationInferer((32, 48), batch_size=batch_size)(images, generator)
        for number in range(5):
            alone = RestorationInferer((32, 48))(images[number][None], generator)
            for key, result in alone.items():
                assert largest_difference(result[0], together[key][number]) < ROUNDING

    @pytest.mark.parametrize(
        ("batch_size", "passes"), [(1, [1] * 7), (3, [3, 3, 1]), (7, [7]), (100, [7]), (0, [1] * 7)]
    )
    def test_as_many_pass_at_once(self, batch_size: int, passes: list[int]) -> None:
        seen: list[int] = []

        def network(images: torch.Tensor) -> torch.Tensor:
            seen.append(len(images))
            return images

        RestorationInferer((32, 48), batch_size=batch_size)(some_images(7, 1, 20, 20), network)
        assert seen == passes

    def test_more_arguments_go_to_the_network(self) -> None:
        def network(images: torch.Tensor, factor: float, *, offset: float) -> torch.Tensor:
            return images * factor + offset

        results = RestorationInferer((20, 20))(torch.zeros(1, 1, 20, 20), network, 3.0, offset=0.5)
        assert torch.equal(results["anomaly_map"], torch.full((1, 1, 20, 20), 0.25))


class TestVolumes:
    @pytest.mark.parametrize("batch_size", [1, 3, 100])
    @pytest.mark.parametrize("slice_axis", [0, 1, 2, -1, -2, -3])
    def test_slices_equal_images_one_by_one(self, generator: SAGANGenerator, slice_axis: int, batch_size: int) -> None:
        shape = [2, 1, 20, 34, 25]
        volumes = some_images(*shape)
        inferer = RestorationInferer((32, 48), slice_direction=slice_axis, batch_size=batch_size)
        results = inferer(volumes, generator)
        axis = 2 + slice_axis % 3
        image_inferer = RestorationInferer((32, 48))
        for number in (0, shape[axis] - 1):
            alone = image_inferer(volumes.select(axis, number), generator)
            for key, result in alone.items():
                assert results[key].shape == volumes.shape
                assert largest_difference(results[key].select(axis, number), result) < ROUNDING

    def test_channels_of_a_volume(self) -> None:
        torch.manual_seed(0)
        network = SAGANGenerator(in_channels=3, base_channels=2, num_res_blocks=1).eval()
        volumes = some_images(2, 3, 20, 18, 4)
        results = RestorationInferer((32, 48))(volumes, network)
        alone = RestorationInferer((32, 48))(volumes[..., 2], network)
        assert largest_difference(results["anomaly_map"][..., 2], alone["anomaly_map"]) < ROUNDING

    def test_few_slices_are_enough(self, generator: SAGANGenerator) -> None:
        volume = some_images(1, 1, 20, 18, 1)
        results = RestorationInferer((32, 48))(volume, generator)
        alone = RestorationInferer((32, 48))(volume[..., 0], generator)
        assert largest_difference(results["anomaly_map"][..., 0], alone["anomaly_map"]) < ROUNDING


class TestRefused:
    @pytest.mark.parametrize(
        ("shape", "image_size", "slice_axis", "smallest"),
        [
            ((15, 40), (32, 48), -1, 15),
            ((40, 3), (32, 48), -1, 3),
            ((40, 40, 2), (32, 48), 0, 2),
        ],
        ids=str,
    )
    def test_too_small(
        self, shape: tuple[int, ...], image_size: tuple[int, ...], slice_axis: int, smallest: int
    ) -> None:
        inferer = RestorationInferer(image_size, slice_direction=slice_axis)
        message = f"the image has only {smallest} pixels along one side; at least 16 are needed"
        with pytest.raises(ValueError, match=message):
            inferer(some_images(1, 1, *shape), identity)

    def test_the_smallest_that_is_enough(self) -> None:
        RestorationInferer((32, 48))(some_images(1, 1, 16, 16), identity)

    @pytest.mark.parametrize(
        ("shape", "image_size", "message"),
        [
            ((40,), (32, 48), "an image with 1 axes does not suit a network that works in 2D"),
            ((20, 20, 20, 20), (32, 48), "an image with 4 axes does not suit a network that works in 2D"),
            ((40, 40), (16, 32, 32), "an image with 2 axes does not suit a network that works in 3D"),
            ((20, 20, 20, 20), (16, 32, 32), "an image with 4 axes does not suit a network that works in 3D"),
        ],
        ids=str,
    )
    def test_wrong_number_of_axes(self, shape: tuple[int, ...], image_size: tuple[int, ...], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            RestorationInferer(image_size)(torch.zeros(1, 1, *shape), identity)


class TestHowItRuns:
    def test_is_an_inferer_of_monai(self) -> None:
        assert isinstance(RestorationInferer((32, 48)), Inferer)

    def test_results_do_not_carry_gradients(self, generator: SAGANGenerator) -> None:
        assert all(parameter.requires_grad for parameter in generator.parameters())
        modes: list[bool] = []

        def network(images: torch.Tensor) -> torch.Tensor:
            modes.append(torch.is_inference_mode_enabled())
            return generator(images)

        results = RestorationInferer((32, 48))(some_images(1, 1, 20, 20).requires_grad_(True), network)
        assert modes == [True]
        assert not any(result.requires_grad for result in results.values())

    def test_arguments_are_not_changed(self, generator: SAGANGenerator) -> None:
        images = some_images(2, 1, 32, 48)
        before = images.clone()
        RestorationInferer((48, 32))(images, generator)
        assert torch.equal(images, before)

    def test_on_a_cpu_it_computes_in_32_bits(self) -> None:
        kinds: list[torch.dtype] = []

        class Recording(nn.Conv2d):
            def forward(self, images: torch.Tensor) -> torch.Tensor:
                output = super().forward(images)
                kinds.append(output.dtype)
                return output

        RestorationInferer((32, 48), amp=True)(some_images(1, 1, 20, 20).double(), Recording(1, 1, 1))
        assert kinds == [torch.float32]

    def test_in_the_precision_of_the_network(self, generator: SAGANGenerator) -> None:
        images = some_images(1, 1, 50, 70)
        expected = RestorationInferer((32, 48))(images, generator)["anomaly_map"]
        found = RestorationInferer((32, 48))(images, deepcopy(generator).double())["anomaly_map"]
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)

    def test_runs_where_it_is_told_to(self) -> None:
        results = RestorationInferer((32, 48), device="cpu")(some_images(1, 1, 20, 20), identity)
        assert results["anomaly_map"].device.type == "cpu"

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
    @pytest.mark.parametrize("amp", [False, True])
    def test_runs_where_the_network_is(self, generator: SAGANGenerator, amp: bool) -> None:
        images = some_images(2, 1, 50, 70)
        expected = RestorationInferer((32, 48))(images, generator)
        network = SAGANGenerator(base_channels=2, num_res_blocks=1).eval()
        network.load_state_dict(generator.state_dict())
        results = RestorationInferer((32, 48), amp=amp)(images, network.cuda())
        for key, result in results.items():
            assert result.device.type == "cpu"
            assert result.dtype == torch.float32
            # bfloat16 has two to three digits, TF32 three, and normalisation enlarges what is lost.
            assert float((result - expected[key]).abs().mean()) < 0.02


def test_changes_to_and_fro_do_not_cancel_in_a_smaller_picture() -> None:
    """The map is of what changed on the network's grid, and only then brought to the picture's."""
    places = torch.arange(32)
    checks = 0.2 * (2.0 * ((places[:, None] + places) % 2) - 1)
    found = RestorationInferer((32, 32))(torch.zeros(1, 1, 16, 16), lambda pictures: pictures + checks)
    assert torch.allclose(found["anomaly_map"], torch.tensor(0.1), rtol=0, atol=1e-3)


class TestGeometry:
    AFFINE = torch.tensor(
        [[-0.7, 0.1, 0.0, 5.0], [0.1, -0.8, 0.0, -20.0], [0.0, 0.0, 4.5, 30.0], [0.0, 0.0, 0.0, 1.0]],
        dtype=torch.float64,
    )

    def test_volumes_of_a_batch_are_turned_by_their_own_geometry(self, generator: SAGANGenerator) -> None:
        voxels = some_images(1, 20, 24, 6)
        affines = [torch.diag(torch.tensor(sides)) for sides in ((-1.0, -1.0, 3.0, 1.0), (1.0, 1.0, 3.0, 1.0))]
        volumes = [{"image": MetaTensor(voxels, affine=affine)} for affine in affines]
        together = RestorationInferer((32, 48))(list_data_collate(volumes)["image"], generator)["anomaly_map"]
        alone = [RestorationInferer((32, 48))(it["image"][None], generator)["anomaly_map"][0] for it in volumes]
        assert not torch.allclose(*map(torch.as_tensor, alone), rtol=0, atol=1e-3)
        for item, expected in zip(together, alone):
            assert torch.allclose(torch.as_tensor(item), torch.as_tensor(expected), rtol=0, atol=1e-5)

    def test_metadata_of_a_batch_stays(self, generator: SAGANGenerator) -> None:
        volumes = [
            {"image": MetaTensor(some_images(1, 20, 34, 6, seed=seed), affine=self.AFFINE, meta={"note": "kept"})}
            for seed in range(2)
        ]
        batch = list_data_collate(volumes)["image"]
        results = RestorationInferer((32, 48))(batch, generator)
        for result in results.values():
            assert isinstance(result, MetaTensor)
            assert torch.equal(torch.as_tensor(result.affine[0]), self.AFFINE)
            assert result.shape == batch.shape

    def test_a_plain_tensor_gives_plain_tensors(self) -> None:
        results = RestorationInferer((32, 48))(some_images(1, 1, 20, 20), identity)
        assert all(type(result) is torch.Tensor for result in results.values())

    def test_from_files_through_the_evaluator(
        self, a_picture: Callable[..., Path], a_volume: Callable[..., Path], generator: SAGANGenerator
    ) -> None:
        """Images of different sizes and numbers of axes in one batch, some of which cannot be used."""
        affine = self.AFFINE.numpy().copy()
        affine[:3, :3] = np.diag([-0.7, -0.8, 4.5])
        paths = [
            a_volume("a.nii.gz", size=(20, 34, 6), affine=affine),
            a_volume("b.nii.gz", size=(20, 34, 6)),
            a_picture("c.png", size=(40, 30)),
            a_picture("d.png", size=(8, 30)),
            a_volume("e.nii.gz").with_name("missing.nii.gz"),
        ]
        preprocessing = Compose(
            [
                LoadImaged("image", reader=CaseReader(), dtype=None),
                EnsureChannelFirstd("image"),
                ScaleToNetworkRanged("image"),
            ]
        )
        dataset = CaseDataset([{"image": str(path)} for path in paths], preprocessing)
        finished: list[dict[str, Any]] = []
        evaluator = AnomalyEvaluator(
            torch.device("cpu"),
            DataLoader(dataset, batch_size=5, collate_fn=list),
            generator,
            RestorationInferer((32, 48)),
        )
        evaluator.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: finished.extend(engine.state.output))
        evaluator.run()
        assert [case["path"] for case in finished] == [str(path) for path in paths]
        for case, path in zip(finished[:3], paths):
            for key in ("pred", "anomaly_map"):
                assert isinstance(case[key], MetaTensor)
                assert case[key].shape == case["image"].shape
                assert torch.equal(case[key].affine, case["image"].affine)
                assert case[key].meta["filename_or_obj"] == str(path)
            alone = RestorationInferer((32, 48))(case["image"].as_tensor()[None], generator)
            assert largest_difference(case["anomaly_map"].as_tensor(), alone["anomaly_map"][0]) < ROUNDING
        assert finished[0]["anomaly_map"].affine.numpy() == pytest.approx(affine, abs=1e-5)  # 32 bits in NIfTI
        assert finished[3]["error"].startswith(f"{paths[3]}: the image has only 8 pixels")
        assert finished[4]["error"] == f"{paths[4]}: there is no such file."
