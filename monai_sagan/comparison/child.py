"""Starts trainings in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from monai_sagan.errors import UserError
from monai_sagan.processes import alone

__all__ = ["run_child"]


def run_child(
    bundle: str,
    data: Path,
    folder: Path,
    settings: Mapping[str, Any],
    *,
    device: str = "auto",
    evaluate: bool = True,
    listen: Callable[[dict[str, Any]], None] | None = None,
) -> None:
    """Trains a bundle, and evaluates it.

    Args:
        bundle: name of the bundle.
        data: a folder in the Med-AD layout.
        folder: gets ``bundle``, ``evaluation`` and at last ``measured.json``: the training's ``seconds``, its
            ``peak_memory_mib`` and ``peak_gpu_memory_mib`` (None without), and ``images_per_second`` of the evaluation.
        settings: of the bundle.
        device: "auto", "cpu" or a CUDA device.
        evaluate: whether to evaluate, and to measure.
        listen: called with each event of the training's progress as it comes.

    Raises:
        UserError: if the training cannot be made so.
        RuntimeError: if it ends with an error of this software; its traceback is on standard error.
    """
    request = {
        "bundle": bundle,
        "data": str(data.resolve()),
        "output": str((folder / "bundle").resolve()),
        "evaluation": str((folder / "evaluation").resolve()) if evaluate else None,
        "measured": str((folder / "measured.json").resolve()),
        "settings": dict(settings),
        "device": device,
        "progress": "none" if listen is None else "json",
    }
    command = [sys.executable, "-W", "ignore", "-m", "monai_sagan.comparison", json.dumps(request)]
    message = None
    with alone(), subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as child:  # noqa: S603
        assert child.stdout is not None  # noqa: S101
        for line in child.stdout:
            if not line.startswith("{"):
                continue
            event = json.loads(line)
            if event["event"] == "error":
                message = event["message"]
            elif listen is not None:
                listen(event)
    if message is not None:
        raise UserError(message)
    if child.returncode != 0:
        raise RuntimeError(f"{folder}: the training ended with exit code {child.returncode}; its error is told above.")
