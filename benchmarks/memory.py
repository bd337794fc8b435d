"""The memory that something takes: what it holds, and the most that it needs besides while it runs."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path
from types import TracebackType

import torch

__all__ = ["PeakMemory", "held"]

_GIB = 1024**3


class PeakMemory:
    """Measures a ``with`` block.

    Args:
        device: where tensors lie, besides the process's own memory.

    Attributes:
        process: GiB of the process's memory at the block's peak, beyond what it had before (Linux; else None).
        gpu: GiB of tensors on the GPU at the block's peak, beyond what lay there before (None without a GPU).
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.process: float | None = None
        self.gpu: float | None = None

    def __enter__(self) -> PeakMemory:
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
            self._tensors = torch.cuda.memory_allocated(self.device)
        self._resident = _forget_peak()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._resident is not None:
            self.process = max(0.0, _status("VmHWM") - self._resident)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            self.gpu = (torch.cuda.max_memory_allocated(self.device) - self._tensors) / _GIB


def held(device: torch.device) -> dict[str, float | None]:
    """GiB that the process holds now, with nothing kept that is free: ``process`` (Linux; else None) and ``gpu``.

    On the GPU that is what torch has reserved, so memory that a CUDA graph keeps for its replays counts.
    """
    gc.collect()
    gpu = None
    if device.type == "cuda":
        torch.cuda.empty_cache()
        gpu = torch.cuda.memory_reserved(device) / _GIB
    return {"process": _forget_peak(), "gpu": gpu}


def _forget_peak() -> float | None:
    """Lets the kernel count the peak anew; returns the GiB in use now, or None where this cannot be done."""
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what is free but kept would hide what is taken next
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return _status("VmRSS")
    except (OSError, AttributeError):
        return None


def _status(key: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) * 1024 / _GIB
