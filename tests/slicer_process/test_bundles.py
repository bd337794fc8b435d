"""Which bundles there are, and what they say of themselves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from AnomalyMapLib.bundles import Bundle, BundleError, read_bundle, shipped_bundles


def write_bundle(folder: Path, metadata: Any, has_weights: bool = True) -> Path:
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    if has_weights:
        (folder / "models").mkdir()
        (folder / "models" / "model.pt").touch()
    return folder


def test_the_bundle_of_this_checkout(module_folder: Path) -> None:
    (bundle,) = (bundle for bundle in shipped_bundles(module_folder) if bundle.path.name == "sagan_anomaly_detection")
    assert bundle.path.parent == module_folder.parents[1] / "bundles"
    assert bundle.name == "SAGAN anomaly detection"
    assert bundle.version
    assert "Redraws an image as its healthy self" in bundle.purpose
    assert "Research only, not for diagnosis." in bundle.purpose
    assert {"slice_direction", "judge_ood"} <= bundle.settings
    assert bundle.problem == ""


def test_bundles_that_the_extension_carries(tmp_path: Path) -> None:
    home = tmp_path / "module" / "Resources" / "bundles"
    for name in ("b", "a"):
        write_bundle(home / name, {"name": name.upper()})
    (home / "note.txt").touch()
    (home / "damaged" / "configs").mkdir(parents=True)
    (home / "damaged" / "configs" / "metadata.json").write_text("{")
    assert [bundle.name for bundle in shipped_bundles(tmp_path / "module")] == ["A", "B"]
    shutil.rmtree(home)
    assert shipped_bundles(tmp_path / "module") == []


def test_what_a_bundle_need_not_tell(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "mine", {"name": 5, "version": " 1.0 "}, has_weights=False)
    assert read_bundle(folder) == Bundle(folder, "mine", "1.0", "", has_weights=False, settings=frozenset())


def test_missing_weights(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "mine", {}, has_weights=False)
    assert read_bundle(folder).problem == (
        f"{folder}: this bundle has no weights (models/model.pt); train it, or choose another bundle."
    )


@pytest.mark.parametrize(
    ("config", "settings"), [('{"slice_direction": "axial"}', {"slice_direction"}), ("{", set()), ("3", set())]
)
def test_what_can_be_set(tmp_path: Path, config: str, settings: set[str]) -> None:
    folder = write_bundle(tmp_path / "mine", {})
    (folder / "configs" / "inference.json").write_text(config)
    assert read_bundle(folder).settings == settings


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        read_bundle(tmp_path / "none")
    assert str(caught.value) == f"{tmp_path / 'none'}: there is no such folder; choose the folder of a bundle."


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        read_bundle(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: this folder is not a bundle, it has no configs/metadata.json; choose another one."
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "this file is damaged or no JSON"),
        (b"\xff\xfe", "this file is damaged or no JSON"),
        (b"[]", "this file does not describe a bundle"),
    ],
)
def test_damaged_metadata(tmp_path: Path, content: bytes, reason: str) -> None:
    path = write_bundle(tmp_path / "mine", {}) / "configs" / "metadata.json"
    path.write_bytes(content)
    with pytest.raises(BundleError) as caught:
        read_bundle(tmp_path / "mine")
    assert str(caught.value) == f"{path}: {reason}; get the bundle again."
