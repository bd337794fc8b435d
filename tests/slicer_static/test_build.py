"""The extension built, installed and run, with a stand-in for Slicer's side of CMake."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
STAND_IN = HERE / "slicer_stand_in"
MODULES = Path("lib/Slicer-5.12/qt-scripted-modules")  # as the stand-in has it
SOURCES = ("CMakeLists.txt", "LICENSE", "README.md", "bundles", "monai_sagan", "slicer_extension")
MADE_BY_RUNNING = (
    "bundles/sagan_anomaly_detection/eval/a_anomaly.json",
    "bundles/sagan_anomaly_detection/models/training_state.pt",
    "bundles/.DS_Store",
    "monai_sagan/__pycache__/cli.cpython-312.pyc",
)


@pytest.fixture(scope="module")
def cmake() -> str:
    """CMake as the extension asks for it: that of this environment, or else the computer's."""
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    program = shutil.which("cmake", path=beside)
    if program is None:
        pytest.skip("cmake is not installed")
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    version = tuple(int(number) for number in re.findall(r"\d+", told)[:2])
    if version < (3, 28):
        pytest.skip(f"cmake {version[0]}.{version[1]} is older than the 3.28 that the extension needs")
    return program


@pytest.fixture(scope="module")
def source(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout as it looks after the library was used in it."""
    folder = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        path = repository / name
        if path.is_dir():
            made = shutil.ignore_patterns("__pycache__", "eval", "training_state.pt", ".*")
            shutil.copytree(path, folder / name, ignore=made)
        else:
            shutil.copy(path, folder)
    for name in MADE_BY_RUNNING:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.fixture(scope="module")
def build(cmake: str, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build tree. Nothing is compiled, so no compiler is looked for."""
    folder = tmp_path_factory.mktemp("build")
    no_compiler = [
        f"-DCMAKE_{language}_COMPILER{setting}"
        for language in ("C", "CXX")
        for setting in (f"={cmake}", "_FORCED=ON", "_ID_RUN=ON")
    ]
    settings = [f"-DSlicer_DIR={STAND_IN}", "-DBUILD_TESTING=ON", *no_compiler]
    run(cmake, "-S", source, "-B", folder, *settings)
    run(cmake, "--build", folder)
    return folder


@pytest.fixture(scope="module")
def installed(cmake: str, build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module's folder in an installed extension."""
    folder = tmp_path_factory.mktemp("installed")
    run(cmake, "--install", build, "--prefix", folder)
    return folder / MODULES


def run(*command: str | Path) -> str:
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return outcome.stdout


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_installed_is_the_module_with_library_and_bundles(
    installed: Path, source: Path, cmake_value: Callable[[Path, str], list[str]]
) -> None:
    lists = source / "slicer_extension" / "AnomalyMap" / "CMakeLists.txt"
    listed = {*cmake_value(lists, "MODULE_PYTHON_SCRIPTS"), *cmake_value(lists, "MODULE_PYTHON_RESOURCES")}
    carried = {name for name in files_below(source) if name.startswith(("bundles/", "monai_sagan/"))}
    carried -= set(MADE_BY_RUNNING)
    assert {"bundles/sagan_anomaly_detection/models/model.pt", "monai_sagan/__main__.py"} <= carried
    homes = {"bundles": "Resources/bundles", "monai_sagan": "Resources/python/monai_sagan"}
    expected = {homes[(parts := name.partition("/"))[0]] + "/" + parts[2] for name in carried}
    assert files_below(installed) == listed | expected


def test_build_tree_is_the_same(installed: Path, build: Path) -> None:
    """Developers run the module from there."""
    assert files_below(build / MODULES) == files_below(installed)


def test_a_change_is_taken_over_by_the_next_build(cmake: str, source: Path, build: Path) -> None:
    added = source / "monai_sagan" / "added.py"
    added.write_text("", encoding="utf-8")
    run(cmake, "--build", build)
    copy = build / MODULES / "Resources" / "python" / "monai_sagan" / "added.py"
    assert copy.is_file()
    added.unlink()
    copy.unlink()


def test_slicer_is_given_a_test_to_run(cmake: str, build: Path, source: Path) -> None:
    told = run(Path(cmake).with_name("ctest"), "--test-dir", build, "--verbose")
    assert "py_AnomalyMapModuleTest" in told
    assert str(source / "slicer_extension/AnomalyMap/Testing/Python/AnomalyMapModuleTest.py") in told


def test_installed_module_maps_its_sample_volume(installed: Path) -> None:
    told = json.loads(run(sys.executable, HERE / "run_installed.py", installed))
    assert (told["state"], told["error"]) == ("DONE", "")
    assert told["library"] == str(installed / "Resources" / "python" / "monai_sagan" / "__init__.py")
    assert told["bundle"] == str(installed / "Resources" / "bundles" / "sagan_anomaly_detection")
    assert told["score"] > 0
    assert told["has_map"]
