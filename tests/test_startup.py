"""What a command sets for its own process: Python's garbage collector and torch's threads."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from monai_sagan.startup import let_waiting_threads_rest, quick_imports


@pytest.fixture(autouse=True)
def a_new_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if nothing had been imported yet."""
    monkeypatch.delitem(sys.modules, "monai", raising=False)
    yield
    gc.enable()
    gc.unfreeze()


def test_the_collector_rests() -> None:
    before = gc.get_freeze_count()
    with quick_imports():
        assert not gc.isenabled()
        kept = [[number] for number in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(kept)


def test_after_an_error_too() -> None:
    with pytest.raises(ImportError), quick_imports():
        raise ImportError
    assert gc.isenabled()


def test_it_stays_off_where_it_was() -> None:
    gc.disable()
    with quick_imports():
        pass
    assert not gc.isenabled()


def test_nothing_is_kept_in_a_process_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "monai", sys)
    before = gc.get_freeze_count()
    with quick_imports():
        assert gc.isenabled()
    assert gc.get_freeze_count() == before


class TestThreads:
    @pytest.fixture(autouse=True)
    def nothing_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
            monkeypatch.setenv(name, "")  # so that it is taken back afterwards
            monkeypatch.delenv(name)

    def test_they_rest_soon(self) -> None:
        let_waiting_threads_rest()
        assert os.environ["GOMP_SPINCOUNT"] == "3000"

    @pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
    def test_what_is_said_already_stays(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(name, "7")
        let_waiting_threads_rest()
        assert os.environ[name] == "7"
        assert os.environ.get("GOMP_SPINCOUNT", "7") == "7"

    def test_a_command_says_so_before_torch_is_there(self) -> None:
        code = "import os, sys; from monai_sagan import cli, running; "
        code += "running.run_command(lambda: print('torch' in sys.modules, os.environ['GOMP_SPINCOUNT']))"
        finished = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        assert finished.stdout.split() == ["False", "3000"]
