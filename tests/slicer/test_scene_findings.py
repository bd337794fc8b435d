"""A result of a calibrated bundle in the scene: its map in standard deviations, and its findings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scenes
import slicer
import vtk
from AnomalyMapLib import peak
from AnomalyMapLib.laying import DEVIATION_THRESHOLD
from AnomalyMapLib.scene import ResultScene
from AnomalyMapLib.volumes import VolumeError
from cases import OTHER, Case
from vtk.util.numpy_support import vtk_to_numpy


@pytest.fixture
def case(scene: Any, tmp_path: Path, result_of: Callable[..., Any]) -> Case:
    return Case(scene, tmp_path, result_of)


def segments(results: ResultScene) -> dict[str, str]:
    """Names by identifier."""
    segmentation = results.node("segmentation").GetSegmentation()
    return {name: segmentation.GetSegment(name).GetName() for name in segmentation.GetSegmentIDs()}


def marked(results: ResultScene) -> tuple[float, ...]:
    return peak.world_position(results.node("peakMarker"))


def test_the_deviation_map_is_laid_over(case: Case) -> None:
    case.lay_deviation()
    map_node = case.results.node("anomalyMap")
    assert case.results.shows_deviation
    assert map_node.GetName() == "head deviation map"
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(map_node), 10 * case.voxels)
    case.results.mark_peak()
    assert case.results.node("peakMarker").GetNthControlPointLabel(0) == "peak 8.0 SD"


def test_the_next_run_may_have_none(case: Case) -> None:
    case.lay_deviation()
    case.results.next_finding()
    case.lay()
    assert not case.results.shows_deviation
    assert case.results.node("anomalyMap").GetName() == "head anomaly map"
    assert case.results.node("segmentation") is None
    assert case.results.next_finding() is None


def test_the_map_is_shown_from_the_threshold_of_findings_on(case: Case) -> None:
    case.lay_deviation()
    assert case.results.threshold == 2.0  # and not the 0.3 that was asked of the anomaly map
    case.lay_deviation(findings=[])
    assert case.results.threshold == DEVIATION_THRESHOLD


def test_a_segment_each(case: Case) -> None:
    case.lay_deviation()
    ml = 1.5 * 1.2 * 3.0 / 1000
    sizes = {label: f"{np.sum(case.labels == label) * ml:.2g} ml" for label in (1, 2)}
    assert segments(case.results) == {
        "Finding2": f"Finding 1 (8.0 SD, {sizes[2]})",
        "Finding1": f"Finding 2 (4.0 SD, {sizes[1]})",
    }
    segmentation_node = case.results.node("segmentation")
    reference = slicer.vtkSlicerSegmentationsModuleLogic.CreateOrientedImageDataFromVolumeNode(case.input_node)
    for identifier, label in (("Finding2", 2), ("Finding1", 1)):
        labelmap = slicer.vtkOrientedImageData()
        segmentation_node.GetBinaryLabelmapRepresentation(identifier, labelmap)
        slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(labelmap, reference, labelmap)
        voxels = vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(scenes.SHAPE)
        np.testing.assert_array_equal(voxels.astype(bool), case.labels == label)


@pytest.mark.parametrize("moved", [False, True])
def test_segments_can_be_exported_where_they_lie(case: Case, moved: bool) -> None:
    if moved:
        case.scene.move(case.input_node, scenes.translation(100, 0, 0))
    case.lay_deviation()
    assert exported_voxels(case, "Finding1", "Finding2") == (case.labels > 0).sum()
    case.results.make_segment()
    assert exported_voxels(case, "AboveThreshold") == (10 * case.voxels >= 2).sum()


def exported_voxels(case: Case, *identifiers: str) -> int:
    """How many voxels a label map has, as the module Segmentations exports it in the segmentation's own geometry."""
    labelmap_node = case.scene.mrml.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    names = vtk.vtkStringArray()
    for identifier in identifiers:
        names.InsertNextValue(identifier)
    assert slicer.vtkSlicerSegmentationsModuleLogic.ExportSegmentsToLabelmapNode(
        case.results.node("segmentation"), names, labelmap_node, None, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY
    )
    return np.count_nonzero(slicer.util.arrayFromVolume(labelmap_node))


class TestTable:
    def columns(self, case: Case) -> dict[str, list[float]]:
        node = case.results.node("findingTable")
        names = [node.GetColumnName(column) for column in range(node.GetNumberOfColumns())]
        return {name: slicer.util.arrayFromTableColumn(node, name).tolist() for name in names}

    @pytest.mark.parametrize("moved", [False, True])
    def test_a_row_each(self, case: Case, moved: bool) -> None:
        offset = np.zeros(3)
        if moved:
            offset[:] = 10, -20, 30
            transform_node = case.scene.mrml.AddNewNodeByClass("vtkMRMLLinearTransformNode")
            matrix = np.eye(4)
            matrix[:3, 3] = offset
            transform_node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
            case.input_node.SetAndObserveTransformNodeID(transform_node.GetID())
        case.lay_deviation()
        places = np.array([case.peak_ras, (case.matrix @ [*OTHER, 1])[:3]]) + offset
        columns = self.columns(case)
        assert list(columns) == ["Finding", "SD", "p", "Size (ml)", "R", "A", "S"]
        assert (columns["Finding"], columns["SD"], columns["p"]) == ([1, 2], [8.0, 4.0], [0.02, 0.02])
        np.testing.assert_allclose(columns["Size (ml)"], 9 * 1.5 * 1.2 * 3.0 / 1000)
        np.testing.assert_allclose([columns[name] for name in "RAS"], places.T, atol=1e-9)

    def test_of_a_picture_in_pixels(self, scene: Any, tmp_path: Path, result_of: Callable[..., Any]) -> None:
        input_node = scene.add_volume(scenes.phantom()[0][:1], np.eye(4), "picture")
        path = scenes.write_map(tmp_path / "map.nrrd", scenes.phantom()[1][:1], np.eye(4))
        finding = {"label": 1, "voxel": [4, 5], "lps_mm": None, "deviation": 4.0, "num_voxels": 9, "p_value": 0.02}
        results = ResultScene(scene.holder)
        results.lay(replace(result_of(findings=[finding]), anomaly_map=path), input_node)
        table_node = results.node("findingTable")
        assert slicer.util.arrayFromTableColumn(table_node, "Size (pixels)").tolist() == [9]
        assert "9 pixels, in column 5, row 6" in results.describe().text

    def test_is_saved_as_text(self, case: Case) -> None:
        case.lay_deviation()
        storage_node = slicer.vtkMRMLTableStorageNode()
        storage_node.SetFileName(str(case.folder / "findings.tsv"))
        assert storage_node.WriteData(case.results.node("findingTable"))
        first, *rows = (case.folder / "findings.tsv").read_text().splitlines()
        assert [name.strip('"') for name in first.split("\t")][:3] == ["Finding", "SD", "p"]
        assert len(rows) == 2

    def test_goes_with_the_findings(self, case: Case) -> None:
        case.lay_deviation()
        case.lay_deviation(findings=[])
        assert case.results.node("findingTable") is None


def test_the_segment_of_the_threshold_besides(case: Case) -> None:
    case.lay_deviation()
    assert case.results.make_segment() == (10 * case.voxels >= 2).sum()
    assert set(segments(case.results)) == {"Finding1", "Finding2", "AboveThreshold"}
    case.lay_deviation(findings=[case.finding(1, OTHER, 4.0)])
    assert set(segments(case.results)) == {"Finding1", "AboveThreshold"}


def test_what_somebody_drew_stays(case: Case) -> None:
    case.lay_deviation()
    drawn = case.results.node("segmentation")
    drawn.GetSegmentation().AddEmptySegment("Findings of mine")
    case.lay()
    assert list(drawn.GetSegmentation().GetSegmentIDs()) == ["Findings of mine"]


@pytest.mark.parametrize("geometry", scenes.GEOMETRIES)
def test_next_finding_goes_round(scene: Any, tmp_path: Path, result_of: Callable[..., Any], geometry: str) -> None:
    case = Case(scene, tmp_path, result_of, geometry)
    case.lay_deviation()
    other = (case.matrix @ [*OTHER, 1])[:3]
    for label, place in ((2, case.peak_ras), (1, other), (2, case.peak_ras)):
        assert case.results.next_finding().label == label
        np.testing.assert_allclose(marked(case.results), place, atol=1e-6)
        for view in scene.views:
            assert np.linalg.norm(scene.places(view) - place, axis=-1).min() < 1  # mm, about a pixel


def test_without_millimetres_the_voxel_tells(case: Case) -> None:
    case.lay_deviation(findings=[case.finding(1, OTHER, 4.0, lps_mm=None)])
    case.results.next_finding()
    np.testing.assert_allclose(marked(case.results), (case.matrix @ [*OTHER, 1])[:3], atol=1e-6)


def test_findings_without_their_file(case: Case) -> None:
    result = case.result(findings=[case.finding(1, OTHER, 4.0)])
    case.lay_files(result, anomaly_map=case.voxels)
    assert case.results.node("segmentation") is None
    assert case.results.next_finding().label == 1


def test_without_a_map_is_told(case: Case) -> None:
    with pytest.raises(VolumeError, match="There is no anomaly map in the scene"):
        case.results.next_finding()


@pytest.mark.parametrize("geometry", scenes.GEOMETRIES)
def test_a_saved_scene(scene: Any, tmp_path: Path, result_of: Callable[..., Any], geometry: str) -> None:
    case = Case(scene, tmp_path, result_of, geometry)
    case.lay_deviation(is_ood=True, ood_reasons=["It is upside down."])
    case.results.next_finding()
    before = segments(case.results)
    scene.save(tmp_path / "a.mrb")
    loaded = scenes.Scene.load(tmp_path / "a.mrb")
    back = ResultScene(loaded.holder)
    assert back.shows_deviation
    assert back.threshold == pytest.approx(2.0)
    assert back.result == case.results.result
    assert segments(back) == before
    assert back.next_finding().label == 1  # after the one that was shown
    np.testing.assert_allclose(marked(back), (case.matrix @ [*OTHER, 1])[:3], atol=1e-3)
    loaded.close()
