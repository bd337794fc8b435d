"""The published procedure of SAGAN, written out plainly: what this project's speed and quality are compared with.

Kept of the authors' code (https://github.com/zzr728/SAGAN), since it decides how fast it is:

- Training: eager, in 32 bits as torch has them by default (on recent GPUs its convolutions then round to TF32), with
  ``cudnn.benchmark``. The critic's step restores the unlabelled images with the generator's graph, which is only cut
  off where the critic begins, and passes healthy, restored and mixed images through the critic one after the other. The
  generator's step restores healthy, unlabelled and pseudo-anomalous images in three passes, and computes gradients of
  the critic that nobody uses. Both optimizers' gradients are reset in each step; Adam is torch's default. Losses are
  read with ``.item()`` in each step.
- Images are prepared on the host, one by one, in a loader with one worker and pinned memory: from 8-bit images in
  memory to numbers in [-1, 1], and a pseudo anomaly for each healthy image. They are copied to the device in each step.
- Normalisation with affine parameters keeps running statistics, which nobody uses (see published_generator.py).
- Test: one image at a time, in training mode, without gradients; the difference is copied to the host and averaged
  there.

Left out, in its favour: the mask of each pseudo anomaly, which nobody uses, and the evaluation, images and checkpoints
of every 1000th step. The critic is this project's; both networks' results are tested against the published code's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

from monai_sagan.networks import SAGANCritic

__all__ = [
    "PublishedTraining",
    "as_pictures",
    "batches_to_train",
    "images_to_test",
    "published_flags",
    "published_scores",
]


def published_flags() -> AbstractContextManager:
    """cuDNN as the authors set it; their other settings are torch's defaults."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=True)


def as_pictures(images: torch.Tensor) -> list[Image.Image]:
    """Prepared images (N, 1, rows, columns) in [-1, 1] as 8-bit pictures."""
    levels = images.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return [Image.fromarray(image[0].numpy()) for image in levels]


def _to_tensor(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture))[None].float().div(255).sub(0.5).div(0.5)


class _TrainingImages(Dataset):
    """Unlabelled image, healthy image, and that one with a pseudo anomaly."""

    def __init__(self, healthy: Sequence[Image.Image], unlabeled: Sequence[Image.Image]) -> None:
        self.healthy = healthy
        self.unlabeled = unlabeled

    def __len__(self) -> int:
        return len(self.healthy)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        healthy = _to_tensor(self.healthy[index])
        return _to_tensor(self.unlabeled[index]), healthy, self._pseudo_anomaly(healthy, index)

    def _pseudo_anomaly(self, healthy: torch.Tensor, index: int) -> torch.Tensor:
        """A square of half width 5% to 20%, centred in the middle 60%, blended with that of another healthy image."""
        rows, columns = healthy.shape[1:]
        row, column = (int(torch.randint(int(0.2 * side), int(0.8 * side), ())) for side in (rows, columns))
        half_width = int(torch.randint(round(0.05 * columns), round(0.2 * columns), ()))
        weights = torch.zeros(rows, columns)
        weights[max(0, row - half_width) : row + half_width, max(0, column - half_width) : column + half_width] = (
            torch.rand(())
        )
        other = (index + int(torch.randint(1, len(self), ()))) % len(self)
        return (1 - weights) * healthy + weights * _to_tensor(self.healthy[other])


class _TestImages(Dataset):
    def __init__(self, pictures: Sequence[Image.Image]) -> None:
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> torch.Tensor:
        return _to_tensor(self.pictures[index])


def batches_to_train(
    healthy: Sequence[Image.Image], unlabeled: Sequence[Image.Image], batch_size: int, num_workers: int = 1
) -> DataLoader:
    """Batches of unlabelled images, healthy images, and these with pseudo anomalies."""
    images, pin = _TrainingImages(healthy, unlabeled), torch.cuda.is_available()
    return DataLoader(images, batch_size, shuffle=True, drop_last=True, num_workers=num_workers, pin_memory=pin)


def images_to_test(pictures: Sequence[Image.Image], num_workers: int = 1) -> DataLoader:
    """Images one by one."""
    return DataLoader(_TestImages(pictures), 1, num_workers=num_workers, pin_memory=torch.cuda.is_available())


class PublishedTraining:
    """The training, step by step.

    Args:
        generator: restores images; it is trained.
        critic: scores them; it is trained.
        loader: see :func:`batches_to_train`.
        device: where to train; the networks are there already.
        learning_rate: of both.
        critic_steps_per_generator_step: steps of the critic for each step of the generator.
    """

    def __init__(
        self,
        generator: nn.Module,
        critic: SAGANCritic,
        loader: DataLoader,
        device: torch.device,
        learning_rate: float = 5e-5,
        critic_steps_per_generator_step: int = 2,
    ) -> None:
        self.generator = generator.train()
        self.critic = critic.train()
        for layer in critic.layers:
            layer.adn.A = nn.LeakyReLU(0.01)  # with all of its second derivative, as the authors' critic has it
        self.loader = loader
        self.device = device
        self.critic_steps = critic_steps_per_generator_step
        self.optimizers = [
            torch.optim.Adam(network.parameters(), learning_rate, betas=(0.5, 0.999)) for network in (generator, critic)
        ]
        self.batches = self._batches()
        self.iteration = 0

    def run(self, steps: int) -> None:
        """Trains for so many steps of the critic."""
        for _ in range(steps):
            self.step(*next(self.batches))

    def set_learning_rate(self, rate: float) -> None:
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate

    def step(self, unlabeled: torch.Tensor, healthy: torch.Tensor, pseudo: torch.Tensor) -> dict[str, float]:
        """One step of the critic, and of the generator where it is its turn; returns the losses."""
        generator, critic = self.generator, self.critic
        unlabeled, healthy, pseudo = (images.to(self.device) for images in (unlabeled, healthy, pseudo))
        self.iteration += 1

        real = -torch.mean(critic(healthy))
        restored = generator(unlabeled)
        fake = torch.mean(critic(restored.detach()))
        mix = torch.rand(len(healthy), 1, 1, 1).to(self.device)
        mixed = (mix * healthy.data + (1 - mix) * restored.data).requires_grad_(True)
        penalty = self._gradient_penalty(critic(mixed), mixed)
        self._descend(real + fake + 10 * penalty, self.optimizers[1])
        losses = {"real": real.item(), "fake": fake.item(), "gradient_penalty": penalty.item()}

        if self.iteration % self.critic_steps == 0:
            identity = torch.mean(torch.abs(healthy - generator(healthy)))
            restored_unlabeled = generator(unlabeled)
            restoration = torch.mean((healthy - generator(pseudo)) ** 2)
            adversarial = -torch.mean(critic(restored_unlabeled))
            self._descend(adversarial + identity + restoration, self.optimizers[0])
            losses |= {
                "adversarial": adversarial.item(),
                "identity": identity.item(),
                "restoration": restoration.item(),
            }
        return losses

    def _gradient_penalty(self, scores: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
        weight = torch.ones(scores.size(), dtype=scores.dtype).to(self.device)
        (slope,) = torch.autograd.grad(scores, mixed, weight, retain_graph=True, create_graph=True)
        length = torch.sqrt(torch.sum(slope.view(len(slope), -1) ** 2, dim=1))
        return torch.mean((length - 1) ** 2)

    def _descend(self, loss: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
        for each in self.optimizers:
            each.zero_grad()
        loss.backward()
        optimizer.step()

    def _batches(self) -> Iterator[list[torch.Tensor]]:
        while True:
            yield from self.loader


def published_scores(generator: nn.Module, images: Iterable[torch.Tensor], device: torch.device) -> list[float]:
    """The scores of test images, one by one.

    Args:
        generator: restores images.
        images: as :func:`images_to_test` gives them.
        device: where the generator is.

    Returns:
        Means of half the absolute difference.
    """
    generator.train()
    scores = []
    with torch.no_grad():
        for one in images:
            image = one.to(device)
            difference = torch.abs(image - generator(image))
            difference /= 2.0
            scores += list(np.mean(difference.data.cpu().numpy(), axis=(1, 2, 3)))
    return [float(score) for score in scores]
