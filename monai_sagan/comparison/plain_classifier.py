"""The plain way to learn from unlabelled images: one network that tells them from the healthy ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from monai.networks.blocks import Convolution
from torch import nn
from torch.nn import functional as F

from monai_sagan.data import HealthyUnlabeledDataset
from monai_sagan.engines.contrast_training import move_about
from monai_sagan.files import save_tensors
from monai_sagan.progress import ProgressKind, make_reporter
from monai_sagan.transforms.contrast_ensemble import ContrastEnsemble

__all__ = ["PlainClassifierTraining", "SmallClassifier"]

_BATCH = 16  # of each kind
_LEARNING_RATE = 1e-3
_REPORTED = 10  # steps between two reports


class SmallClassifier(nn.Sequential):
    """Eight 3x3 convolutions with batch norm and ReLU, the mean over the places that are left, and a linear layer.

    Every other convolution halves the image. From (B, 1, rows, columns) to logits (B, 1).

    Args:
        base_channels: of the first two convolutions; they double with each halving.
    """

    def __init__(self, base_channels: int = 16) -> None:
        layers: list[nn.Module] = []
        channels = 1
        for number in range(8):
            width = base_channels * 2 ** (number // 2)
            strides = 1 + number % 2
            layers.append(Convolution(2, channels, width, strides=strides, norm="batch", act="relu", bias=False))
            channels = width
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1))


class PlainClassifierTraining:
    """Trains one network on all images, and writes it where a bundle has what it scores by contrast with.

    It is what others are compared with: no ensemble, no average of weights, nothing held out. Adam with a learning rate
    that falls along half a cosine; images are turned, stretched, shifted and mirrored a little.

    Args:
        dataset: the training images.
        path: the file to write.
        network: makes the network, (B, 1, rows, columns) in [-1, 1] to logits (B, 1).
        steps: how many, with 16 healthy and 16 unlabelled images each.
        epochs: most passes over the images, however many the steps.
        seed: of the network and its training.
        device: where to train.
        progress: how to report progress.
    """

    def __init__(
        self,
        dataset: HealthyUnlabeledDataset,
        path: str | Path,
        network: Callable[[], nn.Module],
        steps: int,
        epochs: int = 60,
        seed: int = 0,
        device: torch.device | str = "cpu",
        progress: ProgressKind = "none",
    ) -> None:
        self.kinds = [torch.cat([dataset.healthy, dataset.selection]), dataset.unlabeled]
        self.path = Path(path)
        self.network = network
        largest = max(len(images) for images in self.kinds)
        self.steps = max(1, min(int(steps), epochs * largest // _BATCH))
        self.seed = seed
        self.device = torch.device(device)
        self.progress = progress

    def run(self) -> None:
        """Trains.

        Raises:
            OSError: if the file cannot be written.
        """
        reporter = make_reporter(self.progress)
        reporter.start(self.steps, "Contrast")
        random = torch.Generator().manual_seed(self.seed)
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            network = self.network().to(self.device).train()
            optimizer = torch.optim.Adam(network.parameters(), _LEARNING_RATE)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
            truth = torch.tensor([0.0, 1.0], device=self.device).repeat_interleave(_BATCH)
            for step in range(1, self.steps + 1):
                chosen = [images[torch.randint(len(images), (_BATCH,), generator=random)] for images in self.kinds]
                batch = move_about(torch.cat(chosen).to(self.device), random)
                loss = F.binary_cross_entropy_with_logits(network(batch)[:, 0], truth)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
                if step % _REPORTED == 0:
                    reporter.progress(step, loss=loss.item())
        ensemble = ContrastEnsemble([network.cpu()], None)
        save_tensors({"networks": 1, "trees": 0, "state": ensemble.state_dict()}, self.path)
        reporter.stop()
