"""The whole way in the panel with the true child: from a volume to its overlay, and the module's self test."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PySide6")
import scenes
import slicer
from AnomalyMapLib.volumes import geometry_difference, read_volume

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENT = REPOSITORY / ".venv"
SAMPLE = REPOSITORY / "slicer_extension" / "AnomalyMap" / "Resources" / "SampleData" / "phantom_lesion.nrrd"
# Left-handed, as most NIfTI files; lies beside the repository and is not part of it.
FLAIR = REPOSITORY.parent / "shared" / "data" / "flair" / "patient12_study1_FLAIR.nii.gz"

needs_library = pytest.mark.skipif(
    not (ENVIRONMENT / "bin" / "python").exists(), reason=f"{ENVIRONMENT}: no environment with monai-sagan is there"
)


def load(scene: Any, path: Path) -> Any:
    node = scene.mrml.AddNode(read_volume(path))
    node.CreateDefaultDisplayNodes()
    return node


@pytest.fixture
def sample_data(scene: Any, qt_world: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stands for the module Sample Data: keeps what is registered, and loads it."""

    class Logic:
        sources: dict[str, dict[str, Any]] = {}
        categories: dict[str, str] = {}

        @classmethod
        def registerCustomSampleDataCategory(cls, category: str, title: str) -> None:  # noqa: N802
            cls.categories[category] = title

        @classmethod
        def registerCustomSampleDataSource(cls, **source: Any) -> None:  # noqa: N802
            cls.sources[source["sampleName"]] = source

    module = types.ModuleType("SampleData")
    module.SampleDataLogic = Logic
    module.downloadSample = lambda name: load(scene, Path(Logic.sources[name]["uris"].removeprefix("file://")))
    monkeypatch.setitem(sys.modules, "SampleData", module)
    qt_world.use_scene(scene)
    return Logic


def run_on(path: Path, scene: Any, open_panel: Callable[[], Any], wait_until: Callable[..., None]) -> Any:
    node = load(scene, path)
    panel = open_panel()
    panel.apply.python.add_folder(str(ENVIRONMENT))
    panel.ui.deviceComboBox.currentIndex = panel.ui.deviceComboBox.findData("cpu")
    panel.ui.applyButton.click()
    told = []

    def is_over() -> bool:
        if panel.ui.statusLabel.text not in told:
            told.append(panel.ui.statusLabel.text)
        return not panel.apply.run.is_running

    wait_until(is_over, 300.0)
    assert panel.ui.statusLabel.text == "Done.", (panel.ui.statusLabel.text, panel.apply.run.log)
    is_picture = node.GetImageData().GetDimensions()[2] == 1  # which is done before it can be told how far it is
    assert is_picture or any(" % done." in words for words in told)
    map_node = panel.logic.getParameterNode().anomalyMap
    assert geometry_difference(map_node, node) == ""
    scene.fit()
    panel.ui.peakButton.click()
    assert all(scenes.coloured(scene.pixels(view)).any() for view in scenes.VIEWS)
    return panel


@needs_library
def test_the_phantom(
    scene: Any, open_panel: Callable[[], Any], wait_until: Callable[..., None], temporary: Path
) -> None:
    panel = run_on(SAMPLE, scene, open_panel, wait_until)
    # The bundle that ships is calibrated, and the sample has a lesion.
    origin, found, score = panel.ui.resultLabel.text.splitlines()[:3]
    assert origin.startswith("Of phantom_lesion, by sagan_anomaly_detection ")
    assert " finding" in found
    assert score.startswith("More unusual than ")
    assert panel.ui.nextSliceButton.enabled
    panel.ui.segmentButton.click()
    assert panel.ui.displayLabel.text.endswith(" ml.")
    panel.cleanup()
    assert list(temporary.iterdir()) == []


@needs_library
class TestClassifier:
    @pytest.fixture
    def choose_classifier(self, open_panel: Callable[[], Any]) -> Callable[[], Any]:
        """Opens the panel and chooses the classifier that ships."""

        def choose() -> Any:
            panel = open_panel()
            panel.logic.getParameterNode().bundle = "global_attention_classification"
            if panel.apply.bundles.problem:
                pytest.skip(panel.apply.bundles.problem)
            return panel

        return choose

    def test_a_picture(
        self, scene: Any, choose_classifier: Callable[[], Any], wait_until: Callable[..., None], tmp_path: Path
    ) -> None:
        phantom = slicer.util.arrayFromVolume(read_volume(SAMPLE))
        scenes.write_map(tmp_path / "picture.nrrd", phantom[16:17], np.eye(4))
        panel = run_on(tmp_path / "picture.nrrd", scene, choose_classifier, wait_until)
        table = panel.ui.classTable
        assert {table.item(row, 0).text() for row in range(table.rowCount)} == {"healthy", "anomalous"}
        assert panel.ui.resultLabel.text.splitlines()[1].startswith("Most probable is ")
        assert panel.logic.getParameterNode().anomalyMap.GetName() == "picture weight map"
        assert panel.ui.scoreTableView.isHidden()

    def test_a_volume_is_refused(
        self, scene: Any, choose_classifier: Callable[[], Any], wait_until: Callable[..., None]
    ) -> None:
        load(scene, SAMPLE)
        panel = choose_classifier()
        panel.apply.python.add_folder(str(ENVIRONMENT))
        panel.ui.applyButton.click()
        wait_until(lambda: not panel.apply.run.is_running, 300.0)
        assert panel.ui.statusLabel.text.startswith("A volume of 32 slices does not suit ")


@needs_library
@pytest.mark.skipif(not FLAIR.is_file(), reason=f"{FLAIR}: real images are not part of the repository")
def test_a_real_volume(
    scene: Any, open_panel: Callable[[], Any], wait_until: Callable[..., None], tmp_path: Path
) -> None:
    panel = run_on(FLAIR, scene, open_panel, wait_until)
    values = slicer.util.arrayFromVolume(panel.logic.getParameterNode().anomalyMap)
    assert panel.ui.scoreTableView.model().rowCount() in values.shape
    peak = np.array(panel.logic.getParameterNode().peakMarker.GetNthControlPointPositionWorld(0))
    before = scenes.coloured(scene.pixels("Red")).sum()
    panel.ui.thresholdSlider.value = 0.9 * panel.ui.thresholdSlider.maximum
    assert 0 < scenes.coloured(scene.pixels("Red")).sum() < before
    said = panel.ui.resultLabel.text
    scene.save(tmp_path / "scene.mrb")
    loaded = scenes.Scene.load(tmp_path / "scene.mrb")
    marker = loaded.holder.GetNodeReference("peakMarker")
    np.testing.assert_allclose(marker.GetNthControlPointPositionWorld(0), peak, atol=1e-3)
    loaded.close()
    assert said in panel.ui.resultLabel.text


def test_the_sample_is_registered(sample_data: Any) -> None:
    import hashlib

    from AnomalyMapLib.sample_data import SAMPLE as NAME
    from AnomalyMapLib.sample_data import register_sample_data

    register_sample_data(SAMPLE.parents[2])
    source = sample_data.sources[NAME]
    assert source["uris"] == SAMPLE.as_uri()
    assert source["checksums"] == f"SHA256:{hashlib.sha256(SAMPLE.read_bytes()).hexdigest()}"
    assert Path(source["thumbnailFileName"]).is_file()
    assert sample_data.categories[source["category"]] == "Anomaly Map"


class TestSelfTest:
    def test_without_the_packages(
        self, sample_data: Any, scene: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import AnomalyMap

        monkeypatch.setattr(AnomalyMap.AnomalyMapTest, "delayDisplay", lambda self, message: print(message))
        AnomalyMap.AnomalyMapTest().runTest()
        told = capsys.readouterr().out
        assert "The result is shown." in told
        assert "The child process was not tested: Slicer's Python lacks " in told

    @needs_library
    def test_with_them(
        self, sample_data: Any, scene: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import AnomalyMap
        from AnomalyMapLib.widget_packages import child_python

        monkeypatch.setattr(AnomalyMap, "own_python_lacks", lambda folder: [])
        monkeypatch.setattr(AnomalyMap, "child_python", lambda folder, own: child_python(folder, str(ENVIRONMENT)))
        monkeypatch.setattr(AnomalyMap.AnomalyMapTest, "delayDisplay", lambda self, message: print(message))
        AnomalyMap.AnomalyMapTest().runTest()
        assert "The whole way was gone." in capsys.readouterr().out
