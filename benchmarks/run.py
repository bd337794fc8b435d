"""The whole benchmark of speed, in one process: each script in order, then the page.

    python benchmarks/run.py [--device cuda:0] [--quick | --full] [--budget SECONDS]

``--quick``, the default, takes minutes; ``--full`` repeats more, and compares what is learned too. With ``--budget``, a
script that would not fit into the seconds left is left out, and said to be. Writes benchmarks/results/NAME_DEVICE.json,
and tables and curves of docs/results/speed.md from all results that are there.
"""

from __future__ import annotations

import gc
import time
import traceback
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ceilings
import inference
import precision
import same_quality
import scaling
import speed_page
import torch
import training
from result_files import RESULTS, parse_arguments

__all__ = ["PLANS", "Part", "run"]


@dataclass
class Part:
    """A script with its arguments.

    Attributes:
        main: of the script.
        given: its arguments but for device and output.
        turns: how often a quick run and a full one time everything; None where nothing is timed.
        seconds: that a quick run and a full one take, about; None to leave it out of it.
    """

    main: Callable[[Sequence[str]], None]
    given: str
    turns: tuple[int, int] | None
    seconds: tuple[float | None, float]

    @property
    def name(self) -> str:
        return self.main.__module__


# Seconds: two cores of an AMD EPYC; an H100.
PLANS = {
    "cpu": [
        Part(ceilings.main, "", (5, 20), (10, 20)),
        Part(training.main, "--width 8 64 --batch 16 --block 2 --settings --settings amp=false", (3, 10), (150, 400)),
        Part(inference.main, "--batches 1 16 --count 32 --alone 16 --files 32", (5, 10), (90, 160)),
        Part(precision.main, "--trained-steps 0", None, (15, 15)),
        Part(scaling.main, "", (3, 10), (60, 150)),
        Part(same_quality.main, "", None, (None, 900)),
    ],
    "cuda": [
        Part(ceilings.main, "", (10, 30), (10, 15)),
        Part(training.main, "--width 64 --batch 32 --block 20", (5, 20), (40, 70)),
        Part(
            inference.main,
            "--batches 16 64 256 1024 --compiled 1024 --count 4096 --alone 200 --files 64",
            (5, 10),
            (110, 160),
        ),
        Part(precision.main, "", None, (40, 40)),
        Part(scaling.main, "--width 64 --res-blocks 6", (2, 5), (90, 200)),
        Part(same_quality.main, "", None, (None, 600)),
    ],
}


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what the arguments say."""
    parser = ArgumentParser(description=__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="a few minutes (the default)")
    length.add_argument("--full", action="store_true")
    parser.add_argument("--budget", type=float, default=float("inf"), metavar="SECONDS")
    parser.add_argument("--parts", nargs="+", metavar="NAME", help="only these scripts")
    parser.add_argument("--settings", action="append", nargs="*", default=[], metavar="KEY=VALUE", help="see training")
    arguments = parse_arguments(parser, argv)
    common = ["--device", arguments.device, "--output", str(arguments.output)]
    variants = [text for settings in arguments.settings for text in ("--settings", *settings)]
    run(arguments.device, arguments.full, arguments.budget, arguments.parts, common, variants)
    if arguments.output.resolve() == RESULTS:
        speed_page.main([])


def run(
    device: str, full: bool, budget: float, parts: Sequence[str] | None, common: Sequence[str], variants: Sequence[str]
) -> None:
    """Runs the scripts.

    Args:
        device: where.
        full: whether to repeat more, and to leave nothing out.
        budget: seconds for all of them.
        parts: names of the scripts; None for all.
        common: arguments for each of them.
        variants: further arguments of the training's.
    """
    begin, failed = time.perf_counter(), []
    for part in PLANS[device.split(":")[0]]:
        expected = part.seconds[full]
        if (parts is not None and part.name not in parts) or (parts is None and expected is None):
            continue
        begun = time.perf_counter()
        left = budget - (begun - begin)
        if (expected or 0) > left:
            print(f"{part.name}: left out, it takes about {expected:.0f} s and {left:.0f} s are left", flush=True)
            continue
        turns = [] if part.turns is None else ["--turns", str(part.turns[full])]
        further = variants if part.name == "training" else []
        print(f"{part.name}:", flush=True)
        try:
            part.main([*part.given.split(), *turns, *further, *common])
        except Exception:  # the others still have something to tell
            traceback.print_exc()
            failed.append(part.name)
        gc.collect()
        if device.startswith("cuda"):
            torch.cuda.empty_cache()
        print(f"{part.name}: {time.perf_counter() - begun:.0f} s", flush=True)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}; see above.")


if __name__ == "__main__":
    main()
