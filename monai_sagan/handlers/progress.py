"""Engines telling how far they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from ignite.engine import Engine, Events

from monai_sagan.progress import ProgressKind, Reporter, make_reporter

__all__ = ["CaseProgress", "TrainingProgress"]


class TrainingProgress:
    """Reports the iterations of a trainer, with some of its losses.

    Args:
        kind: ``bar``, ``json`` or ``none``.
        interval: iterations between two reports.
        losses: names of the losses in the trainer's output that are told.
    """

    def __init__(
        self, kind: ProgressKind = "bar", interval: int = 10, losses: Sequence[str] = ("critic", "generator")
    ) -> None:
        self.reporter = make_reporter(kind)
        self.interval = interval
        self.losses = tuple(losses)

    def attach(self, engine: Engine) -> None:
        """Attaches to a trainer."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED(every=self.interval), self._report)
        engine.add_event_handler(Events.COMPLETED, self._done)
        engine.add_event_handler(Events.EXCEPTION_RAISED, _stop, self.reporter)

    def _start(self, engine: Any) -> None:
        self.reporter.start(engine.state.max_epochs * engine.state.epoch_length, "Training")

    def _report(self, engine: Any) -> None:
        output = engine.state.output
        losses = {name: torch.as_tensor(output[name]).item() for name in self.losses if name in output}
        self.reporter.progress(engine.state.iteration, **losses)

    def _done(self, engine: Engine) -> None:
        self.reporter.progress(engine.state.iteration)
        self.reporter.done(iterations=engine.state.iteration)


class CaseProgress:
    """Reports the cases of an :class:`~monai_sagan.engines.AnomalyEvaluator`, and counts them.

    A case that takes long is reported in parts. After the run ``engine.state.metrics`` holds ``num_done``,
    ``num_skipped`` (those that were finished before) and ``num_failed``.

    Args:
        kind: ``bar``, ``json`` or ``none``.
    """

    def __init__(self, kind: ProgressKind = "bar") -> None:
        self.reporter = make_reporter(kind)
        self.counts = {"num_done": 0, "num_skipped": 0, "num_failed": 0}

    def attach(self, engine: Engine) -> None:
        """Attaches to an evaluator whose output is a list of cases."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._report)
        engine.add_event_handler(Events.COMPLETED, self._done)
        engine.add_event_handler(Events.EXCEPTION_RAISED, _stop, self.reporter)

    def _start(self, engine: Any) -> None:
        self.counts = dict.fromkeys(self.counts, 0)
        engine.inferer.on_progress = self._report_part
        self.reporter.start(sum("warning" not in case for case in engine.data_loader.dataset.data), "Images")

    def _report_part(self, share: float) -> None:
        if share < 1:  # the case itself is reported when its result is written
            self.reporter.progress(sum(self.counts.values()) + share)

    def _report(self, engine: Any) -> None:
        for case in engine.state.output:
            if "warning" in case:
                self.reporter.warning(case["warning"])
                continue
            if "error" in case:
                self.counts["num_failed"] += 1
                self.reporter.error(case["error"])
            elif "is_skipped" in case:
                self.counts["num_skipped"] += 1
            else:
                self.counts["num_done"] += 1
                for warning in case.get("result", {}).get("warnings", []):
                    self.reporter.warning_of_case(case["path"], warning)
            if "result" in case:
                self.reporter.result(case["result"])
            self.reporter.progress(sum(self.counts.values()))

    def _done(self, engine: Any) -> None:
        engine.state.metrics |= self.counts
        self.reporter.done(**self.counts)


def _stop(engine: Engine, error: BaseException, reporter: Reporter) -> None:
    reporter.stop()
    raise error
