"""A result is laid over its volume."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scenes
import slicer
from AnomalyMapLib import peak, slice_scores
from AnomalyMapLib.nodes import ROLES
from AnomalyMapLib.results import result_to_json
from AnomalyMapLib.scene import ResultScene
from AnomalyMapLib.volumes import VolumeError, read_map
from cases import ON_DEMAND, OTHER, Case, roles_of

TIME_LIMIT = 2.0  # seconds, for a map of 512 x 512 x 300 voxels


@pytest.fixture
def case(scene: Any, tmp_path: Path, result_of: Callable[..., Any]) -> Case:
    return Case(scene, tmp_path, result_of)


class TestLay:
    def test_what_is_there(self, case: Case) -> None:
        result = case.lay()
        assert roles_of(case.results) == set(ROLES) - ON_DEMAND
        assert case.results.node("inputVolume") is case.input_node
        assert result_to_json(case.results.result) == result_to_json(result)
        assert case.results.volume is case.input_node
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

    def test_the_scale_of_the_colours(self, case: Case) -> None:
        legend_of = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode
        case.lay()
        legend = legend_of(case.results.node("anomalyMap"))
        assert " ".join(legend.GetTitleText().split()) == "Departure from the healthy redrawing, 0 to 1"
        assert legend.GetPrimaryDisplayNode() is case.results.node("anomalyMap").GetScalarVolumeDisplayNode()
        # A view draws it if it shows the map at the time of the legend's last change.
        assert legend.GetMTime() > case.scene.views["Red"].GetSliceCompositeNode().GetMTime()
        legend.SetVisibility(False)
        case.lay_deviation()
        assert legend_of(case.results.node("anomalyMap")) is legend
        assert legend.GetTitleText() == "Standard deviations\nfrom healthy images"
        assert legend.GetVisibility()

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
        right, anterior, superior = (matrix @ case.matrix @ [*OTHER, 1])[:3].tolist()  # of the finding
        place = f"{'LR'[right > 0]} {abs(right):.1f} mm, {'PA'[anterior > 0]} {abs(anterior):.1f} mm"
        place += f", {'IS'[superior > 0]} {abs(superior):.1f} mm"
        assert f"at {place}." in case.results.describe().text
        slice_scores.jump(case.scene.slice_nodes(), (0, 0, 0))
        case.results.next_high_slice()
        assert np.linalg.norm(case.scene.places("Red") - expected, axis=-1).min() < 1  # mm, about a pixel

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_over_an_input_whose_voxels_slicer_turned_round(self, case: Case, axis: int) -> None:
        turned = case.matrix.copy()
        turned[:3, 3] += turned[:3, axis] * (scenes.SHAPE[2 - axis] - 1)
        turned[:3, axis] *= -1
        case.input_node = case.scene.add_volume(np.flip(scenes.phantom()[0], 2 - axis).copy(), turned)
        case.lay_all()
        slice_scores.jump(case.scene.slice_nodes(), (0, 0, 0))
        case.results.next_high_slice()
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

    def test_weights_are_shown_from_their_half_on_unless_asked_otherwise(self, case: Case) -> None:
        classes = [{"name": "normal", "probability": 1.0}]
        case.lay(classes=classes, settings={"map_threshold": None})
        assert case.results.threshold == pytest.approx(0.4)  # the phantom's highest is 0.8
        case.lay(classes=classes)
        assert case.results.threshold == 0.3

    def test_a_map_that_does_not_fit_leaves_the_earlier_result(self, case: Case) -> None:
        case.lay_all()
        before = scenes.count_nodes(case.scene)
        path = scenes.write_map(case.folder / "other.nrrd", np.zeros((2, 3, 4), np.float32), np.eye(4))
        with pytest.raises(VolumeError, match="does not fit head"):
            case.results.lay(replace(case.result(anomaly_score=0.9), anomaly_map=path), case.input_node)
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
        slice_scores.jump(case.scene.slice_nodes(), case.peak_ras)
        assert case.results.threshold == pytest.approx(np.percentile(case.voxels[case.voxels > 0], 98))
        assert scenes.coloured(case.scene.pixels("Red")).any()


def test_a_scene_without_logics_and_views(tmp_path: Path, result_of: Callable[..., Any]) -> None:
    """As a program has it that only reads and writes scenes."""
    mrml = slicer.vtkMRMLScene()
    input_node = mrml.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "head")
    slicer.util.updateVolumeFromArray(input_node, scenes.phantom()[0])
    results = ResultScene(mrml.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
    path = scenes.write_map(tmp_path / "map.nrrd", scenes.phantom()[1], np.eye(4))
    peak_of_map = {"voxel": scenes.PEAK, "lps_mm": [-24, -10, 13], "value": 0.8}
    result = result_of(slice_axis=2, slice_scores=scenes.phantom()[1].mean(axis=(1, 2)).tolist(), peak=peak_of_map)
    results.lay(replace(result, anomaly_map=path), input_node)
    results.set_rendering(True)
    results.threshold = 0.4
    results.opacity = 0.5
    results.make_segment()
    results.mark_peak()
    assert results.next_high_slice() == scenes.PEAK[2]
    assert roles_of(results) == set(ROLES) - {"findingTable"}
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
    results.lay(replace(result, anomaly_map=path), input_node)
    scene.fit()
    scene.pixels("Red")
    laying = time.perf_counter() - start - reading
    print(f"read in {reading:.2f} s, laid in {laying:.2f} s besides")
    assert laying < TIME_LIMIT
