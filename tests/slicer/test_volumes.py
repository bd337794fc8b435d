"""Volumes as files for the child, and maps from it: in the same places, to the last digit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scenes
import slicer
import vtk
from AnomalyMapLib.volumes import (
    VolumeError,
    from_world,
    geometry_difference,
    ijk_to_ras,
    read_map,
    read_volume,
    to_world,
    turning_transform,
    write_volume,
)


def a_turn(scene: Any) -> Any:
    """A transform that is not the identity."""
    matrix = np.eye(4)
    matrix[:3, :3] = scenes.rotation()
    matrix[:3, 3] = (10, 20, -5)
    node = scene.mrml.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    return node


def compare(first: Any, second: Any) -> str:
    """Slicer's own comparison, which is stricter on order and blind under transforms."""
    return slicer.vtkSlicerVolumesLogic().CompareVolumeGeometry(first, second)


class TestWriting:
    @pytest.mark.parametrize("matrix", scenes.GEOMETRIES.values(), ids=scenes.GEOMETRIES)
    def test_voxels_and_geometry_as_they_are(self, scene: Any, tmp_path: Path, matrix: np.ndarray) -> None:
        voxels = np.random.default_rng(0).integers(-1000, 1000, scenes.SHAPE).astype(np.int16)
        node = scene.add_volume(voxels, matrix)

        write_volume(node, tmp_path / "a.nrrd")

        back = read_volume(tmp_path / "a.nrrd")
        assert compare(back, node) == ""
        np.testing.assert_allclose(ijk_to_ras(back), matrix, atol=1e-12)
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(back), voxels)
        assert slicer.util.arrayFromVolume(back).dtype == np.int16

    def test_without_the_parent_transform(self, scene: Any, tmp_path: Path) -> None:
        matrix = scenes.GEOMETRIES["oblique"]
        node = scene.add_volume(scenes.phantom()[0], matrix)
        node.SetAndObserveTransformNodeID(a_turn(scene).GetID())

        write_volume(node, tmp_path / "a.nrrd")

        np.testing.assert_allclose(ijk_to_ras(read_volume(tmp_path / "a.nrrd")), matrix, atol=1e-12)

    def test_file_is_not_compressed(self, scene: Any, tmp_path: Path) -> None:
        node = scene.add_volume(np.zeros(scenes.SHAPE, np.float32), np.eye(4))
        write_volume(node, tmp_path / "a.nrrd")
        assert (tmp_path / "a.nrrd").stat().st_size >= 4 * np.prod(scenes.SHAPE)

    @pytest.mark.parametrize("channels", [3, 4])
    def test_a_colour_picture(self, scene: Any, tmp_path: Path, channels: int) -> None:
        node = scene.mrml.AddNewNodeByClass("vtkMRMLVectorVolumeNode")
        slicer.util.updateVolumeFromArray(node, np.zeros((1, 5, 4, channels), np.uint8))
        write_volume(node, tmp_path / "a.nrrd")
        header = (tmp_path / "a.nrrd").read_bytes().split(b"\n\n")[0].decode()
        assert f"sizes: {channels} 4 5 1" in header
        assert "-color domain domain domain" in header  # by which a reader tells colours from vectors

    def test_a_volume_without_voxels_is_refused(self, scene: Any, tmp_path: Path) -> None:
        node = scene.mrml.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty one")
        with pytest.raises(VolumeError, match="empty one: this volume holds no voxels"):
            write_volume(node, tmp_path / "a.nrrd")

    def test_a_folder_that_cannot_be_written_to_is_told(self, scene: Any, tmp_path: Path) -> None:
        node = scene.add_volume(np.zeros(scenes.SHAPE, np.float32), np.eye(4), "mine")
        (tmp_path / "nowhere").write_text("a file")
        with pytest.raises(VolumeError, match=r"mine: this volume could not be written to .*a\.nrrd"):
            write_volume(node, tmp_path / "nowhere" / "a.nrrd")


class TestReading:
    def test_one_slice_is_not_read_with_its_neighbours(self, scene: Any, tmp_path: Path) -> None:
        for number in range(3):
            node = scene.add_volume(np.full((1, 5, 4), number, np.int16), np.eye(4))
            write_volume(node, tmp_path / f"image_{number}.nrrd")
        back = slicer.util.arrayFromVolume(read_volume(tmp_path / "image_1.nrrd"))
        assert back.shape == (1, 5, 4)
        assert np.all(back == 1)

    def test_a_left_handed_nifti_keeps_its_order(self, tmp_path: Path) -> None:
        voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
        matrix = np.diag([2.0, -3.0, 4.0, 1.0])
        back = read_volume(scenes.write_map(tmp_path / "a.nii.gz", voxels, matrix))
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(back), voxels)
        np.testing.assert_allclose(ijk_to_ras(back), matrix, atol=1e-6)

    def test_a_damaged_file_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "a.nrrd").write_bytes(b"NRRD0004\nnonsense")
        with pytest.raises(VolumeError, match=r"a\.nrrd: this file is damaged"):
            read_volume(tmp_path / "a.nrrd")

    def test_a_colour_picture_is_told(self, scene: Any, tmp_path: Path) -> None:
        node = scene.mrml.AddNewNodeByClass("vtkMRMLVectorVolumeNode")
        slicer.util.updateVolumeFromArray(node, np.zeros((1, 5, 4, 3), np.uint8))
        write_volume(node, tmp_path / "a.nrrd")
        with pytest.raises(VolumeError, match="not a volume of grey values"):
            read_volume(tmp_path / "a.nrrd")

    def test_a_missing_file_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(VolumeError, match=r"a\.nrrd: there is no such file"):
            read_volume(tmp_path / "a.nrrd")


class TestMap:
    @pytest.mark.parametrize("matrix", scenes.GEOMETRIES.values(), ids=scenes.GEOMETRIES)
    def test_lies_where_the_input_does(self, scene: Any, tmp_path: Path, matrix: np.ndarray) -> None:
        volume, voxels = scenes.phantom()
        node = scene.add_volume(volume, matrix)
        write_volume(node, tmp_path / "volume.nrrd")
        back = read_map(scenes.write_map(tmp_path / "a.nrrd", voxels, matrix), node)
        assert compare(back, node) == ""
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(back), voxels)

    def test_under_a_transform(self, scene: Any, tmp_path: Path) -> None:
        node = scene.add_volume(scenes.phantom()[0], np.eye(4))
        node.SetAndObserveTransformNodeID(a_turn(scene).GetID())
        read_map(scenes.write_map(tmp_path / "a.nrrd", scenes.phantom()[1], np.eye(4)), node)

    def test_of_another_size_is_refused(self, scene: Any, tmp_path: Path) -> None:
        node = scene.add_volume(scenes.phantom()[0], np.eye(4), "head")
        path = scenes.write_map(tmp_path / "a.nrrd", np.zeros((2, 3, 4), np.float32), np.eye(4))
        with pytest.raises(VolumeError, match="does not fit head: it has 4 x 3 x 2 voxels and the volume 36 x 32 x 20"):
            read_map(path, node)

    def test_elsewhere_is_refused(self, scene: Any, tmp_path: Path) -> None:
        node = scene.add_volume(scenes.phantom()[0], np.eye(4))
        moved = np.eye(4)
        moved[0, 3] = 0.5
        path = scenes.write_map(tmp_path / "a.nrrd", scenes.phantom()[1], moved)
        with pytest.raises(VolumeError, match=r"its corners lie up to 0\.5 mm away"):
            read_map(path, node)


class TestGeometryDifference:
    @pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 2), (0, 1, 2)])
    def test_reversed_axes_are_none(self, scene: Any, axes: tuple[int, ...]) -> None:
        matrix = scenes.GEOMETRIES["oblique"]
        turned = matrix.copy()
        for axis in axes:
            turned[:3, 3] += matrix[:3, axis] * (scenes.SHAPE[2 - axis] - 1)
            turned[:3, axis] *= -1
        voxels = scenes.phantom()[0]
        assert geometry_difference(scene.add_volume(voxels, matrix), scene.add_volume(voxels, turned)) == ""

    def test_axes_in_another_order_are_one(self, scene: Any) -> None:
        voxels = np.zeros((4, 4, 4), np.float32)
        matrix = np.eye(4)
        first, second = scene.add_volume(voxels, matrix), scene.add_volume(voxels, matrix[:, [1, 0, 2, 3]])
        assert "corners" in geometry_difference(first, second)

    def test_one_slice(self, scene: Any) -> None:
        voxels = np.zeros((1, 4, 4), np.float32)
        thicker = np.diag([1.0, 1.0, 5.0, 1.0])
        assert geometry_difference(scene.add_volume(voxels, np.eye(4)), scene.add_volume(voxels, thicker)) == ""
        moved = np.eye(4)
        moved[2, 3] = 1
        assert geometry_difference(scene.add_volume(voxels, np.eye(4)), scene.add_volume(voxels, moved)) != ""

    def test_single_precision_is_none(self, scene: Any) -> None:
        matrix = scenes.GEOMETRIES["oblique"]
        voxels = scenes.phantom()[0]
        rounded = matrix.astype(np.float32).astype(float)
        assert geometry_difference(scene.add_volume(voxels, matrix), scene.add_volume(voxels, rounded)) == ""

    def test_microscopy(self, scene: Any) -> None:
        voxels = np.zeros((3, 4, 5), np.float32)
        small = np.diag([1e-4, 1e-4, 1e-4, 1])
        moved = small.copy()
        moved[0, 3] = 5e-5
        assert geometry_difference(scene.add_volume(voxels, small), scene.add_volume(voxels, small)) == ""
        assert geometry_difference(scene.add_volume(voxels, small), scene.add_volume(voxels, moved)) != ""


def test_a_point_in_the_world(scene: Any) -> None:
    node = scene.add_volume(scenes.phantom()[0], np.eye(4))
    np.testing.assert_allclose(to_world(node, np.array([1.0, 2.0, 3.0])), [1, 2, 3])
    node.SetAndObserveTransformNodeID(a_turn(scene).GetID())
    place = scenes.rotation() @ [1, 2, 3] + [10, 20, -5]
    np.testing.assert_allclose(to_world(node, np.array([1.0, 2.0, 3.0])), place, atol=1e-9)
    np.testing.assert_allclose(from_world(node, place), [1, 2, 3], atol=1e-9)


class TestTurningTransform:
    # Of a registration: a shift, a small rotation, some scale and shear.
    REGISTRATION = scenes.translation(40, -30, 20) @ scenes.about_x(8) @ np.diag([1.1, 0.9, 1.0, 1.0])
    SHEAR = np.array([[1, 0.1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], float)
    TURNS = {
        "rotation": scenes.about_x(12),
        "half a turn": scenes.about_x(180),
        "scaled": scenes.about_x(12) @ np.diag([2.0, 0.5, 1.0, 1.0]),
        "mirror": np.diag([-1.0, 1.0, 1.0, 1.0]),
        "through a point": np.diag([-1.0, -1.0, -1.0, 1.0]),
        "axes swapped": np.eye(4)[[1, 0, 2, 3]],
        "axes permuted": np.eye(4)[[1, 2, 0, 3]],
    }

    def test_none(self, scene: Any) -> None:
        assert (
            turning_transform(scene.add_volume(scenes.phantom()[0], scenes.GEOMETRIES["oblique left-handed"])) is None
        )

    @pytest.mark.parametrize("matrix", [np.eye(4), REGISTRATION, SHEAR])
    def test_what_a_network_does_not_feel(self, scene: Any, matrix: np.ndarray) -> None:
        volume = scene.add_volume(scenes.phantom()[0], np.eye(4))
        scene.move(volume, matrix)
        assert turning_transform(volume) is None

    @pytest.mark.parametrize("matrix", TURNS.values(), ids=TURNS)
    def test_what_it_should_see(self, scene: Any, matrix: np.ndarray) -> None:
        volume = scene.add_volume(scenes.phantom()[0], np.eye(4))
        transform_node = scene.move(volume, matrix)
        assert turning_transform(volume) is transform_node

    def test_through_a_parent(self, scene: Any) -> None:
        volume = scene.add_volume(scenes.phantom()[0], np.eye(4))
        transform_node = scene.move(volume, scenes.translation(1, 2, 3))
        scene.move(transform_node, scenes.about_x(90))
        assert turning_transform(volume) is transform_node

    def test_not_linear(self, scene: Any) -> None:
        volume = scene.add_volume(scenes.phantom()[0], np.eye(4))
        transform_node = scene.mrml.AddNewNodeByClass("vtkMRMLTransformNode")
        transform_node.SetAndObserveTransformToParent(vtk.vtkThinPlateSplineTransform())
        volume.SetAndObserveTransformNodeID(transform_node.GetID())
        assert turning_transform(volume) is transform_node
