"""A whole result in a scene: laid, changed, saved and loaded, run again, broken by hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scenes
import slicer
from AnomalyMapLib import peak, slice_scores
from AnomalyMapLib.results import result_to_json
from AnomalyMapLib.scene import ROLES, ResultScene
from AnomalyMapLib.volumes import VolumeError, geometry_difference, read_map

ON_DEMAND = {"segmentation", "peakMarker", "volumeProperty", "volumeRendering"}
TIME_LIMIT = 2.0  # seconds, for a map of 512 x 512 x 300 voxels


class Case:
    """The phantom in a geometry, and the files of its result."""

    def __init__(self, scene: Any, folder: Path, result_of: Callable[..., Any], geometry: str = "right-handed") -> None:
        self.scene = scene
        self.folder = folder
        self.result_of = result_of
        self.matrix = scenes.GEOMETRIES[geometry]
        volume, self.voxels = scenes.phantom()
        self.input_node = scene.add_volume(volume, self.matrix, "head")
        self.results = ResultScene(scene.holder)

    @property
    def peak_ras(self) -> np.ndarray:
        return (self.matrix @ [*scenes.PEAK, 1])[:3]

    def result(self, **values: Any) -> Any:
        usual = {
            "slice_axis": 2,
            "slice_scores": self.voxels.mean(axis=(1, 2)).tolist(),
            "peak": {"voxel": scenes.PEAK, "lps_mm": (self.peak_ras * (-1, -1, 1)).tolist(), "value": 0.8},
            "settings": {"map_threshold": 0.3},
        }
        return self.result_of(**{**usual, **values})

    def lay(self, factor: float = 1.0, **values: Any) -> Any:
        path = scenes.write_map(self.folder / "map.nrrd", self.voxels * np.float32(factor), self.matrix)
        result = self.result(**values)
        self.results.lay(result, path, self.input_node)
        path.unlink()  # as the child's folder is removed
        return result

    def lay_all(self) -> Any:
        """A result with everything that a user can ask for."""
        result = self.lay()
        self.results.make_segment()
        self.results.mark_peak()
        self.results.set_rendering(True)
        self.scene.fit()
        slice_scores.jump(self.scene.mrml, self.peak_ras)
        return result


@pytest.fixture
def case(scene: Any, tmp_path: Path, result_of: Callable[..., Any]) -> Case:
    return Case(scene, tmp_path, result_of)


def roles_of(results: ResultScene) -> set[str]:
    return {role for role in ROLES if results.node(role) is not None}


class TestLay:
    def test_what_is_there(self, case: Case) -> None:
        result = case.lay()
        assert roles_of(case.results) == set(ROLES) - ON_DEMAND
        assert case.results.node("inputVolume") is case.input_node
        assert result_to_json(case.results.result) == result_to_json(result)
        assert case.results.threshold == 0.3
        assert case.results.opacity == 0.6
        assert not case.results.rendering
        map_node = case.results.node("anomalyMap")
        assert map_node.GetName() == "head anomaly map"
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(map_node), case.voxels)
        for view in case.scene.views.values():
            composite = view.GetSliceCompositeNode()
            assert composite.GetBackgroundVolumeID() == case.input_node.GetID()
            assert composite.GetForegroundVolumeID() == map_node.GetID()

    def test_references_are_as_a_parameter_node_wrapper_marks_them(self, case: Case) -> None:
        case.lay()
        for role in roles_of(case.results):
            assert case.scene.holder.HasParameter(role)
            assert case.scene.holder.GetParameter(role) == ""

    def test_under_the_transform_of_the_input(self, case: Case) -> None:
        transform_node = case.scene.mrml.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        matrix = scenes.affine(scenes.rotation(), (1, 1, 1))
        transform_node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
        case.input_node.SetAndObserveTransformNodeID(transform_node.GetID())
        case.lay_all()
        for role in ("anomalyMap", "segmentation", "peakMarker"):
            assert case.results.node(role).GetParentTransformNode() is transform_node
        expected = (matrix @ [*case.peak_ras, 1])[:3]
        np.testing.assert_allclose(peak.world_position(case.results.node("peakMarker")), expected, atol=1e-6)
        slice_scores.jump(case.scene.mrml, (0, 0, 0))
        case.results.next_anomalous_slice()
        assert np.linalg.norm(case.scene.places("Red") - expected, axis=-1).min() < 1  # mm, about a pixel

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_over_an_input_whose_voxels_slicer_turned_round(self, case: Case, axis: int) -> None:
        turned = case.matrix.copy()
        turned[:3, 3] += turned[:3, axis] * (scenes.SHAPE[2 - axis] - 1)
        turned[:3, axis] *= -1
        case.input_node = case.scene.add_volume(np.flip(scenes.phantom()[0], 2 - axis).copy(), turned)
        case.lay_all()
        slice_scores.jump(case.scene.mrml, (0, 0, 0))
        case.results.next_anomalous_slice()
        for view in case.scene.views:
            assert np.linalg.norm(case.scene.places(view) - case.peak_ras, axis=-1).min() < 1  # mm, about a pixel
            assert scenes.coloured(case.scene.pixels(view)).any()

    def test_a_weight_map_of_a_classifier(self, case: Case) -> None:
        case.lay(
            anomaly_score=None,
            slice_axis=None,
            slice_scores=[],
            classes=[{"name": "healthy", "probability": 0.75}, {"name": "ill", "probability": 0.25}],
        )
        assert case.results.node("anomalyMap").GetName() == "head weight map"
        assert case.results.result.classes[0].probability == 0.75
        assert case.results.node("scoreTable") is None

    def test_a_map_that_does_not_fit_leaves_the_earlier_result(self, case: Case) -> None:
        case.lay_all()
        before = scenes.count_nodes(case.scene)
        path = scenes.write_map(case.folder / "other.nrrd", np.zeros((2, 3, 4), np.float32), np.eye(4))
        with pytest.raises(VolumeError, match="does not fit head"):
            case.results.lay(case.result(anomaly_score=0.9), path, case.input_node)
        assert scenes.count_nodes(case.scene) == before
        assert case.results.result.anomaly_score == 0.25
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(case.results.node("anomalyMap")), case.voxels)

    @pytest.mark.parametrize("values", [{"slice_scores": [0.1] * 19}, {"slice_axis": 0}])
    def test_scores_of_other_slices_are_refused(self, case: Case, values: dict[str, Any]) -> None:
        with pytest.raises(
            VolumeError, match=r"36 x 32 x 20 voxels, and its result has scores of .* slices along axis"
        ):
            case.lay(**values)
        assert roles_of(case.results) == set()

    def test_whoever_watches_the_holder_hears_of_every_node(self, case: Case) -> None:
        heard = []
        case.scene.holder.AddObserver("ModifiedEvent", lambda *_: heard.append(roles_of(case.results)))
        case.lay()
        assert heard[-1] == set(ROLES) - ON_DEMAND

    def test_a_map_of_zeros(self, case: Case) -> None:
        case.lay(factor=0.0, settings={})
        assert case.results.threshold == 1.0
        case.scene.fit()
        assert not scenes.coloured(case.scene.pixels("Red")).any()

    def test_default_threshold_shows_the_highest(self, case: Case) -> None:
        case.lay(settings={})
        case.scene.fit()
        slice_scores.jump(case.scene.mrml, case.peak_ras)
        assert case.results.threshold == pytest.approx(np.percentile(case.voxels[case.voxels > 0], 98))
        assert scenes.coloured(case.scene.pixels("Red")).any()


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
        assert case.results.node("anomalyMap").GetNumberOfDisplayNodes() == 2

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
        position = slice_scores.present_position(case.results.node("scoreTable"), case.results.node("anomalyMap"))
        row = slice_scores.next_anomalous(case.results.node("scoreTable"), None)
        assert row == scenes.PEAK[2]
        table_position = slicer.util.arrayFromTableColumn(case.results.node("scoreTable"), "Position (mm)")[row]
        assert position == pytest.approx(table_position, abs=1e-6)

    def test_next_anomalous_slice_shows_the_anomaly_in_all_views(self, case: Case) -> None:
        case.lay()
        case.scene.fit()
        assert case.results.next_anomalous_slice() == scenes.PEAK[2]
        for view in case.scene.views:
            assert scenes.coloured(case.scene.pixels(view)).any()
            distances = np.linalg.norm(case.scene.places(view) - case.peak_ras, axis=-1)
            assert distances.min() < 1  # mm, about a pixel

    def test_next_of_several_goes_round(self, case: Case) -> None:
        scores = [0.0] * 20
        scores[3], scores[11], scores[12], scores[13], scores[17] = 0.9, 0.2, 0.8, 0.1, 0.1
        case.lay(slice_scores=scores)
        assert [case.results.next_anomalous_slice() for _ in range(4)] == [3, 12, 3, 12]

    def test_without_a_result_is_told(self, case: Case) -> None:
        assert case.results.result is None
        assert case.results.threshold is None
        assert case.results.opacity is None
        case.results.set_rendering(False)
        for action in (case.results.make_segment, case.results.mark_peak, lambda: case.results.set_rendering(True)):
            with pytest.raises(VolumeError, match="There is no anomaly map in the scene"):
                action()
        with pytest.raises(VolumeError, match="There are no scores of slices"):
            case.results.next_anomalous_slice()


class TestAgain:
    def test_nothing_piles_up_and_the_display_is_the_same(self, case: Case) -> None:
        case.lay_all()
        before, pixels = scenes.count_nodes(case.scene), case.scene.pixels("Red")
        map_node = case.results.node("anomalyMap")
        case.results.threshold = 0.7
        case.results.opacity = 0.1
        map_node.GetScalarVolumeDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")

        case.lay()

        assert roles_of(case.results) == set(ROLES) - {"segmentation", "peakMarker"}
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

    def test_of_another_volume(self, case: Case) -> None:
        case.lay_all()
        case.input_node = case.scene.add_volume(scenes.phantom()[0], case.matrix, "second head")
        case.lay_all()
        assert case.results.node("anomalyMap").GetName() == "second head anomaly map"
        assert case.results.node("inputVolume") is case.input_node
        assert case.results.node("segmentation").GetNodeReference("referenceImageGeometryRef") is case.input_node

    def test_of_the_map_itself(self, case: Case) -> None:
        case.lay()
        case.input_node = case.results.node("anomalyMap")
        case.lay(factor=0.5)
        assert case.results.node("inputVolume") is case.input_node
        assert case.results.node("anomalyMap") is not case.input_node
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(case.input_node), case.voxels)

    def test_of_a_volume_that_is_not_chosen_any_more(self, case: Case) -> None:
        case.lay()
        other = case.scene.add_volume(np.zeros((2, 3, 4), np.float32), np.eye(4), "another")
        case.scene.holder.SetNodeReferenceID("inputVolume", other.GetID())
        case.results.make_segment()
        assert case.results.node("segmentation").GetNodeReference("referenceImageGeometryRef") is case.input_node

    @pytest.mark.parametrize("role", ROLES)
    def test_after_a_node_was_deleted_by_hand(self, case: Case, role: str) -> None:
        case.lay_all()
        before = scenes.count_nodes(case.scene)
        case.scene.mrml.RemoveNode(case.results.node(role))
        assert case.results.node(role) is None
        if role == "inputVolume":
            case.input_node = case.scene.add_volume(scenes.phantom()[0], case.matrix, "head")
        case.lay_all()
        after = scenes.count_nodes(case.scene)
        assert roles_of(case.results) == set(ROLES)
        assert scenes.coloured(case.scene.pixels("Red")).any()
        # Slicer itself leaves display nodes of a node that is deleted by hand; nothing else is more than before.
        assert {name for name, count in after.items() if count != before[name]} <= {
            name for name in after if "Display" in name
        }

    def test_segments_made_by_hand_stay_in_the_scene(self, case: Case) -> None:
        case.lay_all()
        segmentation_node = case.results.node("segmentation")
        segmentation_node.GetSegmentation().AddEmptySegment("mine")
        case.lay()
        assert case.results.node("segmentation") is None
        assert segmentation_node.GetScene() is case.scene.mrml
        assert segmentation_node.GetSegmentation().GetNumberOfSegments() == 1

    def test_cleared(self, case: Case) -> None:
        before = scenes.count_nodes(case.scene)
        plain = case.scene.views["Red"].GetSliceCompositeNode().GetForegroundVolumeID()
        case.lay_all()
        case.results.clear()
        assert scenes.count_nodes(case.scene) == before
        assert roles_of(case.results) == {"inputVolume"}
        assert case.results.result is None
        assert case.scene.views["Red"].GetSliceCompositeNode().GetForegroundVolumeID() == plain
        case.lay_all()


class TestSavedScene:
    @pytest.mark.parametrize("geometry", scenes.GEOMETRIES)
    def test_everything_comes_back(
        self, scene: Any, tmp_path: Path, result_of: Callable[..., Any], geometry: str
    ) -> None:
        case = Case(scene, tmp_path, result_of, geometry)
        result = case.lay_all()
        case.results.threshold = 0.45
        case.results.opacity = 0.35
        case.results.make_segment()
        pixels = {view: scene.pixels(view) for view in scene.views}
        scene.save(tmp_path / "a.mrb")

        loaded = scenes.Scene.load(tmp_path / "a.mrb")
        back = ResultScene(loaded.holder)

        assert roles_of(back) == set(ROLES)
        assert result_to_json(back.result) == result_to_json(result)
        assert back.threshold == pytest.approx(0.45)
        assert back.opacity == pytest.approx(0.35)
        assert back.rendering
        assert geometry_difference(back.node("anomalyMap"), back.node("inputVolume")) == ""
        for view, before in pixels.items():
            assert scenes.coloured(before).any()
            # Voxels may have been turned round, and the interpolation's last bit with them.
            differences = np.abs(loaded.pixels(view) - before).max(axis=-1)
            assert np.mean(differences > 2) < 0.002
        np.testing.assert_allclose(peak.world_position(back.node("peakMarker")), case.peak_ras, atol=1e-3)
        opacity = back.node("volumeProperty").GetVolumeProperty().GetScalarOpacity()
        assert opacity.GetValue(0.44) == 0
        assert opacity.GetValue(0.46) > 0.1
        assert back.node("volumeRendering").GetVolumePropertyNode() is back.node("volumeProperty")
        assert back.node("anomalyMap").GetNodeReference("anomalyMapOf") is back.node("inputVolume")
        assert back.node("scoreChart").GetNthPlotSeriesNode(0) is back.node("scoreSeries")
        assert back.node("scoreSeries").GetTableNode() is back.node("scoreTable")
        loaded.close()

    @pytest.mark.parametrize("geometry", scenes.GEOMETRIES)
    def test_works_on(self, scene: Any, tmp_path: Path, result_of: Callable[..., Any], geometry: str) -> None:
        case = Case(scene, tmp_path, result_of, geometry)
        case.lay_all()
        scene.save(tmp_path / "a.mrb")
        loaded = scenes.Scene.load(tmp_path / "a.mrb")
        back = ResultScene(loaded.holder)
        before = scenes.count_nodes(loaded)

        slice_scores.jump(loaded.mrml, (0, 0, 0))
        assert back.next_anomalous_slice() == scenes.PEAK[2]
        distances = np.linalg.norm(loaded.places("Red") - case.peak_ras, axis=-1)
        assert distances.min() < 1  # mm, about a pixel
        assert back.make_segment() == (case.voxels >= np.float32(0.3)).sum()
        back.mark_peak()
        np.testing.assert_allclose(peak.world_position(back.node("peakMarker")), case.peak_ras, atol=1e-3)
        path = scenes.write_map(tmp_path / "map.nrrd", case.voxels, case.matrix)
        back.lay(case.result(), path, back.node("inputVolume"))
        back.make_segment()
        back.mark_peak()
        assert all(count <= before[name] for name, count in scenes.count_nodes(loaded).items())
        loaded.close()


def test_a_scene_without_logics_and_views(tmp_path: Path, result_of: Callable[..., Any]) -> None:
    """As a program has it that only reads and writes scenes."""
    mrml = slicer.vtkMRMLScene()
    input_node = mrml.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "head")
    slicer.util.updateVolumeFromArray(input_node, scenes.phantom()[0])
    results = ResultScene(mrml.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
    path = scenes.write_map(tmp_path / "map.nrrd", scenes.phantom()[1], np.eye(4))
    peak_of_map = {"voxel": scenes.PEAK, "lps_mm": [-24, -10, 13], "value": 0.8}
    result = result_of(slice_axis=2, slice_scores=scenes.phantom()[1].mean(axis=(1, 2)).tolist(), peak=peak_of_map)
    results.lay(result, path, input_node)
    results.set_rendering(True)
    results.threshold = 0.4
    results.opacity = 0.5
    results.make_segment()
    results.mark_peak()
    assert results.next_anomalous_slice() == scenes.PEAK[2]
    assert roles_of(results) == set(ROLES)
    assert results.opacity is None  # no view shows it


def test_a_large_map_is_laid_in_time(scene: Any, tmp_path: Path, result_of: Callable[..., Any]) -> None:
    shape = (300, 512, 512)
    voxels = np.zeros(shape, np.float32)
    voxels[100:200, 100:400, 100:400] = np.random.default_rng(0).random((100, 300, 300), np.float32)
    input_node = scene.add_volume(voxels, np.eye(4))
    path = scenes.write_map(tmp_path / "map.nrrd", voxels, np.eye(4))
    results = ResultScene(scene.holder)
    result = result_of(slice_axis=2, slice_scores=[0.1] * shape[0])

    start = time.perf_counter()
    read_map(path, input_node)
    reading = time.perf_counter() - start
    start = time.perf_counter()
    results.lay(result, path, input_node)
    scene.fit()
    scene.pixels("Red")
    laying = time.perf_counter() - start - reading
    print(f"read in {reading:.2f} s, laid in {laying:.2f} s besides")
    assert laying < TIME_LIMIT
