"""What it gains to let waiting threads rest (monai_sagan/startup.py), alone on the cores and beside another program.

    python benchmarks/shared_cores.py

starts a process of each kind in turn, which times passes of the shipped generator over 16 pictures of 64x64 pixels,
alone and while a program of another session keeps one core busy. Writes benchmarks/results/shared_cores_cpu.json and
prints the table in docs/results/speed.md.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

import torch
from result_files import parse_arguments, write_result
from spreads import compare, table_of
from timing import in_turn

from monai_sagan.networks import SAGANGenerator

__all__ = ["seconds_of_a_pass"]


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what the arguments say."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--passes", type=int, default=6, help="of a process, and one more that does not count")
    arguments = parse_arguments(parser, argv, is_of_cpu=True)
    rows = []
    for beside in (False, True):
        waiting, resting = [], []
        for _ in range(arguments.turns):
            waiting.append(run_once(arguments.passes, rest=False, beside=beside))
            resting.append(run_once(arguments.passes, rest=True, beside=beside))
        what = "beside another program" if beside else "alone"
        rows.append(compare(what, ("waiting", waiting), ("resting", resting)))
    write_result("shared_cores", arguments, {"rows": rows})
    print(table_of(("on two cores", "waiting (s)", "resting (s)", "times as fast"), rows))


def run_once(passes: int, *, rest: bool, beside: bool) -> float:
    """What :func:`seconds_of_a_pass` gives in a process of its own, in which threads rest or wait."""
    code = "from monai_sagan.startup import let_waiting_threads_rest; let_waiting_threads_rest(); " if rest else ""
    code += f"from shared_cores import seconds_of_a_pass; print(seconds_of_a_pass({passes}))"
    # Linux shares processors among sessions, and within a session among threads.
    busy = [sys.executable, "-c", "while True: pass"]
    neighbour = subprocess.Popen(busy, start_new_session=True) if beside else None  # noqa: S603
    try:
        here = Path(__file__).resolve().parent
        finished = subprocess.run(  # noqa: S603
            [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=here, env=_as_by_default()
        )
    finally:
        if neighbour is not None:
            neighbour.kill()
            neighbour.wait()
    return float(finished.stdout)


def _as_by_default() -> dict[str, str]:
    """The environment without what it says of waiting threads."""
    return {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}


def seconds_of_a_pass(passes: int) -> float:
    """Times passes in this process, after one that does not count; the median."""
    torch.manual_seed(0)
    network, pictures = SAGANGenerator(base_channels=8, num_res_blocks=2).eval(), torch.rand(16, 1, 64, 64)
    with torch.inference_mode():
        seconds = in_turn({"pass": lambda: network(pictures)}, passes, torch.device("cpu"))
    return statistics.median(seconds["pass"])


if __name__ == "__main__":
    main()
