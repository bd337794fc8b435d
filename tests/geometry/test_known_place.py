"""What is bright at a known place in millimetres is found there, however the voxels lie in the file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

pytestmark = pytest.mark.usefixtures("network_that_dims")

GEOMETRIES = ("oblique", "left-handed", "flipped-x", "permuted", "permuted-left-handed", "sagittal-stack")
DIRECTIONS = ("acquisition", "axial", "coronal", "sagittal")
WINDOW = [0, 1000]
# A third, two thirds and six tenths of the way along the axes, between voxels.
PLACE = (0.34, 0.68, 0.61)
# Standard deviation in millimetres: seen on the coarsest of the grids here, and darker than tissue before the edge.
WIDTH = 3.0


def place_in(volume: sitk.Image) -> tuple[float, ...]:
    """A place in millimetres, LPS."""
    return volume.TransformContinuousIndexToPhysicalPoint([s * n for s, n in zip(PLACE, volume.GetSize())])


def assert_found_at(facts: dict[str, Any], volume: sitk.Image, place: Sequence[float], voxels: np.ndarray) -> None:
    """The peak is so many voxels from the place at most, and the slice through it has the highest score."""
    peak, axis = facts["peak"], facts["slice_axis"]
    # 32-bit headers of NIfTI: 8e-6 mm for the origin, and as much for every step of 100 voxels.
    assert volume.TransformIndexToPhysicalPoint(peak["voxel"]) == pytest.approx(peak["lps_mm"], abs=1e-4)
    away = np.abs(np.subtract(peak["voxel"], volume.TransformPhysicalPointToContinuousIndex(place)))
    assert np.all(away <= voxels), away
    assert len(facts["slice_scores"]) == volume.GetSize()[axis]
    assert int(np.argmax(facts["slice_scores"])) == peak["voxel"][axis]


# Of the voxels around a place, the nearest one is the brightest.
NEAREST = np.full(3, 0.5)


@pytest.fixture
def find_ball(
    with_a_ball: Callable[..., sitk.Image],
    saved: Callable[..., Path],
    a_bundle: Callable[..., Path],
    predict: Callable[..., Any],
) -> Callable[..., dict[str, Any]]:
    """What is said of a volume in which there is a ball."""

    def find(
        volume: sitk.Image, place: Sequence[float], image_size: Sequence[int], direction: str, width: float = WIDTH
    ) -> dict[str, Any]:
        bundle = a_bundle(image_size, intensity_window=WINDOW, slice_direction=direction)
        path = saved(with_a_ball(volume, place, width), ".nii")
        return predict(bundle, [path])["volume"].facts

    return find


@pytest.fixture
def network_pixel(axes_seen: Callable[..., list[int]]) -> Callable[..., np.ndarray]:
    """The voxels of a volume, along each array axis, that a pixel of a network's slices covers."""

    def measure(volume: sitk.Image, image_size: Sequence[int], direction: str) -> np.ndarray:
        voxels = NEAREST.copy()
        for axis, side in zip(axes_seen(volume, direction)[1:], image_size):
            voxels[axis] = max(0.5, volume.GetSize()[axis] / side)
        return voxels

    return measure


@pytest.mark.parametrize("name", GEOMETRIES)
class TestMadeUpGeometries:
    @pytest.mark.parametrize("direction", DIRECTIONS)
    def test_at_the_own_resolution_of_slices(
        self,
        name: str,
        direction: str,
        a_geometry: Callable[[str], sitk.Image],
        slice_size: Callable[..., list[int]],
        find_ball: Callable[..., dict[str, Any]],
    ) -> None:
        volume = a_geometry(name)
        place = place_in(volume)
        facts = find_ball(volume, place, slice_size(volume, direction), direction)
        assert_found_at(facts, volume, place, NEAREST)

    @pytest.mark.parametrize("direction", DIRECTIONS)
    def test_by_a_coarse_network(
        self,
        name: str,
        direction: str,
        a_geometry: Callable[[str], sitk.Image],
        network_pixel: Callable[..., np.ndarray],
        find_ball: Callable[..., dict[str, Any]],
    ) -> None:
        volume, size = a_geometry(name), [16, 24]
        place = place_in(volume)
        facts = find_ball(volume, place, size, direction)
        assert_found_at(facts, volume, place, network_pixel(volume, size, direction))

    def test_by_windows_in_3d(
        self,
        name: str,
        a_geometry: Callable[[str], sitk.Image],
        find_ball: Callable[..., dict[str, Any]],
    ) -> None:
        volume = a_geometry(name)
        place = place_in(volume)
        assert_found_at(find_ball(volume, place, [8, 16, 24], "acquisition"), volume, place, NEAREST)


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha", ".mhd", "dicom"])
def test_in_every_format(
    ending: str,
    a_geometry: Callable[[str], sitk.Image],
    with_a_ball: Callable[..., sitk.Image],
    slice_size: Callable[..., list[int]],
    saved: Callable[..., Path],
    a_bundle: Callable[..., Path],
    predict: Callable[..., Any],
) -> None:
    volume = a_geometry("left-handed")
    place = place_in(volume)
    path = saved(sitk.Cast(with_a_ball(volume, place, WIDTH), sitk.sitkUInt16), ending)
    facts = predict(a_bundle(slice_size(volume), intensity_window=WINDOW), [path])["volume"].facts
    # The slices of a DICOM series are read in another order: voxels are not compared.
    nearest = volume.TransformIndexToPhysicalPoint(volume.TransformPhysicalPointToIndex(place))
    assert facts["peak"]["lps_mm"] == pytest.approx(nearest, abs=1e-4)


class TestWholeRealVolumes:
    def test_at_the_own_resolution_of_slices(
        self, any_real_file: Path, slice_size: Callable[..., list[int]], find_ball: Callable[..., dict[str, Any]]
    ) -> None:
        volume = sitk.ReadImage(str(any_real_file))
        place = place_in(volume)
        assert_found_at(find_ball(volume, place, slice_size(volume), "acquisition"), volume, place, NEAREST)

    @pytest.mark.parametrize("direction", ["axial", "coronal", "sagittal"])
    def test_by_a_coarse_network(
        self,
        direction: str,
        real_file: Callable[[str], Path],
        network_pixel: Callable[..., np.ndarray],
        find_ball: Callable[..., dict[str, Any]],
    ) -> None:
        """Of the size that the bundle has when it ships."""
        volume, size = sitk.ReadImage(str(real_file("patient03_study1"))), [64, 64]
        place = place_in(volume)
        facts = find_ball(volume, place, size, direction, width=6.0)
        assert_found_at(facts, volume, place, network_pixel(volume, size, direction))

    def test_by_windows_in_3d(self, real_file: Callable[[str], Path], find_ball: Callable[..., dict[str, Any]]) -> None:
        volume = sitk.ReadImage(str(real_file("patient12_study2")))
        place = place_in(volume)
        assert_found_at(find_ball(volume, place, [32, 64, 64], "acquisition"), volume, place, NEAREST)
