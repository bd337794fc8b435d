"""What the panel says can be translated: Slicer's tools find sentences by the function ``_``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

MODULE_FOLDER = Path(__file__).resolve().parents[2] / "slicer_extension" / "AnomalyMap"
# In English everywhere, as docs/how-to/slicer.md says: the words of a result, which are put together from parts.
ENGLISH = {"description.py"}
FILES = sorted(path for path in (MODULE_FOLDER / "AnomalyMapLib").glob("*.py") if path.name not in ENGLISH)
ALL_FILES = pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in FILES])
# What a programmer did wrong, and what is caught where it is raised.
NOT_FOR_USERS = {"RuntimeError", "PermissionError", "FileNotFoundError"}

SENTENCE = re.compile(r"\w \w.*[.!?]$", re.DOTALL)


def nodes(path: Path) -> Iterator[tuple[ast.AST, list[ast.AST]]]:
    """All parts of a file, each with those around it."""
    left: list[tuple[ast.AST, list[ast.AST]]] = [(ast.parse(path.read_text(encoding="utf-8")), [])]
    while left:
        node, around = left.pop()
        yield node, around
        left.extend((child, [*around, node]) for child in ast.iter_child_nodes(node))


def is_call(node: ast.AST, *names: str) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) in names


@ALL_FILES
def test_every_sentence_can_be_translated(path: Path) -> None:
    missed = [
        node.value
        for node, around in nodes(path)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and SENTENCE.search(node.value)
        and not isinstance(around[-1], ast.Expr)  # a docstring
        and not any(is_call(other, "_", *NOT_FOR_USERS) for other in around)
    ]
    assert missed == []


@ALL_FILES
def test_what_is_translated_is_text_as_it_stands(path: Path) -> None:
    """Not one in which something was filled in already: no dictionary has that."""
    calls = [(node, around) for node, around in nodes(path) if is_call(node, "_")]
    assert [ast.unparse(call) for call, _ in calls if not isinstance(call.args[0], ast.Constant)] == []
    # Nor one inside another text, where nothing is looked for.
    assert [
        ast.unparse(call) for call, around in calls if any(isinstance(node, ast.JoinedStr) for node in around)
    ] == []
