"""Which Python runs the child, with which environment, and what it lacks."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from AnomalyMapLib.environment import (
    ChildPython,
    PythonError,
    find_library,
    missing_requirements,
    named_python,
    own_python,
    probe,
)

IN_SLICER = {
    "HOME": "/home/someone",
    "PATH": os.pathsep.join(["/opt/Slicer/bin", "/usr/bin", "/opt/Slicer/lib/Python/bin", "/bin"]),
    "LD_LIBRARY_PATH": "/opt/Slicer/lib",
    "PYTHONHOME": "/opt/Slicer/lib/Python",
    "PYTHONPATH": "/opt/Slicer/lib/Python/lib",
    "PYTHONNOUSERSITE": "1",
    "SLICER_HOME": "/opt/Slicer",
}


@pytest.fixture
def a_python(tmp_path: Path) -> Path:
    """A file that stands for a Python."""
    path = tmp_path / "env" / "bin" / "python"
    path.parent.mkdir(parents=True)
    path.touch()
    return path


class TestOwnPython:
    def test_it_keeps_what_slicer_needs(self) -> None:
        python = own_python(Path("PythonSlicer"), Path("/opt/carried"), IN_SLICER)
        assert python.python == Path("PythonSlicer")
        path = os.pathsep.join([str(Path("/opt/carried")), "/opt/Slicer/lib/Python/lib"])
        assert python.variables == {**IN_SLICER, "PYTHONPATH": path}

    def test_without_a_path_before(self) -> None:
        # An empty entry would be the working folder.
        assert own_python(Path("p"), Path("library"), {"PYTHONPATH": ""}).variables == {"PYTHONPATH": "library"}
        assert own_python(Path("p"), Path("library"), {}).variables == {"PYTHONPATH": "library"}


class TestNamedPython:
    def test_nothing_of_slicer_leaks(self, a_python: Path) -> None:
        variables = named_python(a_python, IN_SLICER).variables
        path = os.pathsep.join(["/usr/bin", "/bin"])
        assert variables == {"HOME": "/home/someone", "PATH": path, "PYTHONNOUSERSITE": "1"}

    def test_the_users_own_libraries_stay(self, a_python: Path) -> None:
        startup = {"LD_LIBRARY_PATH": "/usr/local/cuda/lib64", "PATH": "/usr/bin", "PYTHONPATH": "/home/someone/code"}
        kept = {"LD_LIBRARY_PATH": "/usr/local/cuda/lib64", "PATH": "/usr/bin"}
        assert named_python(a_python, startup).variables == kept

    def test_a_foreign_python_starts_in_slicers_environment(self, tmp_path: Path) -> None:
        variables = {**os.environ, "PYTHONHOME": str(tmp_path), "SLICER_HOME": str(tmp_path)}
        command = [sys.executable, "-c", "print(1)"]
        assert subprocess.run(command, env=variables, capture_output=True, check=False).returncode != 0
        python = named_python(Path(sys.executable), variables)
        subprocess.run([str(python.python), *command[1:]], env=python.variables, capture_output=True, check=True)

    @pytest.mark.parametrize("place", ["bin/python", "Scripts/python.exe", "python.exe", "bin/python3"])
    def test_a_folder(self, tmp_path: Path, place: str) -> None:
        (tmp_path / "env" / place).parent.mkdir(parents=True)
        (tmp_path / "env" / place).touch()
        assert named_python(tmp_path / "env", {}).python == tmp_path / "env" / place

    def test_a_virtual_environments_python_is_not_resolved(self, tmp_path: Path) -> None:
        link = tmp_path / "env" / "bin" / "python"
        link.parent.mkdir(parents=True)
        link.symlink_to(sys.executable)
        assert named_python(tmp_path / "env", {}).python == link

    def test_a_folder_without_python(self, tmp_path: Path) -> None:
        with pytest.raises(PythonError) as caught:
            named_python(tmp_path, {})
        assert str(caught.value) == (
            f"{tmp_path}: this folder is no Python environment, it has neither bin/python nor Scripts/python.exe."
        )

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(PythonError) as caught:
            named_python(tmp_path / "none", {})
        assert str(caught.value) == (
            f"{tmp_path / 'none'}: this is neither a Python environment's folder nor its Python; choose another."
        )


class TestLibrary:
    def test_of_the_checkout(self, module_folder: Path) -> None:
        assert find_library(module_folder) == module_folder.parents[1]

    def test_that_the_extension_carries(self, tmp_path: Path) -> None:
        assert find_library(tmp_path) is None
        package = tmp_path / "Resources" / "python" / "monai_sagan"
        package.mkdir(parents=True)
        (package / "__main__.py").touch()
        assert find_library(tmp_path) == package.parent


class TestRequirements:
    def test_what_is_missing(self, tmp_path: Path) -> None:
        path = tmp_path / "requirements.txt"
        path.write_text("# why\n\nnumpy>=1.24  # there\nnumpy>=999\nsurely-not-there>=1\nNiBabel>=5\n")
        assert missing_requirements(path) == ["numpy>=999", "surely-not-there>=1"]

    def test_nothing_is_missing_here(self, module_folder: Path) -> None:
        assert missing_requirements(module_folder / "Resources" / "requirements.txt") == []

    def test_versions_before_a_release_count(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "requirements.txt"
        path.write_text("itk>=5.4\n")
        monkeypatch.setattr(importlib.metadata, "version", lambda name: "6.0b1")
        assert missing_requirements(path) == []

    def test_without_packaging_only_what_is_absent_counts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "requirements.txt"
        path.write_text("numpy>=999\nsurely-not-there>=1\n")
        monkeypatch.setitem(sys.modules, "packaging.requirements", None)
        assert missing_requirements(path) == ["surely-not-there>=1"]


class TestProbe:
    def test_the_version(self, stand_in: Callable[..., ChildPython], temporary: Path) -> None:
        assert probe(stand_in("", version="7.8.9")) == "7.8.9"
        assert list(temporary.iterdir()) == []

    def test_no_library(self, tmp_path: Path) -> None:
        python = an_isolated_python(tmp_path)
        with pytest.raises(PythonError) as caught:
            probe(python)
        assert str(caught.value) == (
            f"{python.python}: monai-sagan is not installed in this Python; install it there, or choose another "
            "environment."
        )

    def test_no_torch(self, tmp_path: Path) -> None:
        package = tmp_path / "library" / "monai_sagan"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("__version__ = '1'\n")
        python = an_isolated_python(tmp_path)
        with pytest.raises(PythonError, match=r": torch is not installed in this Python; install it there, or "):
            probe(ChildPython(python.python, {**python.variables, "PYTHONPATH": str(package.parent)}))

    def test_no_answer(self, tmp_path: Path, temporary: Path) -> None:
        python = a_script(tmp_path, "sleep 600")
        with pytest.raises(PythonError) as caught:
            probe(python, timeout_s=0.2)
        assert str(caught.value) == (
            f"{python.python}: this Python did not answer within 0.2 s; try again, or choose another one."
        )
        assert list(temporary.iterdir()) == []

    def test_another_program(self, tmp_path: Path) -> None:
        with pytest.raises(PythonError) as caught:
            probe(a_script(tmp_path, "echo hello"))
        assert str(caught.value) == (
            f"{tmp_path / 'python'}: this did not answer as a Python with monai-sagan does (exit code 0); choose "
            "another environment."
        )

    def test_no_such_python(self, tmp_path: Path) -> None:
        with pytest.raises(PythonError, match=r"none: there is no such Python; choose an environment that is there.$"):
            probe(ChildPython(tmp_path / "none", {}))


def a_script(folder: Path, line: str) -> ChildPython:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    return ChildPython(path, dict(os.environ))


def an_isolated_python(folder: Path) -> ChildPython:
    """This Python without any package."""
    return a_script(folder, f'exec {sys._base_executable} -S "$@"')
