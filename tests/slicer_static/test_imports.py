"""What is imported where, and that nothing runs when Slicer imports the module at its start."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

MODULE_FOLDER = Path(__file__).resolve().parents[2] / "slicer_extension" / "AnomalyMap"
OWN = {"AnomalyMap", "AnomalyMapLib"}
QT = {"qt", "ctk"}
SLICERS = {"slicer", "vtk", "numpy", *QT}
# The child's alone: in Slicer's own process they cost seconds, gigabytes, and its stability.
OF_THE_CHILD = {"torch", "monai", "monai_sagan", "ignite", "itk", "nibabel"}
# What a module may call while it is imported: these only make a value.
HARMLESS_CALLS = {"Path", "Path(__file__).resolve", "TypeVar", "re.compile", "frozenset", "set", "tuple", "dict"}

FILES = sorted(path for path in MODULE_FOLDER.rglob("*.py") if "__pycache__" not in path.parts)
ALL_FILES = pytest.mark.parametrize(
    "path", [pytest.param(path, id=path.relative_to(MODULE_FOLDER).as_posix()) for path in FILES]
)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def at_file_scope(tree: ast.Module) -> Iterator[ast.AST]:
    """All that runs when the file is imported: everything but the insides of functions."""
    left: list[ast.AST] = [tree]
    while left:
        node = left.pop()
        yield node
        inside = node.body if isinstance(node, ast.FunctionDef) else []
        if not isinstance(node, ast.Lambda):
            left.extend(child for child in ast.iter_child_nodes(node) if child not in inside)


def imported(nodes: Iterator[ast.AST]) -> set[str]:
    """The packages that are imported there; a relative import counts as our own."""
    packages = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            packages |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            packages.add("AnomalyMapLib" if node.level else str(node.module).split(".")[0])
    return packages


@ALL_FILES
def test_at_file_scope_only_what_slicer_has(path: Path) -> None:
    assert imported(at_file_scope(parse(path))) - set(sys.stdlib_module_names) - SLICERS - OWN == set()


@ALL_FILES
def test_nothing_of_the_child_anywhere(path: Path) -> None:
    tree = parse(path)
    assert imported(ast.walk(tree)) & OF_THE_CHILD == set()
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert called & {"__import__", "importlib.import_module", "exec", "eval"} == set()


@ALL_FILES
def test_qt_only_where_the_name_tells(path: Path) -> None:
    if path.name != "AnomalyMap.py" and not path.name.startswith("widget"):
        assert imported(ast.walk(parse(path))) & QT == set()


@ALL_FILES
def test_the_package_imports_itself_relatively(path: Path) -> None:
    """It travels in the library's wheel too, under another name."""
    if path.parent.name == "AnomalyMapLib":
        absolute = [node for node in ast.walk(parse(path)) if isinstance(node, ast.ImportFrom) and not node.level]
        assert not [node.module for node in absolute if str(node.module).split(".")[0] in OWN]


@ALL_FILES
def test_nothing_runs_at_import(path: Path) -> None:
    """Imports, definitions and values; no call that does something."""
    tree = parse(path)
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
    if path.name == "i18n.py":  # which looks whether this is Slicer
        kinds += (ast.Try,)
    for number, node in enumerate(tree.body):
        is_docstring = number == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        assert is_docstring or isinstance(node, kinds), f"line {node.lineno}: {ast.unparse(node)}"
    decorators = {id(part) for node in ast.walk(tree) for part in getattr(node, "decorator_list", ())}
    declared = [node.annotation for node in ast.walk(tree) if isinstance(node, ast.AnnAssign)]
    annotations = {id(part) for annotation in declared for part in ast.walk(annotation)}
    for node in at_file_scope(tree):
        if isinstance(node, ast.Call) and id(node) not in decorators | annotations:
            assert ast.unparse(node.func) in HARMLESS_CALLS, f"line {node.lineno}: {ast.unparse(node)}"


def test_requirements_are_the_librarys(repository: Path, module_folder: Path) -> None:
    """All that a prediction needs, with the library's bounds, but for what the extension gets otherwise."""
    text = (repository / "pyproject.toml").read_text(encoding="utf-8")
    (block,) = re.findall(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    needed = set(re.findall(r'"([^"]+)"', block))
    lines = (module_folder / "Resources" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    offered = {line for line in lines if line and not line.startswith("#")}
    assert {re.split(r"\W", line)[0] for line in needed - offered} == {"torch", "tensorboard"}
    assert offered <= needed
    assert [line for line in offered if not re.fullmatch(r"[\w-]+>=[\d.]+", line)] == []  # bounds, and nothing pinned
