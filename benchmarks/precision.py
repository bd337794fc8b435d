"""How far scores in bfloat16 are from those in 32 bits, and what that does to the AUC.

    python benchmarks/precision.py --device cuda:0 [--width 64] [--trained-steps 1000]

scores phantoms that no bundle has seen by the network of the shipped bundle, and by one of the width given that is
trained here, both in both precisions, whichever the bundle's inferer would choose. Writes
benchmarks/results/precision_DEVICE.json.
"""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bundle_parts import BUNDLE, Restorer, phantom_images, write_images
from inference import make_bundle
from result_files import parse_arguments, write_result
from sklearn.metrics import roc_auc_score
from torch import nn

from monai_sagan.bundles import run_bundle

__all__ = ["compare_precisions"]


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what the arguments say."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=64, help="channels of the first layer of the network trained here")
    parser.add_argument("--trained-steps", type=int, default=1000, help="of the critic; 0 to train none")
    parser.add_argument("--test", type=int, default=200, help="test images of each class")
    arguments = parse_arguments(parser, argv)
    rows = compare_precisions(
        torch.device(arguments.device), arguments.width, arguments.trained_steps, num_test=arguments.test
    )
    for row in rows:
        print(
            f"{row['bundle']}: scores differ by {row['difference']:.2%} at most, {row['mean']:.2%} on average",
            flush=True,
        )
    write_result("precision", arguments, {"rows": rows})


def compare_precisions(
    device: torch.device, width: int, trained_steps: int, *, num_res_blocks: int = 6, num_test: int = 200
) -> list[dict[str, Any]]:
    """Scores in bfloat16 against those in 32 bits, on phantoms that no bundle has seen.

    Args:
        device: where to compute.
        width: of the second bundle, which is trained here.
        trained_steps: of its critic; 0 to leave it out.
        num_res_blocks: of the second bundle.
        num_test: images of each class.

    Returns:
        For each bundle the largest ``difference`` of a score relative to the one in 32 bits, their ``mean``, and both
        AUCs.
    """
    kinds = [phantom_images(num_test, 64, lesion, seed=1) for lesion in (False, True)]
    images = torch.from_numpy(np.stack(kinds[0] + kinds[1]))[:, None].float().div(127.5).sub(1)
    labels = [0] * num_test + [1] * num_test
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        bundles = {"as it ships": BUNDLE}
        if trained_steps:
            name = f"width {width}, {trained_steps} steps"
            bundles[name] = train_bundle(Path(folder), width, num_res_blocks, trained_steps, device)
        for name, root in bundles.items():
            network = Restorer(root, device, [64, 64]).network
            exact, rounded = (scores(network, images.to(device), reduced) for reduced in (False, True))
            differences = np.abs(rounded - exact) / exact
            rows.append(
                {
                    "bundle": name,
                    "difference": float(differences.max()),
                    "mean": float(differences.mean()),
                    "auc_32_bits": float(roc_auc_score(labels, exact)),
                    "auc_bfloat16": float(roc_auc_score(labels, rounded)),
                }
            )
    return rows


@torch.inference_mode()
def scores(network: nn.Module, images: torch.Tensor, reduced: bool) -> np.ndarray:
    """The published scores, in bfloat16 or in 32 bits, none of which are rounded to TF32."""
    found = []
    with (
        torch.backends.cudnn.flags(enabled=True, allow_tf32=False),
        torch.autocast(images.device.type, torch.bfloat16, enabled=reduced),
    ):
        for part in images.split(64):
            found.append((part - network(part).float()).abs().flatten(1).mean(1) / 2)
    return torch.cat(found).double().cpu().numpy()


def train_bundle(folder: Path, width: int, num_res_blocks: int, steps: int, device: torch.device) -> Path:
    """A bundle with a network that is trained on phantoms for a while."""
    root = make_bundle(folder / "bundle", width, num_res_blocks)
    data = write_images(folder / "data", 128, 64)
    run_bundle(
        root,
        "train",
        dataset_dir=str(data),
        critic_steps=steps,
        checkpoint_interval=10**6,
        batch_size=32,
        learning_rate=2e-4,  # more than as published, for a training that is this short
        selection_share=0.0,
        device=device,
        progress="none",
        run=["$@train#trainer.run()"],
    )
    return root


if __name__ == "__main__":
    main()
