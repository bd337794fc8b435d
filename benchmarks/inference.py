"""Images a second of inference: the published procedure, and the bundle's.

    python benchmarks/inference.py [--device cuda:0] [--width 64] [--batches 16 256] [--compiled 1024]

times, in turn in one process: the published test, one image at a time; the bundle's inferer on images in memory, with
the score, batch by batch; the network alone, on images that lie on the device; and the whole of ``monai-sagan predict``
on a folder of PNG files, from reading to the written maps and scores. Writes
benchmarks/results/inference_DEVICE.json.
"""

from __future__ import annotations

import shutil
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bundle_parts import BUNDLE, Restorer, phantom_images
from ceilings import count_operations
from memory import PeakMemory
from PIL import Image
from published import as_pictures, images_to_test, published_flags, published_scores
from published_generator import PublishedGenerator
from result_files import parse_arguments, write_result
from spreads import ratios, spread
from timing import in_turn

from monai_sagan.bundle_files import CONTRAST, FAMILIARITY
from monai_sagan.derived_bundle import derive_bundle
from monai_sagan.networks import SAGANGenerator
from monai_sagan.workflows import predict

__all__ = ["make_bundle", "measure", "score", "write_pictures"]

PUBLISHED, PREDICT = "published test", "monai-sagan predict"
SCORED, NETWORK = "bundle's inferer and score", "network alone"
_WARM_UP = 2


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what the arguments say."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=64, help="channels of the generator's first layer")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--compiled", type=int, nargs="*", default=[], help="batches with compile=true, on a GPU")
    parser.add_argument("--count", type=int, default=64, help="images that are restored in a turn")
    parser.add_argument("--alone", type=int, default=16, help="images that are restored one at a time in a turn")
    parser.add_argument("--files", type=int, default=32, help="images that are predicted in a turn")
    parser.add_argument("--turns", type=int, default=5)
    arguments = parse_arguments(parser, argv)
    device = torch.device(arguments.device)
    figures = measure(
        device,
        width=arguments.width,
        batches=arguments.batches,
        compiled=arguments.compiled,
        count=arguments.count,
        alone=arguments.alone,
        files=arguments.files,
        turns=arguments.turns,
    )
    for row in figures["rows"]:
        print(f"{row['what']}, batch {row['batch']}: {row['images_per_second']['median']:.1f} images/s", flush=True)
    write_result("inference", arguments, figures)


def measure(
    device: torch.device,
    *,
    width: int = 64,
    num_res_blocks: int = 6,
    batches: list[int],
    compiled: Sequence[int] = (),
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
        compiled: the same, with a compiled network.
        count: images in a turn of these.
        alone: images in a turn of the published test.
        files: images in a turn of ``monai-sagan predict``.
        turns: how often each is timed.
        side: pixels of an image.

    Returns:
        ``rows``: ``what``, ``batch``, ``images_per_second`` (median, least, most), ``ratio`` to the published test turn
        by turn, and ``memory``, GiB beyond what lay there before; ``operations`` of the network for one image; and the
        ``precision`` that the bundle computes in.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = make_bundle(Path(folder) / "bundle", width, num_res_blocks)
        some = np.stack(phantom_images(min(count, 64), side, lesion=True))
        images = torch.from_numpy(some)[:, None].float().div(127.5).sub(1)
        images = images.repeat(-(-count // len(images)), 1, 1, 1)[:count]
        pictures = as_pictures(images[:alone])
        write_pictures(Path(folder) / "images", as_pictures(images), files)

        published = PublishedGenerator(width, num_res_blocks).to(device)
        # A pass over more images than all turns take: a loader's start is no part of a test's time.
        tested = chain.from_iterable(repeat(images_to_test(pictures * (turns + _WARM_UP + 2))))
        runs: dict[tuple[str, int | None], Callable[[], object]] = {}
        counts = {(PUBLISHED, None): alone, (PREDICT, None): files}

        def test_as_published() -> None:
            with published_flags():
                published_scores(published, islice(tested, alone), device)

        runs[PUBLISHED, None] = test_as_published
        for addition, sizes in (("", batches), (", compiled", compiled)):
            settings = {"compile": True} if addition else {}
            for batch in sizes:
                restorer = Restorer(root, device, [side, side], **{"inferer#batch_size": batch}, **settings)
                there = images[:batch].to(device)
                runs[SCORED + addition, batch] = partial(score, restorer, images)
                runs[NETWORK + addition, batch] = partial(restorer.restore, there)
                counts |= {(SCORED + addition, batch): count, (NETWORK + addition, batch): len(there)}
        runs[PREDICT, None] = lambda: predict(
            root, [Path(folder) / "images"], Path(folder) / "maps", overwrite=True, device=str(device), progress="none"
        )
        memory = {}
        for key, run in runs.items():
            with PeakMemory(device) as seen:
                run()  # the first time: a GPU keeps what it has recorded then
            memory[key] = {"process": seen.process, "gpu": seen.gpu}
        seconds = in_turn(runs, turns, device, _WARM_UP)
        each = {key: [value / counts[key] for value in values] for key, values in seconds.items()}
        rows = []
        for (what, batch), values in each.items():
            rows.append(
                {
                    "what": what,
                    "batch": batch,
                    "images_per_second": spread([1 / value for value in values]),
                    "ratio": spread(ratios(each[PUBLISHED, None], values)),
                    "memory": memory[what, batch],
                }
            )
    operations = count_operations(width, num_res_blocks, side)["generator"]
    return {"rows": rows, "operations": operations, "precision": "bfloat16" if restorer.reduced else "float32"}


def make_bundle(root: Path, width: int, num_res_blocks: int, patch_grid: int = 2) -> Path:
    """A bundle with a network of a size and random weights, with all the scores that the one that ships has."""
    torch.manual_seed(0)
    sizes = {"base_channels": width, "num_res_blocks": num_res_blocks, "patch_grid": patch_grid}
    derive_bundle(BUNDLE, root, sizes, {}, SAGANGenerator(**sizes).state_dict())
    for name in (CONTRAST, FAMILIARITY):
        shutil.copyfile(BUNDLE / name, root / name)
    return root


def write_pictures(folder: Path, pictures: list[Image.Image], count: int) -> None:
    folder.mkdir()
    for number in range(count):
        pictures[number % len(pictures)].save(folder / f"{number:05d}.png")


def score(restorer: Restorer, images: torch.Tensor) -> torch.Tensor:
    """The published scores of images (N, 1, rows, columns): the means of their maps."""
    return restorer.maps(images).mean((1, 2, 3))


if __name__ == "__main__":
    main()
