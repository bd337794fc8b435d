"""The sample volume: what it is, and that the bundle that ships finds its lesion."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import label

from monai_sagan.workflows import predict

LARGEST = 1_000_000  # bytes, of what every user downloads and every clone carries


@pytest.fixture(scope="module")
def make_resources(repository: Path) -> ModuleType:
    """The script that made the sample."""
    specification = importlib.util.spec_from_file_location(
        "make_resources", repository / "slicer_extension" / "make_resources.py"
    )
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sample(module_folder: Path) -> Path:
    return module_folder / "Resources" / "SampleData" / "phantom_lesion.nrrd"


@pytest.fixture(scope="module")
def mask(make_resources: ModuleType) -> np.ndarray:
    """Where the lesion is, (slices, rows, columns)."""
    return make_resources.sample_volume()[1]


@pytest.fixture(scope="module")
def mapped(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], np.ndarray]:
    """What the bundle says of the sample: the JSON, and the map (slices, rows, columns)."""
    folder = tmp_path_factory.mktemp("mapped")
    predict("sagan_anomaly_detection", [sample], folder, output_ext=".nrrd", device="cpu", progress="none")
    result = json.loads((folder / "phantom_lesion_anomaly.json").read_text(encoding="utf-8"))
    return result, sitk.GetArrayFromImage(sitk.ReadImage(folder / "phantom_lesion_anomaly.nrrd"))


def test_is_small_and_compressed(sample: Path) -> None:
    assert sample.stat().st_size < LARGEST
    assert b"\nencoding: gzip\n" in sample.read_bytes()[:1000]


def test_is_what_the_script_makes(sample: Path, make_resources: ModuleType) -> None:
    there, made = sitk.ReadImage(sample), make_resources.sample_volume()[0]
    assert there.GetSize() == made.GetSize()
    for value in ("Spacing", "Origin", "Direction"):
        np.testing.assert_allclose(getattr(there, f"Get{value}")(), getattr(made, f"Get{value}")(), atol=1e-9)
    difference = sitk.GetArrayFromImage(there).astype(int) - sitk.GetArrayFromImage(made)
    # Another computer's sine may round to the next grey level.
    assert abs(difference).max() <= 1
    assert (difference != 0).mean() < 1e-3


def test_lesion_lies_off_the_middle_of_every_axis(mask: np.ndarray) -> None:
    """So that a flipped map, or one with two axes mixed up, is seen at once."""
    assert label(mask)[1] == 1
    for axis, size in enumerate(mask.shape):
        middle = np.argwhere(mask)[:, axis].mean()
        assert abs(middle - (size - 1) / 2) > 0.05 * size


def test_peak_is_in_the_lesion(mapped: tuple[dict[str, Any], np.ndarray], mask: np.ndarray, sample: Path) -> None:
    peak = mapped[0]["peak"]
    assert mask[tuple(reversed(peak["voxel"]))]
    place = sitk.ReadImage(sample).TransformIndexToPhysicalPoint(peak["voxel"])
    np.testing.assert_allclose(peak["lps_mm"], place, atol=1e-6)


def test_slices_of_the_lesion_score_highest(mapped: tuple[dict[str, Any], np.ndarray], mask: np.ndarray) -> None:
    result = mapped[0]
    assert result["slice_axis"] == 2
    ranked = np.argsort(result["slice_scores"])[::-1]
    with_lesion = mask.any(axis=(1, 2))
    # The lesion's first and last slice show a few of its voxels only; all others go before every healthy slice.
    assert with_lesion[ranked[: with_lesion.sum() - 2]].all()


def test_map_is_much_higher_in_the_lesion_than_elsewhere(
    mapped: tuple[dict[str, Any], np.ndarray], mask: np.ndarray
) -> None:
    voxels = mapped[1]
    # Ten times when it was made; half of that is still plain to see.
    assert voxels[mask].mean() > 5 * voxels[~mask].mean()
