"""Time and memory as work grows: with the number of images, their size, the grid of patches and the batch.

    python benchmarks/scaling.py [--device cuda:0] [--width 64]

maps folders of more and more pictures as ``monai-sagan predict`` does, and restores images of growing size, cut into
more and more patches, in growing batches, by the bundle's inferer. Writes benchmarks/results/scaling_DEVICE.json.
"""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bundle_parts import Restorer, phantom_images
from inference import make_bundle, write_pictures
from memory import PeakMemory
from published import as_pictures
from result_files import parse_arguments, write_result
from spreads import spread
from timing import in_turn

from monai_sagan.workflows import predict

__all__ = ["GROWTH", "measure"]

# What grows, and how far.
GROWTH: dict[str, dict[str, list[int]]] = {
    "cpu": {
        "images": [16, 32, 64, 128, 256],
        "side": [32, 64, 128, 256],
        "patch_grid": [1, 2, 4, 8],
        "batch": [1, 2, 4, 8, 16],
    },
    "cuda": {
        "images": [128, 256, 512, 1024],
        "side": [32, 64, 128, 256, 512],
        "patch_grid": [1, 2, 4, 8],
        "batch": [1, 4, 16, 64, 256, 1024],
    },
}
# The images of a turn, where their number does not grow, and the side of those that are cut into patches.
IMAGES = {"cpu": 16, "cuda": 1024}
PATCHED_SIDE = 128


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what the arguments say."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=8, help="channels of the generator's first layer")
    parser.add_argument("--res-blocks", type=int, default=2)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parse_arguments(parser, argv)
    device = torch.device(arguments.device)
    rows = measure(device, width=arguments.width, num_res_blocks=arguments.res_blocks, turns=arguments.turns)
    write_result("scaling", arguments, {"rows": rows})


def measure(
    device: torch.device,
    *,
    width: int,
    num_res_blocks: int,
    turns: int,
    growth: Mapping[str, list[int]] | None = None,
    images: int | None = None,
    patched_side: int = PATCHED_SIDE,
) -> list[dict[str, Any]]:
    """Measures everything that grows.

    Args:
        device: where.
        width: channels of the generator's first layer.
        num_res_blocks: of the generator.
        turns: how often each is timed.
        growth: what grows, and its values in growing order; by default as the device can take it.
        images: of a turn, where their number does not grow.
        patched_side: pixels of the images that are cut into patches.

    Returns:
        Rows: ``grows`` (a key of ``growth``), ``value``, ``images``, ``seconds`` (median, least, most) for all of them,
        and GiB beyond what lay there before, ``process`` and ``gpu``.
    """
    growth = GROWTH[device.type] if growth is None else growth
    images = IMAGES[device.type] if images is None else images
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        bundles = {
            grid: make_bundle(Path(folder) / f"bundle_{grid}", width, num_res_blocks, grid)
            for grid in {2, *growth["patch_grid"]}
        }
        runs = predictions(bundles[2], Path(folder), growth["images"], device)
        next(iter(runs.values()))()  # libraries that are loaded on the way are no part of any folder's memory
        rows += grow("images", runs, {count: count for count in runs}, turns, device)
        for grows in ("side", "patch_grid", "batch"):
            runs = {}
            for value in growth[grows]:
                root = bundles[value if grows == "patch_grid" else 2]
                side = {"side": value, "patch_grid": patched_side}.get(grows, 64)
                at_once = {"inferer#batch_size": value} if grows == "batch" else {}
                runs[value] = restoration(root, device, some_images(images, side), at_once)
            rows += grow(grows, runs, dict.fromkeys(runs, images), turns, device)
    return rows


def grow(
    grows: str, runs: Mapping[int, Callable[[], object]], images: Mapping[int, int], turns: int, device: torch.device
) -> list[dict[str, Any]]:
    """Times runs that differ in one thing, and their memory."""
    memory = {}
    for value, run in runs.items():
        with PeakMemory(device) as seen:
            run()  # the first time: a GPU keeps what it has recorded then
        memory[value] = {"process": seen.process, "gpu": seen.gpu}
    seconds = in_turn(runs, turns, device)
    rows = []
    for value in runs:
        row = {"grows": grows, "value": value, "images": images[value], "seconds": spread(seconds[value])}
        rows.append(row | memory[value])
        print(f"{grows} {value}: {row['seconds']['median']:.3f} s", flush=True)
    return rows


def some_images(count: int, side: int) -> torch.Tensor:
    """Phantoms (count, 1, side, side) in [-1, 1], some of which come again."""
    some = np.stack(phantom_images(min(count, 16), side, lesion=True))
    images = torch.from_numpy(some)[:, None].float().div(127.5).sub(1)
    return images.repeat(-(-count // len(images)), 1, 1, 1)[:count]


def predictions(root: Path, folder: Path, counts: list[int], device: torch.device) -> dict[int, Callable[[], object]]:
    """``monai-sagan predict`` on folders of so many pictures each."""
    pictures = as_pictures(some_images(16, 64))

    def prediction(count: int) -> Callable[[], object]:
        source = folder / f"images_{count}"
        write_pictures(source, pictures, count)
        return lambda: predict(
            root, [source], folder / f"maps_{count}", overwrite=True, device=str(device), progress="none"
        )

    return {count: prediction(count) for count in counts}


def restoration(
    root: Path, device: torch.device, images: torch.Tensor, overrides: Mapping[str, Any]
) -> Callable[[], object]:
    """The bundle's inferer on images in memory."""
    restorer = Restorer(root, device, list(images.shape[2:]), **overrides)
    return lambda: restorer.maps(images)


if __name__ == "__main__":
    main()
