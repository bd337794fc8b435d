"""Writes docs/reference/python.md: the public classes and functions, each with the first sentence of its docstring.

python docs/reference/python.py
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import monai_sagan

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).with_suffix(".md")
# In the order in which an image passes them, then what is made of many.
PACKAGES = (
    "workflows",
    "data",
    "transforms",
    "networks",
    "inferers",
    "losses",
    "engines",
    "handlers",
    "calibration",
    "familiarity",
    "results",
    "metrics",
    "report",
    "comparison",
)
_INTRODUCTION = """# Python

The public classes and functions by package, each with the first sentence of its docstring and a link to its source. The
docstrings there give shapes, units, ranges and errors. `monai_sagan.workflows` does what the commands do; the other
packages are what the bundles' configs are made of. A transform `X` works on arrays; `Xd` is its dictionary form.

This page is made by `make reference`.
"""


def page() -> str:
    """The whole page."""
    return _INTRODUCTION + "".join(_section(import_module(f"monai_sagan.{name}")) for name in PACKAGES)


def _section(package: ModuleType) -> str:
    rows = "".join(f"| {name} | {what} |\n" for name, what in _parts(package))
    return (
        f"\n## {package.__name__}\n\n{_first_sentence(package)}\n\n| name | what it is or does |\n| --- | --- |\n{rows}"
    )


def _parts(package: ModuleType) -> Iterator[tuple[str, str]]:
    """Name, linked to its source, and first sentence of each class and function; constants are left out."""
    repository = Path(monai_sagan.__file__).parents[1]
    for name in package.__all__:
        part = getattr(package, name)
        if inspect.isclass(part) or inspect.isfunction(part):
            source = Path(inspect.getfile(part)).relative_to(repository)
            up = Path(os.path.relpath(repository, PAGE.parent))
            yield f"[`{name}`]({(up / source).as_posix()})", _first_sentence(part)


def _first_sentence(part: object) -> str:
    """In Markdown; a sentence ends the paragraph, or has a capital or a bracket behind its full stop."""
    paragraph = " ".join((inspect.getdoc(part) or "").split("\n\n")[0].split())
    sentence = re.split(r"(?<=\.) (?=[A-Z(])", paragraph)[0]
    sentence = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", sentence)  # roles of reStructuredText
    return sentence.replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
