"""The child process that maps a volume: ``python -m monai_sagan predict``."""

from __future__ import annotations

import math
import os
import subprocess
import time
import weakref
from enum import Enum
from pathlib import Path
from typing import Any

from .child_output import ChildOutput, Event
from .environment import ChildPython
from .failures import explain_end, explain_start
from .i18n import tr as _
from .process_tree import end_tree, kill_tree, start_tree
from .results import AnomalyResult, ResultError, result_from_dict
from .time_left import TimeLeft, words_for_seconds
from .work_folder import WorkFolder

__all__ = ["PredictProcess", "ProcessError", "State"]

# Loading torch from a cold disk takes that long; a few slices on one core do not.
_SILENCE_S = 60.0
# Pipes end with the child, unless something that it started, and that got away, still holds them.
_PIPES_S = 1.0


class ProcessError(RuntimeError):
    """Why not even a folder for the work could be made; the sentence says what to do."""


class State(str, Enum):
    """How far a run is."""

    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class PredictProcess:
    """One run on one volume, from its temporary folder to its result.

    Write the volume to :attr:`input_path`, call :meth:`start`, and :meth:`poll` a few times a second from a timer.
    When :attr:`state` is ``DONE``, take over :attr:`result` with the map that it names, then :meth:`close`. The folder
    goes at once where a run fails or is cancelled; child and folder go with this object, and when the program ends.

    Attributes:
        state: see :class:`State`.
        error: why it failed, in a sentence; empty unless it did.
        result: None unless it is done.

    Raises:
        ProcessError: if the temporary folder cannot be made.
    """

    def __init__(self) -> None:
        try:
            self._work = WorkFolder()
        except OSError as error:
            raise ProcessError(
                _(
                    "No temporary folder could be made ({reason}); free some space on the disk, or set another folder "
                    "for temporary files."
                ).format(reason=error.strerror)
            ) from error
        self.state = State.READY
        self.error = ""
        self.result: AnomalyResult | None = None
        self._folder = self._work.path
        self._output = ChildOutput()
        self._errors: list[str] = []
        self._result: AnomalyResult | None = None
        self._is_told_done = False
        self._last_news = time.monotonic()
        self._ended: float | None = None
        self._time_left: TimeLeft | None = None

    @property
    def input_path(self) -> Path:
        """Where to write the volume: under a name that tells nothing of the patient."""
        return self._folder / "input.nrrd"

    @property
    def log(self) -> str:
        """What the child said besides results, for people; it stays after the end."""
        return self._output.log

    @property
    def fraction(self) -> float:
        """How much of the work is done, 0 to 1."""
        return 0.0 if self._time_left is None else self._time_left.fraction

    @property
    def seconds_left(self) -> float | None:
        """The time left in seconds; None as long as nobody can tell, and when it does not run."""
        if self.state is not State.RUNNING or self._time_left is None:
            return None
        return self._time_left.seconds(time.monotonic())

    @property
    def silent_seconds(self) -> float:
        """For how long a running child has told no event, in seconds; 0 when it does not run."""
        return time.monotonic() - self._last_news if self.state is State.RUNNING else 0.0

    @property
    def status(self) -> str:
        """How it stands, in words for people."""
        if self.state is not State.RUNNING:
            words = {State.READY: _("Ready."), State.DONE: _("Done."), State.CANCELLED: _("Cancelled.")}
            return words.get(self.state, self.error)
        done = _("{percent} % done.").format(percent=math.floor(100 * self.fraction))
        told = _("Starting.") if self._time_left is None else done
        if self.silent_seconds > _SILENCE_S:
            silence = _("Nothing was heard for {time}: the computer is busy, or the program hangs. Cancel ends it.")
            return f"{told} {silence.format(time=words_for_seconds(self.silent_seconds))}"
        left = self.seconds_left
        if left is None or self.fraction == 1:  # what is written after the last slice is not told
            return told
        rest = _("About {time} left.").format(time=words_for_seconds(left))
        return f"{told} {rest}"

    def start(
        self,
        python: ChildPython,
        bundle: Path,
        *,
        device: str = "auto",
        slice_direction: str | None = None,
        judge_ood: bool = False,
    ) -> None:
        """Starts the child on the volume at :attr:`input_path`. Where that fails, the state is ``FAILED``.

        Args:
            python: what runs it.
            bundle: the bundle's folder.
            device: ``auto``, ``cpu`` or a CUDA device such as ``cuda:0``.
            slice_direction: ``acquisition``, ``axial``, ``coronal`` or ``sagittal``; by default as the bundle has it.
            judge_ood: whether images of another kind than the bundle's have p-values and findings all the same.

        Raises:
            RuntimeError: if it was started before.
        """
        if self.state is not State.READY:
            raise RuntimeError("A process runs once; make another one.")
        command = [str(python.python), "-m", "monai_sagan", "predict", str(bundle.absolute()), str(self.input_path)]
        command += ["--output", str(self._folder / "output"), "--output-ext", ".nrrd", "--overwrite"]
        command += ["--device", device, "--progress", "json"]
        if slice_direction is not None:
            command += ["--slice-direction", slice_direction]
        if judge_ood:
            command.append("--judge-ood")
        try:
            process = start_tree(command, self._folder, {**python.variables, **self._own_variables()})
        except OSError as error:
            self._fail(explain_start(error, python.python))
            return
        self._python, self._process = python.python, process
        self._output.read(process)
        self._end_child = weakref.finalize(self, _end, process, self._output)
        self._last_news = time.monotonic()
        self.state = State.RUNNING

    def poll(self) -> list[Event]:
        """Takes note of what the child told and whether it ended. Does not wait.

        Returns:
            The events since the last call, as docs/reference/results.md has them. Only ``event`` is sure to be there:
            the rest is as the child wrote it.
        """
        if self.state is not State.RUNNING:
            return []
        # Slicer holds Python's lock whenever it runs Python, and threads that read get on only when it lets go.
        time.sleep(0.001)
        if self._process.poll() is not None and self._ended is None:
            self._ended = time.monotonic()
            kill_tree(self._process)  # what the child left behind
        events = self._output.take()
        for when, event in events:
            self._note(when, event)
        if self._ended is not None and not events and self._is_all_read(self._ended):
            self._finish()
        return [event for _, event in events]

    def cancel(self) -> None:
        """Ends the child and all that it started, within two seconds, and removes the folder."""
        if self.state is State.RUNNING:
            self._end_child()
        if self.state in (State.READY, State.RUNNING):
            self.state = State.CANCELLED
            self._work.remove()

    def close(self) -> None:
        """Removes all that there is of the run but what this object holds; ends the child if it still runs."""
        self.cancel()
        self._work.remove()

    def _own_variables(self) -> dict[str, str]:
        """A child that is killed leaves its temporary files; in this folder they go with it."""
        folder = self._folder / "tmp"
        folder.mkdir(exist_ok=True)
        return dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder)) | {"PYTHONUTF8": "1"}

    def _note(self, when: float, event: Event) -> None:
        self._last_news = when
        kind, message = event["event"], event.get("message")
        if kind == "start":
            self._time_left = TimeLeft(when)
        elif kind == "progress":
            self._note_progress(when, event.get("done"), event.get("total"))
        elif kind == "result":
            self._note_result(event)
        elif kind in ("warning", "error") and isinstance(message, str):
            message = self._without_name(message)
            self._output.add_to_log(f"{kind.capitalize()}: {message}")
            if kind == "error":
                self._errors.append(message)
        elif kind == "done":
            self._is_told_done = True

    def _without_name(self, message: str) -> str:
        """What is said of the volume, without the name of its file, which nobody gave it."""
        before, name, rest = message.partition(f"{self.input_path.name}: ")
        if not name or not rest or (before and not before.endswith(os.sep)):
            return message
        return rest[0].upper() + rest[1:]

    def _note_progress(self, when: float, done: Any, total: Any) -> None:
        # JSON may hold NaN, and whole numbers beyond all that can be divided.
        if not all(isinstance(value, (int, float)) and 0 <= value < 1e15 for value in (done, total)) or total == 0:
            return
        if self._time_left is None:
            self._time_left = TimeLeft(when)
        self._time_left.update(when, done / total)

    def _note_result(self, event: Event) -> None:
        try:
            result = result_from_dict(event)
        except ResultError as error:
            self._errors.append(str(error))
            return
        maps = (result.anomaly_map, result.deviation_map, result.findings_map)
        is_complete = result.anomaly_map is not None and all(path is None or path.is_file() for path in maps)
        if result.has_map and not is_complete:
            self._errors.append(_("The result came without its map; try again, and look whether the disk is full."))
            return
        self._result = result

    def _is_all_read(self, ended: float) -> bool:
        return self._output.is_read or time.monotonic() - max(ended, self._last_news) > _PIPES_S

    def _finish(self) -> None:
        code = self._process.returncode
        self._end_child.detach()
        self._output.stop()
        # A crash after all was written and told, as libraries have them when they are unloaded, takes nothing away.
        if self._result is not None and (code == 0 or self._is_told_done):
            self.result = self._result
            self.state = State.DONE
            return
        self._fail(explain_end(code, self.log, self._errors, self._output.last_unknown, self._python))

    def _fail(self, sentence: str) -> None:
        self.error = sentence
        self.state = State.FAILED
        self._work.remove()


def _end(process: subprocess.Popen[bytes], output: ChildOutput) -> None:
    output.stop()
    end_tree(process)
