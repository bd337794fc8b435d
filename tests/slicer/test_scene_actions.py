"""What a user does with a result that is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scenes
import slicer
from AnomalyMapLib import peak, slice_scores
from AnomalyMapLib.volumes import VolumeError
from cases import Case

# The slices 3 and 12 are high.
SCORES = [0.0] * 20
SCORES[3], SCORES[11], SCORES[12], SCORES[13], SCORES[17] = 0.9, 0.2, 0.8, 0.1, 0.1


@pytest.fixture
def case(scene: Any, tmp_path: Path, result_of: Callable[..., Any]) -> Case:
    return Case(scene, tmp_path, result_of)


class TestActions:
    def test_threshold_is_that_of_all_views(self, case: Case) -> None:
        case.lay_all()
        case.results.threshold = 0.5
        assert case.results.threshold == 0.5
        opacity = case.results.node("volumeProperty").GetVolumeProperty().GetScalarOpacity()
        assert opacity.GetValue(0.49) == 0
        assert opacity.GetValue(0.5) > 0.1

    def test_rendering_by_the_method_that_the_user_prefers(self, case: Case) -> None:
        case.lay()
        logic = case.scene.logics["vtkSlicerVolumeRenderingLogic"]
        logic.SetDefaultRenderingMethod("vtkMRMLCPURayCastVolumeRenderingDisplayNode")
        case.results.set_rendering(True, logic)
        assert case.results.node("volumeRendering").IsA("vtkMRMLCPURayCastVolumeRenderingDisplayNode")

    def test_rendering_shown_and_hidden(self, case: Case) -> None:
        case.lay()
        for visible in (True, False, True):
            case.results.set_rendering(visible)
            assert case.results.rendering is visible
        # In slices, in 3D, and the scale of the colours.
        assert case.results.node("anomalyMap").GetNumberOfDisplayNodes() == 3

    def test_rendering_follows_the_next_run(self, case: Case) -> None:
        case.lay_all()
        case.lay(settings={"map_threshold": 0.6})
        opacity = case.results.node("volumeProperty").GetVolumeProperty().GetScalarOpacity()
        assert opacity.GetValue(0.59) == 0
        assert opacity.GetValue(0.6) > 0.1

    def test_opacity(self, case: Case) -> None:
        case.lay()
        case.results.opacity = 0.2
        assert case.results.opacity == 0.2

    def test_segment_of_the_present_threshold(self, case: Case) -> None:
        case.lay()
        case.results.threshold = 0.55
        assert case.results.make_segment() == (case.voxels >= 0.55).sum()
        case.results.threshold = 0.4
        assert case.results.make_segment() == (case.voxels >= 0.4).sum()
        assert scenes.count_nodes(case.scene)["vtkMRMLSegmentationNode"] == 1

    def test_no_empty_segmentation_is_left(self, case: Case) -> None:
        case.lay()
        case.results.threshold = 0.9
        with pytest.raises(VolumeError, match="lower the threshold"):
            case.results.make_segment()
        assert "vtkMRMLSegmentationNode" not in scenes.count_nodes(case.scene)

    @pytest.mark.parametrize("geometry", scenes.GEOMETRIES)
    def test_peak_is_marked_and_shown(
        self, scene: Any, tmp_path: Path, result_of: Callable[..., Any], geometry: str
    ) -> None:
        case = Case(scene, tmp_path, result_of, geometry)
        case.lay()
        case.results.mark_peak()
        marker_node = case.results.node("peakMarker")
        np.testing.assert_allclose(peak.world_position(marker_node), case.peak_ras, atol=1e-6)
        position = case.results.position
        row = slice_scores.next_high(case.results.node("scoreTable"), None)
        assert row == scenes.PEAK[2]
        table_position = slicer.util.arrayFromTableColumn(case.results.node("scoreTable"), "Position (mm)")[row]
        assert position == pytest.approx(table_position, abs=1e-6)

    def test_next_high_slice_shows_the_anomaly_in_all_views(self, case: Case) -> None:
        case.lay()
        case.scene.fit()
        assert case.results.next_high_slice() == scenes.PEAK[2]
        for view in case.scene.views:
            assert scenes.coloured(case.scene.pixels(view)).any()
            distances = np.linalg.norm(case.scene.places(view) - case.peak_ras, axis=-1)
            assert distances.min() < 1  # mm, about a pixel

    def test_next_of_several_goes_round(self, case: Case) -> None:
        case.lay(slice_scores=SCORES)
        assert [case.results.next_high_slice() for _ in range(4)] == [3, 12, 3, 12]

    @pytest.mark.parametrize("action", ["next_finding", "mark_peak", "next_high_slice"])
    def test_only_views_that_show_the_result_are_moved(self, case: Case, action: str) -> None:
        case.lay_deviation()
        other = case.scene.add_volume(case.voxels, case.matrix, "other")
        case.scene.show({"Yellow": other, "Green": None})
        before = {view: case.scene.places(view) for view in case.scene.views}
        getattr(case.results, action)()
        for view in ("Yellow", "Green"):
            np.testing.assert_array_equal(case.scene.places(view), before[view])
        assert np.linalg.norm(case.scene.places("Red") - case.peak_ras, axis=-1).min() < 1  # mm, about a pixel

    @pytest.mark.parametrize("layer", ["Background", "Foreground", "Additional"])
    @pytest.mark.parametrize("shown", ["volume", "map"])
    def test_in_any_layer_it_is_shown(self, case: Case, shown: str, layer: str) -> None:
        case.lay()
        other = case.scene.add_volume(case.voxels, case.matrix, "other")
        case.scene.show(dict.fromkeys(case.scene.views, other))
        assert not case.results.is_in_view
        node = case.input_node if shown == "volume" else case.results.node("anomalyMap")
        composite = case.scene.views["Green"].GetSliceCompositeNode()
        if layer == "Additional":
            composite.SetNthLayerVolumeID(composite.Layer_Last, node.GetID())
        else:
            getattr(composite, f"Set{layer}VolumeID")(node.GetID())
        assert case.results.is_in_view
        case.results.mark_peak()
        assert np.linalg.norm(case.scene.places("Green") - case.peak_ras, axis=-1).min() < 1  # mm, about a pixel

    def test_next_goes_on_where_other_views_stay(self, case: Case) -> None:
        """Where the user is, only views tell that show the result."""
        case.lay(slice_scores=SCORES)
        extra = case.scene.add_view("Extra", "Axial")
        case.scene.show({"Red": None})
        extra.GetSliceCompositeNode().SetBackgroundVolumeID(case.input_node.GetID())
        assert [case.results.next_high_slice() for _ in range(3)] == [3, 12, 3]
        extra.GetSliceNode().JumpSliceByOffsetting(*(case.matrix @ [0, 0, 8, 1])[:3])
        assert case.results.next_high_slice() == 12

    @pytest.mark.parametrize("views", [("Red",), tuple(scenes.VIEWS)])
    def test_next_goes_on_where_no_view_tells(self, case: Case, views: tuple[str, ...]) -> None:
        case.lay(slice_scores=SCORES)
        case.scene.show(dict.fromkeys(views))
        assert [case.results.next_high_slice() for _ in range(3)] == [3, 12, 3]
        case.lay(slice_scores=SCORES)
        case.scene.show(dict.fromkeys(views))
        assert case.results.next_high_slice() == 3  # another result begins anew

    def test_where_no_view_shows_it_the_finding_is_marked_all_the_same(self, case: Case) -> None:
        case.lay_deviation()
        case.scene.show(dict.fromkeys(case.scene.views))
        before = case.scene.places("Red")
        assert case.results.next_finding().label == 2
        np.testing.assert_allclose(peak.world_position(case.results.node("peakMarker")), case.peak_ras, atol=1e-6)
        np.testing.assert_array_equal(case.scene.places("Red"), before)

    def test_without_a_result_is_told(self, case: Case) -> None:
        assert case.results.result is None
        assert case.results.threshold is None
        assert case.results.opacity is None
        case.results.set_rendering(False)
        for action in (case.results.make_segment, case.results.mark_peak, lambda: case.results.set_rendering(True)):
            with pytest.raises(VolumeError, match="There is no anomaly map in the scene"):
                action()
        with pytest.raises(VolumeError, match="There are no scores of slices"):
            case.results.next_high_slice()
