"""The extension's files as they lie in the checkout: neither Slicer nor anything of it is needed here."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def module_folder() -> Path:
    """The folder of AnomalyMap.py."""
    return REPOSITORY / "slicer_extension" / "AnomalyMap"


@pytest.fixture(scope="session")
def cmake_value() -> Callable[[Path, str], list[str]]:
    """Reads what a file with CMake code sets a variable to, word by word."""

    def read(path: Path, name: str) -> list[str]:
        text = path.read_text(encoding="utf-8")
        values = dict(re.findall(r"^set\((\w+)\s+([^)]*?)\s*\)$", text, re.MULTILINE))
        value = re.sub(r"\$\{(\w+)\}", lambda match: values.get(match[1], match[0]), values[name])
        return value.strip('"').split()

    return read
