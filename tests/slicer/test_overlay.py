"""The map over its input, on pixels that Slicer's own pipeline renders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scenes
import slicer
from AnomalyMapLib import overlay
from AnomalyMapLib.volumes import read_map

THRESHOLD = 0.3
ROUNDING = 2  # levels of 255: the blend rounds once, and so does the reference


def lay(scene: Any, tmp_path: Path, matrix: np.ndarray, opacity: float = 1.0) -> Any:
    """The phantom with its map over it; returns the map's node."""
    volume, voxels = scenes.phantom()
    input_node = scene.add_volume(volume, matrix)
    map_node = scene.mrml.AddNode(read_map(scenes.write_map(tmp_path / "map.nrrd", voxels, matrix), input_node))
    color_node = scene.mrml.AddNode(slicer.vtkMRMLColorTableNode())
    overlay.fill_color_table(color_node)
    overlay.show_display(map_node, color_node, THRESHOLD)
    overlay.show_in_slices(input_node, map_node, opacity)
    scene.fit()
    place = (matrix @ [*scenes.PEAK, 1])[:3]
    for view in scene.views.values():
        view.GetSliceNode().JumpSliceByOffsetting(*place)
    return map_node


def plain(scene: Any, view: str, map_node: Any) -> np.ndarray:
    """What the view shows without the map."""
    opacity = overlay.opacity_of(map_node)
    overlay.set_opacity(map_node, 0.0)
    pixels = scene.pixels(view)
    overlay.set_opacity(map_node, opacity)
    return pixels


def map_at(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The phantom's map at places in mm, by its formula; where it falls off, blended voxels differ from it a little."""
    i, j, k = np.moveaxis((np.linalg.solve(matrix[:3, :3], (points - matrix[:3, 3])[..., None]))[..., 0], -1, 0)
    return 0.8 * np.exp(-(((k - 13) / 2) ** 2 + ((j - 10) / 3) ** 2 + ((i - 24) / 3.5) ** 2))


class TestPixels:
    @pytest.mark.parametrize("view", scenes.VIEWS)
    @pytest.mark.parametrize("matrix", scenes.GEOMETRIES.values(), ids=scenes.GEOMETRIES)
    def test_coloured_where_the_map_is_and_grey_elsewhere(
        self, scene: Any, tmp_path: Path, matrix: np.ndarray, view: str
    ) -> None:
        map_node = lay(scene, tmp_path, matrix)
        pixels, without = scene.pixels(view), plain(scene, view, map_node)
        expected = map_at(scene.places(view), matrix)
        # Linear interpolation between voxels is at most 0.06 off the formula: (1/8) of its largest second difference.
        surely, surely_not = expected > THRESHOLD + 0.06, expected < THRESHOLD - 0.06
        assert surely.sum() > 100
        assert scenes.coloured(pixels)[surely].all()
        assert not scenes.coloured(without).any()
        np.testing.assert_array_equal(pixels[surely_not], without[surely_not])

    def test_hottest_where_the_map_is_highest(self, scene: Any, tmp_path: Path) -> None:
        matrix = scenes.GEOMETRIES["oblique left-handed"]
        lay(scene, tmp_path, matrix)
        pixels = scene.pixels("Red")
        lightness = np.where(scenes.coloured(pixels), pixels.sum(axis=-1), 0)
        place = scene.places("Red")[lightness == lightness.max()].mean(axis=0)
        assert np.linalg.norm(place - (matrix @ [*scenes.PEAK, 1])[:3]) < 1.5  # mm, a voxel in plane

    def test_threshold_acts_at_once(self, scene: Any, tmp_path: Path) -> None:
        map_node = lay(scene, tmp_path, scenes.GEOMETRIES["right-handed"])
        counts = []
        for threshold in (0.1, 0.3, 0.6, 0.79, 0.9):
            overlay.set_threshold(map_node, threshold)
            assert overlay.threshold_of(map_node) == threshold
            counts.append(int(scenes.coloured(scene.pixels("Red")).sum()))
        assert counts[-1] == 0
        assert np.diff(counts).max() < 0

    def test_opacity_acts_at_once(self, scene: Any, tmp_path: Path) -> None:
        map_node = lay(scene, tmp_path, scenes.GEOMETRIES["right-handed"], opacity=1.0)
        opaque, without = scene.pixels("Red"), plain(scene, "Red", map_node)
        overlay.set_opacity(map_node, 0.25)
        assert overlay.opacity_of(map_node) == 0.25
        blended = 0.25 * opaque + 0.75 * without
        np.testing.assert_allclose(scene.pixels("Red"), blended, atol=ROUNDING)

    def test_opacity_of_other_volumes_is_left_alone(self, scene: Any, tmp_path: Path) -> None:
        map_node = lay(scene, tmp_path, scenes.GEOMETRIES["right-handed"])
        composite = scene.views["Green"].GetSliceCompositeNode()
        composite.SetForegroundVolumeID(None)
        composite.SetForegroundOpacity(0.5)
        overlay.set_opacity(map_node, 0.1)
        assert composite.GetForegroundOpacity() == 0.5
        assert scene.views["Red"].GetSliceCompositeNode().GetForegroundOpacity() == 0.1

    def test_a_picture(self, scene: Any, tmp_path: Path) -> None:
        matrix = np.eye(4)
        volume, voxels = (array[13:14] for array in scenes.phantom())
        input_node = scene.add_volume(volume, matrix)
        map_node = scene.mrml.AddNode(read_map(scenes.write_map(tmp_path / "map.nrrd", voxels, matrix), input_node))
        color_node = scene.mrml.AddNode(slicer.vtkMRMLColorTableNode())
        overlay.fill_color_table(color_node)
        overlay.show_display(map_node, color_node, THRESHOLD)
        overlay.show_in_slices(input_node, map_node, 1.0)
        scene.fit()
        places = scene.places("Red")[scenes.coloured(scene.pixels("Red"))]
        # The blob's part above the threshold is symmetric about its highest voxel.
        np.testing.assert_allclose(places[:, :2].mean(axis=0), scenes.PEAK[:2], atol=0.2)


class TestDisplay:
    def test_window_is_the_maps_whatever_the_threshold(self, scene: Any, tmp_path: Path) -> None:
        map_node = lay(scene, tmp_path, np.eye(4))
        display = map_node.GetScalarVolumeDisplayNode()
        overlay.set_threshold(map_node, 0.7)
        assert display.GetWindowLevelMin() == pytest.approx(0)
        assert display.GetWindowLevelMax() == pytest.approx(0.8)

    def test_window_is_at_least_twice_the_threshold(self, scene: Any, tmp_path: Path) -> None:
        map_node = lay(scene, tmp_path, np.eye(4))
        overlay.show_display(map_node, map_node.GetScalarVolumeDisplayNode().GetColorNode(), 0.5)
        assert map_node.GetScalarVolumeDisplayNode().GetWindowLevelMax() == pytest.approx(1.0)

    def test_what_was_changed_is_undone(self, scene: Any, tmp_path: Path) -> None:
        map_node = lay(scene, tmp_path, np.eye(4))
        before = scene.pixels("Red")
        display = map_node.GetScalarVolumeDisplayNode()
        color_node = display.GetColorNode()
        display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
        display.SetWindowLevelMinMax(-3, 5)
        display.SetThreshold(0.0, 0.1)
        display.AutoWindowLevelOn()
        overlay.show_display(map_node, color_node, THRESHOLD)
        np.testing.assert_array_equal(scene.pixels("Red"), before)

    def test_compositing_is_undone_too(self, scene: Any, tmp_path: Path) -> None:
        map_node = lay(scene, tmp_path, np.eye(4))
        before = scene.pixels("Red")
        composite = scene.views["Red"].GetSliceCompositeNode()
        composite.SetCompositing(slicer.vtkMRMLSliceCompositeNode.Add)
        overlay.show_in_slices(scene.mrml.GetNodeByID(composite.GetBackgroundVolumeID()), map_node, 1.0)
        np.testing.assert_array_equal(scene.pixels("Red"), before)

    def test_of_a_map_beyond_one(self, scene: Any) -> None:
        volume, voxels = scenes.phantom()
        input_node, map_node = scene.add_volume(volume, np.eye(4)), scene.add_volume(7 * voxels, np.eye(4))
        color_node = scene.mrml.AddNode(slicer.vtkMRMLColorTableNode())
        overlay.fill_color_table(color_node)
        overlay.show_display(map_node, color_node, 0.5)
        overlay.show_in_slices(input_node, map_node, 1.0)
        scene.fit()
        place = scenes.PEAK
        scene.views["Red"].GetSliceNode().JumpSliceByOffsetting(*place)
        nearest = np.linalg.norm(scene.places("Red") - place, axis=-1).argmin()
        assert scenes.coloured(scene.pixels("Red")).ravel()[nearest]


class TestDefaultThreshold:
    def map_of(self, scene: Any, voxels: np.ndarray) -> Any:
        return scene.add_volume(voxels.astype(np.float32), np.eye(4))

    def test_what_was_asked_for(self, scene: Any) -> None:
        assert overlay.default_threshold(self.map_of(scene, np.zeros((2, 3, 4))), 0.125) == 0.125

    def test_of_the_voxels_above_zero(self, scene: Any) -> None:
        voxels = np.zeros((10, 10, 20))
        voxels.ravel()[500:601] = np.arange(101) / 100 + 0.5
        assert overlay.default_threshold(self.map_of(scene, voxels), None) == pytest.approx(0.5 + 0.98)

    def test_of_nothing(self, scene: Any) -> None:
        assert overlay.default_threshold(self.map_of(scene, np.zeros((2, 3, 4))), None) == 1.0

    def test_of_a_large_map(self, scene: Any) -> None:
        voxels = np.random.default_rng(0).random((100, 256, 512), np.float32)
        # Of 4 million samples the 98th percentile is off by 0.00007 in the mean.
        assert overlay.default_threshold(self.map_of(scene, voxels), None) == pytest.approx(0.98, abs=5e-4)


class TestColors:
    def colors(self) -> np.ndarray:
        node = slicer.vtkMRMLColorTableNode()
        overlay.fill_color_table(node)
        rgba = np.zeros((node.GetNumberOfColors(), 4))
        for index, color in enumerate(rgba):
            node.GetColor(index, color)
        return rgba

    def test_equal_steps_of_lightness(self) -> None:
        lightness = np.array([overlay._lightness(color) for color in self.colors()[:, :3]])
        assert lightness[0] < 20
        assert lightness[-1] > 90
        assert np.diff(lightness).min() > 0
        # A table keeps 8 bits a channel, and a level of green is up to 0.6 of lightness.
        np.testing.assert_allclose(lightness, np.linspace(lightness[0], lightness[-1], len(lightness)), atol=0.6)

    def test_none_is_grey(self) -> None:
        assert np.ptp(self.colors()[:, :3], axis=1).min() > 0.2

    def test_low_end_is_transparent(self) -> None:
        alpha = self.colors()[:, 3]
        assert alpha[0] == 0
        assert np.all(alpha[1:] == 1)
