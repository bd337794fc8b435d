"""A result takes the place of an earlier one, whatever became of that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scenes
import slicer
from AnomalyMapLib.nodes import ROLES
from AnomalyMapLib.segment import SEGMENT_ID
from cases import Case, roles_of


@pytest.fixture
def case(scene: Any, tmp_path: Path, result_of: Callable[..., Any]) -> Case:
    return Case(scene, tmp_path, result_of)


class TestAgain:
    def test_nothing_piles_up_and_the_display_is_the_same(self, case: Case) -> None:
        case.lay_all()
        before, pixels = scenes.count_nodes(case.scene), case.scene.pixels("Red")
        map_node = case.results.node("anomalyMap")
        case.results.threshold = 0.7
        case.results.opacity = 0.1
        map_node.GetScalarVolumeDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")

        case.lay()

        assert roles_of(case.results) == set(ROLES) - {"findingTable"}
        assert case.results.node("peakMarker").GetNumberOfControlPoints() == 0
        assert case.results.node("anomalyMap") is map_node
        np.testing.assert_array_equal(case.scene.pixels("Red"), pixels)
        assert case.results.rendering
        case.lay_all()
        assert scenes.count_nodes(case.scene) == before

    def test_the_new_result_takes_the_place_of_the_old(self, case: Case) -> None:
        case.lay_all()
        case.lay(factor=0.5, anomaly_score=0.125, slice_scores=[0.5] * 20)
        assert case.results.result.anomaly_score == 0.125
        np.testing.assert_allclose(slicer.util.arrayFromVolume(case.results.node("anomalyMap")), case.voxels / 2)
        assert slicer.util.arrayFromTableColumn(case.results.node("scoreTable"), "Score").tolist() == [0.5] * 20
        assert case.results.node("anomalyMap").GetScalarVolumeDisplayNode().GetWindowLevelMax() == pytest.approx(0.6)

    def test_a_picture_after_a_volume_has_no_table(self, case: Case) -> None:
        case.lay()
        case.lay(slice_axis=None, slice_scores=[])
        counts = scenes.count_nodes(case.scene)
        assert not {"vtkMRMLTableNode", "vtkMRMLPlotSeriesNode", "vtkMRMLPlotChartNode"} & set(counts)

    def test_a_classifier_without_a_map_after_one_with(self, case: Case) -> None:
        before = scenes.count_nodes(case.scene)
        case.lay_all()
        case.scene.mrml.RemoveNode(case.results.node("segmentation"))
        result = case.result(classes=[{"name": "normal", "probability": 1.0}], peak=None, slice_axis=None)
        case.results.lay(result, case.input_node)
        assert roles_of(case.results) == {"inputVolume"}
        assert case.results.result.classes == result.classes
        after = scenes.count_nodes(case.scene)
        assert {name for name, count in after.items() if count != before.get(name, 0)} <= {
            "vtkMRMLSegmentationDisplayNode"  # which Slicer leaves behind
        }
        assert not scenes.coloured(case.scene.pixels("Red")).any()
        assert case.scene.pixels("Red").any()  # the input is there
        case.lay_all()
        assert roles_of(case.results) == set(ROLES)

    def test_of_another_volume_leaves_the_first_result_and_its_files(self, case: Case) -> None:
        case.lay_all()
        first = {role: case.results.node(role) for role in ROLES}
        storage_node = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage_node.SetFileName("head.nrrd")
        first["anomalyMap"].SetAndObserveStorageNodeID(case.scene.mrml.AddNode(storage_node).GetID())
        case.input_node = case.scene.add_volume(scenes.phantom()[0], case.matrix, "second head")
        case.lay_all()
        second = {role: case.results.node(role) for role in ROLES}
        assert all(second[role] is not node for role, node in first.items())
        assert all(node.GetScene() is case.scene.mrml for node in first.values())
        assert first["anomalyMap"].GetName() == "head anomaly map"
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(first["anomalyMap"]), case.voxels)
        assert second["anomalyMap"].GetName() == "second head anomaly map"
        assert second["anomalyMap"].GetStorageNode() is None
        assert second["inputVolume"] is case.input_node is case.results.volume
        assert second["segmentation"].GetNodeReference("referenceImageGeometryRef") is case.input_node

    def test_of_another_volume_no_empty_marker_is_left(self, case: Case) -> None:
        case.lay_all()
        case.lay()
        case.input_node = case.scene.add_volume(scenes.phantom()[0], case.matrix, "second head")
        case.lay()
        assert "vtkMRMLMarkupsFiducialNode" not in scenes.count_nodes(case.scene)

    def test_of_another_volume_of_the_same_name(self, case: Case) -> None:
        named = ("anomalyMap", "segmentation", "scoreTable", "scoreChart", "findingTable", "peakMarker", "colorTable")
        names = []
        for _ in range(2):
            case.lay_all()
            names.append([case.results.node(role).GetName() for role in named])
            case.lay_all()
            assert [case.results.node(role).GetName() for role in named] == names[-1]  # another run changes no name
            case.input_node = case.scene.add_volume(scenes.phantom()[0], case.matrix, "head")
        assert names[0][0] == "head anomaly map"
        assert not set(names[0]) & set(names[1])

    def test_a_name_can_be_used_again(self, case: Case) -> None:
        for _ in range(3):
            case.lay()
            assert case.results.node("anomalyMap").GetName() == "head anomaly map"
            case.scene.mrml.RemoveNode(case.results.node("anomalyMap"))

    def test_of_another_volume_nothing_of_the_first_is_seen(self, case: Case) -> None:
        case.lay_all()
        first = {role: case.results.node(role) for role in ROLES}
        case.input_node = case.scene.add_volume(scenes.phantom()[0], case.matrix, "second head")
        classes = [{"name": "normal", "probability": 1.0}]
        case.results.lay(case.result(classes=classes, peak=None, slice_axis=None), case.input_node)
        assert roles_of(case.results) == {"inputVolume"}
        assert not first["segmentation"].GetDisplayVisibility()
        assert not first["peakMarker"].GetDisplayVisibility()
        assert not first["volumeRendering"].GetVisibility()
        assert not slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(first["anomalyMap"]).GetVisibility()
        assert not scenes.coloured(case.scene.pixels("Red")).any()

    @pytest.mark.parametrize("is_deleted", [False, True])
    def test_of_another_volume_behind_another_module(self, case: Case, is_deleted: bool) -> None:
        case.lay_all()
        first = {role: case.results.node(role) for role in ROLES}
        pixels = case.scene.pixels("Red")
        case.input_node = case.scene.add_volume(scenes.phantom()[0], case.matrix, "second head")
        case.lay_deviation(take_views=False)
        outlines = case.results.node("segmentation")
        np.testing.assert_array_equal(case.scene.pixels("Red"), pixels)
        assert first["segmentation"].GetDisplayVisibility()
        assert first["volumeRendering"].GetVisibility()
        assert not outlines.GetDisplayVisibility()
        if is_deleted:
            case.scene.mrml.RemoveNode(first["segmentation"])

        case.results.show_in_views()

        assert not first["segmentation"].GetDisplayVisibility()
        assert not first["peakMarker"].GetDisplayVisibility()
        assert not first["volumeRendering"].GetVisibility()
        assert outlines.GetDisplayVisibility()
        first["peakMarker"].SetDisplayVisibility(True)
        case.lay_deviation()  # and what somebody shows again later is left to them
        assert first["peakMarker"].GetDisplayVisibility()

    def test_behind_another_module_outlines_of_the_volume_that_is_seen_are_shown(self, case: Case) -> None:
        case.lay_deviation()
        case.lay_deviation(take_views=False)
        assert case.results.node("segmentation").GetDisplayVisibility()

    def test_after_the_volume_was_deleted_its_result_stays(self, case: Case) -> None:
        case.lay_all()
        map_node = case.results.node("anomalyMap")
        case.scene.mrml.RemoveNode(case.input_node)
        assert case.results.volume is None
        case.input_node = case.scene.add_volume(scenes.phantom()[0], case.matrix, "second head")
        case.lay_all()
        assert map_node.GetName() == "head anomaly map"
        assert case.results.node("anomalyMap").GetName() == "second head anomaly map"

    def test_of_the_map_itself(self, case: Case) -> None:
        case.lay()
        case.input_node = case.results.node("anomalyMap")
        case.lay(factor=0.5)
        assert case.results.volume is case.results.node("inputVolume") is case.input_node
        assert case.results.node("anomalyMap") is not case.input_node
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(case.input_node), case.voxels)

    def test_of_a_volume_that_is_not_chosen_any_more(self, case: Case) -> None:
        case.lay()
        other = case.scene.add_volume(np.zeros((2, 3, 4), np.float32), np.eye(4), "another")
        case.scene.holder.SetNodeReferenceID("inputVolume", other.GetID())
        case.results.make_segment()
        assert case.results.node("segmentation").GetNodeReference("referenceImageGeometryRef") is case.input_node

    @pytest.mark.parametrize("role", ROLES[1:])
    def test_after_a_node_was_deleted_by_hand(self, case: Case, role: str) -> None:
        case.lay_all()
        before = scenes.count_nodes(case.scene)
        case.scene.mrml.RemoveNode(case.results.node(role))
        assert case.results.node(role) is None
        case.lay_all()
        after = scenes.count_nodes(case.scene)
        assert roles_of(case.results) == set(ROLES)
        assert scenes.coloured(case.scene.pixels("Red")).any()
        # Slicer itself leaves display nodes of a node that is deleted by hand; nothing else is more than before.
        assert {name for name, count in after.items() if count != before[name]} <= {
            name for name in after if "Display" in name
        }

    def test_segments_that_somebody_asked_for_stay(self, case: Case) -> None:
        case.lay_all()
        segmentation_node = case.results.node("segmentation")
        segmentation_node.GetSegmentation().AddEmptySegment("mine")
        case.lay()
        case.results.lay(case.result(classes=[{"name": "normal", "probability": 1.0}], peak=None), case.input_node)
        assert case.results.node("segmentation") is segmentation_node
        assert list(segmentation_node.GetSegmentation().GetSegmentIDs()) == [SEGMENT_ID, "mine"]
