"""Where the nodes of a result lie in the tree of the module Data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import scenes
import vtk
from AnomalyMapLib.scene import ResultScene
from cases import Case

FOLDER = "Anomaly Map of head"
MADE = {
    "head anomaly map",
    "head anomaly map segmentation",
    "head anomaly map marker",
    "head anomaly map findings",
    "head anomaly map scores of slices",
    "head anomaly map scores of slices plot",
    "Score",
}


@pytest.fixture
def case(scene: Any, tmp_path: Path, result_of: Callable[..., Any]) -> Case:
    return Case(scene, tmp_path, result_of)


def tree_of(scene: Any) -> Any:
    return scene.mrml.GetSubjectHierarchyNode()


def inside(scene: Any, item: int) -> list[str]:
    """The names of what lies in an item."""
    tree, children = tree_of(scene), vtk.vtkIdList()
    tree.GetItemChildren(item, children, False)
    return sorted(tree.GetItemName(children.GetId(index)) for index in range(children.GetNumberOfIds()))


def at_top(scene: Any) -> list[str]:
    return inside(scene, tree_of(scene).GetSceneItemID())


def in_folder(scene: Any, name: str = FOLDER) -> list[str]:
    return inside(scene, tree_of(scene).GetItemByName(name))


def test_a_folder_beside_the_volume(case: Case) -> None:
    case.lay_all()
    assert at_top(case.scene) == [FOLDER, "head"]
    assert in_folder(case.scene) == sorted(MADE)


def test_in_the_study_of_the_volume(case: Case) -> None:
    tree = tree_of(case.scene)
    study = tree.CreateStudyItem(tree.CreateSubjectItem(tree.GetSceneItemID(), "patient"), "study")
    tree.SetItemParent(tree.GetItemByDataNode(case.input_node), study)
    case.lay_all()
    assert at_top(case.scene) == ["patient"]
    assert inside(case.scene, study) == [FOLDER, "head"]


def test_another_run_makes_nothing_twice(case: Case) -> None:
    case.lay_all()
    case.lay_all()
    assert at_top(case.scene) == [FOLDER, "head"]
    assert in_folder(case.scene) == sorted(MADE)
    classes = [{"name": "normal", "probability": 1.0}]
    case.scene.mrml.RemoveNode(case.results.node("segmentation"))
    case.results.lay(case.result(classes=classes, peak=None, slice_axis=None), case.input_node)
    case.lay_all()  # whose folder was empty
    assert at_top(case.scene) == [FOLDER, "head"]
    assert in_folder(case.scene) == sorted(MADE)


def test_whoever_moves_the_map_finds_what_is_new_beside_it(case: Case) -> None:
    case.lay()
    tree = tree_of(case.scene)
    case_7 = tree.CreateFolderItem(tree.GetSceneItemID(), "case 7")
    for role in ("anomalyMap", "scoreTable", "scoreSeries", "scoreChart"):
        tree.SetItemParent(tree.GetItemByDataNode(case.results.node(role)), case_7)
    tree.RemoveItem(tree.GetItemByName(FOLDER))
    case.results.mark_peak()
    case.results.make_segment()
    case.lay()
    assert at_top(case.scene) == ["case 7", "head"]
    assert {"head anomaly map", "head anomaly map segmentation"} < set(inside(case.scene, case_7))


def test_each_volume_has_its_own(case: Case) -> None:
    case.lay_all()
    case.input_node = case.scene.add_volume(scenes.phantom()[0], case.matrix, "second head")
    case.lay_all()
    assert at_top(case.scene) == [FOLDER, "Anomaly Map of second head", "head", "second head"]
    assert in_folder(case.scene) == sorted(MADE)
    assert "second head anomaly map" in in_folder(case.scene, "Anomaly Map of second head")


def test_without_its_volume(case: Case) -> None:
    case.lay()
    case.scene.mrml.RemoveNode(case.input_node)
    case.results.mark_peak()
    assert at_top(case.scene) == [FOLDER, "head anomaly map marker"]


def test_a_result_without_a_map_has_no_folder(case: Case) -> None:
    classes = [{"name": "normal", "probability": 1.0}]
    case.results.lay(case.result(classes=classes, peak=None, slice_axis=None), case.input_node)
    assert at_top(case.scene) == ["head"]


def test_in_a_saved_scene(case: Case, tmp_path: Path) -> None:
    case.lay_all()
    case.scene.save(tmp_path / "a.mrb")
    loaded = scenes.Scene.load(tmp_path / "a.mrb")
    back = ResultScene(loaded.holder)
    path = scenes.write_map(tmp_path / "map.nrrd", case.voxels, case.matrix)
    back.lay(replace(case.result(), anomaly_map=path), back.volume)
    back.mark_peak()
    assert at_top(loaded) == [FOLDER, "head"]
    assert in_folder(loaded) == sorted(MADE - {"head anomaly map findings"})
    loaded.close()
