"""The entry for Slicer's Extensions Index: its schema, and what its reviewers compare."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest

# The rules of Slicer's schema "3D Slicer extensions catalog entry", version 1.0.2, in our words.
SCHEMA_ADDRESS = (
    "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/slicer-extension-catalog-entry-schema-v1.0.2.json#"
)
TEXT = {"type": "string", "minLength": 1}
SCHEMA = {
    "type": "object",
    "required": ["$schema", "category", "scm_url"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"const": SCHEMA_ADDRESS},
        "category": TEXT,
        "scm_url": TEXT,
        "scm_revision": TEXT,
        "scm_type": {"enum": ["git", "local"]},
        "build_dependencies": {"type": "array", "items": TEXT},
        "dicom_support_rule": TEXT,
        "build_subdirectory": TEXT,
        "enabled": {"type": "boolean"},
        "tier": {"type": "integer", "minimum": 1, "maximum": 5},
    },
}


@pytest.fixture(scope="module")
def entry_path(repository: Path) -> Path:
    (path,) = (repository / "slicer_extension").glob("*.json")
    return path


@pytest.fixture(scope="module")
def entry(entry_path: Path) -> dict[str, Any]:
    return json.loads(entry_path.read_text(encoding="utf-8"))


def test_follows_the_schema(entry: dict[str, Any]) -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.validate(entry, SCHEMA, jsonschema.Draft7Validator)


def test_is_named_as_the_project(entry_path: Path, repository: Path) -> None:
    assert f"\nproject({entry_path.stem})\n" in (repository / "CMakeLists.txt").read_text(encoding="utf-8")
    assert not entry_path.stem.startswith("Slicer"), "an extension's name does not start with Slicer"


def test_dependencies_are_those_of_the_build(
    entry: dict[str, Any], repository: Path, cmake_value: Callable[[Path, str], list[str]]
) -> None:
    assert entry["build_dependencies"] == cmake_value(repository / "CMakeLists.txt", "EXTENSION_DEPENDS")


def test_repository_is_that_of_the_homepage_and_named_after_slicer(
    entry: dict[str, Any], repository: Path, cmake_value: Callable[[Path, str], list[str]]
) -> None:
    (homepage,) = cmake_value(repository / "CMakeLists.txt", "EXTENSION_HOMEPAGE")
    address = entry["scm_url"].removesuffix(".git")
    assert urlsplit(address).scheme == "https"
    assert homepage.startswith(address + "/")
    assert address.rpartition("/")[2] == "SlicerAnomalyMap"


def test_category_is_that_of_the_module(entry: dict[str, Any], module_folder: Path) -> None:
    tree = ast.parse((module_folder / "AnomalyMap.py").read_text(encoding="utf-8"))
    (categories,) = (
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).endswith(".categories")
    )
    assert entry["category"] in [node.value for node in ast.walk(categories) if isinstance(node, ast.Constant)]
