"""Which Python runs the child, and how it comes by its packages: only after asking, and torch by its extension."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("PySide6")
import slicer
from AnomalyMapLib.environment import PythonError

REPOSITORY = Path(__file__).resolve().parents[2]
MODULE_FOLDER = REPOSITORY / "slicer_extension" / "AnomalyMap"


class Installer:
    """Stands for pip and the PyTorch extension: what was asked of them, and what is there since."""

    def __init__(self) -> None:
        self.has_packages = self.has_torch = False
        self.asked: list[str] = []
        self.pip_error: Exception | None = None
        self.torch: Any = types.SimpleNamespace(__version__="2.9")

    def missing(self, path: Path) -> list[str]:
        assert path == MODULE_FOLDER / "Resources" / "requirements.txt"
        return [] if self.has_packages else ["monai>=1.6.1"]

    def pip_check(self, requirement: Any) -> bool:
        assert str(requirement).startswith("torch>=")
        return self.has_torch

    def pip_ensure(self, requirements: list[Any], **options: Any) -> None:
        self.asked.append("packages")
        assert options == {"requester": "AnomalyMap", "skip_packages": ["torch"]}
        names = [re.split(r"[<>=]", str(requirement))[0] for requirement in requirements]
        assert "monai" in names
        assert "torch" not in names
        if self.pip_error is not None:
            raise self.pip_error

    def install_torch(self, **options: Any) -> Any:
        self.asked.append("torch")
        assert options == {"askConfirmation": True, "torchVersionRequirement": ">=2.8"}
        if isinstance(self.torch, Exception):
            raise self.torch
        return self.torch


@pytest.fixture
def installer(qt_world: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Installer:
    """A Slicer whose Python has nothing of what is needed, with the PyTorch extension."""
    from AnomalyMapLib import widget_packages

    made = Installer()
    program = tmp_path / "PythonSlicer"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(widget_packages, "missing_requirements", made.missing)
    monkeypatch.setattr(slicer.packaging, "pip_check", made.pip_check)
    monkeypatch.setattr(slicer.packaging, "pip_ensure", made.pip_ensure)
    extension = types.ModuleType("PyTorchUtils")
    extension.PyTorchUtilsLogic = lambda: types.SimpleNamespace(installTorch=made.install_torch)
    monkeypatch.setitem(sys.modules, "PyTorchUtils", extension)
    return made


@pytest.fixture
def own(installer: Installer) -> Callable[[], Any]:
    """What is done at Apply with Slicer's own Python."""
    from AnomalyMapLib.widget_packages import child_python

    return lambda: child_python(MODULE_FOLDER, "")


def test_all_is_installed_in_order(installer: Installer, own: Callable[[], Any], tmp_path: Path) -> None:
    python = own()
    assert installer.asked == ["packages", "torch"]
    assert python.python == tmp_path / "PythonSlicer"
    assert python.variables["PYTHONPATH"].split(os.pathsep)[0] == str(REPOSITORY)


def test_where_all_is_there_nothing_is_asked(installer: Installer, own: Callable[[], Any]) -> None:
    installer.has_packages = installer.has_torch = True
    own()
    assert installer.asked == []


@pytest.mark.parametrize("error", [RuntimeError("User declined"), subprocess.CalledProcessError(1, "pip")])
def test_packages_that_are_not_installed(installer: Installer, own: Callable[[], Any], error: Exception) -> None:
    installer.pip_error = error
    with pytest.raises(PythonError, match=r"packages that are needed were not installed .* press Apply to try again"):
        own()
    assert installer.asked == ["packages"]


def test_without_the_extension_it_is_named(
    installer: Installer, own: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "PyTorchUtils")
    with pytest.raises(PythonError, match='has no PyTorch: install the extension "PyTorch"'):
        own()
    assert installer.asked == []  # what takes minutes would be of no use yet


@pytest.mark.parametrize(
    ("answer", "words"), [(None, "Without PyTorch nothing can be computed"), (ValueError("no disk"), r"\(no disk\)")]
)
def test_torch_that_is_not_installed(installer: Installer, own: Callable[[], Any], answer: Any, words: str) -> None:
    installer.torch = answer
    with pytest.raises(PythonError, match=words):
        own()


def test_an_environment_needs_nothing(installer: Installer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from AnomalyMapLib.widget_packages import child_python

    environment = tmp_path / "environment"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").touch()
    monkeypatch.setenv("PYTHONPATH", "of Slicer")
    python = child_python(MODULE_FOLDER, str(environment))
    assert python.python == environment / "bin" / "python"
    assert "PYTHONPATH" not in python.variables
    assert installer.asked == []


def test_an_extension_without_the_library(installer: Installer, tmp_path: Path) -> None:
    from AnomalyMapLib.widget_packages import child_python

    with pytest.raises(PythonError, match="has no monai-sagan in it"):
        child_python(tmp_path / "deep" / "AnomalyMap", "")


def test_without_python_slicer(
    installer: Installer, own: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(PythonError, match="PythonSlicer was not found"):
        own()


def test_the_version_of_torch_is_the_librarys(qt_world: Any) -> None:
    from AnomalyMapLib.widget_packages import TORCH

    assert f'"{TORCH}"' in (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")


def test_what_the_self_test_lacks(installer: Installer) -> None:
    from AnomalyMapLib.widget_packages import TORCH, own_python_lacks

    assert own_python_lacks(MODULE_FOLDER) == ["monai>=1.6.1", TORCH]
    installer.has_packages = installer.has_torch = True
    assert own_python_lacks(MODULE_FOLDER) == []
