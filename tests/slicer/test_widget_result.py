"""A result in the panel: what it says, and what its buttons and sliders do to the scene."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PySide6")
import cases
import scenes
import slicer
from AnomalyMapLib.description import describe, size_in_words
from AnomalyMapLib.scene import ResultScene
from PySide6.QtCore import Qt

CLASSES = [{"name": "normal", "probability": 0.125}, {"name": "glaucoma", "probability": 0.875}]


def planes(scene: Any) -> tuple[float, float, float]:
    """The planes of the sagittal, coronal and axial view: R, A and S in mm."""
    names = ("Yellow", "Green", "Red")
    return tuple(
        scene.views[name].GetSliceNode().GetSliceToRAS().GetElement(axis, 3) for axis, name in enumerate(names)
    )


def run(case: Any, **values: Any) -> None:
    """Lays a result with findings as the module's logic does: the panel looks when all is there."""
    with slicer.util.NodeModify(case.scene.holder):
        case.lay_deviation(**values)


class TestWords:
    def test_a_score_that_is_calibrated(self, panel: Any, show: Callable[..., Any]) -> None:
        result = show(p_value=0.03, threshold=0.2, is_anomalous=True)
        first, said = panel.ui.resultLabel.text.split("\n", 1)
        assert first == "Of head, by tiny 1.2.3."
        assert said == describe(result).text
        assert "\nMore unusual than 97 of 100 healthy images. " in said
        assert panel.ui.noticeLabel.isHidden()
        assert (panel.ui.scoreLabel.text, panel.ui.pValueLabel.text) == ("0.25", "0.03")
        assert not panel.ui.scoreLabel.isHidden()
        assert not panel.ui.pValueLabel.isHidden()

    def test_whose_result_it_is_stays_when_another_volume_is_chosen(self, shown: Any, case: Any, scene: Any) -> None:
        other = scene.add_volume(scenes.phantom()[0], case.matrix, "other")
        shown.logic.getParameterNode().inputVolume = other
        assert shown.ui.resultLabel.text.startswith("Of head, by ")
        shown.exit()
        scene.mrml.RemoveNode(case.input_node)
        shown.enter()
        assert shown.ui.resultLabel.text.startswith("Of a volume that is no longer in the scene, by tiny 1.2.3.")

    def test_a_score_that_is_not(self, panel: Any, show: Callable[..., Any]) -> None:
        show()
        assert panel.ui.pValueLabel.text == "not compared with healthy images"

    def test_classes(self, panel: Any, show: Callable[..., Any]) -> None:
        show(classes=CLASSES, anomaly_score=None)
        table = panel.ui.classTable
        cells = [[table.item(row, column).text() for column in range(2)] for row in range(table.rowCount)]
        assert cells == [["glaucoma", "88 %"], ["normal", "12 %"]]
        assert not table.isHidden()
        assert panel.ui.scoreLabel.isHidden()
        assert panel.ui.thresholdSlider.enabled  # of the weight map
        show()
        assert table.isHidden()

    def test_classes_without_a_map(self, shown: Any, case: Any) -> None:
        shown.logic.show(case.result(classes=CLASSES, anomaly_score=None, peak=None, slice_axis=None), case.input_node)
        ui = shown.ui
        assert "There is no weight map" in ui.resultLabel.text
        assert not ui.classTable.isHidden()
        assert ui.scoreTableView.isHidden()
        waiting = (ui.thresholdSlider, ui.opacitySlider, ui.renderingCheckBox, ui.segmentButton, ui.peakButton)
        assert not any(widget.enabled for widget in waiting)

    def test_a_result_of_a_later_version(self, panel: Any, show: Callable[..., Any], scene: Any) -> None:
        show()
        text = scene.holder.GetParameter("result")
        scene.holder.SetParameter("result", text.replace('"schema_version": "2.0"', '"schema_version": "3.0"'))
        assert "schema version 3.0" in panel.ui.resultLabel.text
        assert not panel.ui.segmentButton.enabled


class TestOutOfDistribution:
    REASON = "It looks unlike the images that the bundle was made for."

    def test_the_notice_is_seen_at_once(self, panel: Any, show: Callable[..., Any]) -> None:
        show(is_ood=True, ood_reasons=[self.REASON])
        notice = panel.ui.noticeLabel
        assert not notice.isHidden()
        assert notice.text.startswith("Do not rely on this result: ")
        assert self.REASON in notice.text
        assert "background" in notice.styleSheet
        assert "rely" not in panel.ui.resultLabel.text
        assert panel.ui.pValueLabel.text == "withheld"

    def test_it_goes_with_the_next_result(self, panel: Any, show: Callable[..., Any]) -> None:
        show(is_ood=True, ood_reasons=[self.REASON])
        show(is_ood=False)
        assert panel.ui.noticeLabel.isHidden()


class TestFindings:
    def test_next_goes_to_each_in_turn(self, panel: Any, case: Any, scene: Any) -> None:
        case.lay_deviation()
        button, label = panel.ui.nextFindingButton, panel.ui.findingLabel
        assert not button.isHidden()
        seen = []
        for _ in range(3):
            button.click()
            seen.append((label.text.split(":")[0], planes(scene)[2]))
        other = (case.matrix @ [*cases.OTHER, 1])[2]
        assert [words for words, _ in seen] == ["Finding 1 of 2", "Finding 2 of 2", "Finding 1 of 2"]
        assert [place for _, place in seen] == pytest.approx([case.peak_ras[2], other, case.peak_ras[2]], abs=0.1)
        assert "8.0 standard deviations from healthy images, 0.049 ml." in label.text

    def test_the_map_is_in_standard_deviations(self, panel: Any, case: Any, show: Callable[..., Any]) -> None:
        case.lay_deviation()
        assert panel.ui.mapKindLabel.text == "Standard deviations from healthy images"
        assert panel.ui.thresholdSlider.maximum == pytest.approx(8.0)
        assert panel.ui.thresholdSlider.value == case.results.threshold == 2.0  # that of findings
        show()
        assert panel.ui.mapKindLabel.text == "Departure from the healthy redrawing, 0 to 1"

    @pytest.mark.parametrize("findings", [None, []])
    def test_none(self, panel: Any, show: Callable[..., Any], findings: Any) -> None:
        show(findings=findings)
        assert panel.ui.nextFindingButton.isHidden()


class TestOutlinesThatSomebodyChanged:
    """They are kept when the volume is run again, and the panel says where."""

    NAME = "head deviation map segmentation"
    KEPT = f'Your changes to the outlines were kept, in "{NAME}".'
    NEW = f'{KEPT} The new outlines are in "{NAME}_1".'

    @pytest.fixture
    def changed(self, panel: Any, case: Any) -> Any:
        """The panel with findings, of which somebody named one; gives their segmentation."""
        case.lay_deviation()
        assert panel.ui.keptLabel.isHidden()
        node = case.results.node("segmentation")
        node.GetSegmentation().GetSegment("Finding1").SetName("meningioma")
        return node

    def test_it_is_told_until_the_next_run(self, panel: Any, case: Any, changed: Any) -> None:
        assert panel.ui.keptLabel.isHidden()  # nothing was run
        run(case)
        assert panel.ui.keptLabel.text == self.NEW
        assert not panel.ui.keptLabel.isHidden()
        run(case)
        assert panel.ui.keptLabel.isHidden()

    def test_a_run_of_another_volume_says_nothing_of_them(
        self, panel: Any, case: Any, scene: Any, changed: Any
    ) -> None:
        run(case)
        case.input_node = scene.add_volume(case.voxels, case.matrix, "other")
        run(case)
        assert panel.ui.keptLabel.isHidden()

    def test_where_there_are_no_new_ones(self, panel: Any, case: Any, changed: Any) -> None:
        run(case, findings=[])
        assert panel.ui.keptLabel.text == self.KEPT

    def test_by_make_segment(self, panel: Any, case: Any, changed: Any) -> None:
        panel.ui.segmentButton.click()
        assert panel.ui.keptLabel.text == self.NEW
        assert panel.ui.displayLabel.text.startswith("The segment has ")

    @pytest.mark.parametrize("in_batch", [False, True])
    def test_what_is_deleted_is_not_told(self, panel: Any, case: Any, scene: Any, changed: Any, in_batch: bool) -> None:
        run(case)
        with scene.batch() if in_batch else contextlib.nullcontext():
            scene.mrml.RemoveNode(case.results.node("segmentation"))
        assert panel.ui.keptLabel.text == self.KEPT
        with scene.batch() if in_batch else contextlib.nullcontext():
            scene.mrml.RemoveNode(changed)
        assert panel.ui.keptLabel.isHidden()

    def test_behind_another_module(self, panel: Any, case: Any, changed: Any) -> None:
        panel.exit()
        run(case, take_views=False)
        changed.SetName("Reviewed")
        panel.enter()
        assert panel.ui.keptLabel.text == self.NEW.replace(self.NAME, "Reviewed", 1)

    def test_in_a_saved_scene(self, case: Any, scene: Any, changed: Any, tmp_path: Path) -> None:
        run(case)
        scene.save(tmp_path / "a.mrb")
        loaded = scenes.Scene.load(tmp_path / "a.mrb")
        assert ResultScene(loaded.holder).kept_segmentation.GetName() == self.NAME
        loaded.close()


class TestSlices:
    def test_the_table_has_what_people_read(self, shown: Any, case: Any) -> None:
        view = shown.ui.scoreTableView
        assert view.mrmlTableNode() is case.results.node("scoreTable")
        names = [
            view.model().headerData(column, Qt.Orientation.Horizontal) for column in range(view.model().columnCount())
        ]
        seen = [name for column, name in enumerate(names) if not view.isColumnHidden(column)]
        assert seen == ["Slice", "Score", "Position (mm)"]
        assert not view.isHidden()

    def test_a_click_moves_the_views(self, shown: Any, case: Any, scene: Any) -> None:
        shown.ui.scoreTableView.click(scenes.PEAK[2])
        assert planes(scene) == pytest.approx(tuple(case.peak_ras), abs=0.1)

    def test_the_enter_key_moves_them_too(self, shown: Any, case: Any, scene: Any) -> None:
        view = shown.ui.scoreTableView
        view.activated.emit(view.model().index(scenes.PEAK[2], 0))
        assert planes(scene) == pytest.approx(tuple(case.peak_ras), abs=0.1)

    def test_of_calibrated_slices_the_p_values_are_seen(self, shown: Any, show: Callable[..., Any]) -> None:
        show(slice_p_values=[None] * 19 + [0.01])
        view = shown.ui.scoreTableView
        seen = [column for column in range(view.model().columnCount()) if not view.isColumnHidden(column)]
        names = [view.model().headerData(column, Qt.Orientation.Horizontal) for column in seen]
        assert names == ["Slice", "Score", "p", "Position (mm)"]
        cells = [view.model().item(row, 2).text() for row in range(scenes.SHAPE[0])]
        assert cells == [""] * 19 + ["0.01"]

    def test_next_goes_to_the_slice_that_stands_out(self, shown: Any, case: Any, scene: Any) -> None:
        shown.ui.nextSliceButton.click()
        assert planes(scene)[2] == pytest.approx(case.peak_ras[2], abs=0.1)
        (index,) = shown.ui.scoreTableView.selectionModel().selectedRows()
        assert index.row() == scenes.PEAK[2]
        assert shown.ui.sliceLabel.isHidden()

    def test_next_where_none_stands_out(self, panel: Any, show: Callable[..., Any], scene: Any) -> None:
        show(slice_scores=[0.0] * scenes.SHAPE[0])
        before = planes(scene)
        panel.ui.nextSliceButton.click()
        assert planes(scene) == before
        assert panel.ui.sliceLabel.text == "No slice stands out."

    def test_the_plot_is_shown(self, shown: Any, case: Any, scene: Any) -> None:
        layout = scene.mrml.AddNode(slicer.vtkMRMLLayoutNode())
        layout.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView)
        shown.ui.plotButton.click()
        assert layout.GetViewArrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalPlotView
        selection = scene.application.GetSelectionNode()
        assert selection.GetActivePlotChartID() == case.results.node("scoreChart").GetID()

    def test_an_image_has_none(self, panel: Any, show: Callable[..., Any]) -> None:
        show()
        show(slice_axis=None, slice_scores=[])
        assert panel.ui.scoreTableView.isHidden()
        assert panel.ui.nextSliceButton.isHidden()
        assert panel.ui.plotButton.isHidden()


class TestViewsThatShowAnotherVolume:
    """They stay where they are, and the panel says why where that goes for all."""

    WORDS = "No slice view shows this result, so none was moved. Show its volume in one first."

    @pytest.fixture
    def other(self, panel: Any, case: Any, scene: Any) -> Any:
        """Another volume, in all views but one."""
        case.lay_deviation()
        node = scene.add_volume(case.voxels, case.matrix, "other")
        scene.show({"Yellow": node, "Green": node})
        return node

    def press_all(self, ui: Any) -> list[str]:
        """Presses all that moves views; gives what is said then."""
        ui.nextFindingButton.click()
        ui.nextSliceButton.click()
        ui.peakButton.click()
        said = [label.text for label in (ui.findingLabel, ui.sliceLabel, ui.displayLabel)]
        ui.scoreTableView.click(0)
        return [*said, ui.sliceLabel.text]

    def test_where_one_shows_the_result(self, panel: Any, scene: Any, other: Any) -> None:
        right, anterior, _ = planes(scene)
        finding, *rest = self.press_all(panel.ui)
        assert finding.endswith("of healthy images.")
        assert rest == ["", "", ""]
        assert planes(scene)[:2] == (right, anterior)

    def test_where_none_does(self, panel: Any, scene: Any, other: Any) -> None:
        scene.show({"Red": other})
        before = planes(scene)
        finding, *rest = self.press_all(panel.ui)
        assert finding.startswith("Finding 1 of 2: ")
        assert finding.endswith(f"of healthy images.\n{self.WORDS}")
        assert rest == [self.WORDS] * 3
        assert planes(scene) == before


class TestDisplay:
    def test_the_panel_shows_what_the_views_do(self, shown: Any, case: Any) -> None:
        assert shown.ui.thresholdSlider.value == case.results.threshold == 0.3
        assert shown.ui.opacitySlider.value == case.results.opacity == 0.6
        assert shown.ui.thresholdSlider.maximum == pytest.approx(0.8)
        assert shown.ui.thresholdSlider.enabled

    def test_sliders_act_at_once(self, shown: Any, case: Any, scene: Any) -> None:
        scene.fit()
        slicer.util.getNode("vtkMRMLSliceNodeRed").JumpSliceByOffsetting(*case.peak_ras)
        before = scenes.coloured(scene.pixels("Red")).sum()
        shown.ui.thresholdSlider.value = 0.6
        assert case.results.threshold == 0.6
        assert 0 < scenes.coloured(scene.pixels("Red")).sum() < before / 2
        shown.ui.opacitySlider.value = 0.0
        assert case.results.opacity == 0
        assert scenes.coloured(scene.pixels("Red")).sum() == 0

    def test_the_panel_follows_other_hands(self, shown: Any, case: Any, scene: Any) -> None:
        case.results.node("anomalyMap").GetDisplayNode().SetThreshold(0.5, 0.8)
        assert shown.ui.thresholdSlider.value == 0.5
        for view in scene.views.values():
            view.GetSliceCompositeNode().SetForegroundOpacity(0.2)
        assert shown.ui.opacitySlider.value == pytest.approx(0.2)

    def test_a_threshold_below_zero_is_taken_for_zero(self, shown: Any, case: Any) -> None:
        case.results.node("anomalyMap").GetDisplayNode().SetThreshold(-5.0, 0.8)
        assert shown.ui.thresholdSlider.value == case.results.threshold == 0

    def test_rendering(self, shown: Any, case: Any) -> None:
        shown.ui.renderingCheckBox.checked = True
        assert case.results.rendering
        case.results.node("volumeRendering").SetVisibility(False)
        assert not shown.ui.renderingCheckBox.checked
        shown.ui.renderingCheckBox.checked = True
        shown.ui.renderingCheckBox.checked = False
        assert not case.results.rendering

    def test_each_run_begins_with_the_same_display(self, shown: Any, case: Any, show: Callable[..., Any]) -> None:
        shown.ui.thresholdSlider.value = 0.7
        shown.ui.opacitySlider.value = 0.1
        show()
        assert (shown.ui.thresholdSlider.value, shown.ui.opacitySlider.value) == (0.3, 0.6)
        assert (case.results.threshold, case.results.opacity) == (0.3, 0.6)

    @pytest.mark.parametrize("factor", [1e-4, 1e-2, 50.0])
    def test_the_slider_has_the_range_of_the_map(
        self, panel: Any, case: Any, show: Callable[..., Any], factor: float
    ) -> None:
        show(settings={"map_threshold": 0.7})
        show(factor, settings={"map_threshold": 0.3 * factor})
        slider = panel.ui.thresholdSlider
        assert slider.maximum == pytest.approx(0.8 * factor, rel=0.01)
        assert slider.value == pytest.approx(0.3 * factor, rel=0.01)
        assert case.results.threshold == 0.3 * factor  # and not what the slider rounds it to
        assert slider.singleStep <= slider.maximum / 50

    def test_a_segment(self, shown: Any, case: Any) -> None:
        shown.ui.thresholdSlider.value = 0.5
        shown.ui.segmentButton.click()
        assert case.results.node("segmentation") is not None
        ml = 1.5 * 1.2 * 3.0 / 1000
        assert shown.ui.displayLabel.text == f"The segment has {size_in_words(np.sum(case.voxels >= 0.5), ml)}."

    def test_a_segment_of_nothing(self, shown: Any) -> None:
        shown.logic.getParameterNode().threshold = 0.9
        shown.ui.segmentButton.click()
        assert "threshold" in shown.ui.displayLabel.text

    def test_the_peak(self, shown: Any, case: Any, scene: Any) -> None:
        shown.ui.peakButton.click()
        position = case.results.node("peakMarker").GetNthControlPointPositionWorld(0)
        assert position == pytest.approx(tuple(case.peak_ras), abs=0.1)
        assert planes(scene)[2] == pytest.approx(case.peak_ras[2], abs=0.1)

    def test_a_map_of_zeros_has_no_peak(self, panel: Any, case: Any, show: Callable[..., Any]) -> None:
        show(factor=0.0, peak={**case.peak(), "value": 0.0})
        assert panel.ui.segmentButton.enabled
        assert not panel.ui.peakButton.enabled


class TestWhatIsDeleted:
    def test_the_map(self, shown: Any, case: Any, scene: Any) -> None:
        scene.mrml.RemoveNode(case.results.node("anomalyMap"))
        ui = shown.ui
        assert not ui.thresholdSlider.enabled
        assert not ui.segmentButton.enabled
        assert not ui.nextSliceButton.enabled
        ui.thresholdSlider.value = 0.1  # by a script: nothing to show it on

    def test_the_maps_file(self, shown: Any, case: Any, scene: Any, open_panel: Callable[[], Any]) -> None:
        said = shown.ui.resultLabel.text
        shown.cleanup()
        case.results.node("anomalyMap").SetAndObserveImageData(None)
        again = open_panel()
        assert again.ui.resultLabel.text == said
        assert not again.ui.segmentButton.enabled
        assert not again.ui.nextSliceButton.enabled

    def test_the_table(self, shown: Any, case: Any, scene: Any) -> None:
        scene.mrml.RemoveNode(case.results.node("scoreTable"))
        assert shown.ui.scoreTableView.isHidden()
        assert not shown.ui.nextSliceButton.enabled
        assert shown.ui.segmentButton.enabled

    def test_another_run_makes_all_again(self, shown: Any, case: Any, scene: Any, show: Callable[..., Any]) -> None:
        for role in ("anomalyMap", "scoreTable", "colorTable"):
            scene.mrml.RemoveNode(case.results.node(role))
        show()
        assert shown.ui.thresholdSlider.enabled
        assert shown.ui.thresholdSlider.value == 0.3
        assert shown.ui.nextSliceButton.enabled


class TestBatches:
    """Changes that Slicer makes as a batch, during which nobody is told of them."""

    def test_what_is_deleted(self, shown: Any, case: Any, scene: Any) -> None:
        with scene.batch():
            scene.mrml.RemoveNode(case.input_node)
            scene.mrml.RemoveNode(case.results.node("anomalyMap"))
        assert not shown.ui.applyButton.enabled
        assert shown.ui.statusLabel.text.startswith("Choose a volume; ")
        assert not shown.ui.thresholdSlider.enabled
        assert not shown.ui.segmentButton.enabled

    def test_what_is_changed_stays(self, shown: Any, case: Any, scene: Any) -> None:
        with scene.batch():
            case.results.opacity = 0.2
            case.results.threshold = 0.5
        assert (shown.ui.opacitySlider.value, shown.ui.thresholdSlider.value) == (0.2, 0.5)
        assert (case.results.opacity, case.results.threshold) == (0.2, 0.5)

    def test_while_another_module_is_open(self, shown: Any, case: Any, scene: Any) -> None:
        shown.exit()
        with scene.batch():
            case.results.opacity = 0.2
        shown.enter()
        assert shown.ui.opacitySlider.value == 0.2


def test_while_another_module_is_open_the_scene_is_left_alone(shown: Any, case: Any) -> None:
    shown.exit()
    case.results.threshold = 0.5
    shown.ui.thresholdSlider.value = 0.1
    assert case.results.threshold == 0.5
    shown.enter()
    assert shown.ui.thresholdSlider.value == 0.5
    shown.ui.thresholdSlider.value = 0.2
    assert case.results.threshold == 0.2
