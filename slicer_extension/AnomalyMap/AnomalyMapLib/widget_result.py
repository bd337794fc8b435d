"""What a result says, in the panel: its sentence, scores, classes, and the way to a slice."""

from __future__ import annotations

from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from .description import percent, size_in_words
from .results import AnomalyResult, ResultError
from .scene import ResultScene
from .volumes import VolumeError
from .widget_display import map_of
from .widget_notice import ResultNotice

__all__ = ["ResultView"]


# Of the table, the last ones: the centres of the slices, which nobody reads.
_NUM_HIDDEN_COLUMNS = 3

# Dark on amber: seen in light and dark styles of Slicer alike.
_NOTICE_STYLE = "background: #ffd24d; color: #201000; border: 2px solid #c05000; padding: 6px; font-weight: bold;"


class ResultView:
    """Shows a result and does what its buttons promise.

    Args:
        ui: the widgets of the panel, by their names.

    Attributes:
        notice: why the result should not be believed.
    """

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._scene: ResultScene | None = None
        self.notice = ResultNotice(ui.noticeLabel)
        ui.noticeLabel.setStyleSheet(_NOTICE_STYLE)
        ui.nextFindingButton.clicked.connect(self._next_finding)
        ui.nextSliceButton.clicked.connect(self._next_slice)
        ui.plotButton.clicked.connect(self._show_plot)
        ui.segmentButton.clicked.connect(self._make_segment)
        ui.peakButton.clicked.connect(self._mark_peak)
        for signal in (ui.scoreTableView.clicked, ui.scoreTableView.activated):  # by the mouse, and by Enter
            signal.connect(self._jump)

    def show(self, scene: ResultScene | None) -> None:
        """Shows the result of a scene; nothing where there is none."""
        self._scene = scene
        result, problem = None, ""
        try:
            result = scene.result if scene is not None else None
        except ResultError as error:
            problem = str(error)
        has_map = result is not None and map_of(scene) is not None
        self.show_kept()
        self._show_words(result, problem or _("There is no result yet."))
        self._show_classes(result)
        self._show_findings(result, has_map)
        self._ui.mapKindLabel.text = scene.map_name if has_map else ""
        self._show_slices(scene.node("scoreTable") if result is not None else None)
        for widget in (self._ui.thresholdSlider, self._ui.opacitySlider, self._ui.renderingCheckBox):
            widget.enabled = has_map
        self._ui.segmentButton.enabled = has_map
        self._ui.peakButton.enabled = has_map and result.peak is not None and result.peak.value > 0
        self._ui.nextSliceButton.enabled = has_map and scene.node("scoreTable") is not None
        self._ui.plotButton.enabled = result is not None and scene.node("scoreChart") is not None
        for label in (self._ui.findingLabel, self._ui.sliceLabel, self._ui.displayLabel):
            _tell(label, "")

    def show_kept(self) -> None:
        """Says that a segmentation which somebody had changed was kept, as long as it is there."""
        kept = self._scene.kept_segmentation if self._scene is not None else None
        _tell(self._ui.keptLabel, "" if kept is None else _kept_notice(kept, self._scene.node("segmentation")))

    def _show_words(self, result: AnomalyResult | None, instead: str) -> None:
        ui, notice, text = self._ui, "", instead
        if result is not None:
            said = self._scene.describe()
            notice, text = said.notice, "\n".join(filter(None, [_origin(result, self._scene), said.text]))
        self.notice.follow(self._scene, result, notice)
        ui.resultLabel.text = text
        has_score = result is not None and result.anomaly_score is not None
        for widget in (ui.scoreTitleLabel, ui.scoreLabel, ui.pValueTitleLabel, ui.pValueLabel):
            widget.visible = has_score
        if not has_score:
            return
        ui.scoreLabel.text = f"{result.anomaly_score:.3g}"
        if result.p_value is not None:
            ui.pValueLabel.text = f"{result.p_value:.2g}"
        else:
            ui.pValueLabel.text = _("withheld") if result.is_ood else _("not compared with healthy images")

    def _show_classes(self, result: AnomalyResult | None) -> None:
        table, classes = self._ui.classTable, result.ranked_classes if result is not None else ()
        table.visible = bool(classes)
        table.setRowCount(len(classes))
        for row, item in enumerate(classes):
            table.setItem(row, 0, qt.QTableWidgetItem(item.name))
            table.setItem(row, 1, qt.QTableWidgetItem(percent(item.probability)))

    def _show_findings(self, result: AnomalyResult | None, has_map: bool) -> None:
        button = self._ui.nextFindingButton
        button.visible = result is not None and bool(result.findings)
        button.enabled = has_map

    def _show_slices(self, table_node: slicer.vtkMRMLTableNode | None) -> None:
        view = self._ui.scoreTableView
        view.setMRMLTableNode(table_node)
        for widget in (view, self._ui.nextSliceButton, self._ui.plotButton):
            widget.visible = table_node is not None
        count = view.model().columnCount()
        for column in range(count):
            view.setColumnHidden(column, column >= count - _NUM_HIDDEN_COLUMNS)
        view.resizeColumnsToContents()

    def _next_finding(self, checked: bool = False) -> None:
        try:
            finding = self._scene.next_finding()
        except VolumeError as error:
            _tell(self._ui.findingLabel, str(error))
            return
        if finding is not None:
            self._tell_with_views(self._ui.findingLabel, self._scene.describe_finding(finding))

    def _next_slice(self, checked: bool = False) -> None:
        row, problem = None, _("No slice stands out.")
        try:
            row = self._scene.next_high_slice()
        except VolumeError as error:
            problem = str(error)
        if row is None:
            _tell(self._ui.sliceLabel, problem)
            return
        self._tell_with_views(self._ui.sliceLabel)
        self._ui.scoreTableView.selectRow(row)

    def _jump(self, index: qt.QModelIndex) -> None:
        try:
            self._scene.jump_to_slice(index.row())
        except VolumeError as error:
            _tell(self._ui.sliceLabel, str(error))
            return
        self._tell_with_views(self._ui.sliceLabel)

    def _show_plot(self, checked: bool = False) -> None:
        slicer.modules.plots.logic().ShowChartInLayout(self._scene.node("scoreChart"))

    def _make_segment(self, checked: bool = False) -> None:
        try:
            with slicer.util.NodeModify(self._scene.holder):  # the panel looks when all is there
                num_voxels = self._scene.make_segment()
            size = size_in_words(num_voxels, self._scene.voxel_ml)
            sentence = _("The segment has {size}.").format(size=size)
        except VolumeError as error:
            sentence = str(error)
        _tell(self._ui.displayLabel, sentence)

    def _mark_peak(self, checked: bool = False) -> None:
        try:
            self._scene.mark_peak()
        except VolumeError as error:
            _tell(self._ui.displayLabel, str(error))
            return
        self._tell_with_views(self._ui.displayLabel)

    def _tell_with_views(self, label: qt.QLabel, sentence: str = "") -> None:
        """Says a sentence, and why no slice view was moved if none was."""
        sentences = [sentence]
        if not self._scene.is_in_view:
            sentences.append(_("No slice view shows this result, so none was moved. Show its volume in one first."))
        _tell(label, "\n".join(filter(None, sentences)))


def _origin(result: AnomalyResult, scene: ResultScene) -> str:
    """What the result is of, and what made it: by now, another volume or bundle may be chosen."""
    bundle = f"{result.bundle.name} {result.bundle.version}"
    if scene.volume is None:
        return _("Of a volume that is no longer in the scene, by {bundle}.").format(bundle=bundle)
    return _("Of {volume}, by {bundle}.").format(volume=scene.volume.GetName(), bundle=bundle)


def _kept_notice(kept: slicer.vtkMRMLSegmentationNode, new: slicer.vtkMRMLSegmentationNode | None) -> str:
    if new is None:
        return _('Your changes to the outlines were kept, in "{kept}".').format(kept=kept.GetName())
    return _('Your changes to the outlines were kept, in "{kept}". The new outlines are in "{new}".').format(
        kept=kept.GetName(), new=new.GetName()
    )


def _tell(label: qt.QLabel, sentence: str) -> None:
    label.text = sentence
    label.visible = bool(sentence)
