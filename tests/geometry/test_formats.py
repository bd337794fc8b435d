"""A map lies exactly on its input, in every format and by every library that reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import itk
import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

pytestmark = pytest.mark.usefixtures("network_that_takes_away_all")

INPUTS = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", "dicom")
OUTPUTS = (".nii.gz", ".nii", ".nrrd", ".mha")
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
# Millimetres. NIfTI's header has 32-bit numbers: up to 256 mm from the origin they are right to 8e-6.
PRECISION = 1e-5
WINDOW = [0, 1000]


def affine(origin: Any, spacing: Any, direction: Any) -> np.ndarray:
    """Voxels to millimetres, LPS."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(direction, (3, 3)) * np.asarray(spacing)
    matrix[:3, 3] = origin
    return matrix


def affine_of(volume: sitk.Image) -> np.ndarray:
    return affine(volume.GetOrigin(), volume.GetSpacing(), volume.GetDirection())


def by_simple_itk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    volume = sitk.ReadImage(str(path))
    return sitk.GetArrayFromImage(volume).T, affine_of(volume)


def by_itk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    volume = itk.imread(str(path))
    direction = itk.array_from_matrix(volume.GetDirection())
    return itk.array_from_image(volume).T, affine(list(volume.GetOrigin()), list(volume.GetSpacing()), direction)


def by_nibabel(path: Path) -> tuple[np.ndarray, np.ndarray]:
    volume = nib.load(path)
    return volume.get_fdata(dtype=np.float32), LPS_TO_RAS @ volume.affine


def readings(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A map's voxels, x first, and where they are, by each library that knows its format."""
    libraries = {"SimpleITK": by_simple_itk, "ITK": by_itk}
    if path.name.endswith((".nii", ".nii.gz")):
        libraries["nibabel"] = by_nibabel
    return {name: read(path) for name, read in libraries.items()}


def assert_lies_on(path: Path, volume: sitk.Image, expected_affine: np.ndarray | None = None) -> None:
    """The map that the network of these tests makes is the volume itself, in the bundle's window."""
    voxels = sitk.GetArrayFromImage(volume).T
    expected = (voxels.astype(np.float32) / WINDOW[1]).clip(0, 1)
    for library, (found, where) in readings(path).items():
        assert found.shape == voxels.shape, library
        # Numbers from -1 to 1 in 32 bits.
        assert np.abs(found - expected).max() < 1e-6, library
        difference = np.abs(where - (affine_of(volume) if expected_affine is None else expected_affine)).max()
        assert difference < PRECISION, library


def as_dicom_is_read(volume: sitk.Image) -> sitk.Image:
    """The slices of a series have no order but their positions', in the direction of rows x columns."""
    left_handed = np.linalg.det(np.reshape(volume.GetDirection(), (3, 3))) < 0
    return volume[:, :, ::-1] if left_handed else volume


@pytest.fixture
def check_all_formats(
    saved: Callable[..., Path],
    a_bundle: Callable[..., Path],
    predict: Callable[..., Any],
    slice_size: Callable[..., list[int]],
) -> Callable[..., None]:
    """Maps a volume from every format that can hold it to the one given, and checks each map."""

    def check(volume: sitk.Image, output_ext: str) -> None:
        bundle = a_bundle(slice_size(volume), intensity_window=WINDOW, background=-2)
        names = {ending: f"volume_{number}" for number, ending in enumerate(INPUTS)}
        found = predict(bundle, [saved(volume, ending, name) for ending, name in names.items()], output_ext)
        for ending, name in names.items():
            assert_lies_on(found[name].path, as_dicom_is_read(volume) if ending == "dicom" else volume)

    return check


@pytest.mark.parametrize("output_ext", OUTPUTS)
def test_made_up_geometries(any_geometry: sitk.Image, output_ext: str, check_all_formats: Callable[..., None]) -> None:
    check_all_formats(any_geometry, output_ext)


@pytest.mark.parametrize("output_ext", OUTPUTS)
def test_parts_of_real_volumes(any_real_file: Path, output_ext: str, check_all_formats: Callable[..., None]) -> None:
    """All slices, few pixels of each."""
    check_all_formats(sitk.ReadImage(str(any_real_file))[140:180, 100:136, :], output_ext)


def test_whole_real_volumes(
    any_real_file: Path,
    a_bundle: Callable[..., Path],
    predict: Callable[..., Any],
    slice_size: Callable[..., list[int]],
) -> None:
    """The file as it is: nibabel's affine of the map is that of the input."""
    volume = sitk.ReadImage(str(any_real_file))
    (found,) = predict(
        a_bundle(slice_size(volume), intensity_window=WINDOW, background=-2), [any_real_file], ".nii.gz"
    ).values()
    assert_lies_on(found.path, volume, LPS_TO_RAS @ nib.load(any_real_file).affine)
