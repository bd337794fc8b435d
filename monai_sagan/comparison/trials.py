"""What experiments of many trainings have in common: settings that stay, trainings that are shared out, and spreads."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, TypeVar

from monai_sagan.errors import UserError
from monai_sagan.files import write_json
from monai_sagan.processes import alone, is_first, share_of
from monai_sagan.progress import ProgressKind, make_reporter

__all__ = ["Trial", "keep_settings", "require_settings", "run_share", "spread"]

_SETTINGS = "settings.json"


@dataclass(frozen=True)
class Trial:
    """One training and its evaluation.

    Args:
        folder: where both are.
        seed: of the training.
    """

    folder: Path
    seed: int

    @property
    def bundle(self) -> Path:
        """What is trained."""
        return self.folder / "bundle"

    @property
    def evaluation(self) -> Path:
        """Where its evaluation is."""
        return self.folder / "evaluation"

    @property
    def is_done(self) -> bool:
        """Whether it needs no more work."""
        return (self.evaluation / "metrics.json").is_file()

    def metrics(self) -> dict[str, Any]:
        """What the evaluation found."""
        return json.loads((self.evaluation / "metrics.json").read_text(encoding="utf-8"))


TrialT = TypeVar("TrialT", bound=Trial)


def keep_settings(output: Path, settings: Mapping[str, Any]) -> None:
    """Writes down what an experiment is made with, so that it goes on with the same.

    Args:
        output: folder of the experiment.
        settings: ready for JSON.

    Raises:
        UserError: if the folder holds an experiment with others.
    """
    require_settings(output, settings)
    write_json(output / _SETTINGS, settings)


def require_settings(output: Path, settings: Mapping[str, Any]) -> None:
    """Raises a UserError if a folder holds an experiment with other settings."""
    path = output / _SETTINGS
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != settings:
        raise UserError(f"{output}: holds a comparison of other data or with other settings; choose another --output.")


def run_share(trials: Sequence[TrialT], run: Callable[[TrialT], None], progress: ProgressKind) -> None:
    """Runs what is not done of this process's trials.

    Args:
        trials: all of them, in the same order in each process.
        run: does one.
        progress: how the first process tells how many are done.
    """
    share = share_of(trials)
    reporter = make_reporter(progress if is_first() else "none")
    reporter.start(len(share), "Trainings")
    try:
        for done, trial in enumerate(share):
            reporter.progress(done)
            if not trial.is_done:
                with alone():
                    run(trial)
        reporter.progress(len(share))
        reporter.done(num_trainings=len(share))
    except BaseException:
        reporter.stop()
        raise


def spread(values: Sequence[float]) -> dict[str, Any]:
    """``values``, their ``mean``, and as ``spread`` their standard deviation; None of a single one."""
    return {"values": list(values), "mean": fmean(values), "spread": stdev(values) if len(values) > 1 else None}
