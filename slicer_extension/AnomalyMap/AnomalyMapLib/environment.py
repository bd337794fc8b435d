"""Which Python runs the child, with which environment, and what it lacks."""

from __future__ import annotations

import importlib.metadata
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .i18n import tr as _

__all__ = ["ChildPython", "PythonError", "find_library", "missing_requirements", "named_python", "own_python"]

_PACKAGE = "monai_sagan"
# Where an environment has its Python: a virtual one or conda's, on Windows and elsewhere.
_PLACES = ("bin/python", "Scripts/python.exe", "python.exe", "bin/python3")
# These tell a Python where its own library is: another one would take Slicer's, and fail at its first import.
_PYTHON_VARIABLES = ("PYTHONHOME", "PYTHONPATH", "PYTHONEXECUTABLE", "PYTHONSTARTUP", "__PYVENV_LAUNCHER__")
_LIBRARY_VARIABLES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FRAMEWORK_PATH", "LD_PRELOAD")
# Slicer's launcher sets it; where it is, the variables above are Slicer's and not the user's.
_SLICER_HOME = "SLICER_HOME"


class PythonError(ValueError):
    """A Python that cannot run the child; the sentence says why."""


@dataclass(frozen=True)
class ChildPython:
    """What runs the child.

    Attributes:
        python: the program.
        variables: the child's environment, all of it.
    """

    python: Path
    variables: Mapping[str, str]


def find_library(module_folder: Path) -> Path | None:
    """The folder that holds the package monai_sagan: carried by the extension, or the checkout with the module.

    Args:
        module_folder: the folder of ``AnomalyMap.py``.

    Returns:
        None where neither has it.
    """
    folder = module_folder.resolve()
    homes = [folder / "Resources" / "python", *folder.parents[1:2]]
    return next((home for home in homes if (home / _PACKAGE / "__main__.py").is_file()), None)


def own_python(python: Path, library: Path, variables: Mapping[str, str]) -> ChildPython:
    """Slicer's own Python, with the library that the extension carries.

    Args:
        python: Slicer's program ``PythonSlicer``; ``sys.executable`` is Slicer itself.
        library: the folder that holds the package monai_sagan, see :func:`find_library`.
        variables: Slicer's environment, which its Python needs as it is.
    """
    paths = [str(library), *filter(None, [variables.get("PYTHONPATH")])]
    return ChildPython(python, {**variables, "PYTHONPATH": os.pathsep.join(paths)})


def named_python(path: Path, variables: Mapping[str, str]) -> ChildPython:
    """A Python that the user named, without what Slicer's environment would do to it.

    Args:
        path: the folder of a virtual or conda environment, or its Python itself.
        variables: the environment as it was before Slicer started (``slicer.util.startupEnvironment()``), or Slicer's.

    Raises:
        PythonError: if there is no Python.
    """
    path = path.expanduser().absolute()
    if not path.is_dir():
        if not path.is_file():
            raise PythonError(
                _("{path}: this is neither a Python environment's folder nor its Python; choose another.").format(
                    path=path
                )
            )
        return ChildPython(path, _without_slicer(variables))
    python = next((path / place for place in _PLACES if (path / place).is_file()), None)
    if python is None:
        raise PythonError(
            _("{path}: this folder is no Python environment, it has neither {first} nor {second}.").format(
                path=path, first=_PLACES[0], second=_PLACES[1]
            )
        )
    return ChildPython(python, _without_slicer(variables))


def missing_requirements(path: Path) -> list[str]:
    """What this Python, Slicer's own, lacks of the packages that a file lists. None of them is imported.

    Args:
        path: one requirement a line (``name>=version``); what follows a ``#`` is a comment.

    Returns:
        The lines that are not met.
    """
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not _is_met(line)]


def _without_slicer(variables: Mapping[str, str]) -> dict[str, str]:
    if sys.platform == "win32":  # there names are the same in capitals or not, and PATH is most often "Path"
        variables = {name.upper(): value for name, value in variables.items()}
    home = variables.get(_SLICER_HOME)
    kept = {name: value for name, value in variables.items() if name not in (*_PYTHON_VARIABLES, _SLICER_HOME)}
    if home is None:
        return kept
    for name in _LIBRARY_VARIABLES:
        kept.pop(name, None)
    paths = kept.get("PATH", "").split(os.pathsep)
    kept["PATH"] = os.pathsep.join(path for path in paths if not Path(path).is_relative_to(home))
    return kept


def _is_met(requirement: str) -> bool:
    name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    try:
        from packaging.requirements import Requirement
    except ImportError:  # then it counts that the package is there at all; the child tells if it is too old
        return True
    return Requirement(requirement).specifier.contains(version, prereleases=True)
