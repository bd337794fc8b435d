"""The whole way with the true child and the bundle that ships."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from AnomalyMapLib.bundles import shipped_bundles
from AnomalyMapLib.description import describe
from AnomalyMapLib.environment import ChildPython, find_library, named_python, own_python
from AnomalyMapLib.process import PredictProcess, State

# Left-handed and oblique, with numbers that single precision would change.
DIRECTION = (0.8, 0.6, 0.0, 0.6, -0.8, 0.0, 0.0, 0.0, 1.0)
SPACING = (0.7123456789, 1.3, 4.1)
ORIGIN = (-101.3123456789, 57.25, 12.9)


def write_volume(path: Path) -> sitk.Image:
    image = sitk.GetImageFromArray(np.random.default_rng(0).integers(0, 1000, (5, 40, 48)).astype(np.int16))
    image.SetSpacing(SPACING)
    image.SetOrigin(ORIGIN)
    image.SetDirection(DIRECTION)
    sitk.WriteImage(image, str(path))
    return image


@pytest.fixture
def repository(module_folder: Path) -> Path:
    folder = find_library(module_folder)
    assert folder is not None
    return folder


@pytest.fixture
def carried(repository: Path, tmp_path: Path) -> ChildPython:
    """This Python with a library as an extension carries it, told from the one that is installed by its version."""
    library = tmp_path / "carried"
    shutil.copytree(repository / "monai_sagan", library / "monai_sagan", ignore=shutil.ignore_patterns("__pycache__"))
    (library / "monai_sagan" / "__init__.py").write_text("__version__ = '99.0'\n", encoding="utf-8")
    return own_python(Path(sys.executable), library, os.environ)


@pytest.fixture
def named() -> ChildPython:
    """The environment that runs these tests, as a user names it."""
    return named_python(Path(sys.prefix), os.environ)


@pytest.mark.parametrize("kind", ["named", "carried"])
def test_a_volume(
    request: pytest.FixtureRequest,
    kind: str,
    module_folder: Path,
    temporary: Path,
    run_to_end: Callable[[PredictProcess], list[dict[str, Any]]],
) -> None:
    (bundle,) = (bundle for bundle in shipped_bundles(module_folder) if bundle.path.name == "sagan_anomaly_detection")
    process = PredictProcess()
    volume = write_volume(process.input_path)
    process.start(request.getfixturevalue(kind), bundle.path, device="cpu", slice_direction="acquisition")
    events = run_to_end(process)
    assert process.state is State.DONE, process.log
    assert [event["event"] for event in events][:1] == ["start"]
    assert process.fraction == 1
    result = process.result
    assert result is not None
    assert result.input == "input.nrrd"
    assert result.bundle.name == "sagan_anomaly_detection"
    assert len(result.slice_scores) == 5
    assert " in slice " in describe(result).text
    assert result.anomaly_map is not None
    anomaly_map = sitk.ReadImage(str(result.anomaly_map))
    assert anomaly_map.GetSize() == volume.GetSize()
    assert anomaly_map.GetSpacing() == SPACING
    assert anomaly_map.GetOrigin() == ORIGIN
    assert anomaly_map.GetDirection() == pytest.approx(DIRECTION, abs=1e-15)
    assert result.peak is not None
    assert anomaly_map.GetPixel(result.peak.voxel) == pytest.approx(result.peak.value, rel=1e-6)
    process.close()
    assert list(temporary.iterdir()) == []


def test_cancelling_at_work(
    named: ChildPython, module_folder: Path, temporary: Path, wait_until: Callable[..., None]
) -> None:
    process = PredictProcess()
    write_volume(process.input_path)
    process.start(named, find_library(module_folder) / "bundles" / "sagan_anomaly_detection", device="cpu")
    wait_until(lambda: any(event["event"] == "start" for event in process.poll()), 120.0)
    start = time.monotonic()
    process.cancel()
    assert time.monotonic() - start < 2
    assert process.state is State.CANCELLED
    assert list(temporary.iterdir()) == []


def test_a_bundle_without_weights(
    named: ChildPython, tmp_path: Path, temporary: Path, run_to_end: Callable[[PredictProcess], list[dict[str, Any]]]
) -> None:
    (tmp_path / "empty" / "configs").mkdir(parents=True)
    (tmp_path / "empty" / "configs" / "metadata.json").write_text("{}")
    process = PredictProcess()
    write_volume(process.input_path)
    process.start(named, tmp_path / "empty", device="cpu")
    run_to_end(process)
    assert process.state is State.FAILED
    assert process.error.startswith(f"{tmp_path / 'empty' / 'models' / 'model.pt'}: this bundle has no weights; ")
    assert list(temporary.iterdir()) == []


def test_requirements_hold_all_that_a_prediction_loads(module_folder: Path, repository: Path, tmp_path: Path) -> None:
    write_volume(tmp_path / "input.nrrd")
    code = """
import importlib.metadata, json, sys
sys.modules["tensorboard"] = None  # as if it were not installed: MONAI would load it, and does not need it
from monai_sagan.cli import main
try:
    main()
finally:
    owners = importlib.metadata.packages_distributions()
    modules = [name for name, module in sys.modules.items() if module is not None]
    names = {name for module in modules for name in owners.get(module.partition(".")[0], ())}
    print(json.dumps(sorted(names)), file=sys.stderr)
"""
    bundle = repository / "bundles" / "sagan_anomaly_detection"
    command = [sys.executable, "-c", code, "predict", bundle, tmp_path / "input.nrrd", "--output", tmp_path / "output"]
    ended = subprocess.run([*command, "--output-ext", ".nrrd"], capture_output=True, text=True, check=True)
    loaded = {_name(name) for name in json.loads(ended.stderr.splitlines()[-1])}
    assert "monai" in loaded
    needed = {_name(line) for line in _needed()}
    listed = {_name(line) for line in _lines(module_folder)}
    assert loaded & needed - {"torch"} <= listed


def _needed() -> set[str]:
    """What the library needs, without its extras."""
    return {line for line in importlib.metadata.requires("monai-sagan") or [] if ";" not in line}


def _lines(module_folder: Path) -> list[str]:
    text = (module_folder / "Resources" / "requirements.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def _name(requirement: str) -> str:
    """The name of a requirement as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement)[0]).lower()
