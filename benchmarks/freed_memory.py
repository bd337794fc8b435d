"""What it gains to keep freed memory (monai_sagan/memory.py): the same work in processes that do, and that do not.

    python benchmarks/freed_memory.py [--width 64]

starts a process of each kind in turn, which times passes of the networks with random weights. Writes
benchmarks/results/freed_memory_cpu.json and prints the table in docs/results/speed.md.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from result_files import parse_arguments, write_result
from spreads import compare, table_of

from monai_sagan.memory import keep_freed_memory
from monai_sagan.networks import ContrastNetwork, SAGANGenerator

__all__ = ["measure"]

_PASSES = 4  # of which the first does not count


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what the arguments say."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=64, help="channels of the generator's first layer")
    parser.add_argument("--side", type=int, default=512, help="pixels of a slice")
    parser.add_argument("--turns", type=int, default=5)
    arguments = parse_arguments(parser, argv, is_of_cpu=True)
    kinds: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    for _ in range(arguments.turns):
        for keep, runs in kinds.items():
            runs.append(run_once(keep, arguments.width, arguments.side))
    given_back, kept = kinds[False], kinds[True]
    rows = [
        compare(name, ("given_back", [run[name] for run in given_back]), ("kept", [run[name] for run in kept]))
        for name in kept[0]
    ]
    write_result("freed_memory", arguments, {"rows": rows})
    print(table_of(("32 bits", "given back (s)", "kept (s)", "times as fast"), rows))


def run_once(keep: bool, width: int, side: int) -> dict[str, float]:
    """What :func:`measure` gives in a process of its own."""
    code = f"import json, freed_memory; print(json.dumps(freed_memory.measure({keep}, {width}, {side})))"
    here = Path(__file__).resolve().parent
    finished = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=here)  # noqa: S603
    return json.loads(finished.stdout.splitlines()[-1])


def measure(keep: bool, width: int, side: int) -> dict[str, float]:
    """Times passes in this process, whose handling of memory it sets for good.

    Args:
        keep: whether freed memory is kept.
        width: channels of the large generator's first layer.
        side: pixels of a slice.

    Returns:
        Seconds of a pass, medians, by what passes.
    """
    if keep:
        keep_freed_memory()
    torch.manual_seed(0)
    large, small = SAGANGenerator(base_channels=width), SAGANGenerator(base_channels=8, num_res_blocks=2)
    contrast = ContrastNetwork().eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    slices, pictures, larger = torch.rand(4, 1, side, side), torch.rand(48, 1, 64, 64), torch.rand(16, 1, 96, 96)

    def train() -> None:
        large.train()(pictures).square().mean().backward()

    work = {
        f"large network, a slice of {side}x{side}": _forward(large, slices[:1]),
        "large network, 16 pictures of 64x64": _forward(large, pictures[:16]),
        f"shipped network, 4 slices of {side}x{side}": _forward(small, slices),
        "contrast network, 16 pictures of 96x96": _forward(contrast, larger),
        "large network, gradients of 48 pictures of 64x64": train,
    }
    return {name: _seconds(run) for name, run in work.items()}


def _forward(network: torch.nn.Module, images: torch.Tensor) -> Callable[[], object]:
    def run() -> None:
        with torch.inference_mode():
            network.eval()(images)

    return run


def _seconds(run: Callable[[], object]) -> float:
    seconds = []
    for _ in range(_PASSES):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds[1:])


if __name__ == "__main__":
    main()
