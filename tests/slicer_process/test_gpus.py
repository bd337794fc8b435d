"""GPUs as the driver's own tool lists them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from AnomalyMapLib.gpus import Gpu, GpuQuery, count_by_bus, gpus_from_table, visible_gpus

TABLE = "0, NVIDIA RTX A2000\n1, NVIDIA H200, of two\n"
GPUS = [Gpu("cuda:0", "NVIDIA RTX A2000"), Gpu("cuda:1", "NVIDIA H200, of two")]


def asked(code: str, **options: float) -> GpuQuery:
    """A question to a tool that runs some Python."""
    return GpuQuery({}, command=(sys.executable, "-c", code), **options)


def test_a_table() -> None:
    assert gpus_from_table(TABLE) == GPUS
    assert gpus_from_table("") == []
    assert gpus_from_table("No devices were found\n") == []


def test_an_answer_is_not_waited_for(wait_until: Callable[..., None], tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    wait = f"import os, time\nwhile not os.path.exists({str(gate)!r}):\n    time.sleep(0.01)\n"
    query = asked(f"{wait}print({TABLE!r}, end='')")
    assert query.poll() is None
    gate.touch()
    wait_until(lambda: query.poll() is not None)
    assert query.poll() == GPUS
    query.close()


@pytest.mark.parametrize("code", ["raise SystemExit(9)", "print('NVIDIA-SMI has failed')"])
def test_a_tool_that_fails(code: str, wait_until: Callable[..., None]) -> None:
    query = asked(code)
    wait_until(lambda: query.poll() is not None)
    assert query.poll() == []


def test_a_computer_without_the_tool(tmp_path: Path) -> None:
    query = GpuQuery({}, command=(str(tmp_path / "nvidia-smi"),))
    assert query.poll() == []
    query.close()


def test_a_tool_that_hangs_is_ended(wait_until: Callable[..., None]) -> None:
    query = asked("import time; time.sleep(600)", deadline_s=0.2)
    wait_until(lambda: query.poll() == [])
    assert query._process.returncode is not None


def test_closing_ends_it() -> None:
    query = asked("import time; time.sleep(600)")
    query.close()
    assert query._process.returncode is not None
    query.close()


@pytest.mark.parametrize(
    ("visible", "count"), [("", 0), ("-1", 0), ("0", 1), ("3,1", 2), ("GPU-8f2a,GPU-11", 2), ("0,-1,1", 1)]
)
def test_only_some_may_be_used(visible: str, count: int) -> None:
    assert visible_gpus(visible) == [Gpu(f"cuda:{number}", "") for number in range(count)]
    assert GpuQuery({"CUDA_VISIBLE_DEVICES": visible}, command=("no such tool",)).poll() == visible_gpus(visible)


def test_the_child_counts_as_the_tool_does() -> None:
    assert count_by_bus({"A": "1"}) == {"A": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert count_by_bus({"CUDA_VISIBLE_DEVICES": "1"}) == {"CUDA_VISIBLE_DEVICES": "1"}


def test_a_gpu_has_the_number_that_the_tool_gives_it_whatever_was_set() -> None:
    assert count_by_bus({"CUDA_DEVICE_ORDER": "FASTEST_FIRST"}) == {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
