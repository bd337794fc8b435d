"""Volumes as stacks of slices that are seen the same way, however the voxels lie in the file.

A permuted or flipped copy of a volume shows the same scene. So that a network sees the same pictures, the axes are
told apart by where they point in the patient, and slices are turned as they are shown in radiology: the patient's left
on the right, front at the top of transversal slices, head at the top of the others.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.data import MetaTensor
from monai.utils import convert_to_numpy

from monai_sagan.errors import SettingError

__all__ = ["SLICE_DIRECTIONS", "SliceLayout", "check_slice_direction", "find_slice_axis", "stacked_along"]

# Where slices are stacked along: the patient's left, back and head, or as the scanner did.
_ANATOMICAL = {"sagittal": 0, "coronal": 1, "axial": 2}
SLICE_DIRECTIONS = ("acquisition", *_ANATOMICAL)

# Of each stacking direction, what rows and columns of a slice run along, and whether towards left, back and head (1).
_SEEN = {0: ((2, -1), (1, 1)), 1: ((2, -1), (0, 1)), 2: ((1, 1), (0, 1))}

# Slices are further apart than pixels by this factor at least where that is to tell how a volume was acquired.
_CLEARLY_LONGER = 1.1

# Of a volume turned by 45 degrees, two axes are as near to the patient's: a turn by a fraction of a degree decides, and
# for every copy of the volume in the same way.
_SLIGHT_TURN = np.eye(3) + 1e-3 * np.array([[0.0, -3.0, 2.0], [3.0, 0.0, -1.0], [-2.0, 1.0, 0.0]])


@dataclass(frozen=True)
class SliceLayout:
    """Which axes of a volume its slices are stacked along, and how each slice is turned to be seen.

    Args:
        slices: spatial axis along which slices are stacked.
        rows: spatial axis that runs down a slice.
        columns: spatial axis that runs across a slice.
        flips: for slices, rows and columns, whether the axis runs against the way it is seen.
    """

    slices: int
    rows: int
    columns: int
    flips: tuple[bool, bool, bool] = (False, False, False)

    @classmethod
    def of(cls, volume: NdarrayOrTensor, direction: str | int = "acquisition") -> SliceLayout:
        """The layout of a volume.

        Args:
            volume: (C, *three spatial axes). A MetaTensor's affine says where its axes point; of other arrays, and
                with a plain axis number as direction, slices are seen with the first of their axes across.
            direction: as in :func:`find_slice_axis`.

        Raises:
            SettingError: if there is no such direction.
        """
        axis = find_slice_axis(volume, direction)
        if not isinstance(volume, MetaTensor):
            columns, rows = (other for other in range(3) if other != axis)
            return cls(axis, rows, columns)
        axes, signs = _anatomical_axes(volume)
        stacking = axes.index(axis)
        (down, way_down), (across, way_across) = _SEEN[stacking]
        flips = (signs[stacking] < 0, signs[down] != way_down, signs[across] != way_across)
        return cls(axis, axes[down], axes[across], flips)

    def view(self, volume: torch.Tensor) -> torch.Tensor:
        """The slices of a volume without a copy, not yet turned.

        Args:
            volume: (C, *three spatial axes).

        Returns:
            (slices, C, rows, columns): what is written to it is written to the volume.
        """
        return volume.permute(1 + self.slices, 0, 1 + self.rows, 1 + self.columns)

    def take(self, volume: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Takes slices of a volume, as they are seen.

        Args:
            volume: (C, *three spatial axes).
            start: number of the first one.
            stop: number after the last one.

        Returns:
            A copy, (stop - start, C, rows, columns).
        """
        # What is near in memory is copied together before its axes change places: three times as fast.
        part = volume.narrow(1 + self.slices, start, stop - start).clone()
        return self.turn(self.view(part).contiguous())

    def turn(self, slices: torch.Tensor) -> torch.Tensor:
        """Turns slices (N, C, rows, columns) to be seen, or back again."""
        axes = [axis for axis, flip in zip((2, 3), self.flips[1:]) if flip]
        return slices.flip(axes) if axes else slices

    def upright(self, volume: torch.Tensor) -> torch.Tensor:
        """A volume (C, *three spatial axes) as (C, slices, rows, columns), with the slices in anatomical order."""
        ordered = volume.permute(0, 1 + self.slices, 1 + self.rows, 1 + self.columns)
        return ordered.flip([1 + axis for axis, flip in enumerate(self.flips) if flip])

    def undo_upright(self, upright: torch.Tensor) -> torch.Tensor:
        """Undoes :meth:`upright`."""
        ordered = upright.flip([1 + axis for axis, flip in enumerate(self.flips) if flip])
        order = (self.slices, self.rows, self.columns)
        return ordered.permute(0, *(1 + order.index(axis) for axis in range(3)))


def check_slice_direction(direction: str | int) -> None:
    """Checks that there is such a direction.

    Raises:
        SettingError: if not.
    """
    if not (-3 <= direction <= 2 if isinstance(direction, int) else direction in SLICE_DIRECTIONS):
        raise SettingError(
            f"slice_direction must be {', '.join(SLICE_DIRECTIONS)} or an axis from 0 to 2, not {direction!r}."
        )


def find_slice_axis(volume: NdarrayOrTensor, direction: str | int = "acquisition") -> int:
    """The spatial axis along which a volume is cut into slices.

    Args:
        volume: (C, *three spatial axes), a MetaTensor where the direction is to be told by its affine.
        direction: ``axial``, ``coronal`` or ``sagittal``: the axis nearest to that of the patient. ``acquisition``:
            that along which voxels are longest by a tenth, or else the last one, along which scanners stack slices.
            With all of these a volume that is a single slice is cut into that one. A number: that axis.

    Returns:
        The axis, 0 to 2.

    Raises:
        SettingError: if there is no such direction.
    """
    check_slice_direction(direction)
    if isinstance(direction, int):
        return direction % 3
    single = [axis for axis, side in enumerate(volume.shape[1:]) if side == 1]
    if len(single) == 1:  # a radiograph among volumes is a slice already
        return single[0]
    if direction in _ANATOMICAL:
        axes, _ = _anatomical_axes(volume)
        return axes[_ANATOMICAL[direction]]
    lengths = np.linalg.norm(_directions(volume), axis=0)
    longest = int(lengths.argmax())
    return longest if lengths[longest] > _CLEARLY_LONGER * np.delete(lengths, longest).max() else 2


def stacked_along(volume: NdarrayOrTensor, axis: int) -> str:
    """How the slices of a volume lie in the body: ``axial``, ``coronal`` or ``sagittal``.

    Args:
        volume: (C, *three spatial axes), a MetaTensor where its affine is to tell.
        axis: the spatial axis along which it is cut into slices.
    """
    axes, _ = _anatomical_axes(volume)
    return next(name for name, number in _ANATOMICAL.items() if axes[number] == axis)


def _directions(volume: NdarrayOrTensor) -> np.ndarray:
    """What a step along each array axis (columns) is in millimetres towards left, back and head (rows)."""
    if not isinstance(volume, MetaTensor):
        return np.eye(3)
    return np.diag([-1.0, -1.0, 1.0]) @ convert_to_numpy(volume.affine).astype(np.float64)[:3, :3]


def _anatomical_axes(volume: NdarrayOrTensor) -> tuple[Sequence[int], Sequence[int]]:
    """The array axes nearest to the patient's left-right, front-back and foot-head axes, and 1 or -1 for their way."""
    directions = _directions(volume)
    cosines = directions / np.linalg.norm(directions, axis=0)
    nearness = np.abs(_SLIGHT_TURN @ cosines)
    # One array axis for each of the patient's, so that an oblique volume does not use one twice.
    axes = max(itertools.permutations(range(3)), key=lambda axes: sum(nearness[i, axis] for i, axis in enumerate(axes)))
    return axes, [1 if cosines[i, axis] >= 0 else -1 for i, axis in enumerate(axes)]
