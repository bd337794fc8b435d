"""How a child is killed on Windows, as far as that can be tried elsewhere."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from AnomalyMapLib.process_tree import kill_tree

NO_WINDOW = 0x08000000


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as child:
        monkeypatch.setattr(sys, "platform", "win32")
        monkeypatch.setattr(subprocess, "CREATE_NO_WINDOW", NO_WINDOW, raising=False)
        yield child
        child.kill()


def test_no_console_opens(child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[tuple[list[str], dict[str, Any]]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **options: runs.append((command, options)))
    kill_tree(child)
    ((command, options),) = runs
    assert command == ["taskkill", "/F", "/T", "/PID", str(child.pid)]
    assert options["creationflags"] == NO_WINDOW


@pytest.mark.parametrize("error", [FileNotFoundError("taskkill"), subprocess.TimeoutExpired("taskkill", 1.0)], ids=repr)
def test_the_child_is_killed_without_the_tool_too(
    error: Exception, child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(subprocess, "run", fail)
    kill_tree(child)
    assert child.wait(timeout=10) != 0
