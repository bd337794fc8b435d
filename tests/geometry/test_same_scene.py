"""All copies of a volume with other array axes, 48 of them, have the same map."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

COPIES = dict(
    enumerate(itertools.product(itertools.permutations(range(3)), itertools.product((False, True), repeat=3)))
)
# Batches hold the slices in another order, and so sums do.
ROUNDING = 1e-5


@pytest.fixture
def real_part(real_file: Callable[[str], Path]) -> sitk.Image:
    """Oblique and anisotropic: the edge of a head, with air beside it."""
    return sitk.ReadImage(str(real_file("patient03_study1")))[30:70, 150:186, 10:28]


@pytest.fixture
def assert_same_maps(
    a_copy: Callable[..., sitk.Image], saved: Callable[..., Path], predict: Callable[..., Any]
) -> Callable[..., None]:
    """Maps all copies of a volume, and compares maps and facts in the patient's coordinates."""

    def check(volume: sitk.Image, bundle: Path) -> None:
        paths = [saved(a_copy(volume, *how), ".nrrd", f"copy_{number}") for number, how in COPIES.items()]
        found = predict(bundle, paths)
        first = found["copy_0"]
        assert sitk.GetArrayFromImage(first.anomaly_map).max() > 0.1  # there is something to compare
        for number, how in COPIES.items():
            one, expected = found[f"copy_{number}"], a_copy(first.anomaly_map, *how)
            assert_same_voxels(one.anomaly_map, expected)
            assert_same_facts(one.facts, first.facts, *how)

    return check


def assert_same_voxels(found: sitk.Image, expected: sitk.Image) -> None:
    assert found.GetSize() == expected.GetSize()
    assert found.GetOrigin() == pytest.approx(expected.GetOrigin(), abs=1e-9)
    assert found.GetDirection() == pytest.approx(expected.GetDirection(), abs=1e-9)
    assert np.abs(sitk.GetArrayFromImage(found) - sitk.GetArrayFromImage(expected)).max() < ROUNDING


def assert_same_facts(
    found: dict[str, Any], expected: dict[str, Any], order: Sequence[int], flips: Sequence[bool]
) -> None:
    assert found["anomaly_score"] == pytest.approx(expected["anomaly_score"], abs=ROUNDING)
    assert found["peak"]["lps_mm"] == pytest.approx(expected["peak"]["lps_mm"], abs=1e-9)
    assert order[found["slice_axis"]] == expected["slice_axis"]
    way = -1 if flips[expected["slice_axis"]] else 1
    assert found["slice_scores"][::way] == pytest.approx(expected["slice_scores"], abs=ROUNDING)


@pytest.mark.parametrize("direction", ["acquisition", "axial", "coronal", "sagittal"])
def test_slice_by_slice(
    direction: str, real_part: sitk.Image, a_bundle: Callable[..., Path], assert_same_maps: Callable[..., None]
) -> None:
    assert_same_maps(real_part, a_bundle([32, 48], patch_grid=2, slice_direction=direction))


def test_by_windows_in_3d(
    real_part: sitk.Image, a_bundle: Callable[..., Path], assert_same_maps: Callable[..., None]
) -> None:
    assert_same_maps(real_part, a_bundle([16, 16, 24]))


@pytest.mark.parametrize("name", ["oblique", "single-slice"])
def test_made_up_geometries(
    name: str,
    a_geometry: Callable[[str], sitk.Image],
    a_bundle: Callable[..., Path],
    assert_same_maps: Callable[..., None],
) -> None:
    assert_same_maps(a_geometry(name), a_bundle([32, 48], patch_grid=2))


def test_turned_by_45_degrees(
    a_geometry: Callable[[str], sitk.Image], a_bundle: Callable[..., Path], assert_same_maps: Callable[..., None]
) -> None:
    """Rows and columns are as near to one of the patient's axes as to the other."""
    volume, half = a_geometry("oblique"), np.sqrt(0.5)
    volume.SetDirection([half, -half, 0, half, half, 0, 0, 0, 1])
    assert_same_maps(volume, a_bundle([32, 48], patch_grid=2))
