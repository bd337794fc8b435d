"""Where results are kept, and what every one of them says besides its figures."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from machine import describe_machine

__all__ = ["RESULTS", "read_results", "write_result"]

RESULTS = Path(__file__).resolve().parent / "results"


def write_result(name: str, device: str, settings: dict[str, Any], figures: dict[str, Any], folder: Path) -> Path:
    """Writes a result with the machine, the command and the settings that it comes from.

    Args:
        name: of the part of the benchmark.
        device: where it ran.
        settings: what it was called with.
        figures: what was measured.
        folder: where to write ``NAME_DEVICE.json``.

    Returns:
        The file.
    """
    command = " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    result = {"machine": describe_machine(device), "command": command, "settings": settings, **figures}
    path = folder / f"{name}_{device.split(':')[0]}.json"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return path


def read_results(name: str, folder: Path) -> list[dict[str, Any]]:
    """The results of a part that are there, of GPUs first."""
    paths = [folder / f"{name}_{device}.json" for device in ("cuda", "cpu")]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]
