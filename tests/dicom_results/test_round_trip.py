"""A volume that becomes DICOM and comes back lies where it lay."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread

TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def turned(axis: int, degrees: float) -> np.ndarray:
    """A turn about an axis."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(4)
    others = [other for other in range(3) if other != axis]
    matrix[np.ix_(others, others)] = [[cos, -sin], [sin, cos]]
    return matrix


AFFINES = {
    "axial": np.diag([-0.9, -0.9, 4.0, 1.0]),
    "oblique and anisotropic": turned(0, 17) @ turned(1, -31) @ turned(2, 5) @ np.diag([-0.7, -1.3, 3.1, 1.0]),
    "sagittal": np.array([[0, 0, 1.2, -80], [-0.5, 0, 0, 110.3], [0, -0.6, 0, 95.7], [0, 0, 0, 1]]),
    "left-handed": turned(1, 12) @ np.diag([0.8, -1.1, 2.5, 1.0]),
}


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
def test_nifti_to_dicom_and_back(a_volume: Callable, a_series: Callable, tmp_path: Path, affine: np.ndarray) -> None:
    affine = affine.copy()
    affine[:3, 3] += (-63.21, 48.77, -105.5)
    nifti = nib.load(a_volume(affine=affine))
    case = a_series(size=nifti.shape, affine=TO_LPS @ nifti.affine)
    case.anomaly_map[0] = case.anomaly_map.new_tensor(nifti.get_fdata() / 1000)

    assert case.write(tmp_path / "results") == []

    volume = hd.imread(tmp_path / "results" / "parametric_map.dcm").get_volume(dtype=np.float32)
    # From the volume's indices (plane, row, column) to the NIfTI's (x, y, z): whole numbers if they lie on each other.
    to_nifti = np.linalg.inv(TO_LPS @ nifti.affine) @ volume.affine
    spacing = np.linalg.norm(nifti.affine[:3, :3], axis=0)
    for corner in product(*((0, side - 1) for side in volume.spatial_shape)):
        index = (to_nifti @ (*corner, 1))[:3]
        # DICOM's numbers have at least 10 digits after the point, NIfTI's affine is of 32 bits: 1e-5 mm over 100 mm.
        np.testing.assert_allclose(index * spacing, index.round() * spacing, rtol=0, atol=1e-4)
        assert volume.array[corner] == case.anomaly_map[(0, *index.round().astype(int))].item()


def test_planes_of_the_overlay_and_the_segmentation_lie_on_the_volume(
    a_volume: Callable, a_series: Callable, tmp_path: Path
) -> None:
    nifti = nib.load(a_volume(affine=AFFINES["oblique and anisotropic"]))
    case = a_series(size=nifti.shape, affine=TO_LPS @ nifti.affine)
    case.write(tmp_path / "results", map_threshold=0.02)

    captures = [dcmread(path) for path in sorted((tmp_path / "results" / "overlay").iterdir())]
    segmentation = hd.seg.segread(tmp_path / "results" / "segmentation.dcm").get_volume(combine_segments=True)

    for capture in captures:
        expected = TO_LPS @ nifti.affine @ (0, 0, capture.InstanceNumber - 1, 1)
        np.testing.assert_allclose(capture.ImagePositionPatient, expected[:3], rtol=0, atol=1e-4)
    to_nifti = np.linalg.inv(TO_LPS @ nifti.affine) @ segmentation.affine
    found = (to_nifti @ np.pad(np.argwhere(segmentation.array), ((0, 0), (0, 1)), constant_values=1).T)[:3]
    above = np.argwhere(np.asarray(case.anomaly_map)[0] > 0.02)
    assert {tuple(index) for index in found.round().astype(int).T.tolist()} == {tuple(each) for each in above.tolist()}
