"""What torchrun runs in the tests: ``on_several.py WHAT ARGUMENTS``, with arguments in JSON."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_sagan import cli, workflows
from monai_sagan.bundles import find_bundle, run_bundle
from monai_sagan.derived_bundle import derive_bundle
from monai_sagan.handlers import TrainingCheckpoint
from monai_sagan.losses import CriticLoss
from monai_sagan.networks import SAGANCritic, SAGANGenerator
from monai_sagan.processes import first_alone, is_first, join, join_shares, leave, share_of
from monai_sagan.results import SaveResultd
from monai_sagan.transforms import RandPseudoAnomaly

NAME = "sagan_anomaly_detection"
IMAGES = 24  # a batch of all, so that an epoch is one step


class MixByImage(CriticLoss):
    """Mixes each image by a share that it brings itself, in whatever batch it is."""

    def forward(self, critic: Any, healthy: torch.Tensor, restored: torch.Tensor, mix: Any = None) -> Any:
        return super().forward(critic, healthy, restored, mix=share_of_image(healthy))


class AnomalyByImage(RandPseudoAnomaly):
    """Blends each image with its mirror image, in the middle and by a share that it brings itself."""

    def blend(self, images: torch.Tensor, sources: torch.Tensor, weights: Any = None) -> torch.Tensor:
        blended = torch.lerp(images, images.flip(-1), share_of_image(images))
        return torch.cat([images[..., :8, :], blended[..., 8:24, :], images[..., 24:, :]], dim=-2)


class GeneratorIn64(SAGANGenerator):
    """In 64 bits: a gradient is a sum over all pixels of all images, whose order would cost a few 32-bit digits."""

    def __init__(self) -> None:
        super().__init__(base_channels=2, num_res_blocks=1, patch_grid=2, pass_through=0.0)
        self.double()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return super().forward(image.double())


def share_of_image(images: torch.Tensor) -> torch.Tensor:
    """A share in [0, 1) for each image that looks like chance, in 64 bits, which the order of sums does not reach."""
    return (images.double().mean(dim=(1, 2, 3), keepdim=True) * 1e3).frac().abs().to(images.dtype)


def gradients(data: str, root: str, settings: Mapping[str, Any]) -> dict[str, dict[str, torch.Tensor]]:
    """Of critic and generator, after a step of each with one batch of all images; and the ``images``."""
    first_alone(lambda: derive_bundle(find_bundle(NAME), Path(root), {**settings, "batch_size": IMAGES}, {}))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generator, critic = GeneratorIn64(), SAGANCritic(base_channels=2, num_layers=4)
    descent = {"_target_": "torch.optim.SGD", "lr": 1e-3}  # Adam would make a step of every rounding error
    changes = {
        "network_def": generator,
        "critic_def": critic,
        "generator_optimizer": {**descent, "params": "$@network.parameters()"},
        "critic_optimizer": {**descent, "params": "$@critic.parameters()"},
        "train#trainer#critic_loss": MixByImage(),
        "pseudo_anomaly": AnomalyByImage(),
        "critic_steps": 1,
        "critic_steps_per_generator_step": 1,
    }
    workflow = run_bundle(Path(root), "train", dataset_dir=data, progress="none", **changes)
    images = workflow.parser.get_parsed_content("train#dataset")
    networks = {"generator": generator, "critic": critic}
    found = {
        name: {key: parameter.grad for key, parameter in network.named_parameters() if parameter.grad is not None}
        for name, network in networks.items()
    }
    return found | {"images": {"healthy": images.healthy, "unlabeled": images.unlabeled}}


def train_and_die(data: str, output: str, settings: Mapping[str, Any], epoch: int) -> None:
    """Trains, notes gradients, and trains again until the second process is killed at the end of an epoch.

    Before that it joins shares of a list that cannot be shared out evenly.
    """
    join(torch.device("cpu"))
    assert join_shares(share_of(range(5))) == list(range(5))
    leave()
    workflows.train(NAME, Path(data), Path(output, "whole"), overrides=settings, progress="none")
    found = gradients(data, str(Path(output, "one step")), settings)
    if is_first():
        torch.save(found, Path(output, "gradients.pt"))
    save = TrainingCheckpoint._save

    def die(self: TrainingCheckpoint, engine: Any) -> None:
        if engine.state.epoch == epoch and not is_first():
            kill_oneself(Path(output))
        save(self, engine)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TrainingCheckpoint, "_save", die)
        workflows.train(NAME, Path(data), Path(output, "killed"), overrides=settings, progress="none")


def resume_and_die(training: list[str], archive: list[str], output: str, cases: int) -> None:
    """Goes on with a training, and works on an archive until the second process is killed after some cases."""
    command(training)
    save, saved = SaveResultd.__call__, []

    def die(self: SaveResultd, data: Any) -> Any:
        saved.append(save(self, data))
        if len(saved) == cases and not is_first():
            kill_oneself(Path(output))
        return saved[-1]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(SaveResultd, "__call__", die)
        command(archive)


def kill_oneself(folder: Path) -> None:
    """Leaves in a folder when that was."""
    Path(folder, "killed.txt").write_text(str(time.time()), encoding="utf-8")
    os.kill(os.getpid(), signal.SIGKILL)


def commands(*all_arguments: list[str]) -> None:
    """Runs commands one after the other, and tells the exit code of each."""
    for arguments in all_arguments:
        code = command(arguments)
        if is_first():
            print(f"exit code {code}", flush=True)


def command(arguments: list[str]) -> Any:
    """Runs the command line; its exit code."""
    sys.argv = ["monai-sagan", *arguments]
    try:
        cli.main()
    except SystemExit as ended:
        return ended.code


if __name__ == "__main__":
    torch.set_num_threads(1)
    globals()[sys.argv[1]](*json.loads(sys.argv[2]))
