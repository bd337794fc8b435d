"""What becomes of a run when something else is done in Slicer meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("PySide6")
import slicer
from AnomalyMapLib.environment import ChildPython
from child_stand_ins import GOOD, stand_in

Children = Callable[..., None]


class TestWhileAnotherModuleIsOpen:
    @pytest.fixture
    def messages(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """What is told at the foot of Slicer's window."""
        told: list[str] = []
        monkeypatch.setattr(slicer.util, "showStatusMessage", told.append)
        return told

    @pytest.fixture
    def left(self, panel: Any, child: Children) -> Any:
        """The panel, left while a run goes on."""
        child(GOOD)
        panel.ui.applyButton.click()
        panel.exit()
        panel.parent.isEntered = False
        return panel

    def enter(self, panel: Any) -> None:
        panel.parent.isEntered = True
        panel.enter()

    def test_it_goes_on(self, left: Any, case: Any, messages: list[str], wait_until: Callable[..., None]) -> None:
        wait_until(lambda: not left.apply.run.is_running)
        assert case.results.node("anomalyMap") is not None
        assert messages == ["Anomaly Map: the result of head is there. Open the module to see it."]
        self.enter(left)
        assert left.ui.scoreLabel.text == "0.25"
        assert left.ui.thresholdSlider.value == case.results.threshold

    @pytest.mark.parametrize("is_deleted", [False, True])
    def test_a_failure_is_told_too(
        self,
        panel: Any,
        case: Any,
        scene: Any,
        child: Children,
        messages: list[str],
        wait_until: Callable[..., None],
        is_deleted: bool,
    ) -> None:
        child("time.sleep(1)" if is_deleted else "", "sys.exit(3)")
        panel.ui.applyButton.click()
        panel.exit()
        panel.parent.isEntered = False
        if is_deleted:
            scene.mrml.RemoveNode(case.input_node)
        wait_until(lambda: not panel.apply.run.is_running)
        expected = "volume is no longer in the scene, so" if is_deleted else "program stopped with exit code 3 (the log"
        assert [message.startswith(f"Anomaly Map: The {expected}") for message in messages] == [True]

    def test_a_result_that_cannot_be_shown_is_told_too(
        self, left: Any, case: Any, messages: list[str], wait_until: Callable[..., None]
    ) -> None:
        case.input_node.SetSpacing(9, 9, 9)
        wait_until(lambda: not left.apply.run.is_running)
        assert len(messages) == 1
        assert "this map does not fit head" in messages[0]

    def test_the_views_and_the_choice_are_left_alone_until_it_is_entered(
        self, left: Any, case: Any, scene: Any, messages: list[str], wait_until: Callable[..., None]
    ) -> None:
        other = scene.add_volume(case.voxels, case.matrix, "other")
        composites = [view.GetSliceCompositeNode() for view in scene.views.values()]
        for composite, volume in zip(composites, (other, other, case.input_node)):
            composite.SetBackgroundVolumeID(volume.GetID())
        left.logic.getParameterNode().inputVolume = other
        wait_until(lambda: not left.apply.run.is_running)
        map_node = case.results.node("anomalyMap")
        shown = [(composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID()) for composite in composites]
        over_its_volume = (case.input_node.GetID(), map_node.GetID())
        assert shown == [(other.GetID(), None), (other.GetID(), None), over_its_volume]
        assert case.results.node("inputVolume") is other
        self.enter(left)
        for composite in composites:
            assert (composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID()) == over_its_volume
        legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(map_node)
        assert legend.GetMTime() > composites[0].GetMTime()  # or the views would not draw it
        assert case.results.node("inputVolume") is other

    def test_what_is_shown_of_another_volume_stays_until_it_is_entered(
        self, left: Any, case: Any, scene: Any, messages: list[str], wait_until: Callable[..., None]
    ) -> None:
        first = case.input_node
        case.input_node = scene.add_volume(case.voxels, case.matrix, "other")
        case.lay_all()
        seen = {role: case.results.node(role) for role in ("anomalyMap", "segmentation", "peakMarker")}
        composite = scene.views["Red"].GetSliceCompositeNode()
        legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(seen["anomalyMap"])

        wait_until(lambda: not left.apply.run.is_running)

        assert case.results.volume is first
        assert composite.GetForegroundVolumeID() == seen["anomalyMap"].GetID()
        assert seen["segmentation"].GetDisplayVisibility()
        assert seen["peakMarker"].GetDisplayVisibility()
        assert legend.GetVisibility()
        self.enter(left)
        assert composite.GetForegroundVolumeID() == case.results.node("anomalyMap").GetID()
        assert not seen["segmentation"].GetDisplayVisibility()
        assert not seen["peakMarker"].GetDisplayVisibility()
        assert not legend.GetVisibility()

    def test_it_is_shown_once(
        self, left: Any, case: Any, scene: Any, messages: list[str], wait_until: Callable[..., None]
    ) -> None:
        wait_until(lambda: not left.apply.run.is_running)
        self.enter(left)
        left.exit()
        composite = scene.views["Red"].GetSliceCompositeNode()
        composite.SetForegroundVolumeID(None)
        left.enter()
        assert composite.GetForegroundVolumeID() is None

    def test_a_classifier_without_a_map(self, left: Any, case: Any, scene: Any, messages: list[str]) -> None:
        left.apply.run.forget()
        result = case.result(classes=[{"name": "normal", "probability": 1.0}], peak=None, slice_axis=None)
        left.apply.run._on_result(result, case.input_node)
        composite = scene.views["Red"].GetSliceCompositeNode()
        assert composite.GetBackgroundVolumeID() is None
        self.enter(left)
        assert composite.GetBackgroundVolumeID() == case.input_node.GetID()

    def test_what_became_of_the_volume_does_not_matter(
        self, left: Any, case: Any, scene: Any, messages: list[str], wait_until: Callable[..., None]
    ) -> None:
        wait_until(lambda: not left.apply.run.is_running)
        scene.mrml.RemoveNode(case.input_node)
        self.enter(left)
        assert left.ui.resultLabel.text.startswith("Of a volume that is no longer in the scene")


class TestWhileItsPackagesAreInstalled:
    """Slicer goes on behind the dialogs of that."""

    @pytest.fixture
    def meanwhile(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
        """Says what happens meanwhile, before a child that writes down its command line."""

        def set_change(change: Callable[[], None]) -> None:
            python = stand_in(tmp_path, f"Path({str(tmp_path / 'told')!r}).write_text(' '.join(sys.argv[1:]))")

            def install(module_folder: Path, folder: str) -> ChildPython:
                change()
                return python

            monkeypatch.setattr("AnomalyMapLib.widget_apply.child_python", install)

        return set_change

    def test_the_volume_is_removed(
        self, panel: Any, case: Any, scene: Any, meanwhile: Callable[..., None], temporary: Path
    ) -> None:
        meanwhile(lambda: scene.mrml.RemoveNode(case.input_node))
        panel.ui.applyButton.click()
        assert panel.ui.statusLabel.text.splitlines()[0] == "The volume is no longer in the scene, so nothing was run."
        assert panel.ui.applyButton.text == "Apply"
        assert list(temporary.iterdir()) == []

    def test_another_bundle_is_chosen(
        self, panel: Any, meanwhile: Callable[..., None], apply: Callable[[], None], tmp_path: Path
    ) -> None:
        meanwhile(lambda: setattr(panel.logic.getParameterNode(), "bundle", "no such bundle"))
        apply()
        assert "bundles/sagan_anomaly_detection " in (tmp_path / "told").read_text()

    def test_another_module_is_opened(
        self, panel: Any, meanwhile: Callable[..., None], apply: Callable[[], None], tmp_path: Path
    ) -> None:
        meanwhile(panel.exit)
        apply()
        assert (tmp_path / "told").exists()
