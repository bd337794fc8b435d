"""What the machine can do at most, and what the network asks of it.

    python benchmarks/ceilings.py [--device cuda:0]

times a large matrix product, a large 3x3 convolution and a large copy, and counts the floating-point operations of the
networks as published: two for each multiplication and addition of convolutions, nothing for normalisation, activation
and sums, which are few and bound by memory. Writes benchmarks/results/ceilings_DEVICE.json.
"""

from __future__ import annotations

import contextlib
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from result_files import parse_arguments, write_result
from spreads import spread
from timing import in_turn
from torch.nn.functional import conv2d
from torch.utils.flop_counter import FlopCounterMode

from monai_sagan.networks import SAGANCritic, SAGANGenerator

__all__ = ["count_operations", "measure"]


@dataclass
class Sizes:
    """How large "large" is."""

    matrix: int  # rows and columns
    images: int  # that are convolved at once
    channels: int  # in and out
    side: int  # pixels
    copied: int  # bytes


SIZES = {"cuda": Sizes(8192, 64, 256, 64, 2 * 1024**3), "cpu": Sizes(2048, 8, 128, 64, 256 * 1024**2)}
# Name, kind of numbers, whether they may be rounded to TF32.
PRECISIONS = {
    "cuda": [("float32", torch.float32, False), ("TF32", torch.float32, True), ("bfloat16", torch.bfloat16, True)],
    "cpu": [("float32", torch.float32, False), ("bfloat16", torch.bfloat16, False)],
}


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what the arguments say."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    arguments = parse_arguments(parser, argv)
    figures = measure(torch.device(arguments.device), arguments.turns)
    write_result("ceilings", arguments, figures)


def measure(device: torch.device, turns: int = 5, sizes: Sizes | None = None) -> dict[str, Any]:
    """Times what the machine can do.

    Args:
        device: where.
        turns: how often each is timed.
        sizes: of what is computed; by default as the device can take it.

    Returns:
        ``arithmetic``: operation, precision and operations a second (median, least, most); ``bytes_per_second`` of the
        copy, read and written ones together; ``network``: see :func:`count_operations`.
    """
    sizes = SIZES[device.type] if sizes is None else sizes
    arithmetic = []
    for name, dtype, tf32 in PRECISIONS[device.type]:
        with _rounding(tf32):
            products = {
                "matrix product": _product(sizes, dtype, device),
                "convolution": _convolution(sizes, dtype, device),
            }
            counts = {kind: _operations(run) for kind, run in products.items()}
            seconds = in_turn(products, turns, device, warm_up=2)
        arithmetic += [
            {"operation": kind, "precision": name, **spread([counts[kind] / value for value in values])}
            for kind, values in seconds.items()
        ]
    source = torch.ones(sizes.copied, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    (copies,) = in_turn({"copy": lambda: target.copy_(source)}, turns, device, warm_up=2).values()
    copied = spread([2 * sizes.copied / value for value in copies])
    return {"arithmetic": arithmetic, "bytes_per_second": copied, "network": count_operations()}


def count_operations(base_channels: int = 64, num_res_blocks: int = 6, side: int = 64) -> dict[str, float]:
    """Floating-point operations for one image: ``generator`` and ``critic``, forward."""
    image = torch.zeros(1, 1, side, side, device="meta")
    with torch.device("meta"):
        generator = SAGANGenerator(base_channels=base_channels, num_res_blocks=num_res_blocks).eval()
        critic = SAGANCritic()
    return {"generator": _operations(lambda: generator(image)), "critic": _operations(lambda: critic(image))}


def _operations(run: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run()
    return int(counter.get_total_flops())


def _product(sizes: Sizes, dtype: torch.dtype, device: torch.device) -> Callable[[], object]:
    left, right = torch.randn(2, sizes.matrix, sizes.matrix, dtype=dtype, device=device)
    return lambda: left @ right


def _convolution(sizes: Sizes, dtype: torch.dtype, device: torch.device) -> Callable[[], object]:
    layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
    images = torch.randn(sizes.images, sizes.channels, sizes.side, sizes.side, dtype=dtype, device=device)
    weights = torch.randn(sizes.channels, sizes.channels, 3, 3, dtype=dtype, device=device)
    images, weights = images.to(memory_format=layout), weights.to(memory_format=layout)
    return lambda: conv2d(images, weights, padding=1)


@contextlib.contextmanager
def _rounding(tf32: bool) -> Iterator[None]:
    """Whether products of 32-bit numbers may be rounded to TF32; convolutions have the fastest algorithm."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=tf32):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


if __name__ == "__main__":
    main()
