"""Engines telling how far they are."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine, Events

from monai_sagan.progress import ProgressKind, Reporter, make_reporter

__all__ = ["CaseProgress", "TrainingProgress"]


class TrainingProgress:
    """Reports the iterations of a :class:`~monai_sagan.engines.SAGANTrainer`, with its two losses.

    Args:
        kind: ``bar``, ``json`` or ``none``.
        interval: iterations between two reports.
    """

    def __init__(self, kind: ProgressKind = "bar", interval: int = 10) -> None:
        self.reporter = make_reporter(kind)
        self.interval = interval

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
        losses = {name: float(output[name]) for name in ("critic", "generator") if name in output}
        self.reporter.progress(engine.state.iteration, **losses)

    def _done(self, engine: Engine) -> None:
        self.reporter.progress(engine.state.iteration)
        self.reporter.done(iterations=engine.state.iteration)


class CaseProgress:
    """Reports the cases of an :class:`~monai_sagan.engines.AnomalyEvaluator`, and counts them.

    After the run ``engine.state.metrics`` holds ``num_done`` and ``num_failed``.

    Args:
        kind: ``bar``, ``json`` or ``none``.
    """

    def __init__(self, kind: ProgressKind = "bar") -> None:
        self.reporter = make_reporter(kind)

    def attach(self, engine: Engine) -> None:
        """Attaches to an evaluator whose output is a list of cases."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._report)
        engine.add_event_handler(Events.COMPLETED, self._done)
        engine.add_event_handler(Events.EXCEPTION_RAISED, _stop, self.reporter)

    def _start(self, engine: Any) -> None:
        engine.state.metrics |= {"num_done": 0, "num_failed": 0}
        self.reporter.start(len(engine.data_loader.dataset), "Images")

    def _report(self, engine: Any) -> None:
        counts = engine.state.metrics
        for case in engine.state.output:
            if "error" in case:
                counts["num_failed"] += 1
                self.reporter.error(case["error"])
            else:
                counts["num_done"] += 1
                if "result" in case:
                    self.reporter.result(case["result"])
            self.reporter.progress(counts["num_done"] + counts["num_failed"])

    def _done(self, engine: Engine) -> None:
        counts = engine.state.metrics
        self.reporter.done(num_done=counts["num_done"], num_failed=counts["num_failed"])


def _stop(engine: Engine, error: BaseException, reporter: Reporter) -> None:
    reporter.stop()
    raise error
