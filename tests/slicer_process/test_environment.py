"""Which Python runs the child, with which environment, and what it lacks."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest
from AnomalyMapLib.environment import (
    PythonError,
    find_library,
    missing_requirements,
    named_python,
    own_python,
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

    def test_names_in_small_letters(self, a_python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """As Windows has them; a second PATH, and an empty one, would take the first one's place."""
        monkeypatch.setattr(sys, "platform", "win32")
        variables = {"Path": IN_SLICER["PATH"], "PythonHome": "/opt/Slicer/lib/Python", "SLICER_HOME": "/opt/Slicer"}
        assert named_python(a_python, variables).variables == {"PATH": os.pathsep.join(["/usr/bin", "/bin"])}

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
