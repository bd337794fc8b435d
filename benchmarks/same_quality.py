"""Whether the bundle's training is as good as the published procedure, step for step.

    python benchmarks/same_quality.py [--device cuda:0] [--settings amp=true ...]

trains a narrow network both ways on phantoms, for the same number of steps with the same images, weights to begin with,
learning rates and sizes of batch, once for each seed. Both are then judged by the published score of the same test
images, in evaluation mode. The networks that the seeds give differ by chance; the two procedures should not differ by
more. Nothing is chosen by the test images. Writes benchmarks/results/same_quality_DEVICE.json.
"""

from __future__ import annotations

import math
import statistics
import tempfile
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bundle_parts import BUNDLE, phantom_images, training_pairs, write_images
from published import PublishedTraining, as_pictures, batches_to_train, published_flags
from result_files import parse_arguments, write_result
from sklearn.metrics import roc_auc_score
from training import parse_settings

from monai_sagan.bundles import run_bundle
from monai_sagan.data import HealthyUnlabeledDataset
from monai_sagan.derived_bundle import derive_bundle
from monai_sagan.files import read_tensors
from monai_sagan.networks import SAGANCritic, SAGANGenerator

__all__ = ["compare", "summarize"]

SIDE, BATCH = 32, 16
# More than as published, for a training that is this short.
LEARNING_RATE = 2e-4


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what the arguments say."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=48)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=128, help="healthy ones to train with, and unlabelled ones")
    parser.add_argument("--test", type=int, default=200, help="test images of each class")
    parser.add_argument("--settings", nargs="*", default=[], metavar="KEY=VALUE")
    arguments = parse_arguments(parser, argv)
    runs = compare(
        torch.device(arguments.device),
        parse_settings(arguments.settings),
        width=arguments.width,
        epochs=arguments.epochs,
        seeds=arguments.seeds,
        images=arguments.images,
        num_test=arguments.test,
    )
    write_result("same_quality", arguments, {"runs": runs, **summarize(runs)})


def compare(
    device: torch.device,
    settings: dict[str, Any],
    *,
    width: int,
    epochs: int,
    seeds: int,
    images: int,
    num_test: int,
    num_res_blocks: int = 2,
) -> list[dict[str, Any]]:
    """Trains both ways.

    Args:
        device: where to train.
        settings: of the bundle, besides those that both have.
        width: channels of the generator's first layer; the critic's has twice as many.
        epochs: passes over the images.
        seeds: 0 to this number, of images, weights and everything random.
        images: to train with, of each kind.
        num_test: test images of each class.
        num_res_blocks: of the generator.

    Returns:
        For each seed the AUC of both: ``seed``, ``published``, ``bundle``.
    """
    runs, steps = [], epochs * (images // BATCH)
    tests = {lesion: phantom_images(num_test, SIDE, lesion, seed=1000) for lesion in (False, True)}
    test = torch.from_numpy(np.stack(tests[False] + tests[True]))[:, None].float().div(127.5).sub(1)
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            data = write_images(Path(folder) / "data", images, SIDE, seed=seed)
            pairs = training_pairs(data, [SIDE, SIDE])
            torch.manual_seed(seed)
            generator = SAGANGenerator(base_channels=width, num_res_blocks=num_res_blocks)
            critic = narrow_critic(width)
            begin = generator.state_dict(), critic.state_dict()
            sizes = {"width": width, "num_res_blocks": num_res_blocks, "steps": steps, "seed": seed}
            weights = {
                "published": train_as_published(device, pairs, *begin, **sizes),
                "bundle": train_bundle(Path(folder), data, device, *begin, settings, **sizes),
            }
        run = {"seed": seed} | {name: area(generator.to(device), state, test) for name, state in weights.items()}
        print(f"seed {seed}: published {run['published']:.4f}, bundle {run['bundle']:.4f}", flush=True)
        runs.append(run)
    return runs


def narrow_critic(width: int) -> SAGANCritic:
    return SAGANCritic(base_channels=2 * width, num_layers=int(math.log2(SIDE)))


def train_as_published(
    device: torch.device,
    pairs: HealthyUnlabeledDataset,
    generator_weights: dict[str, torch.Tensor],
    critic_weights: dict[str, torch.Tensor],
    *,
    width: int,
    num_res_blocks: int,
    steps: int,
    seed: int,
) -> dict[str, torch.Tensor]:
    """The plain loop; the learning rate falls to zero over the second half."""
    generator, critic = SAGANGenerator(base_channels=width, num_res_blocks=num_res_blocks), narrow_critic(width)
    generator.load_state_dict(generator_weights)
    critic.load_state_dict(critic_weights)
    torch.manual_seed(seed)
    loader = batches_to_train(as_pictures(pairs.healthy), as_pictures(pairs.unlabeled), BATCH, num_workers=0)
    training = PublishedTraining(generator.to(device), critic.to(device), loader, device, LEARNING_RATE)
    with published_flags():
        for step in range(steps):
            training.set_learning_rate(LEARNING_RATE * min(1.0, 2 - 2 * step / steps))
            training.run(1)
    return generator.state_dict()


def train_bundle(
    folder: Path,
    data: Path,
    device: torch.device,
    generator_weights: dict[str, torch.Tensor],
    critic_weights: dict[str, torch.Tensor],
    settings: dict[str, Any],
    *,
    width: int,
    num_res_blocks: int,
    steps: int,
    seed: int,
) -> dict[str, torch.Tensor]:
    """The bundle's adversarial training, by its config."""
    root = folder / "bundle"
    derive_bundle(
        BUNDLE, root, {"base_channels": width, "num_res_blocks": num_res_blocks, "image_size": [SIDE, SIDE]}, {}
    )
    generator, critic = SAGANGenerator(base_channels=width, num_res_blocks=num_res_blocks), narrow_critic(width)
    generator.load_state_dict(generator_weights)
    critic.load_state_dict(critic_weights)
    overrides = {
        "network_def": generator,
        "critic_def": critic,
        "dataset_dir": str(data),
        "critic_steps": steps,
        "learning_rate": LEARNING_RATE,
        "batch_size": BATCH,
        "calibration_share": 0.0,
        "selection_share": 0.0,
        "checkpoint_interval": 10**6,
        "seed": seed,
        "device": device,
        "progress": "none",
        "run": ["$@train#trainer.run()"],
    }
    run_bundle(root, "train", **(overrides | settings))
    return read_tensors(root / "models" / "model.pt")


@torch.no_grad()
def area(generator: SAGANGenerator, weights: dict[str, torch.Tensor], images: torch.Tensor) -> float:
    """The AUC by the published score; the first half of the images is healthy."""
    generator.load_state_dict(weights)
    generator.eval()
    there = images.to(next(generator.parameters()).device)
    scores = torch.cat([(part - generator(part)).abs().flatten(1).mean(1) / 2 for part in there.split(50)])
    labels = np.arange(len(images)) >= len(images) // 2
    return float(roc_auc_score(labels, scores.cpu().numpy()))


def summarize(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation of both over the seeds, and of the bundle's AUC less the published one's."""
    series = {name: [run[name] for run in runs] for name in ("published", "bundle")}
    series["difference"] = [ours - theirs for ours, theirs in zip(series["bundle"], series["published"])]
    return {
        name: {"mean": statistics.mean(values), "deviation": statistics.stdev(values) if len(values) > 1 else 0.0}
        for name, values in series.items()
    }


if __name__ == "__main__":
    main()
