"""How long things take that run in turn in one process, so that a slow moment hits all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

import torch

__all__ = ["Clock", "in_turn"]

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
