"""Which GPUs this computer has, asked of NVIDIA's own tool: torch loads slowly, and in Slicer not at all."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Gpu", "GpuQuery", "count_by_bus", "gpus_from_table", "visible_gpus"]

_COMMAND = ("nvidia-smi", "--query-gpu=index,name", "--format=csv,noheader")
_DEADLINE_S = 20.0
_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Gpu:
    """A GPU that a child may use.

    Attributes:
        device: as PyTorch names it in an environment of :func:`count_by_bus`: ``cuda:0`` and so on.
        name: for people; empty if it is not known.
    """

    device: str
    name: str


class GpuQuery:
    """Asks for the GPUs, without waiting for the answer.

    Args:
        variables: the environment.
        command: the tool that is asked.
        deadline_s: how long it may take to answer, in seconds.
    """

    def __init__(
        self, variables: Mapping[str, str], command: tuple[str, ...] = _COMMAND, deadline_s: float = _DEADLINE_S
    ) -> None:
        self._gpus: list[Gpu] | None = None
        self._until = time.monotonic() + deadline_s
        # Not a pipe, which somebody would have to read meanwhile.
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        if _VISIBLE in variables:
            self._gpus = visible_gpus(variables[_VISIBLE])
            return
        try:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                env=dict(variables),
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.DEVNULL,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError:  # no driver, no GPU
            self._gpus = []

    def poll(self) -> list[Gpu] | None:
        """The GPUs; none where there is no driver or it does not answer in time. None as long as it is not known."""
        if self._gpus is None and self._process.poll() is not None:
            self._output.seek(0)
            table = self._output.read().decode("utf-8", errors="replace")
            self._gpus = gpus_from_table(table) if self._process.returncode == 0 else []
        if self._gpus is None and time.monotonic() > self._until:
            self.close()
        return self._gpus

    def close(self) -> None:
        """Ends the tool if it still runs, and frees what the answer took."""
        if self._gpus is None:
            self._process.kill()
            self._process.wait()
            self._gpus = []
        self._output.close()


def gpus_from_table(table: str) -> list[Gpu]:
    """The GPUs of a table with a line each: index, name."""
    cells = [line.partition(",") for line in table.splitlines()]
    return [Gpu(f"cuda:{int(index)}", name.strip()) for index, _, name in cells if index.strip().isdigit()]


def visible_gpus(visible: str) -> list[Gpu]:
    """Those that the variable ``CUDA_VISIBLE_DEVICES`` leaves over: up to the first that cannot be one."""
    words = [word.strip() for word in visible.split(",")]
    end = next((number for number, word in enumerate(words) if not word or word.startswith("-")), len(words))
    return [Gpu(f"cuda:{number}", "") for number in range(end)]


def count_by_bus(variables: Mapping[str, str]) -> dict[str, str]:
    """An environment in which CUDA counts GPUs as NVIDIA's tool does, and not the fastest first.

    Where the environment says which GPUs may be used, it is left as it is: their numbers would mean others.
    """
    return dict(variables) if _VISIBLE in variables else {**variables, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
