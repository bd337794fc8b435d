"""What bfloat16 on a processor changes in maps and scores of the shipped bundle, and in how well they detect.

    python benchmarks/precision.py

400 drawings of heads (seed 12345, not those that the bundle was trained on), half with a lesion; writes
benchmarks/results/precision_cpu.json and prints it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from machine import describe_machine
from sklearn.metrics import roc_auc_score

from monai_sagan.bundles import WEIGHTS, find_bundle
from monai_sagan.data import phantom_image
from monai_sagan.networks import SAGANGenerator
from monai_sagan.transforms import resize

RESULT = Path(__file__).resolve().parent / "results" / "precision_cpu.json"
COUNT, SEED = 400, 12345


def main() -> None:
    """Measures, writes and prints."""
    generator = SAGANGenerator(base_channels=8, num_res_blocks=2).eval()
    generator.load_state_dict(torch.load(find_bundle("sagan_anomaly_detection") / WEIGHTS, weights_only=True))
    rng = np.random.default_rng(SEED)
    labels = [number % 2 for number in range(COUNT)]
    drawn = np.stack([phantom_image(rng, lesion=bool(label))[0] for label in labels])
    images = resize(torch.from_numpy(drawn)[:, None] / 127.5 - 1, [64, 64])
    exact, rounded = (make_maps(generator, images, half) for half in (False, True))
    scores, scores_rounded = (maps.flatten(1).mean(dim=1).numpy() for maps in (exact, rounded))
    change = np.abs(scores_rounded / scores - 1)
    result = {
        "machine": describe_machine("cpu"),
        "score_change_mean": float(change.mean()),
        "score_change_largest": float(change.max()),
        "map_change_mean": float((rounded - exact).abs().mean()),
        "map_change_largest": float((rounded - exact).abs().max()),
        "map_mean": float(exact.mean()),
        "auc": float(roc_auc_score(labels, scores)),
        "auc_bfloat16": float(roc_auc_score(labels, scores_rounded)),
    }
    text = json.dumps(result, indent=1)
    RESULT.write_text(text + "\n", encoding="utf-8")
    print(text)


def make_maps(generator: torch.nn.Module, images: torch.Tensor, half: bool) -> torch.Tensor:
    """Half of what restoring changes."""
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        restored = torch.cat([generator(batch).float() for batch in images.split(16)])
    return (restored - images).abs() / 2


if __name__ == "__main__":
    main()
