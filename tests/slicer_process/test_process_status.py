"""What a user reads while the child process runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from AnomalyMapLib import process as process_module
from AnomalyMapLib.environment import ChildPython
from AnomalyMapLib.process import PredictProcess
from child_runs import BUNDLE


class TestStatus:
    def test_of_a_run(
        self, temporary: Path, stand_in: Callable[..., ChildPython], wait_until: Callable[..., None], tmp_path: Path
    ) -> None:
        gates = [tmp_path / "first", tmp_path / "second"]
        python = stand_in(f"""
            def wait(gate):
                while not os.path.exists(gate):
                    time.sleep(0.01)
            tell("start", total=4, task="Images")
            wait({str(gates[0])!r})
            tell("progress", done=1, total=4)
            wait({str(gates[1])!r})
        """)
        process = PredictProcess()
        assert process.status == "Ready."
        process.start(python, BUNDLE)
        assert process.status == "Starting."
        wait_until(lambda: bool(process.poll()))
        assert process.status == "0 % done."
        assert process.seconds_left is None
        gates[0].touch()
        wait_until(lambda: bool(process.poll()))
        assert process.fraction == 0.25
        assert process.seconds_left is not None
        assert process.status.startswith("25 % done. About ")
        process.close()
        assert process.seconds_left is None

    def test_silence_is_told(
        self,
        temporary: Path,
        stand_in: Callable[..., ChildPython],
        wait_until: Callable[..., None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(process_module, "_SILENCE_S", 0.2)
        process = PredictProcess()
        assert process.silent_seconds == 0
        process.start(stand_in("time.sleep(600)"), BUNDLE)
        wait_until(lambda: process.silent_seconds > 0.2)
        assert process.poll() == []
        words = r"Starting\. Nothing was heard for \d+ s: the computer is busy, or the program hangs\. Cancel ends it\."
        assert re.fullmatch(words, process.status)
        process.close()
        assert process.silent_seconds == 0
