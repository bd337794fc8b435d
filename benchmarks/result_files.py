"""Where results are kept, and what every one of them says besides its figures."""

from __future__ import annotations

import json
import shlex
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from machine import describe_machine

from monai_sagan.memory import keep_freed_memory

__all__ = ["RESULTS", "parse_arguments", "read_results", "write_result"]

RESULTS = Path(__file__).resolve().parent / "results"


def parse_arguments(parser: ArgumentParser, argv: Sequence[str] | None, *, is_of_cpu: bool = False) -> Namespace:
    """A script's arguments, with those that all scripts have; the process handles memory as the command's does.

    Args:
        parser: knows the others.
        argv: what was given; None for the command line's.
        is_of_cpu: whether the script measures processors alone, so that there is no device to choose.
    """
    keep_freed_memory()
    parser.formatter_class = RawDescriptionHelpFormatter
    if is_of_cpu:
        parser.set_defaults(device="cpu")
    else:
        parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the result")
    given = sys.argv[1:] if argv is None else list(argv)
    arguments = parser.parse_args(given)
    arguments.given = given
    return arguments


def write_result(name: str, arguments: Namespace, figures: dict[str, Any]) -> Path:
    """Writes a result with the machine, the command and the settings that it comes from.

    Args:
        name: of the script.
        arguments: of the script, from :func:`parse_arguments`.
        figures: what was measured.

    Returns:
        ``NAME_DEVICE.json`` in the output folder.
    """
    settings = {key: value for key, value in vars(arguments).items() if key not in ("device", "output", "given")}
    result = {
        "machine": describe_machine(arguments.device),
        "command": shlex.join(["python", f"benchmarks/{name}.py", *_without_output(arguments.given)]),
        "settings": settings,
        **figures,
    }
    path = arguments.output / f"{name}_{arguments.device.split(':')[0]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1, default=str) + "\n", encoding="utf-8")
    return path


def _without_output(given: Sequence[str]) -> list[str]:
    """Arguments without the folder of the result, which concerns nobody else."""
    return [
        text
        for before, text in zip(["", *given], given)
        if "--output" not in (before, text) and not text.startswith("--output=")
    ]


def read_results(name: str, folder: Path) -> list[dict[str, Any]]:
    """The results of a part that are there, of GPUs first."""
    paths = [folder / f"{name}_{device}.json" for device in ("cuda", "cpu")]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]
