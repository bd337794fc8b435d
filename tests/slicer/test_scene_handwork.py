"""What somebody made by hand of a result, or beside it, stays when it is run again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scenes
import slicer
from AnomalyMapLib.labelmap import labelmap_of, mask_of
from AnomalyMapLib.scene import ResultScene
from AnomalyMapLib.volumes import VolumeError
from cases import Case

NAME = "head deviation map segmentation"
FINDINGS = ["Finding1", "Finding2"]


@pytest.fixture
def case(scene: Any, tmp_path: Path, result_of: Callable[..., Any]) -> Case:
    return Case(scene, tmp_path, result_of)


def identifiers(segmentation_node: Any) -> list[str]:
    return sorted(segmentation_node.GetSegmentation().GetSegmentIDs())


def paint(segmentation_node: Any, identifier: str, volume: Any, *, erase: bool = False) -> np.ndarray:
    """Paints a few voxels, or erases some, as the Segment Editor's effects do; gives what is there then."""
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    mask = np.zeros(scenes.SHAPE, bool)
    k, j, i = (13, 10, 24) if erase else (3, 5, 9)
    mask[k : k + 2, j : j + 2, i : i + 2] = True
    labelmap = labelmap_of(~mask if erase else mask, volume)
    mode = logic.MODE_MERGE_MIN if erase else logic.MODE_MERGE_MAX
    assert logic.SetBinaryLabelmapToSegment(labelmap, segmentation_node, identifier, mode, labelmap.GetExtent())
    return mask_of(segmentation_node, identifier)


def rename(segmentation_node: Any, volume: Any) -> None:
    segmentation_node.GetSegmentation().GetSegment("Finding2").SetName("meningioma")


def remove(segmentation_node: Any, volume: Any) -> None:
    segmentation_node.GetSegmentation().RemoveSegment("Finding1")


def clear(segmentation_node: Any, volume: Any) -> None:
    segmentation_node.GetSegmentation().ClearSegment("Finding1")


def smooth_surface(segmentation_node: Any, volume: Any) -> None:
    """Makes the surface the source, after which there are no voxels."""
    segmentation = segmentation_node.GetSegmentation()
    surface = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    assert segmentation_node.CreateClosedSurfaceRepresentation()
    segmentation.SetSourceRepresentationName(surface)
    segmentation_node.RemoveBinaryLabelmapRepresentation()


CHANGES = {
    "painted": lambda node, volume: paint(node, "Finding1", volume),
    "erased": lambda node, volume: paint(node, "Finding2", volume, erase=True),
    "renamed": rename,
    "removed": remove,
    "cleared": clear,
    "made a surface": smooth_surface,
}


class TestSegmentation:
    @pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
    def test_one_that_was_changed_stays_as_it_is(self, case: Case, change: Callable[..., Any]) -> None:
        case.lay_deviation()
        theirs = case.results.node("segmentation")
        change(theirs, case.input_node)
        before = {name: mask_of(theirs, name).tobytes() for name in identifiers(theirs)}

        case.lay_deviation()

        new = case.results.node("segmentation")
        assert new is not theirs
        assert (theirs.GetName(), new.GetName()) == (NAME, f"{NAME}_1")
        assert {name: mask_of(theirs, name).tobytes() for name in identifiers(theirs)} == before
        assert theirs.GetDisplayVisibility()
        assert identifiers(new) == FINDINGS
        case.lay_deviation()  # and only what was changed piles up
        assert scenes.count_nodes(case.scene)["vtkMRMLSegmentationNode"] == 2

    def test_one_that_was_only_looked_at_is_replaced(self, case: Case) -> None:
        case.lay_deviation()
        node = case.results.node("segmentation")
        node.GetDisplayNode().SetSegmentVisibility("Finding1", False)
        node.CreateClosedSurfaceRepresentation()
        node.GetSegmentation().CollapseBinaryLabelmaps(False)
        node.GetDisplayNode().SetOpacity2DOutline(0.5)
        case.lay_deviation()
        assert case.results.node("segmentation") is node  # and whoever has it open goes on
        assert node.GetDisplayNode().GetOpacity2DOutline() == 0.5
        assert node.GetDisplayNode().GetSegmentVisibility("Finding1")  # another one
        case.lay_deviation(findings=[case.finding(2, scenes.PEAK, 8.0)])
        assert identifiers(node) == ["Finding2"]
        case.lay_deviation(findings=[])
        assert case.results.node("segmentation") is None
        assert node.GetScene() is None

    def test_a_segment_above_the_threshold_that_was_corrected(self, case: Case) -> None:
        case.lay()
        case.results.make_segment()
        theirs = case.results.node("segmentation")
        corrected = paint(theirs, "AboveThreshold", case.input_node)
        case.results.threshold = 0.5
        case.results.make_segment()
        np.testing.assert_array_equal(mask_of(theirs, "AboveThreshold"), corrected)
        assert case.results.node("segmentation") is not theirs
        case.results.threshold = 0.6
        case.results.make_segment()
        assert scenes.count_nodes(case.scene)["vtkMRMLSegmentationNode"] == 2

    def test_when_no_segment_can_be_made(self, case: Case) -> None:
        case.lay_deviation()
        theirs = case.results.node("segmentation")
        paint(theirs, "Finding1", case.input_node)
        case.results.threshold = 100.0
        with pytest.raises(VolumeError, match="lower the threshold"):
            case.results.make_segment()
        assert identifiers(theirs) == FINDINGS
        assert scenes.count_nodes(case.scene)["vtkMRMLSegmentationNode"] == 1

    def test_when_the_next_result_has_no_map(self, case: Case) -> None:
        case.lay_deviation()
        theirs = case.results.node("segmentation")
        paint(theirs, "Finding1", case.input_node)
        classes = [{"name": "normal", "probability": 1.0}]
        case.results.lay(case.result(classes=classes, peak=None, slice_axis=None), case.input_node)
        assert identifiers(theirs) == FINDINGS
        assert theirs.GetScene() is case.scene.mrml

    @pytest.mark.parametrize("geometry", scenes.GEOMETRIES)
    @pytest.mark.parametrize("changed", ["never", "before", "after"])
    def test_in_a_saved_scene(
        self, scene: Any, tmp_path: Path, result_of: Callable[..., Any], geometry: str, changed: str
    ) -> None:
        case = Case(scene, tmp_path, result_of, geometry)
        case.lay_deviation()
        case.results.make_segment()
        if changed == "before":
            paint(case.results.node("segmentation"), "Finding1", case.input_node)
        scene.save(tmp_path / "a.mrb")
        loaded = scenes.Scene.load(tmp_path / "a.mrb")
        back = ResultScene(loaded.holder)
        node = back.node("segmentation")
        if changed == "after":
            paint(node, "Finding1", back.volume)
        case.scene, case.results, case.input_node = loaded, back, back.volume

        case.lay_deviation(findings=[case.finding(2, scenes.PEAK, 8.0)])

        if changed == "never":
            assert back.node("segmentation") is node
            assert identifiers(node) == ["AboveThreshold", "Finding2"]
        else:
            assert back.node("segmentation") is not node
            assert identifiers(node) == ["AboveThreshold", *FINDINGS]
        loaded.close()


class TestMarker:
    def labels(self, marker_node: Any) -> list[str]:
        return [marker_node.GetNthControlPointLabel(i) for i in range(marker_node.GetNumberOfControlPoints())]

    def test_own_points_stay_when_the_mark_moves(self, case: Case) -> None:
        case.lay_deviation()
        case.results.next_finding()
        marker_node = case.results.node("peakMarker")
        marker_node.AddControlPoint(1, 2, 3, "mine")
        case.results.next_finding()
        case.results.mark_peak()
        assert case.results.node("peakMarker") is marker_node
        assert self.labels(marker_node) == ["mine", "peak 8.0 SD"]
        assert marker_node.GetNthControlPointPosition(0) == (1, 2, 3)

    def test_own_points_stay_in_a_node_of_their_own_after_another_run(self, case: Case) -> None:
        case.lay_deviation()
        case.results.next_finding()
        theirs = case.results.node("peakMarker")
        theirs.AddControlPoint(1, 2, 3, "mine")
        case.lay_deviation()
        assert self.labels(theirs) == ["mine"]
        assert case.results.node("peakMarker") is None
        case.results.next_finding()
        assert case.results.node("peakMarker").GetName() == "head deviation map marker_1"
        case.lay_deviation()
        case.results.next_finding()  # and only what the user has points in piles up
        assert scenes.count_nodes(case.scene)["vtkMRMLMarkupsFiducialNode"] == 2

    @pytest.mark.parametrize("is_saved", [False, True])
    def test_how_it_looks_stays_after_another_run(self, case: Case, tmp_path: Path, is_saved: bool) -> None:
        case.lay_deviation()
        case.results.next_finding()
        theirs = case.results.node("peakMarker")
        theirs.SetName("Arrow")
        display = theirs.GetDisplayNode()
        display.SetSelectedColor(0, 0, 1)
        display.SetGlyphScale(7)
        display.SetGlyphType(display.Circle2D)
        display.SetPointLabelsVisibility(False)
        theirs.SetDisplayVisibility(False)
        if is_saved:
            case.scene.save(tmp_path / "a.mrb")
            case.scene = scenes.Scene.load(tmp_path / "a.mrb")
            case.results = ResultScene(case.scene.holder)
            case.input_node = case.results.volume
            theirs = case.results.node("peakMarker")
            display = theirs.GetDisplayNode()

        case.lay_deviation()
        assert self.labels(theirs) == []  # nothing of it is said any more
        case.results.mark_peak()

        assert case.results.node("peakMarker") is theirs
        assert self.labels(theirs) == ["peak 8.0 SD"]
        assert theirs.GetName() == "Arrow"
        assert theirs.GetDisplayNode() is display
        assert display.GetSelectedColor() == (0, 0, 1)
        assert (display.GetGlyphScale(), display.GetGlyphType()) == (7, display.Circle2D)
        assert not display.GetPointLabelsVisibility()
        assert not theirs.GetDisplayVisibility()
        if is_saved:
            case.scene.close()

    def test_it_goes_where_the_next_result_has_no_map(self, case: Case) -> None:
        case.lay_deviation()
        case.results.next_finding()
        node = case.results.node("peakMarker")
        case.results.lay(case.result(peak=None, classes=[{"name": "normal", "probability": 1.0}]), case.input_node)
        assert node.GetScene() is None

    @pytest.mark.parametrize("change", ["labelled", "moved"])
    def test_a_mark_that_somebody_took_over_is_theirs(self, case: Case, change: str) -> None:
        case.lay_deviation()
        case.results.next_finding()
        marker_node = case.results.node("peakMarker")
        if change == "labelled":
            marker_node.SetNthControlPointLabel(0, "lesion")
        else:
            marker_node.SetNthControlPointLocked(0, False)
            marker_node.SetNthControlPointPosition(0, 1, 2, 3)
        label, place = marker_node.GetNthControlPointLabel(0), marker_node.GetNthControlPointPosition(0)
        case.results.next_finding()
        assert self.labels(marker_node) == [label, "finding 2"]
        assert marker_node.GetNthControlPointPosition(0) == place

    def test_in_a_saved_scene(self, case: Case, tmp_path: Path) -> None:
        case.lay_deviation()
        case.results.next_finding()
        case.results.node("peakMarker").AddControlPoint(1, 2, 3, "mine")
        case.scene.save(tmp_path / "a.mrb")
        loaded = scenes.Scene.load(tmp_path / "a.mrb")
        back = ResultScene(loaded.holder)
        back.next_finding()
        assert self.labels(back.node("peakMarker")) == ["mine", "finding 2"]
        loaded.close()


def test_a_name_that_somebody_gave_stays(case: Case, tmp_path: Path) -> None:
    case.lay_deviation()
    case.results.node("segmentation").SetName("Reviewed")
    case.scene.save(tmp_path / "a.mrb")
    loaded = scenes.Scene.load(tmp_path / "a.mrb")
    back = ResultScene(loaded.holder)
    case.scene, case.results, case.input_node = loaded, back, back.volume
    case.lay_deviation()
    back.make_segment()
    assert back.node("segmentation").GetName() == "Reviewed"
    case.lay()
    assert back.node("anomalyMap").GetName() == "head anomaly map"
    loaded.close()
