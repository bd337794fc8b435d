"""The adversarial training, against the published procedure written out as a plain loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Events
from torch.nn import functional as F
from torch.utils.data import DataLoader

from monai_sagan.data import phantom_volume
from monai_sagan.engines import SAGANTrainer, require_batches
from monai_sagan.errors import SettingError, UserError
from monai_sagan.inferers import RestorationInferer
from monai_sagan.losses import CriticLoss, GeneratorLoss
from monai_sagan.networks import SAGANCritic, SAGANGenerator
from monai_sagan.transforms import RandPseudoAnomaly

BATCH = 4
ITERATIONS = 6
LEARNING_RATE = 1e-3
WEIGHTS = {"adversarial_weight": 0.5, "identity_weight": 2.0, "restoration_weight": 3.0}


class Parts:
    """What a training consists of: two small networks with their optimizers, the same each time."""

    def __init__(
        self,
        pass_through: float = 0.0,
        dims: int = 2,
        base_channels: int = 4,
        patch_grid: int | tuple[int, ...] = 2,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        torch.manual_seed(0)
        self.generator = SAGANGenerator(
            dims, base_channels=base_channels, num_res_blocks=1, patch_grid=patch_grid, pass_through=pass_through
        ).to(dtype)
        self.critic = SAGANCritic(dims, base_channels=4, num_layers=4).to(dtype)
        self.generator_optimizer, self.critic_optimizer = (
            torch.optim.Adam(network.parameters(), LEARNING_RATE, betas=(0.5, 0.999))
            for network in (self.generator, self.critic)
        )

    def trainer(
        self, data: Iterable[dict[str, torch.Tensor]], batch_size: int = BATCH, **settings: Any
    ) -> SAGANTrainer:
        return SAGANTrainer(
            device=torch.device("cpu"),
            max_epochs=1,
            # A loader without a generator of its own takes a number from the global one.
            train_data_loader=DataLoader(list(data), batch_size, drop_last=True, generator=torch.Generator()),
            generator=self.generator,
            generator_optimizer=self.generator_optimizer,
            critic=self.critic,
            critic_optimizer=self.critic_optimizer,
            generator_loss=GeneratorLoss(**WEIGHTS),
            critic_loss=CriticLoss(),
            pseudo_anomaly=RandPseudoAnomaly().set_random_state(7),
            **settings,
        )


def a_data_set(count: int = BATCH * ITERATIONS, dtype: torch.dtype = torch.float64) -> list[dict[str, torch.Tensor]]:
    random = torch.Generator().manual_seed(1)
    images = torch.rand(2, count, 1, 32, 32, generator=random, dtype=torch.float64) * 2 - 1
    return [{"image": healthy, "unlabeled": unlabeled} for healthy, unlabeled in images.to(dtype).transpose(0, 1)]


def run(trainer: SAGANTrainer, seed: int = 3) -> list[dict[str, float]]:
    """The losses of each iteration; the random numbers begin with `seed`."""
    losses: list[dict[str, float]] = []
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED,
        lambda engine: losses.append({name: float(loss) for name, loss in engine.state.output.items()}),
    )
    torch.manual_seed(seed)
    trainer.run()
    return losses


def batches(data: list[dict[str, torch.Tensor]]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for start in range(0, len(data), BATCH):
        chunk = data[start : start + BATCH]
        yield torch.stack([item["image"] for item in chunk]), torch.stack([item["unlabeled"] for item in chunk])


def pseudo_anomalies(healthy: torch.Tensor, random: np.random.RandomState) -> torch.Tensor:
    """In each image a square of half width 5% to 20%, centred in the middle 60%, blended with the next image's."""
    side = healthy.shape[-1]
    low, high = int(0.2 * side), int(0.2 * side + 0.6 * side)
    blended = healthy.clone()
    for index in range(len(healthy)):
        row, column = random.randint((low, low), (high, high))
        half_width = random.randint(round(0.05 * side), round(0.2 * side))
        alpha = random.random_sample()
        square = (..., slice(row - half_width, row + half_width), slice(column - half_width, column + half_width))
        other = healthy[index - 1]
        blended[index][square] = (1 - alpha) * healthy[index][square] + alpha * other[square]
    return blended


def published_procedure(
    parts: Parts, data: list[dict[str, torch.Tensor]], critic_steps: int, seed: int = 3, again: bool = True
) -> list[dict[str, float]]:
    """WGAN-GP as the authors train it: a pass of its own for every kind of image.

    The generator's step restores the unlabelled images `again`, or takes those of the critic's step: the same but for
    the pixels that are passed through at random.
    """
    generator, critic = parts.generator.train(), parts.critic.train()
    random = np.random.RandomState(7)
    history: list[dict[str, float]] = []
    torch.manual_seed(seed)
    for iteration, (healthy, unlabeled) in enumerate(batches(data), start=1):
        with_generator = iteration % critic_steps == 0
        restored = generator(unlabeled)
        if with_generator:
            restored_healthy, restored_pseudo = generator(healthy), generator(pseudo_anomalies(healthy, random))
        fake = restored.detach()
        real_loss = -critic(healthy).mean()
        fake_loss = critic(fake).mean()
        mix = torch.rand(len(healthy), 1, 1, 1)
        mixed = (mix * healthy + (1 - mix) * fake).requires_grad_(True)
        scores = critic(mixed)
        (slope,) = torch.autograd.grad(scores, mixed, torch.ones_like(scores), create_graph=True, retain_graph=True)
        penalty = ((slope.reshape(len(slope), -1).pow(2).sum(dim=1).sqrt() - 1) ** 2).mean()
        critic_loss = real_loss + fake_loss + 10 * penalty
        parts.generator_optimizer.zero_grad()
        parts.critic_optimizer.zero_grad()
        critic_loss.backward()
        parts.critic_optimizer.step()
        losses = {
            "critic": critic_loss.item(),
            "gradient_penalty": penalty.item(),
            "wasserstein": -(real_loss + fake_loss).item(),
        }
        if with_generator:
            adversarial = -critic(generator(unlabeled) if again else restored).mean()
            identity = F.l1_loss(restored_healthy, healthy)
            restoration = F.mse_loss(restored_pseudo, healthy)
            loss = 0.5 * adversarial + 2.0 * identity + 3.0 * restoration
            parts.generator_optimizer.zero_grad()
            parts.critic_optimizer.zero_grad()
            loss.backward()
            parts.generator_optimizer.step()
            losses |= {
                "generator": loss.item(),
                "adversarial": adversarial.item(),
                "identity": identity.item(),
                "restoration": restoration.item(),
            }
        history.append(losses)
    return history


@pytest.mark.parametrize("pass_through", [0.0, 0.2])
@pytest.mark.parametrize("critic_steps", [1, 2])
def test_training_is_the_published_procedure(critic_steps: int, pass_through: float) -> None:
    data = a_data_set()
    expected_parts = Parts(pass_through)
    expected = published_procedure(expected_parts, data, critic_steps, again=pass_through == 0)

    parts = Parts(pass_through)
    losses = run(parts.trainer(data, critic_steps_per_generator_step=critic_steps))

    # In 64 bits the two differ by the order of sums alone, about 1e-16 a sum; Adam divides by gradients as small as
    # 1e-8 and six steps add up. A wrong step moves weights by the learning rate, 1e-3.
    assert [set(item) for item in losses] == [set(item) for item in expected]
    for item, other in zip(losses, expected):
        assert item == pytest.approx(other, rel=1e-8, abs=1e-10)
    for network, other in ((parts.generator, expected_parts.generator), (parts.critic, expected_parts.critic)):
        for (name, weight), expected_weight in zip(network.state_dict().items(), other.state_dict().values()):
            assert torch.allclose(weight, expected_weight, rtol=0, atol=1e-8), name


def test_training_in_32_bits_is_near_that_in_64() -> None:
    exact = run(Parts().trainer(a_data_set()))
    losses = run(Parts(dtype=torch.float32).trainer(a_data_set(dtype=torch.float32)))
    # The first iteration sees the same weights but for rounding, 6e-8 relative, and sums some thousand terms.
    assert losses[0] == pytest.approx(exact[0], rel=1e-4, abs=1e-6)


def test_wrong_settings_would_show() -> None:
    """The comparison above is no formality: another number of critic steps gives other weights."""
    data = a_data_set()
    one, two = Parts(), Parts()
    run(one.trainer(data, critic_steps_per_generator_step=1))
    run(two.trainer(data, critic_steps_per_generator_step=2))
    assert not torch.allclose(one.generator.head.conv.weight, two.generator.head.conv.weight, rtol=0, atol=1e-5)


@pytest.mark.parametrize("critic_steps", [1, 2, 3])
def test_steps_of_the_critic_for_each_of_the_generator(critic_steps: int) -> None:
    parts = Parts()
    steps: list[str] = []
    parts.critic_optimizer.register_step_post_hook(lambda *_: steps.append("critic"))
    parts.generator_optimizer.register_step_post_hook(lambda *_: steps.append("generator"))
    run(parts.trainer(a_data_set(), critic_steps_per_generator_step=critic_steps))
    assert steps == (["critic"] * critic_steps + ["generator"]) * (ITERATIONS // critic_steps)


def test_the_critics_step_leaves_the_generator_alone() -> None:
    parts = Parts()
    before = [parameter.clone() for parameter in parts.generator.parameters()]
    run(parts.trainer(a_data_set(BATCH), critic_steps_per_generator_step=2))
    assert all(parameter.grad is None for parameter in parts.generator.parameters())
    assert all(torch.equal(parameter, other) for parameter, other in zip(parts.generator.parameters(), before))


def test_the_generators_step_leaves_the_critic_alone() -> None:
    parts = Parts()
    after_its_own_step: list[tuple[torch.Tensor, torch.Tensor | None]] = []

    def remember(*_: Any) -> None:
        after_its_own_step.extend((p.detach().clone(), p.grad.clone()) for p in parts.critic.parameters())

    parts.critic_optimizer.register_step_post_hook(remember)
    losses = run(parts.trainer(a_data_set(BATCH), critic_steps_per_generator_step=1))
    assert "generator" in losses[0]
    for parameter, (weight, gradient) in zip(parts.critic.parameters(), after_its_own_step, strict=True):
        assert torch.equal(parameter, weight)
        assert torch.equal(parameter.grad, gradient)
        assert parameter.requires_grad


def test_reduced_precision_is_near() -> None:
    full, reduced = (
        run(Parts(dtype=torch.float32).trainer(a_data_set(dtype=torch.float32), amp=amp)) for amp in (False, True)
    )
    assert all(np.isfinite(list(losses.values())).all() for losses in reduced)
    for name in ("identity", "restoration"):
        # The generator's first step is on the same weights. bfloat16 has 8 bits: an image is off by some 2**-9 a layer,
        # which adds up like a random walk to about 1% over the network's 20.
        assert reduced[1][name] == pytest.approx(full[1][name], rel=0.03), name
    assert reduced != full  # it did compute in bfloat16


def test_fewer_images_than_a_batch_are_refused() -> None:
    with pytest.raises(UserError, match=f"batch_size: {BATCH - 1} training images do not fill a batch of {BATCH};"):
        Parts().trainer(a_data_set(BATCH - 1))


def test_a_batch_of_one_has_no_other_image_for_pseudo_anomalies(monkeypatch: pytest.MonkeyPatch) -> None:
    loader = DataLoader(a_data_set(4), 1)
    with pytest.raises(SettingError, match=r"^batch_size 1: each process needs 2 images in a batch; give at least 2.$"):
        require_batches(loader, least=2)
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(SettingError, match=r"^batch_size 4: each process needs 2 images in a batch; give at least 8.$"):
        require_batches(loader, least=2)


def test_no_critic_step_for_a_generator_step_is_refused() -> None:
    with pytest.raises(UserError, match="critic_steps_per_generator_step must be at least 1"):
        Parts().trainer(a_data_set(BATCH), critic_steps_per_generator_step=0)


def test_volumes() -> None:
    """The same classes in three dimensions: training makes pseudo anomalies go, and the inferer maps a volume."""
    size = (32, 32, 16)
    volumes = [phantom_volume(np.random.default_rng(seed), size=size, lesion=seed % 2 == 1)[0] for seed in range(4)]
    tensors = [torch.from_numpy(volume).float()[None] / 127.5 - 1 for volume in volumes]
    data = [{"image": tensors[0], "unlabeled": tensors[1]}, {"image": tensors[2], "unlabeled": tensors[3]}] * 18
    parts = Parts(dims=3, base_channels=2, patch_grid=(1, 2, 2), dtype=torch.float32)
    losses = run(parts.trainer(data, batch_size=2, critic_steps_per_generator_step=1))

    assert all(np.isfinite(list(item.values())).all() for item in losses)
    restoration = [item["restoration"] for item in losses]
    assert np.mean(restoration[-4:]) < 0.8 * np.mean(restoration[:4])

    inferer = RestorationInferer(size[::-1])
    volume = tensors[1].permute(0, 3, 2, 1)[None, ..., :30, :]  # x first, of another size than the network's
    result = inferer(volume, parts.generator.eval())
    assert result["pred"].shape == result["anomaly_map"].shape == volume.shape
    assert result["anomaly_map"].isfinite().all()
    assert 0 < result["anomaly_map"].mean() < 0.5
