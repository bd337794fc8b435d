"""A result whose volume the slice views do not show is fetched into them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scenes
import slicer
from cases import Case

FAR = scenes.translation(500, 300, -400)


@pytest.fixture
def case(scene: Any, tmp_path: Path, result_of: Callable[..., Any]) -> Case:
    """A volume far away from the one that the views show."""
    case = Case(scene, tmp_path, result_of)
    near = scene.add_volume(case.voxels, case.matrix, "near")
    for view in scene.views.values():
        view.GetSliceCompositeNode().SetBackgroundVolumeID(near.GetID())
    scene.fit()
    case.matrix = FAR @ case.matrix
    case.input_node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(case.matrix))
    return case


def matrices(scene: Any) -> dict[str, np.ndarray]:
    """Where each view looks, and how closely."""
    return {
        name: slicer.util.arrayFromVTKMatrix(view.GetSliceNode().GetXYToRAS()) for name, view in scene.views.items()
    }


def check_whole(case: Case) -> None:
    """All views show the whole volume, as large as it fits, and by its middle."""
    after = matrices(case.scene)
    case.scene.fit()
    for name, expected in matrices(case.scene).items():
        assert case.scene.pixels(name).any()
        # Slicer counts pixels from their corners or their centres, and goes to the nearest voxel.
        np.testing.assert_allclose(after[name], expected, atol=2.0)
        np.testing.assert_allclose(after[name][:3, :2], expected[:3, :2], atol=0.02)


@pytest.mark.parametrize("factor", [1, 0.01, 100])
def test_views_that_show_nothing_of_the_volume(case: Case, factor: float) -> None:
    for view in case.scene.views.values():
        node = view.GetSliceNode()
        node.SetFieldOfView(factor, factor, 1)
    case.lay()
    check_whole(case)


def test_of_a_volume_under_a_transform(case: Case) -> None:
    case.scene.move(case.input_node, FAR)
    case.lay()
    check_whole(case)


def test_of_a_classifier_without_a_map(case: Case) -> None:
    result = case.result(classes=[{"name": "normal", "probability": 1.0}], peak=None, slice_axis=None)
    case.results.lay(result, case.input_node)
    check_whole(case)


def test_a_view_that_shows_a_part_of_it_is_left_alone(case: Case) -> None:
    for view in case.scene.views.values():
        view.GetSliceNode().JumpSliceByCentering(*(case.matrix @ [1, 1, 1, 1])[:3])
    before = matrices(case.scene)
    case.lay()
    for name, matrix in matrices(case.scene).items():
        np.testing.assert_array_equal(matrix, before[name])


def test_a_view_that_had_the_volume_already_is_left_alone(case: Case) -> None:
    for view in case.scene.views.values():
        view.GetSliceCompositeNode().SetBackgroundVolumeID(case.input_node.GetID())
    before = matrices(case.scene)
    case.lay()
    for name, matrix in matrices(case.scene).items():
        np.testing.assert_array_equal(matrix, before[name])
