"""Apply and Cancel, and whatever may become of the child."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("PySide6")
import scenes
import slicer
from AnomalyMapLib import process
from AnomalyMapLib.environment import ChildPython, PythonError
from child_stand_ins import ENDLESS, GOOD

Children = Callable[..., None]


def check_idle(panel: Any, temporary: Path) -> None:
    """Everything can be used again, and nothing is left on the disk."""
    ui = panel.ui
    assert ui.applyButton.text == "Apply"
    assert ui.inputCollapsibleButton.enabled
    assert ui.advancedCollapsibleButton.enabled
    assert ui.progressBar.isHidden()
    assert list(temporary.iterdir()) == []


def wait_for_work(panel: Any, wait_until: Callable[..., None]) -> None:
    panel.ui.applyButton.click()
    wait_until(lambda: panel.ui.statusLabel.text.startswith("25 % done."))


class TestGoodRun:
    def test_the_result_is_shown(
        self, panel: Any, case: Any, child: Children, apply: Callable[[], None], temporary: Path
    ) -> None:
        child(GOOD)
        apply()
        assert panel.ui.statusLabel.text == "Done."
        assert panel.ui.scoreLabel.text == "0.25"
        assert case.results.node("anomalyMap") is not None
        assert panel.ui.scoreTableView.mrmlTableNode() is case.results.node("scoreTable")
        assert panel.ui.applyButton.enabled
        check_idle(panel, temporary)

    def test_a_classifier_without_a_map(
        self, shown: Any, case: Any, child: Children, apply: Callable[[], None], temporary: Path
    ) -> None:
        classes = [{"name": "normal", "probability": 1.0}]
        child(f"tell_result(anomaly_score=None, anomaly_map=None, classes={classes})")
        apply()
        assert shown.ui.statusLabel.text == "Done."
        assert "\nMost probable is normal.\nThere is no weight map" in shown.ui.resultLabel.text
        assert case.results.node("anomalyMap") is None
        check_idle(shown, temporary)

    def test_while_it_runs(self, panel: Any, child: Children, wait_until: Callable[..., None], temporary: Path) -> None:
        child(ENDLESS)
        panel.ui.applyButton.click()
        ui = panel.ui
        assert (ui.applyButton.text, ui.applyButton.toolTip) == ("Cancel", "End the run.")
        assert ui.applyButton.enabled
        assert not ui.inputCollapsibleButton.enabled
        assert not ui.advancedCollapsibleButton.enabled
        assert not ui.progressBar.isHidden()
        assert ui.progressBar.maximum == 0
        assert ui.statusLabel.text == "Starting."
        wait_until(lambda: ui.progressBar.value == 25)
        assert ui.progressBar.maximum == 100
        assert ui.statusLabel.text.startswith("25 % done.")
        wait_until(lambda: " left." in ui.statusLabel.text)
        wait_until(lambda: "reading weights" in ui.logTextEdit.plainText)

    def test_the_child_is_told_what_was_chosen(
        self, panel: Any, child: Children, apply: Callable[[], None], tmp_path: Path
    ) -> None:
        from AnomalyMapLib.widget_choices import SliceDirection

        child(f"Path({str(tmp_path / 'told')!r}).write_text(' '.join(sys.argv[1:]) + os.environ['CUDA_DEVICE_ORDER'])")
        parameters = panel.logic.getParameterNode()
        parameters.device, parameters.sliceDirection = "cpu", SliceDirection.SAGITTAL
        apply()
        told = (tmp_path / "told").read_text()
        assert "bundles/sagan_anomaly_detection " in told
        assert " --device cpu " in told
        assert " --slice-direction sagittal" in told
        assert told.endswith("PCI_BUS_ID")

    def test_the_bundle_chooses_the_direction_by_itself(
        self, panel: Any, child: Children, apply: Callable[[], None], tmp_path: Path
    ) -> None:
        child(f"Path({str(tmp_path / 'told')!r}).write_text(' '.join(sys.argv[1:]))")
        apply()
        assert "--slice-direction" not in (tmp_path / "told").read_text()

    def test_a_bundle_is_told_nothing_that_it_does_not_know(
        self, panel: Any, child: Children, apply: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from AnomalyMapLib.widget_choices import SliceDirection

        bundle = dataclasses.replace(panel.apply.bundles.bundle, settings=frozenset())
        monkeypatch.setattr(panel.apply.bundles, "bundle", bundle)
        parameters = panel.logic.getParameterNode()
        parameters.sliceDirection, parameters.judgeOod = SliceDirection.SAGITTAL, True
        assert not panel.ui.sliceDirectionComboBox.enabled
        assert not panel.ui.judgeOodCheckBox.enabled
        child(f"Path({str(tmp_path / 'told')!r}).write_text(' '.join(sys.argv[1:]))")
        apply()
        told = (tmp_path / "told").read_text()
        assert "--slice-direction" not in told
        assert "--judge-ood" not in told

    def test_a_second_run_takes_the_place_of_the_first(
        self, panel: Any, case: Any, scene: Any, child: Children, apply: Callable[[], None]
    ) -> None:
        child(GOOD)
        apply()
        before = scenes.count_nodes(scene)
        default = panel.ui.thresholdSlider.value
        panel.ui.thresholdSlider.value = 0.1
        apply()
        assert scenes.count_nodes(scene) == before
        assert panel.ui.thresholdSlider.value == default

    def test_the_result_is_of_the_volume_that_was_sent(
        self, panel: Any, case: Any, scene: Any, child: Children, wait_until: Callable[..., None]
    ) -> None:
        child(GOOD)
        panel.ui.applyButton.click()
        panel.logic.getParameterNode().inputVolume = scene.add_volume(scenes.phantom()[0], scenes.GEOMETRIES["oblique"])
        wait_until(lambda: not panel.apply.run.is_running)
        assert panel.ui.statusLabel.text == "Done."
        assert panel.ui.inputVolumeSelector.currentNode() is case.input_node


class TestCancel:
    def test_it_ends_within_two_seconds(
        self, panel: Any, child: Children, wait_until: Callable[..., None], temporary: Path
    ) -> None:
        child(ENDLESS)
        wait_for_work(panel, wait_until)
        pid = panel.apply.run._process._process.pid
        start = time.monotonic()
        panel.ui.applyButton.click()
        assert time.monotonic() - start < 2
        assert panel.ui.statusLabel.text == "Cancelled."
        assert not Path(f"/proc/{pid}").exists()
        check_idle(panel, temporary)

    def test_the_earlier_result_stays(
        self, shown: Any, case: Any, child: Children, wait_until: Callable[..., None]
    ) -> None:
        said = shown.ui.resultLabel.text
        child(ENDLESS)
        wait_for_work(shown, wait_until)
        shown.ui.applyButton.click()
        assert shown.ui.resultLabel.text == said
        assert case.results.node("anomalyMap") is not None

    def test_when_slicer_is_closed(
        self, panel: Any, child: Children, wait_until: Callable[..., None], temporary: Path
    ) -> None:
        child(ENDLESS)
        wait_for_work(panel, wait_until)
        pid = panel.apply.run._process._process.pid
        panel.cleanup()
        assert not Path(f"/proc/{pid}").exists()
        assert list(temporary.iterdir()) == []

    def test_when_the_scene_is_closed(
        self, panel: Any, scene: Any, child: Children, wait_until: Callable[..., None], temporary: Path
    ) -> None:
        child(ENDLESS)
        wait_for_work(panel, wait_until)
        scene.mrml.Clear(False)
        assert panel.ui.statusLabel.text.startswith("Choose a volume; if there is none, load one, ")
        check_idle(panel, temporary)

    def test_when_the_scene_is_closed_while_another_module_is_open(
        self, panel: Any, scene: Any, child: Children, wait_until: Callable[..., None], temporary: Path
    ) -> None:
        child(ENDLESS)
        wait_for_work(panel, wait_until)
        panel.exit()
        panel.parent.isEntered = False
        scene.mrml.Clear(False)
        assert not panel.apply.run.is_running
        panel.enter()
        check_idle(panel, temporary)

    def test_when_a_scene_is_closed_its_run_is_not_spoken_of_any_more(
        self, panel: Any, scene: Any, child: Children, apply: Callable[[], None]
    ) -> None:
        child(GOOD)
        apply()
        assert panel.ui.statusLabel.text == "Done."
        scene.mrml.Clear(False)
        scene.add_volume(scenes.phantom()[0], scenes.GEOMETRIES["oblique"])
        panel.exit()
        panel.enter()
        assert panel.ui.statusLabel.isHidden()

    def test_when_the_volume_is_removed(
        self, panel: Any, case: Any, scene: Any, child: Children, wait_until: Callable[..., None], temporary: Path
    ) -> None:
        child(ENDLESS)
        wait_for_work(panel, wait_until)
        scene.mrml.RemoveNode(case.input_node)
        wait_until(lambda: not panel.apply.run.is_running)
        assert (
            panel.ui.statusLabel.text.splitlines()[0]
            == "The volume is no longer in the scene, so the run was cancelled."
        )
        check_idle(panel, temporary)


# What the child does, and the sentence that the panel shows.
FAILURES = {
    "crash": ("os.kill(os.getpid(), signal.SIGSEGV)", "crashed"),
    "no memory": ("raise MemoryError", "The computer's memory was not enough; "),
    "no memory on the GPU": (
        'tell("error", message="CUDA out of memory.")\nsys.exit(1)',
        "The GPU's memory was not enough; ",
    ),
    "an error that it tells": ('tell("error", message="No weights.")\nsys.exit(2)', "No weights."),
    "an exception": ('raise ValueError("odd")', "odd"),
    "nonsense": ('print("\\0\\x7f{ not JSON")', "result"),
    "a library that is missing": ("import no_such_library", "no_such_library"),
    "no map": ("tell_result()", "The result came without its map; "),
    "a result of a later version": ('write_map()\ntell_result(schema_version="3.0")', "schema version 3.0"),
    "a map of another volume": ("write_map([3, 4, 5])\ntell_result()\n", "does not fit head: "),
    "scores that do not fit": (
        "write_map()\ntell_result(slice_axis=2, slice_scores=[1.0])",
        "its result has scores of 1 slices along axis 2",
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_failures_are_told(
    shown: Any, case: Any, child: Children, apply: Callable[[], None], temporary: Path, failure: str
) -> None:
    lines, words = FAILURES[failure]
    said = shown.ui.resultLabel.text
    child(lines)
    apply()
    assert words in shown.ui.statusLabel.text
    assert "Traceback" not in shown.ui.statusLabel.text
    assert shown.ui.applyButton.enabled
    check_idle(shown, temporary)
    assert shown.ui.resultLabel.text == said  # the earlier result stays
    child(GOOD)
    apply()
    assert shown.ui.statusLabel.text == "Done."


def test_what_nobody_foresaw_at_the_end(
    panel: Any, child: Children, apply: Callable[[], None], temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, traceback: told.append(error))

    def fail(result: Any, input_node: Any, **options: Any) -> None:
        raise AttributeError("odd")

    monkeypatch.setattr(panel.logic, "show", fail)
    child(GOOD)
    apply()
    assert panel.ui.statusLabel.text == "The result could not be shown; Slicer's Python console has the details."
    assert [str(error) for error in told] == ["odd"]
    check_idle(panel, temporary)


def test_a_child_that_hangs(
    panel: Any, child: Children, wait_until: Callable[..., None], temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_SILENCE_S", 0.3)
    child("time.sleep(600)")
    panel.ui.applyButton.click()
    wait_until(lambda: "Cancel ends it." in panel.ui.statusLabel.text)
    panel.ui.applyButton.click()
    assert panel.ui.statusLabel.text == "Cancelled."
    check_idle(panel, temporary)


def test_the_log_can_be_read_after_a_failure(panel: Any, child: Children, apply: Callable[[], None]) -> None:
    child('raise ValueError("odd")')
    apply()
    assert "Traceback" in panel.ui.logTextEdit.plainText
    child(GOOD)
    apply()
    assert panel.ui.logTextEdit.plainText == ""


def test_a_python_that_is_not_there(panel: Any, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = ChildPython(Path("/no/such/python"), {})
    monkeypatch.setattr("AnomalyMapLib.widget_apply.child_python", lambda module_folder, folder: python)
    panel.ui.applyButton.click()
    assert panel.ui.statusLabel.text == "/no/such/python: there is no such Python; choose an environment that is there."
    check_idle(panel, temporary)


def test_packages_that_were_not_installed(panel: Any, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(module_folder: Path, folder: str) -> ChildPython:
        raise PythonError("Not without PyTorch.")

    monkeypatch.setattr("AnomalyMapLib.widget_apply.child_python", refuse)
    panel.ui.applyButton.click()
    assert panel.ui.statusLabel.text == "Not without PyTorch."
    check_idle(panel, temporary)


def test_what_nobody_foresaw_at_the_start(panel: Any, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(module_folder: Path, folder: str) -> ChildPython:
        raise AttributeError("odd")

    told: list[str] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, traceback: None)
    monkeypatch.setattr(slicer.app, "testingEnabled", lambda: False)
    monkeypatch.setattr(slicer.util, "errorDisplay", lambda text, **options: told.append(text))
    monkeypatch.setattr("AnomalyMapLib.widget_apply.child_python", fail)
    panel.ui.applyButton.click()
    assert told == ["The run could not be started.\n\nodd"]
    check_idle(panel, temporary)


def test_a_volume_without_voxels(panel: Any, scene: Any, child: Children, temporary: Path) -> None:
    child(GOOD)
    empty = scene.mrml.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    panel.logic.getParameterNode().inputVolume = empty
    panel.ui.applyButton.click()
    assert panel.ui.statusLabel.text == "empty: this volume holds no voxels; choose another one."
    check_idle(panel, temporary)


def test_no_room_for_temporary_files(
    panel: Any, child: Children, monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    child(GOOD)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "not there"))
    panel.ui.applyButton.click()
    assert panel.ui.statusLabel.text.startswith("No temporary folder could be made ")
    assert panel.ui.applyButton.text == "Apply"


def test_slicer_goes_on_meanwhile(panel: Any, child: Children, wait_until: Callable[..., None]) -> None:
    child(ENDLESS)
    wait_for_work(panel, wait_until)
    longest, last = 0.0, time.monotonic()
    until = last + 1.0
    while last < until:
        slicer.app.processEvents()
        now = time.monotonic()
        longest, last = max(longest, now - last), now
    # A tenth of a second is what people begin to feel; five times that leaves room for a busy computer.
    assert longest < 0.5
