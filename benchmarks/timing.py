"""How long things take that run in turn in one process, so that a slow moment hits all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

import torch

__all__ = ["Clock", "compare", "in_turn", "ratios", "spread", "table_of"]

Name = TypeVar("Name", bound=Hashable)


class Clock:
    """Seconds between two moments at which a device has nothing left to do.

    Args:
        device: what is waited for.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.begun = self._now()

    def restart(self) -> None:
        self.begun = self._now()

    def read(self) -> float:
        """Seconds since the start."""
        return self._now() - self.begun

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def in_turn(
    runs: Mapping[Name, Callable[[], object]], turns: int, device: torch.device, warm_up: int = 1
) -> dict[Name, list[float]]:
    """Runs several things one after the other, again and again.

    Args:
        runs: what to run, by name.
        turns: how often each is timed.
        device: where they run.
        warm_up: turns before, which do not count.

    Returns:
        Of each its seconds, a number a turn.
    """
    seconds: dict[Name, list[float]] = {name: [] for name in runs}
    for turn in range(warm_up + turns):
        for name, run in runs.items():
            clock = Clock(device)
            run()
            elapsed = clock.read()
            if turn >= warm_up:
                seconds[name].append(elapsed)
    return seconds


def ratios(slow: list[float], fast: list[float]) -> list[float]:
    """How many times as fast the second was, turn by turn."""
    return [one / other for one, other in zip(slow, fast, strict=True)]


def spread(values: list[float]) -> dict[str, float]:
    """``median``, ``least`` and ``most``."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def compare(what: str, slow: tuple[str, list[float]], fast: tuple[str, list[float]]) -> dict[str, Any]:
    """A row of a result: ``what`` was done, the spread of either's seconds by its name, and that of their ``ratio``."""
    (slow_name, slow_seconds), (fast_name, fast_seconds) = slow, fast
    return {
        "what": what,
        slow_name: spread(slow_seconds),
        fast_name: spread(fast_seconds),
        "ratio": spread(ratios(slow_seconds, fast_seconds)),
    }


def table_of(headings: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of :func:`compare` as Markdown: medians, and in brackets least and most."""
    lines = [f"| {' | '.join(headings)} |", f"|{' --- |' * len(headings)}"]
    for row in rows:
        cells = [
            f"{value['median']:.3g} ({value['least']:.3g} to {value['most']:.3g})"
            for key, value in row.items()
            if key != "what"
        ]
        lines.append(f"| {' | '.join([row['what'], *cells])} |")
    return "\n".join(lines)
