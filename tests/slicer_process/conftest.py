"""The part of the Slicer module that is plain Python: no Slicer is needed here."""

from __future__ import annotations

import os
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
MODULE_FOLDER = HERE.parents[1] / "slicer_extension" / "AnomalyMap"
# As Slicer does with the folder of a module; and for what is shared here.
sys.path[:0] = [str(MODULE_FOLDER), str(HERE)]

from AnomalyMapLib.environment import ChildPython  # noqa: E402
from AnomalyMapLib.process import PredictProcess, State  # noqa: E402
from child_runs import BUNDLE  # noqa: E402


@pytest.fixture
def module_folder() -> Path:
    """The folder of AnomalyMap.py."""
    return MODULE_FOLDER


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which all temporary ones are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def stand_in(tmp_path: Path) -> Callable[..., ChildPython]:
    """Makes a Python whose ``monai_sagan`` is a few lines of a test's own, which find ``sys`` and ``OUTPUT``."""

    def make(*parts: str, version: str = "0.0.0") -> ChildPython:
        package = tmp_path / "stand_in" / "monai_sagan"
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").write_text(f"__version__ = {version!r}\n", encoding="utf-8")
        head = """
            import json, os, signal, subprocess, sys, time
            from pathlib import Path
            OUTPUT = Path(sys.argv[sys.argv.index("--output") + 1])
            RESULT = {
                "event": "result", "schema_version": "2.0", "input": "input.nrrd", "anomaly_score": 0.25,
                "bundle": {"name": "b", "version": "1"}, "anomaly_map": str(OUTPUT / "input_anomaly.nrrd"),
            }
            def tell(event, **values):
                print(json.dumps({"event": event, **values}), flush=True)
            def write_map():
                OUTPUT.mkdir()
                Path(RESULT["anomaly_map"]).write_bytes(b"a map")
        """
        text = "\n".join(textwrap.dedent(part) for part in (head, *parts))
        (package / "__main__.py").write_text(text, encoding="utf-8")
        return ChildPython(Path(sys.executable), {**os.environ, "PYTHONPATH": str(package.parent)})

    return make


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """Waits for a condition, and fails if it does not come true in time."""

    def wait(condition: Callable[[], bool], seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "this did not happen in time"
            time.sleep(0.01)

    return wait


@pytest.fixture
def run_to_end(wait_until: Callable[..., None]) -> Callable[[PredictProcess], list[dict[str, Any]]]:
    """Polls as a timer would until the run is over, and gives all events."""

    def run(process: PredictProcess) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []

        def is_over() -> bool:
            events.extend(process.poll())
            return process.state is not State.RUNNING

        wait_until(is_over, 120.0)
        return events

    return run


@pytest.fixture
def run(
    temporary: Path, stand_in: Callable[..., ChildPython], run_to_end: Callable[..., Any]
) -> Callable[..., PredictProcess]:
    """Runs a stand-in to its end."""

    def run(*parts: str) -> PredictProcess:
        process = PredictProcess()
        process.start(stand_in(*parts), BUNDLE)
        run_to_end(process)
        return process

    return run
