"""A process that keeps what it freed needs no new pages for what it makes again and again."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Pages that the kernel made for ten arrays of 64 MiB, one after the other, of 16,384 pages each.
_COUNT_PAGES = """
import resource
import numpy as np
from monai_sagan.memory import keep_freed_memory

if {keep}:
    keep_freed_memory()
np.full(2**24, 1.0, dtype=np.float32)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.full(2**24, 1.0, dtype=np.float32)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def count_pages(keep: bool) -> int:
    command = [sys.executable, "-c", _COUNT_PAGES.format(keep=keep)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems are left as they are")
def test_freed_memory_is_used_again() -> None:
    array = 16_384 // 512  # numpy asks for huge pages, of 512 small ones each, where the kernel has them
    assert count_pages(keep=True) < array
    assert count_pages(keep=False) >= 10 * array


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from monai_sagan import memory

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: pytest.fail("the C library was asked"))
    memory.keep_freed_memory()


def test_the_command_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from monai_sagan import cli, running

    kept: list[bool] = []
    monkeypatch.setattr(running, "keep_freed_memory", lambda: kept.append(True))
    monkeypatch.setattr(running.signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["monai-sagan", "--version"])
    with pytest.raises(SystemExit):
        cli.main()
    assert kept == [True]


def test_a_training_of_a_comparison_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from monai_sagan.comparison import __main__ as child

    kept: list[bool] = []
    monkeypatch.setattr(child, "keep_freed_memory", lambda: kept.append(True))
    monkeypatch.setattr(child, "run", lambda request: kept.append(False))
    monkeypatch.setattr(child.logging, "disable", lambda level: None)
    child.main({})
    assert kept == [True, False]
