"""The panel as it is opened: complete, quick, narrow enough, and saying what it waits for."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("PySide6")
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QComboBox, QPlainTextEdit, QProgressBar

MODULE_FOLDER = Path(__file__).resolve().parents[2] / "slicer_extension" / "AnomalyMap"
LIMIT_S = 0.5


def test_what_is_chosen_at_first(panel: Any, case: Any) -> None:
    assert panel.ui.inputVolumeSelector.currentNode() is case.input_node
    assert panel.ui.bundleComboBox.currentText.startswith("SAGAN anomaly detection ")
    assert "Research only, not for diagnosis." in panel.ui.bundlePurposeLabel.text
    assert panel.ui.sliceDirectionComboBox.currentText == "As the bundle has it"
    assert panel.ui.deviceComboBox.currentText == "Auto"
    assert panel.ui.pythonComboBox.currentText == "Slicer's own"
    assert panel.ui.applyButton.text == "Apply"
    assert panel.ui.applyButton.enabled
    assert panel.ui.resultLabel.text == "There is no result yet."
    assert panel.ui.advancedCollapsibleButton.collapsed
    assert panel.ui.logCollapsibleButton.collapsed


def test_what_needs_a_result_waits_for_it(panel: Any) -> None:
    ui = panel.ui
    waiting = (ui.thresholdSlider, ui.opacitySlider, ui.renderingCheckBox, ui.segmentButton, ui.peakButton)
    assert not any(widget.enabled for widget in waiting)
    hidden = (ui.scoreTableView, ui.nextSliceButton, ui.plotButton, ui.classTable, ui.scoreLabel, ui.progressBar)
    assert all(widget.isHidden() for widget in hidden)


def test_without_a_volume_apply_says_so(open_panel: Callable[[], Any]) -> None:
    panel = open_panel()
    assert not panel.ui.applyButton.enabled
    words = "Choose a volume; if there is none, load one, or try AnomalyMapPhantom in Sample Data."
    assert panel.ui.statusLabel.text == words
    assert not panel.ui.statusLabel.isHidden()
    assert " ".join(panel.ui.applyButton.toolTip.split()) == words


def test_a_volume_that_is_loaded_later_can_be_chosen(open_panel: Callable[[], Any], scene: Any) -> None:
    import scenes

    panel = open_panel()
    node = scene.add_volume(scenes.phantom()[0], scenes.GEOMETRIES["oblique"])
    panel.exit()
    panel.enter()  # from the module in which it was loaded
    assert panel.ui.inputVolumeSelector.currentNode() is node
    assert panel.ui.applyButton.enabled
    assert panel.ui.statusLabel.isHidden()


def test_the_volume_that_is_seen_is_chosen_at_first(open_panel: Callable[[], Any], scene: Any) -> None:
    import scenes

    volumes = [scene.add_volume(scenes.phantom()[0], scenes.GEOMETRIES["oblique"], name) for name in ("T1", "FLAIR")]
    scene.show(dict.fromkeys(scene.views, volumes[1]))
    panel = open_panel()
    assert panel.ui.inputVolumeSelector.currentNode() is volumes[1]
    scene.show(dict.fromkeys(scene.views, volumes[0]))
    panel.exit()
    panel.enter()
    assert panel.ui.inputVolumeSelector.currentNode() is volumes[1]  # what is chosen stays


def test_no_label_map_colour_picture_or_map_is_chosen_by_itself(shown: Any, case: Any, scene: Any) -> None:
    import slicer

    for kind in (slicer.vtkMRMLLabelMapVolumeNode, slicer.vtkMRMLVectorVolumeNode):
        scene.mrml.AddNode(kind())
    shown.exit()
    scene.mrml.RemoveNode(case.input_node)
    shown.enter()
    assert shown.logic.getParameterNode().inputVolume is None
    assert case.results.node("anomalyMap") is not None


def test_only_volumes_of_grey_values_are_offered(panel: Any, scene: Any, case: Any) -> None:
    import slicer

    labels = scene.mrml.AddNode(slicer.vtkMRMLLabelMapVolumeNode())
    panel.ui.inputVolumeSelector.setCurrentNode(labels)
    assert panel.ui.inputVolumeSelector.currentNode() is not labels


def test_everything_that_can_be_used_explains_itself(panel: Any) -> None:
    kinds = (QAbstractButton, QComboBox, QPlainTextEdit, QProgressBar, type(panel.ui.opacitySlider))
    kinds += (type(panel.ui.inputVolumeSelector), type(panel.ui.scoreTableView), type(panel.ui.classTable))
    usable = {name: widget for name, widget in vars(panel.ui).items() if isinstance(widget, kinds)}
    assert {"applyButton", "bundleComboBox", "logTextEdit", "opacitySlider", "scoreTableView"} <= set(usable)
    assert [name for name, widget in usable.items() if not widget.toolTip] == []
    lines = [line for widget in usable.values() for line in widget.toolTip.splitlines()]
    assert max(map(len, lines)) <= 72  # Qt does not break them


def test_texts_from_elsewhere_are_no_markup(panel: Any) -> None:
    names = (
        "bundlePurposeLabel",
        "statusLabel",
        "resultLabel",
        "noticeLabel",
        "keptLabel",
        "findingLabel",
        "sliceLabel",
        "displayLabel",
    )
    assert {getattr(panel.ui, name).textFormat for name in names} == {Qt.TextFormat.PlainText}


def test_it_fits_a_narrow_column(shown: Any) -> None:
    for name in ("advanced", "log"):
        getattr(shown.ui, f"{name}CollapsibleButton").collapsed = False
    assert shown.parent.minimumSizeHint().width() <= 400


def test_it_opens_in_half_a_second(qt_world: Any) -> None:
    code = f"""
import json, sys, tempfile, time
from pathlib import Path
sys.path[:0] = {[str(Path(__file__).parent), str(MODULE_FOLDER)]!r}
import headless, scenes, numpy
headless.start(Path(tempfile.mkdtemp()))
scene = scenes.Scene()
headless.use_scene(scene)
scene.add_volume(scenes.phantom()[0], scenes.GEOMETRIES["oblique"])
times = [time.perf_counter()]
import AnomalyMap
times.append(time.perf_counter())
panel = headless.open_panel(AnomalyMap)
times.append(time.perf_counter())
panel.cleanup()
print(json.dumps([times[1] - times[0], times[2] - times[1]]))
"""
    for _ in range(3):  # another program may be in the way once, and not three times
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        loading, opening = json.loads(ended.stdout.splitlines()[-1])
        print(f"Loading the module takes {loading:.2f} s, opening its panel {opening:.2f} s.")
        if loading + opening < LIMIT_S:
            return
        time.sleep(1)
    pytest.fail(f"Loading took {loading:.2f} s and opening {opening:.2f} s.")


def test_nothing_of_torch_is_loaded(panel: Any) -> None:
    assert not {"torch", "monai", "monai_sagan"} & {name.partition(".")[0] for name in sys.modules}


def test_the_module_tells_of_itself(qt_world: Any) -> None:
    import AnomalyMap
    import slicer

    slicer.app.startup.clear()
    parent = types.SimpleNamespace(path=AnomalyMap.__file__)
    module = AnomalyMap.AnomalyMap(parent)
    assert module.parent is parent
    assert parent.title == "Anomaly Map"
    assert parent.contributors == ["monai-sagan contributors"]
    assert "not for diagnosis" in parent.helpText
    assert "2405.12872" in parent.acknowledgementText
    assert len(slicer.app.startup) == 1
