"""Volumes as stacks of slices that are seen the same way."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_sagan.errors import SettingError
from monai_sagan.transforms import SliceLayout, find_slice_axis

# Voxels run to the patient's left, back and head, as most scanners store a transversal stack; MONAI's affines count
# millimetres to the right, front and head.
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
# Turned by some degrees about two axes, voxels of three lengths.
OBLIQUE = np.array(
    [[-0.718, -0.032, 0.136, 119.2], [0.033, -0.718, 0.093, 99.0], [0.024, 0.018, 3.997, -78.4], [0, 0, 0, 1]]
)
COPIES = list(itertools.product(itertools.permutations(range(3)), itertools.product((False, True), repeat=3)))


def a_volume(affine: np.ndarray = LPS, shape: tuple[int, int, int] = (4, 5, 6)) -> MetaTensor:
    voxels = torch.arange(float(np.prod(shape))).reshape(1, *shape)
    return MetaTensor(voxels, affine=torch.from_numpy(affine))


def a_copy(volume: MetaTensor, order: tuple[int, ...], flips: tuple[bool, ...]) -> MetaTensor:
    """The same scene with other array axes."""
    affine = volume.affine.numpy().copy()
    for axis, flip in enumerate(flips):
        if flip:
            affine[:3, 3] += affine[:3, axis] * (volume.shape[1 + axis] - 1)
            affine[:3, axis] *= -1
    voxels = volume.as_tensor().flip([1 + axis for axis, flip in enumerate(flips) if flip])
    affine[:, :3] = affine[:, list(order)]
    return MetaTensor(voxels.permute(0, *(1 + axis for axis in order)), affine=torch.from_numpy(affine))


def as_seen(volume: torch.Tensor, direction: str | int) -> torch.Tensor:
    layout = SliceLayout.of(volume, direction)
    return layout.turn(layout.view(torch.as_tensor(volume)))


class TestFindSliceAxis:
    @pytest.mark.parametrize(("direction", "axis"), [("sagittal", 0), ("coronal", 1), ("axial", 2)])
    def test_directions_of_the_patient(self, direction: str, axis: int) -> None:
        assert find_slice_axis(a_volume(), direction) == axis
        for order, flips in COPIES:
            assert order[find_slice_axis(a_copy(a_volume(OBLIQUE), order, flips), direction)] == axis

    @pytest.mark.parametrize(
        ("lengths", "shape", "axis"),
        [
            ((1, 1, 1), (4, 5, 6), 2),
            ((1, 1, 5), (4, 5, 6), 2),
            ((1.2, 0.9, 0.9), (4, 5, 6), 0),
            ((0.9, 5, 0.9), (4, 5, 6), 1),
            ((1.05, 1, 1), (4, 5, 6), 2),  # hardly longer
            ((0.9, 0.9, 0.5), (4, 5, 6), 2),  # two of them are
            ((5, 1, 1), (4, 1, 6), 1),  # a single slice
            ((5, 1, 1), (4, 1, 1), 0),
        ],
    )
    def test_as_acquired(self, lengths: tuple[float, float, float], shape: tuple[int, int, int], axis: int) -> None:
        assert find_slice_axis(a_volume(np.diag([*lengths, 1.0]), shape)) == axis

    @pytest.mark.parametrize("direction", ["sagittal", "coronal", "axial"])
    def test_a_radiograph_is_one_slice_in_every_direction(self, direction: str) -> None:
        assert find_slice_axis(a_volume(shape=(40, 50, 1)), direction) == 2

    def test_one_axis_for_each_direction_of_a_volume_at_45_degrees(self) -> None:
        half = np.sqrt(0.5)
        affine = np.array([[-half, half, 0, 0], [-half, -half, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
        found = {find_slice_axis(a_volume(affine), direction) for direction in ("sagittal", "coronal", "axial")}
        assert found == {0, 1, 2}

    def test_one_axis_for_each_direction_where_two_are_nearest_to_one(self) -> None:
        """The first axis runs along a cube's diagonal: the patient's left and back are both nearest to the second."""
        axes = np.array([[1, 1, 1], [1, -1, 0], [1, 1, -2]], dtype=np.float64)
        affine = np.eye(4)
        affine[:3, :3] = (axes / np.linalg.norm(axes, axis=1, keepdims=True)).T
        found = {find_slice_axis(a_volume(affine), direction) for direction in ("sagittal", "coronal", "axial")}
        assert found == {0, 1, 2}

    @pytest.mark.parametrize(("number", "axis"), [(0, 0), (1, 1), (2, 2), (-1, 2), (-3, 0)])
    def test_a_number(self, number: int, axis: int) -> None:
        assert find_slice_axis(a_volume(), number) == axis

    @pytest.mark.parametrize("direction", [3, -4, "transversal", ""])
    def test_none_that_there_is(self, direction: str | int) -> None:
        with pytest.raises(SettingError, match="slice_direction must be"):
            find_slice_axis(a_volume(), direction)

    def test_without_geometry(self) -> None:
        assert find_slice_axis(torch.zeros(1, 4, 5, 6)) == 2
        assert find_slice_axis(np.zeros((1, 4, 5, 6)), "sagittal") == 0


class TestSliceLayout:
    def test_transversal_slices_have_the_front_at_the_top_and_left_on_the_right(self) -> None:
        volume = a_volume()
        seen = as_seen(volume, "axial")
        assert seen.shape == (6, 1, 5, 4)
        # Voxels run to the left and to the back already.
        assert torch.equal(seen[3, 0], volume.as_tensor()[0, :, :, 3].T)

    def test_coronal_slices_have_the_head_at_the_top(self) -> None:
        volume = a_volume()
        assert torch.equal(as_seen(volume, "coronal")[1, 0], volume.as_tensor()[0, :, 1, :].T.flip(0))

    def test_sagittal_slices_have_the_front_on_the_left(self) -> None:
        volume = a_volume()
        assert torch.equal(as_seen(volume, "sagittal")[2, 0], volume.as_tensor()[0, 2].T.flip(0))

    @pytest.mark.parametrize("direction", ["axial", "coronal", "sagittal", "acquisition"])
    def test_a_copy_with_other_axes_looks_the_same(self, direction: str) -> None:
        """But for the order of the slices."""
        volume = a_volume(OBLIQUE)
        expected = as_seen(volume, direction)
        for order, flips in COPIES:
            seen = as_seen(a_copy(volume, order, flips), direction)
            assert torch.equal(seen, expected) or torch.equal(seen, expected.flip(0))

    @pytest.mark.parametrize("direction", ["axial", "coronal", "sagittal"])
    def test_an_upright_copy_is_the_same_and_can_be_undone(self, direction: str) -> None:
        volume = a_volume(OBLIQUE)
        expected = SliceLayout.of(volume, direction).upright(volume.as_tensor())
        for order, flips in COPIES:
            copy = a_copy(volume, order, flips)
            layout = SliceLayout.of(copy, direction)
            upright = layout.upright(copy.as_tensor())
            assert torch.equal(upright, expected)
            assert torch.equal(layout.undo_upright(upright), copy.as_tensor())

    def test_turning_twice_changes_nothing(self) -> None:
        layout = SliceLayout(0, 1, 2, (True, True, True))
        slices = torch.rand(3, 1, 4, 5, generator=torch.Generator().manual_seed(0))
        assert torch.equal(layout.turn(slices), slices.flip([2, 3]))
        assert torch.equal(layout.turn(layout.turn(slices)), slices)

    def test_what_is_written_to_a_view_is_in_the_volume(self) -> None:
        volume = torch.zeros(1, 4, 5, 6)
        SliceLayout.of(volume, 1).view(volume)[2, 0, 5, 3] = 7
        assert volume[0, 3, 2, 5] == 7

    def test_without_geometry_axes_are_reversed(self) -> None:
        """As pictures are, x first when read and rows first when seen."""
        volume = torch.rand(1, 4, 5, 6, generator=torch.Generator().manual_seed(0))
        for axis in range(3):
            assert torch.equal(as_seen(volume, axis), volume.movedim(1 + axis, 0).transpose(2, 3))
