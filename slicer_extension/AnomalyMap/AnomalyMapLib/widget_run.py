"""A run as the panel sees it: started, watched by a timer, cancelled, its result taken over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from .environment import ChildPython
from .gpus import count_by_bus
from .process import PredictProcess, ProcessError, State
from .results import AnomalyResult, ResultError
from .volumes import VolumeError, voxels_time, write_volume

__all__ = ["Run"]

_POLL_MS = 100


class Run:
    """One run at a time, beside everything else that Slicer does.

    Args:
        on_news: called whenever there is something new to show.
        on_result: takes over the result of a volume while its files are there; what it raises as `VolumeError` or
            `ResultError` is told as the run's failure.

    Attributes:
        voxels_time: of the voxels that were sent last, see :func:`.voxels_time`.
    """

    def __init__(
        self, on_news: Callable[[], None], on_result: Callable[[AnomalyResult, slicer.vtkMRMLVolumeNode], None]
    ) -> None:
        self._on_news, self._on_result = on_news, on_result
        self._process: PredictProcess | None = None
        self._input_node: slicer.vtkMRMLVolumeNode | None = None
        self._problem = ""
        self.voxels_time: int | None = None
        self._timer = qt.QTimer()
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self._poll)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.state is State.RUNNING

    @property
    def percent(self) -> int | None:
        """How much is done; None as long as nobody can tell."""
        return round(100 * self._process.fraction) if self.is_running and self._process.fraction > 0 else None

    @property
    def status(self) -> str:
        """How it stands, or what went wrong, in words; empty before the first run."""
        return self._problem or (self._process.status if self._process is not None else "")

    @property
    def log(self) -> str:
        """What the child said; it stays until the next run."""
        return self._process.log if self._process is not None else ""

    def start(
        self,
        python: ChildPython,
        input_node: slicer.vtkMRMLVolumeNode,
        bundle: Path,
        *,
        device: str,
        slice_direction: str | None,
        judge_ood: bool,
    ) -> None:
        """Starts the child, in the place of an earlier run. What keeps it from starting is told by :attr:`status`.

        Args:
            python: what runs the child.
            input_node: the volume.
            bundle: the bundle's folder.
            device: ``auto``, ``cpu`` or a GPU by its number.
            slice_direction: None for the bundle's own.
            judge_ood: whether images of another kind than the bundle's are judged all the same.
        """
        self.close()
        self._problem, self._process, self._input_node = "", None, input_node
        self.voxels_time = voxels_time(input_node)
        try:
            self._process = PredictProcess()
            write_volume(input_node, self._process.input_path)
        except (ProcessError, VolumeError) as error:
            self.fail(str(error))
            return
        python = ChildPython(python.python, count_by_bus(python.variables))
        self._process.start(
            python,
            bundle,
            device=device,
            slice_direction=slice_direction,
            judge_ood=judge_ood,
        )
        if self.is_running:
            self._timer.start()
        else:
            self.close()
        self._on_news()

    def fail(self, problem: str) -> None:
        """Ends the run, if there is one, for a reason that is told as its status."""
        self.close()
        self._problem = problem
        self._on_news()

    def cancel(self) -> None:
        """Ends the run, if there is one, within two seconds."""
        self.close()
        self._on_news()

    def forget(self) -> None:
        """Ends the run, if there is one, and says nothing of it any more."""
        self.close()
        self._problem, self._process = "", None
        self._on_news()

    def close(self) -> None:
        """Ends the run, if there is one, and tells nobody."""
        self._timer.stop()
        self._input_node = None
        if self._process is not None:
            self._process.close()

    def _poll(self) -> None:
        if not self.is_running:
            return
        if self._input_node.GetScene() is None:
            self.fail(_("The volume is no longer in the scene, so the run was cancelled."))
            self._tell_failure()
            return
        self._process.poll()
        try:
            if not self.is_running:
                self._finish()
        finally:
            self._on_news()

    def _finish(self) -> None:
        try:
            if self._process.state is State.DONE:
                self._on_result(self._process.result, self._input_node)
        except (ResultError, VolumeError) as error:
            self._problem = str(error)
        except Exception:
            self._problem = _("The result could not be shown; Slicer's Python console has the details.")
            raise
        finally:
            self.close()
            if self._problem or self._process.state is State.FAILED:
                self._tell_failure()

    def _tell_failure(self) -> None:
        """Tells it at the foot of Slicer's window too: another module may be open."""
        slicer.util.showStatusMessage(_("Anomaly Map: {problem}").format(problem=self.status))
