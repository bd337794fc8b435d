"""Where the slices of a volume lie, and whether they make one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_sagan.errors import ImageError

__all__ = ["LPS_TO_RAS", "Plane", "check_axes", "stack_planes"]

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

# Cosine between two axes: a tenth of a voxel in a thousand. Rounded headers are far below, and ITK, which writes the
# results, refuses little more.
_MAX_SKEW = 1e-4
# Cosine between rows and columns that rounding explains: headers give directions to three digits or more.
_MAX_OVERLAP = 1e-2
# Difference of two direction cosines within which slices have one orientation.
_SAME_DIRECTION = 1e-3
# Millimetres within which two slices have one position.
_SAME_POSITION = 1e-3
# Share of the slice spacing by which gaps may differ: headers round positions to a tenth of a millimetre or finer.
_SAME_GAP = 0.1
# Pixels by which the last slice may be shifted against the first. More would put it on its neighbours' pixels.
_MAX_SHIFT = 0.5


@dataclass(frozen=True)
class Plane:
    """A slice in the patient's coordinates (DICOM's: LPS, millimetres).

    Args:
        position: of the centre of the first pixel.
        along_row: unit vector along a row, in which x grows.
        along_column: unit vector along a column, in which y grows.
        spacing: between pixels along x and y.
        size: number of pixels along x and y.
    """

    position: np.ndarray
    along_row: np.ndarray
    along_column: np.ndarray
    spacing: tuple[float, float]
    size: tuple[int, int]

    @classmethod
    def from_dicom(cls, position: Any, orientation: Any, spacing: Any, size: tuple[int, int]) -> Plane:
        """A plane from DICOM's attributes.

        Args:
            position: ImagePositionPatient, in millimetres, LPS.
            orientation: ImageOrientationPatient, along a row and along a column; made perpendicular.
            spacing: PixelSpacing, between rows first.
            size: columns and rows.

        Raises:
            ValueError: if the values are too few, or rows and columns are far from perpendicular.
        """
        along_row, along_column = np.array(orientation, dtype=np.float64).reshape(2, 3)
        overlap = along_row @ along_column
        if not along_row.any() or not along_column.any() or abs(overlap) > _MAX_OVERLAP:
            raise ValueError("Rows and columns are not perpendicular.")
        along_row /= np.linalg.norm(along_row)
        along_column = along_column - along_row * (along_row @ along_column)
        return cls(
            np.array(position, dtype=np.float64).reshape(3),
            along_row,
            along_column / np.linalg.norm(along_column),
            (float(spacing[1]), float(spacing[0])),
            size,
        )

    @property
    def normal(self) -> np.ndarray:
        """Unit vector in which slices grow."""
        return np.cross(self.along_row, self.along_column)

    def affine(self, step: float) -> np.ndarray:
        """Voxels to millimetres, RAS, (4, 4), of a volume that begins with this slice and has one every ``step`` mm."""
        lps = np.eye(4)
        lps[:3, 0] = self.along_row * self.spacing[0]
        lps[:3, 1] = self.along_column * self.spacing[1]
        lps[:3, 2] = self.normal * step
        lps[:3, 3] = self.position
        return LPS_TO_RAS @ lps


def stack_planes(planes: Sequence[Plane], path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Puts slices in order, and says where their voxels are.

    Args:
        planes: in any order, at least two.
        path: what messages name.

    Returns:
        The indices of the planes along their normal, and the affine (4, 4) from voxels to millimetres, RAS.

    Raises:
        ImageError: if they differ in size or orientation, share a position, lack one among them, or are shifted
            against each other as those of a tilted gantry.
    """
    _check_alike(planes, path)
    first = planes[0]
    heights = np.array([plane.position for plane in planes]) @ first.normal
    order = np.argsort(heights, kind="stable")
    _check_gaps(heights[order], path)
    lowest, highest = planes[order[0]], planes[order[-1]]
    _check_tilt(highest.position - lowest.position, first, path)
    return order, lowest.affine(np.ptp(heights) / (len(planes) - 1))


def check_axes(affine: np.ndarray, path: Path) -> None:
    """Refuses a geometry that images cannot have.

    Args:
        affine: (4, 4), or (3, 3) of a picture, voxels to millimetres.
        path: what messages name.

    Raises:
        ImageError: if the affine cannot be inverted or its axes are not perpendicular.
    """
    axes = affine[:-1, :-1]
    lengths = np.linalg.norm(axes, axis=0)
    if not np.isfinite(affine).all() or not lengths.all():
        raise ImageError(path, "the header gives the voxels no size; export the image again.")
    cosines = (axes / lengths).T @ (axes / lengths)
    if np.abs(cosines - np.eye(len(axes))).max() > _MAX_SKEW:
        raise ImageError(
            path,
            "the axes of the voxels are not perpendicular (the geometry is sheared), which results cannot be; resample "
            "the image to a regular grid.",
        )


def _check_alike(planes: Sequence[Plane], path: Path) -> None:
    sizes = sorted({plane.size for plane in planes})
    if len(sizes) > 1:
        shown = " and ".join(f"{columns}x{rows}" for columns, rows in sizes[:2])
        raise ImageError(path, f"the images differ in size ({shown} pixels); give those of one volume only.")
    first = planes[0]
    directions = np.array([[*plane.along_row, *plane.along_column] for plane in planes])
    num_turned = int((np.abs(directions - directions[0]).max(axis=1) > _SAME_DIRECTION).sum())
    if num_turned:
        fewer = min(num_turned, len(planes) - num_turned)
        raise ImageError(
            path,
            f"the images lie in different orientations ({fewer} of {len(planes)} unlike the others), perhaps because a "
            "localizer is among them; give those of one orientation only.",
        )
    if not np.allclose([plane.spacing for plane in planes], first.spacing, rtol=1e-4, atol=0):
        raise ImageError(path, "the images differ in pixel spacing; give those of one volume only.")


def _check_gaps(heights: np.ndarray, path: Path) -> None:
    """Heights are sorted."""
    gaps = np.diff(heights)
    usual = float(np.percentile(gaps, 50, method="lower"))
    shared = int((gaps < _SAME_POSITION).sum())
    if shared:
        raise ImageError(
            path,
            f"{shared} of the {len(heights)} images lie where another one does, perhaps because they are several time "
            "points or echoes; give those of one volume only.",
        )
    uneven = np.flatnonzero(np.abs(gaps - usual) > _SAME_GAP * usual)
    if not uneven.size:
        return
    where = f"between {heights[uneven[0]]:.1f} and {heights[uneven[0] + 1]:.1f} mm"
    missing = np.rint(gaps / usual).astype(int) - 1
    if np.all(np.abs(gaps - usual * (missing + 1)) <= _SAME_GAP * usual) and missing.sum() > 0:
        count = int(missing.sum())
        some = "1 slice is" if count == 1 else f"{count} slices are"
        first = "" if uneven.size == 1 else ", the first"
        raise ImageError(path, f"{some} missing{first} {where}; copy the series again, or export it whole.")
    raise ImageError(
        path,
        f"the slices are unevenly spaced: {usual:.2f} mm apart, but {gaps[uneven[0]]:.2f} mm {where}; resample the "
        "volume to even slices.",
    )


def _check_tilt(way: np.ndarray, plane: Plane, path: Path) -> None:
    """``way`` leads from the first slice's first pixel to the last one's."""
    shifts = np.array([way @ plane.along_row, way @ plane.along_column])
    if np.abs(shifts / plane.spacing).max() > _MAX_SHIFT:
        height = way @ plane.normal
        degrees = np.degrees(np.arctan2(np.linalg.norm(shifts), height))
        raise ImageError(
            path,
            f"the slices are shifted against each other as those of a gantry tilted by {degrees:.1f} degrees; resample "
            "the volume to a regular grid.",
        )
