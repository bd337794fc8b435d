"""What can be chosen besides the volume: bundles, devices and Python environments."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("PySide6")


def reason(panel: Any) -> str:
    """Why Apply is disabled, without the tool tip's line breaks."""
    assert not panel.ui.applyButton.enabled
    return " ".join(panel.ui.applyButton.toolTip.split())


def parameters(panel: Any) -> Any:
    return panel.logic.getParameterNode()


@pytest.fixture
def bundle_folder(tmp_path: Path) -> Path:
    """A bundle of somebody's own."""
    folder = tmp_path / "bundle"
    for name, text in {
        "configs/metadata.json": '{"name": "Of retinas", "version": "7.1", "description": "Looks at retinas."}',
        "models/model.pt": "",
    }.items():
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text)
    return folder


def choose(monkeypatch: pytest.MonkeyPatch, folder: Path | None) -> None:
    """What a user answers when a folder is asked for."""
    import qt

    answer = "" if folder is None else str(folder)
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda parent, title: answer)


def answer_gpus(monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    """What the driver's tool answers."""
    from AnomalyMapLib import widget_choices
    from AnomalyMapLib.gpus import GpuQuery

    command = (sys.executable, "-c", f"print({table!r}, end='')")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(widget_choices, "GpuQuery", functools.partial(GpuQuery, command=command))


class TestBundles:
    def test_a_folder_is_chosen(self, panel: Any, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        choose(monkeypatch, bundle_folder)
        panel.ui.bundleFolderButton.click()
        assert panel.ui.bundleComboBox.currentText == "Of retinas 7.1"
        assert panel.ui.bundlePurposeLabel.text == "Looks at retinas."
        assert parameters(panel).bundle == str(bundle_folder)
        assert panel.ui.applyButton.enabled

    def test_it_is_there_the_next_time(
        self, panel: Any, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch, open_panel: Callable[[], Any]
    ) -> None:
        choose(monkeypatch, bundle_folder)
        panel.ui.bundleFolderButton.click()
        panel.cleanup()
        again = open_panel()
        assert again.ui.bundleComboBox.findText("Of retinas 7.1") >= 0
        assert again.ui.applyButton.enabled

    def test_without_weights_apply_says_so(
        self, panel: Any, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (bundle_folder / "models" / "model.pt").unlink()
        choose(monkeypatch, bundle_folder)
        panel.ui.bundleFolderButton.click()
        problem = f"{bundle_folder}: this bundle has no weights (models/model.pt); train it, or choose another bundle."
        assert reason(panel) == problem == panel.ui.bundlePurposeLabel.text

    def test_what_is_no_bundle_is_not_chosen(self, panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        choose(monkeypatch, tmp_path)
        before = panel.ui.bundleComboBox.currentText
        panel.ui.bundleFolderButton.click()
        assert panel.ui.bundleComboBox.currentText == before
        assert panel.ui.statusLabel.text.startswith(f"{tmp_path}: this folder is not a bundle, ")

    def test_what_was_wrong_goes_with_the_next_choice(
        self, panel: Any, tmp_path: Path, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for folder in (tmp_path, bundle_folder):
            choose(monkeypatch, folder)
            panel.ui.bundleFolderButton.click()
        assert panel.ui.statusLabel.isHidden()
        environment = tmp_path / "environment"
        (environment / "bin").mkdir(parents=True)
        (environment / "bin" / "python").touch()
        for folder in (tmp_path, environment):
            choose(monkeypatch, folder)
            panel.ui.pythonFolderButton.click()
        assert panel.ui.statusLabel.isHidden()

    def test_a_dialog_that_is_left_changes_nothing(self, panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        choose(monkeypatch, None)
        panel.ui.bundleFolderButton.click()
        panel.ui.pythonFolderButton.click()
        assert parameters(panel).bundle == "sagan_anomaly_detection"
        assert panel.ui.pythonComboBox.currentText == "Slicer's own"

    def test_one_that_only_the_scene_names_is_not_run(
        self, panel: Any, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        parameters(panel).bundle = str(bundle_folder)
        assert panel.ui.bundleComboBox.currentText == str(bundle_folder)
        assert reason(panel).startswith(f"{bundle_folder}: the scene names this bundle, ")
        choose(monkeypatch, bundle_folder)
        panel.ui.bundleFolderButton.click()
        assert panel.ui.applyButton.enabled
        assert panel.ui.bundleComboBox.currentText == "Of retinas 7.1"

    def test_one_that_this_version_lacks(self, panel: Any) -> None:
        parameters(panel).bundle = "of_tomorrow"
        assert reason(panel) == "of_tomorrow: this bundle does not come with this extension; choose another one."


class TestDevices:
    def test_gpus_are_added_when_they_are_known(
        self, open_panel: Callable[[], Any], wait_until: Callable[..., None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answer_gpus(monkeypatch, "0, Small GPU\n1, Large GPU\n")
        combo = open_panel().ui.deviceComboBox
        assert combo.count == 2
        wait_until(lambda: combo.count == 4)
        assert [combo.itemText(index) for index in range(4)] == [
            "Auto",
            "CPU",
            "Small GPU (cuda:0)",
            "Large GPU (cuda:1)",
        ]

    def test_one_that_the_scene_names_stays(
        self, open_panel: Callable[[], Any], wait_until: Callable[..., None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answer_gpus(monkeypatch, "0, Small GPU\n1, Large GPU\n")
        panel = open_panel()
        parameters(panel).device = "cuda:1"
        assert panel.ui.deviceComboBox.currentText == "cuda:1"
        wait_until(lambda: panel.ui.deviceComboBox.count == 4)
        assert panel.ui.deviceComboBox.currentText == "Large GPU (cuda:1)"
        assert parameters(panel).device == "cuda:1"


class TestPython:
    def test_an_environment_is_kept_with_the_settings(
        self, panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_panel: Callable[[], Any]
    ) -> None:
        environment = tmp_path / "environment"
        (environment / "bin").mkdir(parents=True)
        (environment / "bin" / "python").touch()
        choose(monkeypatch, environment)
        panel.ui.pythonFolderButton.click()
        assert panel.ui.pythonComboBox.currentText == str(environment)
        panel.cleanup()
        again = open_panel()
        assert again.ui.pythonComboBox.currentText == str(environment)
        again.ui.pythonComboBox.currentIndex = 0
        again.cleanup()
        assert open_panel().ui.pythonComboBox.currentText == "Slicer's own"

    def test_it_is_not_in_the_scene(self, panel: Any, tmp_path: Path, scene: Any) -> None:
        environment = tmp_path / "environment"
        (environment / "bin").mkdir(parents=True)
        (environment / "bin" / "python").touch()
        panel.apply.python.add_folder(str(environment))
        scene.mrml.SetURL(str(tmp_path / "scene.mrml"))
        assert scene.mrml.Commit()
        assert str(environment) not in (tmp_path / "scene.mrml").read_text()

    def test_what_is_no_environment_is_not_chosen(
        self, panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        choose(monkeypatch, tmp_path)
        panel.ui.pythonFolderButton.click()
        assert panel.ui.pythonComboBox.currentText == "Slicer's own"
        assert panel.ui.statusLabel.text.startswith(f"{tmp_path}: this folder is no Python environment, ")
