"""What critic and generator minimise."""

from __future__ import annotations

import pytest
import torch

from monai_sagan.losses import CriticLoss, GeneratorLoss
from monai_sagan.networks import SAGANCritic

# What the published code computed, to five digits and a bit: sums in another order.
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def published_critic(published_weights: dict[str, dict[str, torch.Tensor]]) -> SAGANCritic:
    critic = SAGANCritic(base_channels=8)
    critic.load_published_state_dict(published_weights["critic"])
    return critic


def some_images(seed: int, count: int = 3, size: tuple[int, ...] = (6, 4), channels: int = 2) -> torch.Tensor:
    return torch.rand((count, channels, *size), generator=torch.Generator().manual_seed(seed)) * 2 - 1


class TestCriticLoss:
    @pytest.mark.parametrize(
        ("part", "expected"),
        [("real", "loss_critic_real"), ("fake", "loss_critic_fake"), ("gradient_penalty", "gradient_penalty")],
    )
    def test_published_numbers(
        self, reference: dict[str, torch.Tensor], published_critic: SAGANCritic, part: str, expected: str
    ) -> None:
        losses = CriticLoss()(
            published_critic, reference["normal"], reference["restored_unlabeled"], mix=reference["alpha"]
        )
        assert float(losses[part]) == pytest.approx(float(reference[expected]), rel=TOLERANCE)

    def test_published_sum(self, reference: dict[str, torch.Tensor], published_critic: SAGANCritic) -> None:
        losses = CriticLoss()(
            published_critic, reference["normal"], reference["restored_unlabeled"], mix=reference["alpha"]
        )
        parts = (reference[name] for name in ("loss_critic_real", "loss_critic_fake"))
        expected = sum(map(float, parts)) + 10 * float(reference["gradient_penalty"])
        assert float(losses["loss"]) == pytest.approx(expected, rel=TOLERANCE)

    @pytest.mark.parametrize("size", [(6, 4), (3, 4, 5)], ids=["2D", "3D"])
    def test_penalty_of_a_linear_critic(self, size: tuple[int, ...]) -> None:
        """Its slope is its weights wherever it is taken: the penalty is (norm of the weights - 1) squared."""
        weights = some_images(0, count=1, size=size)

        def critic(images: torch.Tensor) -> torch.Tensor:
            return (images * weights).sum(dim=tuple(range(1, images.dim())), keepdim=True)

        losses = CriticLoss()(critic, some_images(1, size=size), some_images(2, size=size))
        # Rounding of a sum of some sixty 32-bit numbers.
        assert float(losses["gradient_penalty"]) == pytest.approx((float(weights.norm()) - 1) ** 2, rel=1e-5)

    def test_penalty_of_a_quadratic_critic_depends_on_the_mix(self) -> None:
        """The slope of half the squared norm is the image itself: the penalty shows where it was taken."""

        def critic(images: torch.Tensor) -> torch.Tensor:
            return images.square().flatten(1).sum(dim=1).reshape(-1, 1, 1, 1) / 2

        healthy, restored = some_images(1), some_images(2)
        mix = torch.tensor([0.0, 0.25, 1.0]).reshape(3, 1, 1, 1)
        places = torch.stack([restored[0], 0.25 * healthy[1] + 0.75 * restored[1], healthy[2]])
        expected = (places.flatten(1).norm(dim=1) - 1).square().mean()
        losses = CriticLoss()(critic, healthy, restored, mix=mix)
        assert float(losses["gradient_penalty"]) == pytest.approx(float(expected), rel=1e-5)  # rounding, 32 bits

    def test_each_image_has_a_mix_of_its_own(self) -> None:
        """With a critic that records what it sees: the mixed images, and then the others together."""
        seen: list[torch.Tensor] = []

        def critic(images: torch.Tensor) -> torch.Tensor:
            seen.append(images.detach())
            return images.mean(dim=(1, 2, 3), keepdim=True)

        torch.manual_seed(0)
        healthy, restored = torch.ones(200, 1, 2, 2), torch.zeros(200, 1, 2, 2)
        CriticLoss()(critic, healthy, restored)
        mixed, others = seen
        assert torch.equal(others, torch.cat([healthy, restored]))
        shares = mixed[:, 0, 0, 0]
        assert torch.equal(mixed, shares.reshape(-1, 1, 1, 1).expand_as(mixed))
        # Largest distance from the uniform distribution: 1.95 / sqrt(n) is exceeded once in a thousand seeds.
        expected = (torch.arange(200) + 0.5) / 200
        assert float((shares.sort().values - expected).abs().max()) < 1.95 / 200**0.5

    def test_there_must_be_as_many_of_both(self) -> None:
        with pytest.raises(ValueError, match=r"^restored is \[1, 2, 8, 8\], and healthy \[3, 2, 8, 8\].$"):
            CriticLoss()(torch.mean, torch.ones(3, 2, 8, 8), torch.zeros(1, 2, 8, 8))

    def test_no_gradient_reaches_the_restored_images(self) -> None:
        critic = SAGANCritic(in_channels=2, base_channels=2, num_layers=2)
        restored = some_images(2, size=(8, 8)).requires_grad_(True)
        CriticLoss()(critic, some_images(1, size=(8, 8)), restored)["loss"].backward()
        assert restored.grad is None
        assert float(critic.layers[0].conv.weight.grad.abs().max()) > 0

    def test_the_penalty_trains_the_critic(self) -> None:
        """That takes the second derivative."""
        critic = SAGANCritic(in_channels=2, base_channels=2, num_layers=2)
        CriticLoss()(critic, some_images(1, size=(8, 8)), some_images(2, size=(8, 8)))["gradient_penalty"].backward()
        assert float(critic.head.conv.weight.grad.abs().max()) > 0

    @pytest.mark.parametrize("weight", [0.0, 1.0, 25.0])
    def test_weight_of_the_penalty(self, weight: float) -> None:
        torch.manual_seed(0)
        critic = SAGANCritic(in_channels=2, base_channels=2, num_layers=2)
        images = some_images(1, size=(8, 8)), some_images(2, size=(8, 8))
        losses = CriticLoss(gradient_penalty_weight=weight)(critic, *images)
        expected = losses["real"] + losses["fake"] + weight * losses["gradient_penalty"]
        assert float(losses["loss"]) == pytest.approx(float(expected), rel=1e-6)  # the same sum
        assert float(losses["gradient_penalty"]) > 0.1

    def test_a_critic_that_tells_them_apart_has_the_lower_loss(self) -> None:
        def right(images: torch.Tensor) -> torch.Tensor:
            return images.mean(dim=(1, 2, 3), keepdim=True)

        def wrong(images: torch.Tensor) -> torch.Tensor:
            return -right(images)

        healthy, restored = torch.full((2, 1, 2, 2), 0.5), torch.full((2, 1, 2, 2), -0.25)
        losses = CriticLoss()(right, healthy, restored)
        assert losses["real"].item() == -0.5
        assert losses["fake"].item() == -0.25
        assert losses["loss"] < CriticLoss()(wrong, healthy, restored)["loss"]


class TestGeneratorLoss:
    @pytest.mark.parametrize("part", ["adversarial", "identity", "restoration"])
    def test_published_numbers(self, reference: dict[str, torch.Tensor], part: str) -> None:
        losses = GeneratorLoss()(
            reference["critic_restored"],
            reference["restored_normal"],
            reference["restored_pseudo"],
            reference["normal"],
        )
        assert float(losses[part]) == pytest.approx(float(reference[f"loss_{part}"]), rel=TOLERANCE)

    def test_by_hand(self) -> None:
        healthy = torch.zeros(2, 1, 2, 2)
        losses = GeneratorLoss()(torch.tensor([[[[1.0]]], [[[3.0]]]]), healthy - 0.5, healthy + 0.25, healthy)
        assert {name: value.item() for name, value in losses.items()} == {
            "adversarial": -2.0,
            "identity": 0.5,
            "restoration": 0.0625,
            "loss": -1.4375,
        }

    @pytest.mark.parametrize("weights", [(1, 1, 1), (0, 0, 0), (2, 0, 0), (0, 3, 0), (0, 0, 5), (0.5, 2, 10)], ids=str)
    def test_weights(self, weights: tuple[float, float, float]) -> None:
        images = [some_images(seed) for seed in range(4)]
        losses = GeneratorLoss(*weights)(*images)
        parts = [float(losses[name]) for name in ("adversarial", "identity", "restoration")]
        assert min(map(abs, parts)) > 1e-3
        # The same sum, in 32 bits.
        assert float(losses["loss"]) == pytest.approx(sum(w * p for w, p in zip(weights, parts)), rel=1e-5, abs=1e-7)

    def test_gradients_reach_every_restoration(self) -> None:
        given = [some_images(seed).requires_grad_(True) for seed in range(3)]
        GeneratorLoss()(*given, some_images(3))["loss"].backward()
        assert all(float(image.grad.abs().max()) > 0 for image in given)
