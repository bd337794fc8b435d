"""What is said above a result, on amber, of its volume: turned, moved, or not what it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("PySide6")
import scenes
import slicer
from child_stand_ins import GOOD

Children = Callable[..., None]


class TestTurnedVolume:
    WORDS = (
        "This volume is turned or bent by the transform Turn, which the bundle does not see. Harden the transform "
        "(module Transforms), then press Apply."
    )

    def test_is_told_with_the_result(self, panel: Any, case: Any, scene: Any, show: Callable[..., Any]) -> None:
        scene.move(case.input_node, scenes.about_x(90), "Turn")
        show()
        assert panel.ui.noticeLabel.text == self.WORDS
        show(is_ood=True, ood_reasons=["Odd."])
        first, second = panel.ui.noticeLabel.text.split("\n")
        assert first.startswith("Do not rely on this result: ")
        assert second == self.WORDS

    def test_is_told_before_apply(self, panel: Any, case: Any, scene: Any) -> None:
        panel.exit()  # to the module Transforms
        scene.move(case.input_node, scenes.about_x(90), "Turn")
        panel.enter()
        assert panel.ui.statusLabel.text == self.WORDS
        assert panel.ui.applyButton.enabled
        panel.exit()
        case.input_node.HardenTransform()
        panel.enter()
        assert panel.ui.statusLabel.isHidden()

    def test_is_told_before_another_run(
        self, panel: Any, case: Any, scene: Any, child: Children, apply: Callable[[], None]
    ) -> None:
        child("sys.exit(1)")
        apply()
        failure = panel.ui.statusLabel.text
        turned = scene.add_volume(scenes.phantom()[0], case.matrix, "turned")
        scene.move(turned, scenes.about_x(90), "Turn")
        panel.ui.inputVolumeSelector.setCurrentNode(turned)
        assert panel.ui.statusLabel.text == f"{failure}\n{self.WORDS}"
        child("time.sleep(1)")
        panel.ui.applyButton.click()
        assert panel.ui.statusLabel.text == "Starting."

    def test_of_one_that_is_only_shifted_nothing_is_said(
        self, panel: Any, case: Any, scene: Any, show: Callable[..., Any]
    ) -> None:
        scene.move(case.input_node, scenes.translation(10, 20, 30))
        show()
        assert panel.ui.noticeLabel.isHidden()


class TestMovedVolume:
    WORDS = "The volume was moved since; the map no longer lies where it belongs. Move the map too, or run it again."

    def test_under_a_transform_and_back(self, shown: Any, case: Any, scene: Any) -> None:
        scene.move(case.input_node, scenes.translation(50, 0, 0))
        assert shown.ui.noticeLabel.text == self.WORDS
        assert not shown.ui.noticeLabel.isHidden()
        case.input_node.SetAndObserveTransformNodeID(None)
        assert shown.ui.noticeLabel.isHidden()

    def test_with_its_map(self, shown: Any, case: Any, scene: Any) -> None:
        transform_node = scene.move(case.input_node, scenes.translation(50, 0, 0))
        case.results.node("anomalyMap").SetAndObserveTransformNodeID(transform_node.GetID())
        assert shown.ui.noticeLabel.isHidden()
        transform_node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(scenes.translation(0, 9, 0)))
        assert shown.ui.noticeLabel.isHidden()

    def test_hardened(self, panel: Any, case: Any, scene: Any, show: Callable[..., Any]) -> None:
        scene.move(case.input_node, scenes.translation(50, 0, 0))
        show()
        case.input_node.HardenTransform()
        assert panel.ui.noticeLabel.text == self.WORDS

    def test_by_its_header(self, shown: Any, case: Any) -> None:
        case.input_node.SetOrigin(1, 2, 3)
        assert shown.ui.noticeLabel.text == self.WORDS

    def test_a_result_of_its_own_warns_too(self, panel: Any, case: Any, show: Callable[..., Any]) -> None:
        show(is_ood=True, ood_reasons=["Odd."])
        case.input_node.SetOrigin(1, 2, 3)
        first, second = panel.ui.noticeLabel.text.split("\n")
        assert first.startswith("Do not rely on this result: ")
        assert second == self.WORDS

    def test_while_another_module_is_open(self, shown: Any, case: Any, scene: Any) -> None:
        shown.exit()
        case.input_node.SetOrigin(1, 2, 3)
        assert shown.ui.noticeLabel.isHidden()  # nothing is followed
        shown.enter()
        assert shown.ui.noticeLabel.text == self.WORDS

    def test_without_voxels(self, shown: Any, case: Any) -> None:
        case.input_node.SetAndObserveImageData(None)
        assert shown.ui.noticeLabel.isHidden()


class TestChangedVoxels:
    WORDS = "The voxels of this volume were changed since Apply was pressed; the result is of what they were."

    def test_during_the_run(
        self, panel: Any, case: Any, child: Children, apply: Callable[[], None], wait_until: Callable[..., None]
    ) -> None:
        child(GOOD)
        panel.ui.applyButton.click()
        slicer.util.updateVolumeFromArray(case.input_node, case.voxels)
        wait_until(lambda: not panel.apply.run.is_running)
        assert panel.ui.statusLabel.text == "Done."
        assert panel.ui.noticeLabel.text == self.WORDS
        apply()
        assert panel.ui.noticeLabel.isHidden()

    def test_in_place_after_the_run(self, panel: Any, case: Any, child: Children, apply: Callable[[], None]) -> None:
        child(GOOD)
        apply()
        assert panel.ui.noticeLabel.isHidden()
        slicer.util.arrayFromVolume(case.input_node)[0] = 0
        slicer.util.arrayFromVolumeModified(case.input_node)
        assert panel.ui.noticeLabel.text == self.WORDS
        panel.exit()
        panel.enter()
        assert panel.ui.noticeLabel.text == self.WORDS

    def test_an_earlier_result_is_still_of_what_it_was(
        self, panel: Any, case: Any, child: Children, apply: Callable[[], None]
    ) -> None:
        child(GOOD)
        apply()
        slicer.util.updateVolumeFromArray(case.input_node, case.voxels)
        child("sys.exit(1)")
        apply()
        assert panel.ui.noticeLabel.text == self.WORDS

    def test_looking_and_saving_change_nothing(
        self, panel: Any, scene: Any, child: Children, apply: Callable[[], None], tmp_path: Path
    ) -> None:
        child(GOOD)
        apply()
        scene.fit()
        assert scene.pixels("Red").any()
        scene.save(tmp_path / "a.mrb")
        assert panel.ui.noticeLabel.isHidden()

    def test_of_a_saved_scene_nothing_is_known(
        self, panel: Any, scene: Any, child: Children, apply: Callable[[], None]
    ) -> None:
        child(GOOD)
        apply()
        text = scene.holder.GetParameter("result")
        scene.mrml.Clear(False)
        volume = scene.add_volume(scenes.phantom()[0], scenes.GEOMETRIES["right-handed"], "head")
        panel.logic.holder.SetNodeReferenceID("resultOf", volume.GetID())
        panel.logic.holder.SetParameter("result", text)
        assert panel.ui.scoreLabel.text == "0.25"
        assert panel.ui.noticeLabel.isHidden()
