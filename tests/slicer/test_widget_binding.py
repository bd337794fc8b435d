"""Each parameter and its widget follow each other, and come back with a scene."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("PySide6")
from AnomalyMapLib.nodes import ROLES

# What a user does, and how the panel shows it.
VALUES = {
    "device": ("cpu", lambda ui: ui.deviceComboBox.currentText, "CPU"),
    "judgeOod": (True, lambda ui: ui.judgeOodCheckBox.checked, True),
    "threshold": (0.25, lambda ui: ui.thresholdSlider.value, 0.25),
    "opacity": (0.35, lambda ui: ui.opacitySlider.value, 0.35),
    "rendering": (True, lambda ui: ui.renderingCheckBox.checked, True),
}


def parameters(panel: Any) -> Any:
    return panel.logic.getParameterNode()


@pytest.mark.parametrize("name", VALUES)
def test_the_panel_follows_the_parameter(shown: Any, name: str) -> None:
    value, look, seen = VALUES[name]
    assert look(shown.ui) != seen
    parameters(shown).setValue(name, value)
    assert look(shown.ui) == seen


def test_the_parameters_follow_the_panel(shown: Any, case: Any, scene: Any) -> None:
    import scenes

    other = scene.add_volume(scenes.phantom()[0], scenes.GEOMETRIES["oblique"], "other")
    shown.ui.inputVolumeSelector.setCurrentNode(other)
    shown.ui.deviceComboBox.currentIndex = 1
    shown.ui.sliceDirectionComboBox.currentIndex = 3
    shown.ui.thresholdSlider.value = 0.25
    shown.ui.opacitySlider.value = 0.35
    shown.ui.renderingCheckBox.checked = True
    kept = parameters(shown)
    assert kept.inputVolume is other
    assert kept.device == "cpu"
    assert kept.sliceDirection.value == "coronal"
    assert (kept.threshold, kept.opacity, kept.rendering) == (0.25, 0.35, True)


def test_volume_and_direction_follow_the_parameters(shown: Any, scene: Any) -> None:
    import scenes
    from AnomalyMapLib.widget_choices import SliceDirection

    other = scene.add_volume(scenes.phantom()[0], scenes.GEOMETRIES["oblique"], "other")
    parameters(shown).inputVolume = other
    assert shown.ui.inputVolumeSelector.currentNode() is other
    parameters(shown).sliceDirection = SliceDirection.SAGITTAL
    assert shown.ui.sliceDirectionComboBox.currentText == "Sagittal"


def test_every_parameter_of_the_panel_is_kept(panel: Any) -> None:
    bound = {widget.property("SlicerParameterName") for widget in vars(panel.ui).values()} - {None}
    own = {
        "inputVolume",
        "bundle",
        "sliceDirection",
        "device",
        "judgeOod",
        "threshold",
        "opacity",
        "rendering",
    }
    assert bound == own
    kept = parameters(panel)
    for name in own | set(ROLES):
        kept.getValue(name)  # or it is no field


def test_a_scene_brings_everything_back(
    shown: Any, case: Any, scene: Any, qt_world: Any, open_panel: Callable[[], Any], tmp_path: Path
) -> None:
    import scenes

    shown.ui.deviceComboBox.currentIndex = 1
    shown.ui.sliceDirectionComboBox.currentIndex = 2
    shown.ui.thresholdSlider.value = 0.25
    shown.ui.opacitySlider.value = 0.35
    shown.ui.renderingCheckBox.checked = True
    shown.ui.segmentButton.click()
    shown.ui.peakButton.click()
    said = shown.ui.resultLabel.text
    scene.save(tmp_path / "scene.mrb")
    shown.cleanup()
    loaded = scenes.Scene.load(tmp_path / "scene.mrb")
    qt_world.use_scene(loaded)
    ui = open_panel().ui
    assert ui.inputVolumeSelector.currentNode().GetName() == "head"
    assert ui.bundleComboBox.currentText.startswith("SAGAN anomaly detection ")
    assert ui.deviceComboBox.currentText == "CPU"
    assert ui.sliceDirectionComboBox.currentText == "Axial"
    # The number goes through decimal text.
    assert ui.thresholdSlider.value == pytest.approx(0.25, abs=1e-3)
    assert ui.opacitySlider.value == pytest.approx(0.35, abs=1e-3)
    assert ui.renderingCheckBox.checked
    assert ui.resultLabel.text == said
    assert ui.scoreTableView.model().rowCount() == scenes.SHAPE[0]
    assert ui.nextSliceButton.enabled
    lost = {role for role in ROLES if loaded.holder.GetNodeReference(role) is None}
    assert lost == {"findingTable"}  # which was not there
    loaded.close()


def test_a_scene_that_is_loaded_while_the_panel_is_open(
    shown: Any, case: Any, scene: Any, open_panel: Callable[[], Any], tmp_path: Path
) -> None:
    import slicer

    shown.ui.thresholdSlider.value = 0.25
    said = shown.ui.resultLabel.text
    scene.save(tmp_path / "scene.mrb")
    scene.mrml.Clear(False)
    assert shown.ui.resultLabel.text == "There is no result yet."
    assert not shown.ui.applyButton.enabled
    remote = slicer.vtkMRMLRemoteIOLogic()
    remote.SetMRMLApplicationLogic(scene.application)
    remote.SetMRMLScene(scene.mrml)
    remote.GetCacheManager().SetRemoteCacheDirectory(str(tmp_path))
    remote.AddDataIOToScene()
    assert scene.mrml.ReadFromMRB(str(tmp_path / "scene.mrb"))
    assert shown.ui.resultLabel.text == said
    assert shown.ui.thresholdSlider.value == pytest.approx(0.25, abs=1e-3)
    assert shown.ui.applyButton.enabled
