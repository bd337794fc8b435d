"""Images a second of inference: the published procedure, and the bundle's.

    python benchmarks/inference.py [--device cuda:0] [--width 64] [--batches 16 256]

times, in turn in one process: the published test, one image at a time; the bundle's inferer on images in memory, with
the score, batch by batch; the network alone, on images that lie on the device; and the whole of ``monai-sagan predict``
on a folder of PNG files, from reading to the written maps and scores. On a GPU it also says how far scores in bfloat16
are from those in 32 bits, and what that does to the AUC, for the shipped bundle and for one of the width given that is
trained here for ``--trained-steps`` steps. Writes benchmarks/results/inference_DEVICE.json.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bundle_parts import BUNDLE, parse_config, phantom_images, write_images
from ceilings import count_operations
from memory import PeakMemory
from PIL import Image
from published import as_pictures, published_flags, published_generator, published_scores, test_loader
from result_files import RESULTS, write_result
from sklearn.metrics import roc_auc_score
from timing import in_turn, ratios, spread

from monai_sagan.bundles import derive_bundle, find_bundle, run_bundle
from monai_sagan.files import read_tensors
from monai_sagan.networks import SAGANGenerator
from monai_sagan.workflows import predict

__all__ = ["compare_precisions", "make_bundle", "measure"]

PUBLISHED, PREDICT = "published test", "monai-sagan predict"
_WARM_UP = 2


def main() -> None:
    """Runs what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--width", type=int, default=64, help="channels of the generator's first layer")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--count", type=int, default=64, help="images that are restored in a turn")
    parser.add_argument("--alone", type=int, default=16, help="images that are restored one at a time in a turn")
    parser.add_argument("--files", type=int, default=32, help="images that are predicted in a turn")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--trained-steps", type=int, default=1000)
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    figures = measure(
        device,
        width=arguments.width,
        batches=arguments.batches,
        count=arguments.count,
        alone=arguments.alone,
        files=arguments.files,
        turns=arguments.turns,
    )
    for row in figures["rows"]:
        print(f"{row['what']}, batch {row['batch']}: {row['images_per_second']['median']:.1f} images/s", flush=True)
    if device.type == "cuda":
        figures["precision"] = compare_precisions(device, arguments.width, arguments.trained_steps)
    settings = {key: value for key, value in vars(arguments).items() if key not in ("output", "device")}
    write_result("inference", arguments.device, settings, figures, arguments.output)


def measure(
    device: torch.device,
    *,
    width: int = 64,
    num_res_blocks: int = 6,
    batches: list[int],
    count: int,
    alone: int,
    files: int,
    turns: int,
    side: int = 64,
) -> dict[str, Any]:
    """Times them in turn, with random weights, which cost the same as trained ones.

    Args:
        device: where.
        width: channels of the generator's first layer.
        num_res_blocks: of the generator.
        batches: how many images pass the network at once, each for the bundle's inferer and for the network alone.
        count: images in a turn of these.
        alone: images in a turn of the published test.
        files: images in a turn of ``monai-sagan predict``.
        turns: how often each is timed.
        side: pixels of an image.

    Returns:
        ``rows``: ``what``, ``batch``, ``images_per_second`` (median, least, most), ``ratio`` to the published test turn
        by turn, and ``memory``, GiB beyond what lay there before; and ``operations`` of the network for one image.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = make_bundle(Path(folder) / "bundle", width, num_res_blocks)
        some = np.stack(phantom_images(min(count, 64), side, lesion=True))
        images = torch.from_numpy(some)[:, None].float().div(127.5).sub(1)
        images = images.repeat(-(-count // len(images)), 1, 1, 1)[:count]
        pictures = as_pictures(images[:alone])
        write_pictures(Path(folder) / "images", as_pictures(images), files)

        published = published_generator(width, num_res_blocks).to(device)
        # One pass over more images than all turns take: a loader's start is no part of a test's time.
        tested = iter(test_loader(pictures * (turns + _WARM_UP + 2)))
        runs: dict[tuple[str, int | None], Callable[[], object]] = {}
        counts = {(PUBLISHED, None): alone, (PREDICT, None): files}

        def test_as_published() -> None:
            with published_flags():
                published_scores(published, islice(tested, alone), device)

        runs[PUBLISHED, None] = test_as_published
        for batch in batches:
            run = bundle_scores(root, device, images, batch)
            network = network_alone(root, device, images[: min(batch, count)])
            runs["bundle's inferer and score", batch] = run
            runs["network alone", batch] = network
            counts["bundle's inferer and score", batch] = count
            counts["network alone", batch] = min(batch, count)
        runs[PREDICT, None] = lambda: predict(
            root, [Path(folder) / "images"], Path(folder) / "maps", overwrite=True, device=str(device), progress="none"
        )
        seconds = in_turn(runs, turns, device, _WARM_UP)
        each = {key: [value / counts[key] for value in values] for key, values in seconds.items()}
        rows = []
        for (what, batch), values in each.items():
            with PeakMemory(device) as seen:
                runs[what, batch]()
            rows.append(
                {
                    "what": what,
                    "batch": batch,
                    "images_per_second": spread([1 / value for value in values]),
                    "ratio": spread(ratios(each[PUBLISHED, None], values)),
                    "memory": {"process": seen.process, "gpu": seen.gpu},
                }
            )
    return {"rows": rows, "operations": count_operations(width, num_res_blocks, side)["generator"]}


def make_bundle(root: Path, width: int, num_res_blocks: int) -> Path:
    """A bundle of a width, with random weights."""
    torch.manual_seed(0)
    weights = SAGANGenerator(base_channels=width, num_res_blocks=num_res_blocks).state_dict()
    derive_bundle(BUNDLE, root, {"base_channels": width, "num_res_blocks": num_res_blocks}, {}, weights)
    return root


def write_pictures(folder: Path, pictures: list[Image.Image], count: int) -> None:
    folder.mkdir()
    for number in range(count):
        pictures[number % len(pictures)].save(folder / f"{number:05d}.png")


def bundle_scores(
    root: Path, device: torch.device, images: torch.Tensor, batch: int, **overrides: Any
) -> Callable[[], torch.Tensor]:
    """What gives the published scores of images (N, 1, rows, columns) by the bundle's network and inferer."""
    settings = {"device": device, "inferer#batch_size": batch, "image_size": list(images.shape[2:]), **overrides}
    parser = parse_config("inference", root, **settings)
    network, inferer = parser.get_parsed_content("network"), parser.get_parsed_content("inferer")
    network.load_state_dict(read_tensors(root / "models" / "model.pt"))
    network.eval()

    def run() -> torch.Tensor:
        parts = images.split(batch)
        return torch.cat([inferer(part, network)["anomaly_map"].flatten(1).mean(1).cpu() for part in parts])

    return run


def network_alone(root: Path, device: torch.device, images: torch.Tensor) -> Callable[[], object]:
    """The bundle's network on a batch that lies on the device, in the precision of the bundle's inferer."""
    parser = parse_config("inference", root, device=device, image_size=list(images.shape[2:]))
    network, there = parser.get_parsed_content("network").eval(), images.to(device)
    reduced = parser.get_parsed_content("inferer").amp and device.type == "cuda"

    def run() -> None:
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=reduced):
            network(there)

    return run


def compare_precisions(
    device: torch.device, width: int, trained_steps: int, *, num_res_blocks: int = 6, num_test: int = 200
) -> list[dict[str, Any]]:
    """Scores in bfloat16 against those in 32 bits, on phantoms that no bundle has seen.

    Args:
        device: a GPU.
        width: of the second bundle, which is trained here.
        trained_steps: of its critic; 0 to leave it out.
        num_res_blocks: of the second bundle.
        num_test: images of each class.

    Returns:
        For each bundle the largest ``difference`` of a score relative to the one in 32 bits, and both AUCs.
    """
    kinds = [phantom_images(num_test, 64, lesion, seed=1) for lesion in (False, True)]
    images = torch.from_numpy(np.stack(kinds[0] + kinds[1]))[:, None].float().div(127.5).sub(1)
    labels = [0] * num_test + [1] * num_test
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        bundles = {"as it ships": find_bundle("sagan_anomaly_detection")}
        if trained_steps:
            name = f"width {width}, {trained_steps} steps"
            bundles[name] = train_bundle(Path(folder), width, num_res_blocks, trained_steps, device)
        for name, root in bundles.items():
            full, reduced = (
                bundle_scores(root, device, images, 64, **{"inferer#amp": amp})().double().numpy()
                for amp in (False, True)
            )
            rows.append(
                {
                    "bundle": name,
                    "difference": float(np.max(np.abs(reduced - full) / full)),
                    "auc_32_bits": float(roc_auc_score(labels, full)),
                    "auc_bfloat16": float(roc_auc_score(labels, reduced)),
                }
            )
    return rows


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
        selection_share=0.0,
        device=device,
        progress="none",
        run=["$@train#trainer.run()"],
    )
    return root


if __name__ == "__main__":
    main()
