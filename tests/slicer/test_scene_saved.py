"""A scene with a result is saved and loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scenes
from AnomalyMapLib import peak, slice_scores
from AnomalyMapLib.nodes import ROLES
from AnomalyMapLib.results import result_to_json
from AnomalyMapLib.scene import ResultScene
from AnomalyMapLib.volumes import geometry_difference
from cases import Case, roles_of


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
        assert back.volume is back.node("inputVolume")
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

        slice_scores.jump(loaded.slice_nodes(), (0, 0, 0))
        assert back.next_high_slice() == scenes.PEAK[2]
        distances = np.linalg.norm(loaded.places("Red") - case.peak_ras, axis=-1)
        assert distances.min() < 1  # mm, about a pixel
        assert back.make_segment() == (case.voxels >= np.float32(0.3)).sum()
        back.mark_peak()
        np.testing.assert_allclose(peak.world_position(back.node("peakMarker")), case.peak_ras, atol=1e-3)
        path = scenes.write_map(tmp_path / "map.nrrd", case.voxels, case.matrix)
        back.lay(replace(case.result(), anomaly_map=path), back.node("inputVolume"))
        back.make_segment()
        back.mark_peak()
        assert all(count <= before[name] for name, count in scenes.count_nodes(loaded).items())
        loaded.close()

    def test_slices_without_a_p_value_stay_without(
        self, scene: Any, tmp_path: Path, result_of: Callable[..., Any]
    ) -> None:
        case = Case(scene, tmp_path, result_of)
        p_values = [None] * 3 + [0.5] * 16 + [0.01]
        case.lay(slice_p_values=p_values)
        scene.save(tmp_path / "a.mrb")
        loaded = scenes.Scene.load(tmp_path / "a.mrb")
        table_node = ResultScene(loaded.holder).node("scoreTable")
        assert slice_scores.high_slices(table_node) == [19]
        assert [table_node.GetCellText(row, 2) for row in (0, 3, 19)] == ["", "0.5", "0.01"]
        loaded.close()

    def test_one_that_was_not_seen_yet(self, scene: Any, tmp_path: Path, result_of: Callable[..., Any]) -> None:
        case = Case(scene, tmp_path, result_of)
        case.lay_all()
        case.input_node = scene.add_volume(scenes.phantom()[0], case.matrix, "second head")
        case.lay_deviation(take_views=False)
        scene.save(tmp_path / "a.mrb")
        loaded = scenes.Scene.load(tmp_path / "a.mrb")
        back = ResultScene(loaded.holder)
        assert back.is_unseen
        back.show_in_views()
        assert not back.is_unseen
        composite = loaded.views["Red"].GetSliceCompositeNode()
        assert composite.GetForegroundVolumeID() == back.node("anomalyMap").GetID()
        assert back.node("segmentation").GetDisplayVisibility()
        assert not loaded.mrml.GetFirstNodeByName("head anomaly map segmentation").GetDisplayVisibility()
        loaded.close()
