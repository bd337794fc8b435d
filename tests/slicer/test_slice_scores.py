"""The table and the plot of the slices' scores, and the way from one high score to the next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scenes
import slicer
import vtk
from AnomalyMapLib import slice_scores
from AnomalyMapLib.volumes import ijk_to_ras, to_world


def a_table(scene: Any, scores: list[float], axis: int = 2, matrix: np.ndarray | None = None) -> tuple[Any, Any]:
    """A table of scores, and its map, which has as many slices."""
    size = [5, 6, 7]
    size[axis] = len(scores)
    map_node = scene.add_volume(np.zeros(size[::-1], np.float32), np.eye(4) if matrix is None else matrix)
    table_node = scene.mrml.AddNewNodeByClass("vtkMRMLTableNode")
    slice_scores.fill_table(table_node, map_node, axis, scores)
    return table_node, map_node


def column(table_node: Any, name: str) -> list[float]:
    return slicer.util.arrayFromTableColumn(table_node, name).tolist()


class TestTable:
    def test_numbers_and_scores(self, scene: Any) -> None:
        table_node, _ = a_table(scene, [0.1, 0.3, 0.2])
        assert column(table_node, "Slice") == [1, 2, 3]
        assert column(table_node, "Score") == [0.1, 0.3, 0.2]
        assert table_node.GetNumberOfColumns() == 6

    @pytest.mark.parametrize("axis", [0, 1, 2])
    @pytest.mark.parametrize("matrix", scenes.GEOMETRIES.values(), ids=scenes.GEOMETRIES)
    def test_centres_of_slices(self, scene: Any, matrix: np.ndarray, axis: int) -> None:
        table_node, map_node = a_table(scene, [0.1, 0.3, 0.2, 0.0], axis, matrix)
        middle = (np.array(map_node.GetImageData().GetDimensions()) - 1) / 2
        for row, centre in enumerate(slice_scores.centres(table_node)):
            middle[axis] = row
            np.testing.assert_allclose(centre, (matrix @ [*middle, 1])[:3], atol=1e-9)

    @pytest.mark.parametrize(("axis", "start", "step"), [(0, 30.5, -1.5), (1, -12.25, -1.2), (2, -55.0, 3.0)])
    def test_positions_are_coordinates(self, scene: Any, axis: int, start: float, step: float) -> None:
        table_node, _ = a_table(scene, [0.1, 0.3, 0.2], axis, scenes.GEOMETRIES["right-handed"])
        np.testing.assert_allclose(column(table_node, "Position (mm)"), start + step * np.arange(3))

    def test_positions_in_an_oblique_volume_are_a_slice_apart(self, scene: Any) -> None:
        table_node, _ = a_table(scene, [0.1, 0.3, 0.2], 2, scenes.GEOMETRIES["oblique"])
        np.testing.assert_allclose(np.diff(column(table_node, "Position (mm)")), 3.0)

    def test_p_values(self, scene: Any) -> None:
        table_node, map_node = a_table(scene, [0.1, 0.3])
        assert table_node.GetColumnIndex("p") < 0
        slice_scores.fill_table(table_node, map_node, 2, [0.1, 0.3], [None, 0.02])
        assert table_node.GetColumnIndex("p") == 2  # beside the score
        assert [table_node.GetCellText(row, 2) for row in range(2)] == ["", "0.02"]

    def test_views_are_told_of_p_values(self, scene: Any) -> None:
        table_node, map_node = a_table(scene, [0.1, 0.3])
        told: list[bool] = []
        event = vtk.vtkCommand.ModifiedEvent
        table_node.AddObserver(event, lambda caller, event: told.append(table_node.GetColumnIndex("p") >= 0))
        for _ in range(2):
            told.clear()
            slice_scores.fill_table(table_node, map_node, 2, [0.1, 0.3], [None, 0.02])
            assert told[-1]

    def test_positions_are_those_of_the_slice_views(self, scene: Any) -> None:
        """Of a volume that was moved and turned, where the world is."""
        _, map_node = a_table(scene, [0.1, 0.3, 0.2])
        turn = np.array([[0, 0, 1, 10], [1, 0, 0, 20], [0, 1, 0, 30], [0, 0, 0, 1.0]])
        transform_node = scene.mrml.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        transform_node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(turn))
        map_node.SetAndObserveTransformNodeID(transform_node.GetID())
        table_node = scene.mrml.AddNewNodeByClass("vtkMRMLTableNode")
        slice_scores.fill_table(table_node, map_node, 2, [0.1, 0.3, 0.2])
        np.testing.assert_allclose(column(table_node, "Position (mm)"), [10, 11, 12])

    def test_filled_again_has_the_new_rows_only(self, scene: Any) -> None:
        table_node, map_node = a_table(scene, [0.1, 0.3, 0.2])
        slice_scores.fill_table(table_node, map_node, 2, [0.5, 0.6])
        assert column(table_node, "Score") == [0.5, 0.6]
        assert table_node.GetNumberOfColumns() == 6


def test_chart_shows_the_scores(scene: Any) -> None:
    table_node, _ = a_table(scene, [0.1, 0.3, 0.2])
    chart_node = scene.mrml.AddNewNodeByClass("vtkMRMLPlotChartNode")
    series_node = scene.mrml.AddNewNodeByClass("vtkMRMLPlotSeriesNode")
    for _ in range(2):  # the second time nothing is added
        slice_scores.fill_chart(chart_node, series_node, table_node)
    assert chart_node.GetNumberOfPlotSeriesNodes() == 1
    assert chart_node.GetNthPlotSeriesNode(0).GetTableNode() is table_node
    assert (series_node.GetXColumnName(), series_node.GetYColumnName()) == ("Slice", "Score")


class TestHighSlices:
    @pytest.mark.parametrize(
        ("scores", "expected"),
        [
            ([0.0, 0.0], []),
            ([0.3], [0]),
            ([0.2, 0.2, 0.2], [1]),
            ([1, 2, 3, 9, 3, 2, 8, 1], [3, 6]),
            ([9, 1, 1, 1, 1, 1, 1, 8], [0, 7]),
            # A plateau counts once, in its middle; a step on the way up is none.
            ([1, 1, 1, 1, 1, 1, 5, 5, 5, 1, 1, 1], [7]),
            ([0, 1, 5, 5, 6, 1, 0, 0], [4]),
            # A local maximum among the lower three quarters is none.
            ([1, 2, 1, 3, 9, 8, 7, 3], [4]),
            # Slices of background do not count for the quarter: of four scores that are left, one.
            ([0, 0, 0, 0, 0, 0, 0, 0, 3, 1, 4, 1, 0, 0, 0], [10]),
        ],
    )
    def test_rule(self, scene: Any, scores: list[float], expected: list[int]) -> None:
        assert slice_scores.high_slices(a_table(scene, scores)[0]) == expected

    @pytest.mark.parametrize("p_values", [[None, 0.06, 0.05, 0.001], [None, 0.06, 0.5, 0.7]])
    def test_by_p_values_where_there_are_any(self, scene: Any, p_values: list[float | None], tmp_path: Path) -> None:
        table_node, map_node = a_table(scene, [0.0, 0.9, 0.2, 0.3])
        slice_scores.fill_table(table_node, map_node, 2, [0.0, 0.9, 0.2, 0.3], p_values)
        expected = [row for row, p_value in enumerate(p_values) if p_value is not None and p_value <= 0.05]
        assert slice_scores.high_slices(table_node) == expected
        table_node.SetName("scores")
        scene.save(tmp_path / "a.mrb")
        loaded = scenes.Scene.load(tmp_path / "a.mrb")
        assert slice_scores.high_slices(loaded.mrml.GetFirstNodeByName("scores")) == expected


class TestNext:
    SCORES = [0.1, 0.9, 0.1, 0.2, 0.8, 0.1, 0.1, 0.1]  # high are rows 1 and 4

    def test_in_order_and_from_the_end_to_the_start(self, scene: Any) -> None:
        table_node, _ = a_table(scene, self.SCORES)
        following = [slice_scores.next_high(table_node, position) for position in range(8)]
        assert following == [1, 4, 4, 4, 1, 1, 1, 1]

    def test_from_nowhere(self, scene: Any) -> None:
        table_node, _ = a_table(scene, [0.9, 0.1, 0.1, 0.2, 0.8, 0.1, 0.1, 0.1])
        assert slice_scores.next_high(table_node, None) == 0

    def test_from_between_slices_and_beyond(self, scene: Any) -> None:
        table_node, _ = a_table(scene, self.SCORES)
        following = [slice_scores.next_high(table_node, position) for position in (-99.0, 0.6, 3.4, 99.0)]
        assert following == [1, 4, 4, 1]

    def test_order_of_slices_against_the_axis(self, scene: Any) -> None:
        table_node, _ = a_table(scene, self.SCORES, 2, np.diag([1.0, 1.0, -1.0, 1.0]))
        assert slice_scores.next_high(table_node, -1.0) == 4

    def test_of_an_image_without_any(self, scene: Any) -> None:
        table_node, _ = a_table(scene, [0.0, 0.0, 0.0])
        assert slice_scores.next_high(table_node, 0.0) is None


class TestPresentPosition:
    @pytest.mark.parametrize("moved", [False, True])
    @pytest.mark.parametrize("axis", [0, 1, 2])
    @pytest.mark.parametrize("matrix", scenes.GEOMETRIES.values(), ids=scenes.GEOMETRIES)
    def test_is_where_the_views_were_moved(self, scene: Any, matrix: np.ndarray, axis: int, moved: bool) -> None:
        table_node, map_node = a_table(scene, [0.1] * 9, axis, matrix)
        if moved:
            transform_node = scene.mrml.AddNewNodeByClass("vtkMRMLLinearTransformNode")
            transform_node.SetMatrixTransformToParent(
                slicer.util.vtkMatrixFromArray(scenes.affine(scenes.rotation(), (1, 1, 1)))
            )
            map_node.SetAndObserveTransformNodeID(transform_node.GetID())
        for row in (0, 3, 8):
            slice_scores.jump(scene.slice_nodes(), to_world(map_node, slice_scores.centres(table_node)[row]))
            position = slice_scores.present_position(table_node, map_node, scene.slice_nodes())
            assert position == pytest.approx(column(table_node, "Position (mm)")[row], abs=1e-6)

    def test_does_not_depend_on_where_a_view_is_panned_to(self, scene: Any) -> None:
        table_node, map_node = a_table(scene, [0.1] * 9, 2, scenes.GEOMETRIES["oblique"])
        slice_scores.jump(scene.slice_nodes(), slice_scores.centres(table_node)[5])
        node = scene.views["Red"].GetSliceNode()
        origin = node.GetXYZOrigin()
        node.SetXYZOrigin(origin[0] + 20, origin[1] - 10, 0)
        position = slice_scores.present_position(table_node, map_node, scene.slice_nodes())
        assert position == pytest.approx(column(table_node, "Position (mm)")[5], abs=1e-6)

    @pytest.mark.parametrize("matrix", scenes.GEOMETRIES.values(), ids=scenes.GEOMETRIES)
    def test_away_from_the_centre_of_a_slice(self, scene: Any, matrix: np.ndarray) -> None:
        table_node, map_node = a_table(scene, [0.1] * 9, 2, matrix)
        slice_scores.jump(scene.slice_nodes(), (matrix @ [0, 5, 4, 1])[:3])
        position = slice_scores.present_position(table_node, map_node, scene.slice_nodes())
        assert position == pytest.approx(column(table_node, "Position (mm)")[4], abs=1e-6)

    def test_of_two_views_in_one_direction_the_first_counts(self, scene: Any) -> None:
        table_node, map_node = a_table(scene, [0.1] * 9)
        slice_scores.jump(scene.slice_nodes(), (2, 2, 3))
        scene.add_view("Second", "Axial").GetSliceNode().JumpSliceByOffsetting(2, 2, 7)
        assert slice_scores.present_position(table_node, map_node, scene.slice_nodes()) == pytest.approx(3)

    def test_the_view_in_the_plane_of_the_slices_counts_before_one_that_was_turned(self, scene: Any) -> None:
        table_node, map_node = a_table(scene, [0.1] * 9)
        turned = scene.views["Red"].GetSliceNode()
        turned.GetSliceToRAS().DeepCopy(slicer.util.vtkMatrixFromArray(scenes.affine(scenes.rotation(), (1, 1, 1))))
        turned.UpdateMatrices()
        scene.add_view("Second", "Axial").GetSliceNode().JumpSliceByOffsetting(2, 2, 7)
        assert slice_scores.present_position(table_node, map_node, scene.slice_nodes()) == pytest.approx(7)

    def test_of_one_view(self, scene: Any) -> None:
        table_node, map_node = a_table(scene, [0.1] * 9)
        view = scene.views["Red"].GetSliceNode()
        view.JumpSliceByOffsetting(2, 2, 3)
        assert slice_scores.present_position(table_node, map_node, [view]) == pytest.approx(3)

    def test_views_along_the_axis_do_not_tell(self, scene: Any) -> None:
        table_node, map_node = a_table(scene, [0.1] * 9)
        views = [scene.views[name].GetSliceNode() for name in ("Yellow", "Green")]
        assert slice_scores.present_position(table_node, map_node, views) is None

    def test_without_slice_views(self, scene: Any) -> None:
        table_node, map_node = a_table(scene, [0.1] * 9)
        assert slice_scores.present_position(table_node, map_node, []) is None


class TestHighestInSlice:
    @pytest.mark.parametrize("axis", [0, 1, 2])
    @pytest.mark.parametrize("matrix", scenes.GEOMETRIES.values(), ids=scenes.GEOMETRIES)
    def test_place(self, scene: Any, matrix: np.ndarray, axis: int) -> None:
        voxels = np.random.default_rng(0).random((7, 6, 5)).astype(np.float32)
        map_node = scene.add_volume(voxels, matrix)
        table_node = scene.mrml.AddNewNodeByClass("vtkMRMLTableNode")
        slice_scores.fill_table(table_node, map_node, axis, [0.1] * voxels.shape[2 - axis])
        expected = np.array([np.swapaxes(voxels, 0, 2).take(row, axis).max() for row in range(voxels.shape[2 - axis])])
        for row, highest in enumerate(expected):
            place = slice_scores.highest_in_slice(table_node, map_node, row)
            i, j, k = np.linalg.solve(ijk_to_ras(map_node), [*place, 1])[:3].round().astype(int)
            assert voxels[k, j, i] == highest
            assert (i, j, k)[axis] == row

    def test_of_one_slice(self, scene: Any) -> None:
        voxels = np.zeros((1, 6, 5), np.float32)
        voxels[0, 4, 3] = 1
        map_node = scene.add_volume(voxels, np.eye(4))
        table_node = scene.mrml.AddNewNodeByClass("vtkMRMLTableNode")
        slice_scores.fill_table(table_node, map_node, 2, [0.1])
        np.testing.assert_allclose(slice_scores.highest_in_slice(table_node, map_node, 0), [3, 4, 0])


class TestJump:
    def test_every_view_goes_there(self, scene: Any) -> None:
        scene.add_volume(scenes.phantom()[0], np.eye(4))
        slice_scores.jump(scene.slice_nodes(), (12.5, 20.0, 7.0))
        for view, axis in (("Yellow", 0), ("Green", 1), ("Red", 2)):
            np.testing.assert_allclose(scene.places(view)[..., axis], (12.5, 20.0, 7.0)[axis], atol=1e-9)

    def test_a_view_stays_as_it_is_panned_if_it_shows_the_place(self, scene: Any) -> None:
        node = scene.views["Red"].GetSliceNode()
        matrix = node.GetSliceToRAS()
        before = (matrix.GetElement(0, 3), matrix.GetElement(1, 3))
        slice_scores.jump(scene.slice_nodes(), (10.0, -10.0, 7.0))
        assert (node.GetSliceToRAS().GetElement(0, 3), node.GetSliceToRAS().GetElement(1, 3)) == before

    def test_a_view_that_is_zoomed_in_elsewhere_is_centred(self, scene: Any) -> None:
        node = scene.views["Red"].GetSliceNode()
        node.SetFieldOfView(10, 10, 1)
        slice_scores.jump(scene.slice_nodes(), (100.0, -50.0, 7.0))
        place = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())[:3, 3]
        np.testing.assert_allclose(place, (100, -50, 7))


def test_survives_a_saved_scene(scene: Any, tmp_path: Path) -> None:
    table_node, _ = a_table(scene, TestNext.SCORES, 2, scenes.GEOMETRIES["left-handed"])
    table_node.SetName("scores")
    positions = column(table_node, "Position (mm)")
    scene.save(tmp_path / "a.mrb")
    loaded = scenes.Scene.load(tmp_path / "a.mrb")
    back = loaded.mrml.GetFirstNodeByName("scores")
    assert slice_scores.next_high(back, positions[1]) == 4
    np.testing.assert_allclose(slice_scores.centres(back), slice_scores.centres(table_node), atol=1e-3)
