"""The child process is cancelled, closed or forgotten: nothing is left of it."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from AnomalyMapLib.environment import ChildPython
from AnomalyMapLib.process import PredictProcess, State
from child_runs import BUNDLE, GOOD, is_alive

HANGS_WITH_GRANDCHILDREN = """
    for number in range(2):
        deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); "
        child = subprocess.Popen([sys.executable, "-c", deaf + "time.sleep(600)"], stdout=subprocess.PIPE)
        child.stdout.readline()
        tell("child", pid=child.pid)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tell("child", pid=os.getpid())
    (OUTPUT.parent / "tmp" / "half written").write_text("half")
    tell("start", total=4, task="Images")
    tell("progress", done=1, total=4)
    while True:
        time.sleep(600)
"""


class TestEnding:
    @pytest.fixture
    def hanging(
        self, temporary: Path, stand_in: Callable[..., ChildPython], wait_until: Callable[..., None]
    ) -> tuple[PredictProcess, list[int]]:
        """A child that works without end, with children that do not listen to SIGTERM, and the ids of all three."""
        process = PredictProcess()
        process.input_path.write_bytes(b"voxels of a patient")
        process.start(stand_in(HANGS_WITH_GRANDCHILDREN), BUNDLE)
        pids: list[int] = []

        def is_at_work() -> bool:
            pids.extend(event["pid"] for event in process.poll() if event["event"] == "child")
            return process.fraction > 0

        wait_until(is_at_work)
        assert len(pids) == 3
        assert all(map(is_alive, pids))
        return process, pids

    def test_cancel(self, hanging: tuple[PredictProcess, list[int]], temporary: Path) -> None:
        process, pids = hanging
        start = time.monotonic()
        process.cancel()
        assert time.monotonic() - start < 2
        assert not any(map(is_alive, pids))
        assert list(temporary.iterdir()) == []
        assert process.state is State.CANCELLED
        assert process.status == "Cancelled."
        assert process.poll() == []
        assert process.state is State.CANCELLED

    def test_close(self, hanging: tuple[PredictProcess, list[int]], temporary: Path) -> None:
        process, pids = hanging
        process.close()
        assert not any(map(is_alive, pids))
        assert list(temporary.iterdir()) == []

    def test_being_forgotten(
        self, stand_in: Callable[..., ChildPython], temporary: Path, wait_until: Callable[..., None]
    ) -> None:
        def start_and_forget() -> int:
            process = PredictProcess()
            process.start(stand_in("tell('child', pid=os.getpid()); time.sleep(600)"), BUNDLE)
            seen: list[dict[str, Any]] = []
            wait_until(lambda: bool(seen.extend(process.poll()) or seen))
            return seen[0]["pid"]

        pid = start_and_forget()
        gc.collect()
        assert not is_alive(pid)
        assert list(temporary.iterdir()) == []

    def test_no_thread_stays(
        self, stand_in: Callable[..., ChildPython], temporary: Path, wait_until: Callable[..., None]
    ) -> None:
        before = set(threading.enumerate())
        process = PredictProcess()
        process.start(stand_in("while True:\n    tell('noise')\n"), BUNDLE)
        # Nobody polls: the child fills the queue and waits.
        wait_until(lambda: process._output._events.full())
        process.cancel()
        wait_until(lambda: set(threading.enumerate()) <= before)

    @pytest.mark.parametrize("end", ["pass", "raise ValueError", "os.kill(os.getpid(), 15)", "os.kill(os.getpid(), 9)"])
    def test_the_program_ends(
        self,
        stand_in: Callable[..., ChildPython],
        module_folder: Path,
        tmp_path: Path,
        wait_until: Callable[..., None],
        end: str,
    ) -> None:
        python = stand_in("while True:\n    tell('child', pid=os.getpid())\n    time.sleep(0.01)\n")
        temporary = tmp_path / "temporary"
        temporary.mkdir()
        program = f"""
import os, sys, time
sys.path.insert(0, {str(module_folder)!r})
from pathlib import Path
from AnomalyMapLib.environment import ChildPython
from AnomalyMapLib.process import PredictProcess
process = PredictProcess()
process.start(ChildPython(Path(sys.executable), dict(os.environ)), Path("bundle"))
while not (events := process.poll()):
    time.sleep(0.01)
print(events[0]["pid"], process.input_path.parent, flush=True)
{end}
"""
        variables = {**python.variables, "TMPDIR": str(temporary)}
        ended = subprocess.run(
            [sys.executable, "-c", program], env=variables, capture_output=True, text=True, timeout=60, check=False
        )
        pid, folder = ended.stdout.split()
        assert Path(folder).parent == temporary
        # A program that is killed cannot tidy up, but its child ends when nobody reads any more.
        assert Path(folder).exists() == ("kill" in end)
        wait_until(lambda: not is_alive(int(pid)))

    def test_cancel_before_the_start(self, temporary: Path) -> None:
        process = PredictProcess()
        process.cancel()
        assert process.state is State.CANCELLED
        assert list(temporary.iterdir()) == []

    def test_cancel_after_the_end_changes_nothing(self, run: Callable[..., PredictProcess]) -> None:
        process = run(GOOD)
        process.cancel()
        assert process.state is State.DONE
        assert process.result is not None
        assert process.result.anomaly_map is not None
        assert process.result.anomaly_map.is_file()
        process.close()
