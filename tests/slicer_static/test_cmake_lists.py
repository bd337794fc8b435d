"""What the extension's CMake lists say, against what is there."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image

CMakeValue = Callable[[Path, str], list[str]]
LONGEST_DESCRIPTION = 200  # characters, about two lines where Slicer's Extensions Manager shows it


def files_below(folder: Path, pattern: str = "*") -> set[str]:
    found = (path for path in folder.rglob(pattern) if path.is_file())
    return {path.relative_to(folder).as_posix() for path in found if "__pycache__" not in path.parts}


def listed(names: list[str]) -> set[str]:
    assert len(names) == len(set(names)), "a file is listed twice"
    return set(names)


class TestModule:
    def test_scripts_are_those_on_disk(self, module_folder: Path, cmake_value: CMakeValue) -> None:
        scripts = cmake_value(module_folder / "CMakeLists.txt", "MODULE_PYTHON_SCRIPTS")
        on_disk = {name for name in files_below(module_folder, "*.py") if not name.startswith("Testing/")}
        assert listed(scripts) == on_disk

    def test_resources_are_those_on_disk(self, module_folder: Path, cmake_value: CMakeValue) -> None:
        resources = cmake_value(module_folder / "CMakeLists.txt", "MODULE_PYTHON_RESOURCES")
        assert listed(resources) == {f"Resources/{name}" for name in files_below(module_folder / "Resources")}

    def test_nothing_else_lies_there(self, module_folder: Path) -> None:
        known = ("CMakeLists.txt", "AnomalyMap.py", "AnomalyMapLib/", "Resources/", "Testing/")
        assert {name for name in files_below(module_folder) if not name.startswith(known)} == set()

    def test_what_ctest_runs_is_there(self, module_folder: Path) -> None:
        folder = module_folder / "Testing" / "Python"
        assert files_below(folder, "*.py") == {"AnomalyMapModuleTest.py"}
        assert "(SCRIPT AnomalyMapModuleTest.py)" in (folder / "CMakeLists.txt").read_text(encoding="utf-8")
        tree = ast.parse((module_folder / "AnomalyMap.py").read_text(encoding="utf-8"))
        (self_test,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "AnomalyMapTest")
        assert "runTest" in {node.name for node in self_test.body if isinstance(node, ast.FunctionDef)}


class TestExtension:
    @pytest.mark.parametrize(
        "name", ["HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS"]
    )
    def test_is_described(self, repository: Path, cmake_value: CMakeValue, name: str) -> None:
        assert cmake_value(repository / "CMakeLists.txt", f"EXTENSION_{name}")

    def test_description_is_short_and_one_line(self, repository: Path, cmake_value: CMakeValue) -> None:
        description = " ".join(cmake_value(repository / "CMakeLists.txt", "EXTENSION_DESCRIPTION"))
        assert len(description) <= LONGEST_DESCRIPTION
        assert ";" not in description, "CMake would take what follows for another value"

    def test_every_address_is_a_file_of_the_repository(self, repository: Path, cmake_value: CMakeValue) -> None:
        addresses = [
            address
            for name in ("HOMEPAGE", "ICONURL", "SCREENSHOTURLS")
            for address in cmake_value(repository / "CMakeLists.txt", f"EXTENSION_{name}")
        ]
        assert len(addresses) >= 3
        for address in addresses:
            scheme, host, path, *_ = urlsplit(address)
            assert scheme == "https"
            # github.com/OWNER/NAME/blob/BRANCH/..., but raw.githubusercontent.com/OWNER/NAME/BRANCH/...
            owner, name, *rest = path.removeprefix("/").split("/")
            assert (owner, name) == ("monai-sagan", "SlicerAnomalyMap")
            branch_and_file = rest[1:] if host == "github.com" else rest
            assert branch_and_file[0] == "main"
            assert repository.joinpath(*branch_and_file[1:]).is_file(), address

    def test_readme_and_license_are_its_own(self, repository: Path, cmake_value: CMakeValue) -> None:
        for name in ("README", "LICENSE"):
            (path,) = cmake_value(repository / "CMakeLists.txt", f"EXTENSION_{name}_FILE")
            assert Path(path.replace("${CMAKE_CURRENT_SOURCE_DIR}", str(repository))).is_file()

    def test_icon_has_the_size_that_slicer_shows(self, module_folder: Path) -> None:
        with Image.open(module_folder / "Resources" / "Icons" / "AnomalyMap.png") as icon:
            assert icon.size == (128, 128)
            alpha = icon.convert("RGBA").getchannel("A")
        assert alpha.getextrema() == (0, 255), "the ground should be transparent, and the drawing not"
