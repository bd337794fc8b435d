"""Generator and critic: the published numbers, sizes, errors, and the formats they are exported to."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from monai.networks.utils import convert_to_onnx

from monai_sagan.networks import SAGANCritic, SAGANGenerator, published_generator_size

# Generators of several shapes, small enough to run in a moment, with a size that suits each.
SHAPES = {
    "2D": ({}, (32, 32)),
    "2D, not square": ({"patch_grid": (2, 4)}, (48, 64)),
    "2D, one patch": ({"patch_grid": 1}, (24, 16)),
    "2D, three channels": ({"in_channels": 3, "patch_grid": 2}, (48, 32)),
    "2D, two channels, no residual block": ({"in_channels": 2, "num_res_blocks": 0}, (32, 32)),
    "3D": ({"spatial_dims": 3, "patch_grid": (2, 2, 1)}, (32, 16, 16)),
    "3D, one patch, two channels": ({"spatial_dims": 3, "patch_grid": 1, "in_channels": 2}, (16, 24, 16)),
}
EVERY_SHAPE = pytest.mark.parametrize(("arguments", "size"), SHAPES.values(), ids=SHAPES.keys())
# The running statistics that are published beside the weights of an affine normalisation.
STATISTICS = (".running_mean", ".running_var", ".num_batches_tracked")

# Of the published code, by name; of weights, by network first.
Tensors = dict[str, torch.Tensor]
Weights = dict[str, Tensors]


def a_generator(seed: int = 0, **arguments: object) -> SAGANGenerator:
    torch.manual_seed(seed)
    return SAGANGenerator(**{"base_channels": 2, "num_res_blocks": 1, **arguments}).eval()  # type: ignore[arg-type]


def a_critic(**arguments: int) -> SAGANCritic:
    torch.manual_seed(0)
    return SAGANCritic(**{"base_channels": 2, "num_layers": 3, **arguments}).eval()


def some_images(size: tuple[int, ...], count: int = 2, channels: int = 1, seed: int = 1) -> torch.Tensor:
    return torch.rand((count, channels, *size), generator=torch.Generator().manual_seed(seed)) * 2 - 1


def largest_difference(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return float((actual - expected).abs().max())


@pytest.fixture(scope="module")
def published_keys(shared: Path) -> dict[str, dict[str, list[int]]]:
    return json.loads((shared / "reference" / "sagan_published_keys.json").read_text())


def weights_of_shapes(shapes: Mapping[str, list[int]]) -> dict[str, torch.Tensor]:
    """Tensors that have a shape and take no memory."""
    return {name: torch.zeros(shape, device="meta") for name, shape in shapes.items()}


class TestPublishedNumbers:
    # The largest value is what rounding is relative to: instance normalisation ties every pixel to all the others.
    # Seen: 1.3e-5 for the generator, below 1e-6 for the critic.
    TOLERANCE = 1e-4

    @pytest.mark.parametrize("training", [False, True], ids=["evaluation mode", "training mode"])
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ("unlabeled", "restored_unlabeled"),
            ("normal", "restored_normal"),
            ("pseudo_anomalous", "restored_pseudo"),
        ],
    )
    def test_generator(
        self, reference: Tensors, published_weights: Weights, given: str, expected: str, training: bool
    ) -> None:
        generator = SAGANGenerator(base_channels=8, num_res_blocks=2, pass_through=0.0)
        generator.load_published_state_dict(published_weights["generator"])
        with torch.no_grad():
            restored = generator.train(training)(reference[given])
        largest = float(reference[expected].abs().max())
        assert largest_difference(restored, reference[expected]) < self.TOLERANCE * largest

    @pytest.mark.parametrize(
        ("given", "expected"), [("normal", "critic_normal"), ("restored_unlabeled", "critic_restored")]
    )
    def test_critic(self, reference: Tensors, published_weights: Weights, given: str, expected: str) -> None:
        critic = SAGANCritic(base_channels=8)
        critic.load_published_state_dict(published_weights["critic"])
        with torch.no_grad():
            scores = critic(reference[given])
        largest = float(reference[expected].abs().max())
        assert largest_difference(scores, reference[expected]) < self.TOLERANCE * largest

    def test_score(self, reference: Tensors, published_weights: Weights) -> None:
        generator = SAGANGenerator(base_channels=8, num_res_blocks=2).eval()
        generator.load_published_state_dict(published_weights["generator"])
        with torch.no_grad():
            change = reference["unlabeled"] - generator(reference["unlabeled"])
        scores = change.abs().mean(dim=(1, 2, 3)) / 2
        assert scores.tolist() == pytest.approx(reference["anomaly_score"].tolist(), rel=self.TOLERANCE)


class TestPublishedNames:
    """The published sizes: 45 million parameters, here without the memory for them."""

    @pytest.fixture
    def full_size(self) -> dict[str, torch.nn.Module]:
        with torch.device("meta"):
            return {"generator": SAGANGenerator(), "critic": SAGANCritic()}

    @pytest.mark.parametrize("with_statistics", [True, False])
    @pytest.mark.parametrize("name", ["generator", "critic"])
    def test_every_name_and_shape_is_taken(
        self,
        full_size: dict[str, torch.nn.Module],
        published_keys: dict[str, dict[str, list[int]]],
        name: str,
        with_statistics: bool,
    ) -> None:
        shapes = published_keys[name]
        if not with_statistics:
            shapes = {key: shape for key, shape in shapes.items() if not key.endswith(STATISTICS)}
        network = full_size[name]
        network.load_published_state_dict(weights_of_shapes(shapes))  # type: ignore[operator]
        published = sum(math.prod(shape) for key, shape in shapes.items() if not key.endswith(STATISTICS))
        assert sum(parameter.numel() for parameter in network.parameters()) == published

    def test_size_is_read_from_the_weights(self, published_keys: dict[str, dict[str, list[int]]]) -> None:
        state = weights_of_shapes(published_keys["generator"])
        assert published_generator_size(state) == {"base_channels": 64, "num_res_blocks": 6}

    def test_size_of_something_else(self, published_keys: dict[str, dict[str, list[int]]]) -> None:
        with pytest.raises(ValueError, match=r"'layer1.0.weight' is missing \(main.0.weight, main.0.bias, "):
            published_generator_size(weights_of_shapes(published_keys["critic"]))

    @pytest.mark.parametrize(("name", "key"), [("generator", "gate2.psi.0.bias"), ("critic", "main.4.weight")])
    def test_a_missing_name_is_named(
        self,
        full_size: dict[str, torch.nn.Module],
        published_keys: dict[str, dict[str, list[int]]],
        name: str,
        key: str,
    ) -> None:
        state = weights_of_shapes(published_keys[name])
        del state[key]
        with pytest.raises(ValueError, match=f"do not fit the network: {key} is missing.$"):
            full_size[name].load_published_state_dict(state)  # type: ignore[operator]

    @pytest.mark.parametrize("name", ["generator", "critic"])
    def test_an_unknown_name_is_named(
        self, full_size: dict[str, torch.nn.Module], published_keys: dict[str, dict[str, list[int]]], name: str
    ) -> None:
        state = weights_of_shapes(published_keys[name] | {"extra.0.weight": [1]})
        with pytest.raises(ValueError, match=r"do not fit the network: extra.0.weight is not known\.$"):
            full_size[name].load_published_state_dict(state)  # type: ignore[operator]

    @pytest.mark.parametrize(
        ("name", "key", "message"),
        [
            ("generator", "conv.weight", r"conv.weight is \(2, 64, 7, 7\) and should be \(1, 64, 7, 7\)\.$"),
            ("critic", "conv1.weight", r"conv1.weight is \(2, 2048, 3, 3\) and should be \(1, 2048, 3, 3\)\.$"),
        ],
    )
    def test_a_wrong_shape_is_named(
        self,
        full_size: dict[str, torch.nn.Module],
        published_keys: dict[str, dict[str, list[int]]],
        name: str,
        key: str,
        message: str,
    ) -> None:
        shapes = published_keys[name]
        state = weights_of_shapes(shapes | {key: [2, *shapes[key][1:]]})
        with pytest.raises(ValueError, match=message):
            full_size[name].load_published_state_dict(state)  # type: ignore[operator]

    def test_many_differences_are_counted(self) -> None:
        with pytest.raises(ValueError, match=r"main.0.weight is missing; .*; and 2 more\.$"):
            a_critic().load_published_state_dict({})

    def test_nothing_is_loaded_where_something_differs(self, published_weights: Weights) -> None:
        generator = a_generator(base_channels=8, num_res_blocks=2)
        before = {name: value.clone() for name, value in generator.state_dict().items()}
        with pytest.raises(ValueError, match="extra is not known"):
            generator.load_published_state_dict(published_weights["generator"] | {"extra": torch.zeros(1)})
        assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())


class TestGenerator:
    @EVERY_SHAPE
    def test_keeps_the_shape_and_the_range(self, arguments: dict, size: tuple[int, ...]) -> None:
        images = some_images(size, channels=arguments.get("in_channels", 1))
        with torch.no_grad():
            restored = a_generator(**arguments)(images)
        assert restored.shape == images.shape
        # tanh rounds to 1 beyond 9 or so.
        assert float(restored.abs().max()) <= 1.0
        assert not torch.equal(restored, images)

    @EVERY_SHAPE
    def test_images_do_not_matter_to_each_other(self, arguments: dict, size: tuple[int, ...]) -> None:
        generator = a_generator(**arguments)
        images = some_images(size, count=3, channels=arguments.get("in_channels", 1))
        with torch.no_grad():
            together = generator(images)
            alone = torch.cat([generator(image[None]) for image in images])
            other_company = generator(torch.stack([images[0], -images[1], torch.zeros_like(images[2])]))
        # Sums are taken in another order: some roundings of 6e-8, enlarged by normalisation.
        assert largest_difference(together, alone) < 1e-5
        assert largest_difference(together[0], other_company[0]) < 1e-5

    def test_patches_of_an_image_do_not_matter_to_each_other(self) -> None:
        generator = a_generator()
        images = some_images((32, 32))
        changed = images.clone()
        changed[:, :, 16:, 16:] = 0.3
        with torch.no_grad():
            before, after = generator(images), generator(changed)
        # Other values in a batch of the same size change nothing, to the last bit or nearly so.
        assert largest_difference(before[..., :16, :], after[..., :16, :]) < 1e-6
        assert largest_difference(before[..., 16:, :16], after[..., 16:, :16]) < 1e-6
        assert largest_difference(before[..., 16:, 16:], after[..., 16:, 16:]) > 0.1

    def test_output_of_the_published_architecture_does_not_depend_on_the_patch_code(self) -> None:
        """A finding: the codes are without effect.

        A code is constant over its patch, so behind the 1x1 convolution it adds a constant to each channel of the
        patch, and the instance normalisation that follows takes each channel's mean off. They are kept because the
        published weights have a place for them.
        """
        generator = a_generator(base_channels=8)
        images = some_images((64, 64))
        with torch.no_grad():
            with_codes = generator(images)
            for coding in (generator.code1, generator.code2, generator.code3):
                assert coding.patch_code.abs().sum() > 0
                coding.patch_code = torch.zeros_like(coding.patch_code)
            without_codes = generator(images)
        # The mean is taken off up to rounding.
        assert largest_difference(with_codes, without_codes) < 1e-4

    def test_evaluation_mode_is_deterministic(self) -> None:
        generator = a_generator(pass_through=0.5)
        images = some_images((32, 32))
        with torch.no_grad():
            assert torch.equal(generator(images), generator(images))

    def test_training_mode_without_pass_through_is_evaluation_mode(self) -> None:
        generator = a_generator(pass_through=0.0)
        images = some_images((32, 32))
        with torch.no_grad():
            assert torch.equal(generator.train()(images), generator.eval()(images))

    @pytest.mark.parametrize("share", [0.05, 0.5])
    def test_training_mode_passes_a_share_of_the_pixels_through(self, share: float) -> None:
        generator = a_generator(in_channels=3, pass_through=share)
        images = some_images((64, 64), count=3, channels=3)
        torch.manual_seed(0)
        with torch.no_grad():
            calm, restless = generator.eval()(images), generator.train()(images)
        # What is copied takes the place of the output before the input is added: tanh(2 x). Rounding only.
        copied = torch.isclose(restless, torch.tanh(2 * images), atol=1e-6).all(dim=1)
        untouched = torch.isclose(restless, calm, atol=1e-6).all(dim=1)
        assert (copied | untouched).all()
        count = copied.numel()
        # Five standard deviations of a binomial distribution: a right network is beyond it once in two million seeds.
        bound = 5 * math.sqrt(count * share * (1 - share))
        assert abs(int(copied.sum()) - count * share) < bound

    def test_training_mode_draws_anew_each_time(self) -> None:
        generator = a_generator(pass_through=0.5).train()
        images = some_images((32, 32))
        with torch.no_grad():
            assert not torch.equal(generator(images), generator(images))

    @pytest.mark.parametrize("shape", ["2D", "2D, not square", "3D"])
    def test_gradients_reach_all_that_can_matter(self, shape: str) -> None:
        arguments, size = SHAPES[shape]
        # In 64 bits a gradient that is zero on paper is below 1e-10, and one that is not is far above.
        generator = a_generator(**arguments).double()
        images = some_images(size).double()
        target = some_images(size, seed=2).double()
        (generator(images) - target).square().sum().backward()
        largest = {name: float(parameter.grad.abs().max()) for name, parameter in generator.named_parameters()}
        without_effect = {name for name, value in largest.items() if value < 1e-10}
        # A constant in front of a normalisation without shift is taken off again: only these convolutions have both.
        codes = {f"code{level}.mix.conv.bias" for level in (1, 2, 3)}
        gates = {f"gate{level}.{part}.conv.bias" for level in (1, 2, 3) for part in ("gate", "skip", "weight")}
        assert without_effect == codes | gates
        assert min(value for name, value in largest.items() if name not in without_effect) > 1e-6

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"spatial_dims": 1}, "spatial_dims must be 2 or 3, not 1"),
            ({"spatial_dims": 4}, "spatial_dims must be 2 or 3, not 4"),
            ({"base_channels": 0}, "base_channels must be an even number of at least 2, not 0"),
            ({"base_channels": 5}, "base_channels must be an even number of at least 2, not 5"),
            ({"num_res_blocks": -1}, "num_res_blocks must be at least 0, not -1"),
            ({"pass_through": 1.0}, r"pass_through must lie in \[0, 1\), not 1.0"),
            ({"pass_through": -0.1}, r"pass_through must lie in \[0, 1\), not -0.1"),
            ({"patch_grid": 0}, "patch_grid must be 2 numbers of at least 1, not 0"),
            ({"patch_grid": (2, 0)}, r"patch_grid must be 2 numbers of at least 1, not \(2, 0\)"),
            ({"patch_grid": (2, 2, 2)}, "patch_grid must be 2 numbers of at least 1"),
            ({"patch_grid": (2, 2), "spatial_dims": 3}, "patch_grid must be 3 numbers of at least 1"),
        ],
        ids=str,
    )
    def test_arguments_out_of_range(self, arguments: dict, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            a_generator(**arguments)

    @pytest.mark.parametrize(
        ("grid", "size", "message"),
        [
            ((2, 2), (40, 32), "Images of size 40x32 do not fit a grid of 2x2 patches: .* multiples of 16, 16"),
            ((2, 4), (32, 48), "Images of size 32x48 do not fit a grid of 2x4 patches: .* multiples of 16, 32"),
            ((2, 2), (8, 8), "multiples of 16, 16"),
            ((2, 2), (16, 16), "at least one side must be twice as large"),
            ((2, 2), (32, 32, 32), r"takes images \(B, C, 2 spatial axes\), not \(2, 1, 32, 32, 32\)"),
            ((2, 2, 1), (32, 32), r"takes images \(B, C, 3 spatial axes\), not \(2, 1, 32, 32\)"),
            ((2, 2, 1), (32, 32, 12), "Images of size 32x32x12 do not fit a grid of 2x2x1 .* multiples of 16, 16, 8"),
        ],
        ids=str,
    )
    def test_a_size_that_does_not_fit(self, grid: tuple[int, ...], size: tuple[int, ...], message: str) -> None:
        generator = a_generator(spatial_dims=len(grid), patch_grid=grid)
        with pytest.raises(ValueError, match=message):
            generator(some_images(size))

    @pytest.mark.parametrize("size", [(32, 16), (16, 48)])
    def test_the_smallest_sizes_that_fit(self, size: tuple[int, int]) -> None:
        with torch.no_grad():
            assert a_generator()(some_images(size)).isfinite().all()


class TestCritic:
    @pytest.mark.parametrize(
        ("arguments", "size", "scores"),
        [
            ({}, (32, 32), (4, 4)),
            ({"in_channels": 3}, (16, 40), (2, 5)),
            ({"num_layers": 1}, (6, 2), (3, 1)),
            ({"num_layers": 6}, (64, 64), (1, 1)),
            ({"spatial_dims": 3, "num_layers": 2}, (8, 12, 4), (2, 3, 1)),
        ],
        ids=str,
    )
    def test_shape(self, arguments: dict[str, int], size: tuple[int, ...], scores: tuple[int, ...]) -> None:
        with torch.no_grad():
            output = a_critic(**arguments)(some_images(size, channels=arguments.get("in_channels", 1)))
        assert output.shape == (2, 1, *scores)

    def test_images_do_not_matter_to_each_other(self) -> None:
        critic = a_critic()
        images = some_images((32, 32), count=3)
        with torch.no_grad():
            alone = torch.cat([critic(image[None]) for image in images])
            # Sums in another order.
            assert largest_difference(critic(images), alone) < 1e-6

    def test_gradients_reach_every_parameter(self) -> None:
        critic = a_critic()
        critic(some_images((32, 32))).sum().backward()
        for name, parameter in critic.named_parameters():
            assert float(parameter.grad.abs().max()) > 0, name

    def test_no_normalisation(self) -> None:
        """Contrast and brightness count, which a normalisation would take off."""
        critic = a_critic()
        images = some_images((32, 32))
        with torch.no_grad():
            assert largest_difference(critic(images), critic(2 * images + 0.5)) > 1e-3
        assert not any("Norm" in type(module).__name__ for module in critic.modules())

    @pytest.mark.parametrize("spatial_dims", [1, 4])
    def test_arguments_out_of_range(self, spatial_dims: int) -> None:
        with pytest.raises(ValueError, match=f"spatial_dims must be 2 or 3, not {spatial_dims}"):
            a_critic(spatial_dims=spatial_dims)

    def test_images_too_small(self) -> None:
        with pytest.raises(ValueError, match=r"Images of size 32x7 are too small .* at least 8"):
            a_critic()(some_images((32, 7)))


class TestExport:
    @pytest.mark.parametrize("shape", ["2D", "2D, not square", "3D"])
    def test_torchscript_is_the_network(self, shape: str, tmp_path: Path) -> None:
        arguments, size = SHAPES[shape]
        generator = a_generator(**arguments)
        torch.jit.script(generator).save(tmp_path / "generator.ts")
        scripted = torch.jit.load(tmp_path / "generator.ts")
        for count in (1, 3):
            images = some_images(size, count=count)
            with torch.no_grad():
                # The same operations; fusing some of them may round otherwise.
                assert largest_difference(scripted(images), generator(images)) < 1e-5

    def test_torchscript_of_the_critic(self, tmp_path: Path) -> None:
        critic = a_critic()
        torch.jit.script(critic).save(tmp_path / "critic.ts")
        images = some_images((32, 40), count=3)
        with torch.no_grad():
            assert largest_difference(torch.jit.load(tmp_path / "critic.ts")(images), critic(images)) < 1e-6

    @pytest.mark.parametrize("dynamo", [False, True], ids=["tracing exporter", "torch.export"])
    @pytest.mark.parametrize("shape", ["2D, not square", "3D"])
    def test_onnx_is_the_network_whatever_the_batch(self, shape: str, dynamo: bool) -> None:
        runtime = pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
        arguments, size = SHAPES[shape]
        generator = a_generator(**arguments)
        model = convert_to_onnx(
            generator,
            [some_images(size)],
            input_names=["image"],
            output_names=["pred"],
            dynamic_axes={"image": {0: "batch"}, "pred": {0: "batch"}},
            dynamo=dynamo,
        )
        session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        for count in (1, 3):
            images = some_images(size, count=count, seed=3)
            (restored,) = session.run(["pred"], {"image": images.numpy()})
            with torch.no_grad():
                # Another library's convolutions round otherwise, and normalisation enlarges that.
                assert largest_difference(torch.from_numpy(restored), generator(images)) < 1e-4
