"""Telling people, and other programs, how far the work is.

Programs get one JSON object a line on standard output: ``{"event": "start" | "progress" | "result" | "warning" |
"error" | "done", ...}``. This is the only thing about a run that callers rely on; log text goes to standard error.
"""

from __future__ import annotations

import atexit
import json
import math
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ["BarReporter", "JsonReporter", "ProgressKind", "Reporter", "make_reporter"]

ProgressKind = Literal["bar", "json", "none"]

# So many warnings of images that begin alike are shown to people; the rest is counted.
_ALIKE_SHOWN = 5


class Reporter:
    """Where news of a run goes. This one tells only what went wrong, on standard error.

    The methods are called in the order start, any number of the others, done; or stop, where a run breaks off.
    """

    def __init__(self) -> None:
        self.console = Console(stderr=True, emoji=False)  # paths and values stay what they are
        self.alike: Counter[str] = Counter()

    def start(self, total: int, task: str) -> None:
        """``total`` steps of ``task`` begin."""

    def progress(self, done: float, **details: Any) -> None:
        """``done`` of the steps are done, the last one perhaps in part; ``details`` are numbers worth seeing."""

    def result(self, result: Mapping[str, Any]) -> None:
        """A case is finished."""

    def warning(self, message: str) -> None:
        """Something should be known, and the work goes on."""
        self.console.print(f"Warning: {message}", style="yellow", markup=False, highlight=False, soft_wrap=True)

    def warning_of_case(self, path: str, message: str) -> None:
        """Something should be known of a case, which its result says too; of a folder it may be true of each image."""
        gist = message.split(". ")[0].removesuffix(".")
        self.alike[gist] += 1
        if self.alike[gist] <= _ALIKE_SHOWN:
            self.warning(f"{path}: {message}")

    def error(self, message: str) -> None:
        """A case, or the whole run, failed."""
        self.console.print(f"Error: {message}", style="red", markup=False, highlight=False, soft_wrap=True)

    def done(self, **summary: Any) -> None:
        """The run is over."""
        for gist, count in self.alike.items():
            if count > _ALIKE_SHOWN:
                self.warning(f"{count - _ALIKE_SHOWN} more: {gist}. The table of results names them.")
        self.alike.clear()

    def stop(self) -> None:
        """The run broke off; somebody else will say why."""


class BarReporter(Reporter):
    """A bar with the time left, on standard error."""

    def __init__(self) -> None:
        super().__init__()
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[details]}"),
            console=self.console,
        )

    def start(self, total: int, task: str) -> None:
        self.task = self.bar.add_task(task, total=total, details="")
        self.bar.start()
        atexit.register(self.bar.stop)  # a bar hides the cursor until it is stopped

    def progress(self, done: float, **details: Any) -> None:
        self.bar.update(self.task, completed=done)
        if details:
            self.bar.update(self.task, details="  ".join(f"{name} {value:.3g}" for name, value in details.items()))

    def done(self, **summary: Any) -> None:
        super().done()
        self.stop()

    def stop(self) -> None:
        atexit.unregister(self.bar.stop)
        self.bar.stop()


class JsonReporter(Reporter):
    """One JSON object a line on standard output."""

    def _print(self, event: str, **content: Any) -> None:
        print(json.dumps({"event": event, **content}), file=sys.stdout, flush=True)

    def start(self, total: int, task: str) -> None:
        self.total = total
        self._print("start", total=total, task=task)

    def progress(self, done: float, **details: Any) -> None:
        # JSON knows no NaN, which the losses of a training that diverges are.
        finite = {name: value if math.isfinite(value) else None for name, value in details.items()}
        self._print("progress", done=done, total=self.total, **finite)

    def result(self, result: Mapping[str, Any]) -> None:
        self._print("result", **result)

    def warning(self, message: str) -> None:
        self._print("warning", message=message)

    def warning_of_case(self, path: str, message: str) -> None:
        self.warning(f"{path}: {message}")

    def error(self, message: str) -> None:
        self._print("error", message=message)

    def done(self, **summary: Any) -> None:
        self._print("done", **summary)


def make_reporter(kind: ProgressKind) -> Reporter:
    """The reporter of a kind.

    Args:
        kind: ``bar`` for people, ``json`` for programs, ``none``.

    Raises:
        ValueError: if there is no such kind.
    """
    reporters: dict[str, type[Reporter]] = {"bar": BarReporter, "json": JsonReporter, "none": Reporter}
    if kind not in reporters:
        raise ValueError(f"progress must be one of {', '.join(reporters)}, not {kind!r}.")
    return reporters[kind]()
