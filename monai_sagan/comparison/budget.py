"""How many steps of a training a time is worth on this machine."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from monai_sagan.bundles import find_bundle, read_config
from monai_sagan.comparison.child import run_child
from monai_sagan.comparison.methods import Method, Part

__all__ = ["plan_steps", "seconds_per_step"]

# Steps by which the time of one is measured: on a GPU they take no longer than writing one checkpoint.
_MEASURED = 80


def seconds_per_step(
    method: Method, data: Path, folder: Path, overrides: Mapping[str, Any], device: str
) -> dict[str, float]:
    """Measures how long a step of each part of a method takes, by a short training in a process of its own.

    What comes once, such as reading images, the first steps, which are slower, and checkpoints do not count.

    Args:
        method: what to measure.
        data: a folder in the Med-AD layout.
        folder: for the training; it is removed.
        overrides: settings of the user.
        device: where to train.

    Returns:
        Seconds by the setting that says how many steps there are.
    """
    settings = {
        **method.all_settings(overrides),
        **method.while_measured,
        **{part.setting: _MEASURED for part in method.parts},
    }
    clock = _Clock()
    shutil.rmtree(folder, ignore_errors=True)
    try:
        run_child(method.bundle, data, folder, settings, device=device, evaluate=False, listen=clock)
        config = read_config(folder / "bundle", "train")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        part.setting: clock.seconds(part.task) * (config[part.repeats] if part.repeats else 1) for part in method.parts
    }


def plan_steps(method: Method, seconds: Mapping[str, float], minutes: float) -> dict[str, int]:
    """How many steps each part of a method has, so that all of them take a time.

    Args:
        method: whose.
        seconds: of a step of each part, as :func:`seconds_per_step` gives them.
        minutes: for all parts.

    Returns:
        The settings that say how many steps there are; at least 1 each.
    """
    left, steps = minutes * 60.0, {}
    defaults = read_config(find_bundle(method.bundle), "train")
    for part in method.parts:
        steps[part.setting] = _steps(part, part.share * left / seconds[part.setting], defaults)
        left = max(0.0, left - steps[part.setting] * seconds[part.setting])
    return steps


def _steps(part: Part, wanted: float, defaults: Mapping[str, Any]) -> int:
    steps = max(1, int(wanted))
    return min(steps, defaults[part.setting]) if part.is_capped else steps


class _Clock:
    """Listens to the progress of a training; a step of a task takes the median of the times between two reports."""

    def __init__(self) -> None:
        self.times: dict[str, list[tuple[float, float]]] = {}
        self.task = ""

    def __call__(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "start":
            self.task = event["task"]
            self.times[self.task] = []
        elif event["event"] == "progress":
            self.times[self.task].append((event["done"], time.perf_counter()))

    def seconds(self, task: str) -> float:
        return median(
            (ended - began) / (last - first)
            for (first, began), (last, ended) in itertools.pairwise(self.times[task])
            if last > first
        )
