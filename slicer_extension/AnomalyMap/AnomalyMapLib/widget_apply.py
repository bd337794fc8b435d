"""The part of the panel that runs a bundle: what is chosen for it, Apply and Cancel, progress and log."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from .bundles import BundleError
from .environment import PythonError
from .results import AnomalyResult
from .sample_data import SAMPLE
from .widget_choices import BundleChoice, DeviceChoice, PythonChoice
from .widget_notice import turn_notice
from .widget_packages import child_python
from .widget_run import Run

__all__ = ["ApplySection"]

_TIP_WIDTH = 72  # characters: Qt does not break the lines of a tool tip


class ApplySection:
    """Runs what the parameters say, and shows how it goes.

    Args:
        ui: the widgets of the panel, by their names.
        module_folder: the folder of ``AnomalyMap.py``.
        on_result: takes over the result of a volume, see :class:`.Run`.
    """

    def __init__(
        self, ui: Any, module_folder: Path, on_result: Callable[[AnomalyResult, slicer.vtkMRMLVolumeNode], None]
    ) -> None:
        self._ui = ui
        self._module_folder = module_folder
        self._parameters: Any = None
        self._bundle: str | None = None
        self.run = Run(self._show_run, on_result)
        self.bundles = BundleChoice(ui.bundleComboBox, ui.bundlePurposeLabel, module_folder)
        self.devices = DeviceChoice(ui.deviceComboBox)
        self.python = PythonChoice(ui.pythonComboBox)
        ui.applyButton.clicked.connect(self._apply_or_cancel)
        ui.bundleFolderButton.clicked.connect(self._choose_bundle)
        ui.pythonFolderButton.clicked.connect(self._choose_python)
        self._show_run()

    def bindings(self) -> dict[str, Any]:
        """The widgets by the parameters that they are bound to, as the .ui file has them."""
        widgets = vars(self._ui).values()
        names = [widget.property("SlicerParameterName") for widget in widgets]
        bindings = {name: widget for name, widget in zip(names, widgets) if name}
        return {**bindings, "bundle": self.bundles.connector, "device": self.devices.connector}

    def show(self, parameters: Any) -> None:
        """Follows the parameters.

        Args:
            parameters: the module's parameter node, wrapped; None while there is none.
        """
        value = parameters.bundle if parameters is not None else None
        if value is not None and value != self._bundle:  # and not from disk whenever a slider moves
            self.bundles.look_at(value)
        self._parameters, self._bundle = parameters, value
        self._ui.sliceDirectionComboBox.enabled = self.bundles.has_setting("slice_direction")
        self._ui.judgeOodCheckBox.enabled = self.bundles.has_setting("judge_ood")
        self._show_apply()

    def close(self) -> None:
        """Ends the run and all else that goes on by itself."""
        self.run.close()
        self.devices.close()

    def _apply_or_cancel(self, checked: bool = False) -> None:
        if self.run.is_running:
            self.run.cancel()
            return
        with slicer.util.tryWithErrorDisplay(_("The run could not be started.")):  # for what nobody foresaw
            self._start()

    def _start(self) -> None:
        # Read at once: while packages are installed, Slicer goes on, and what was chosen may change.
        parameters, bundles = self._parameters, self.bundles
        input_node, bundle, device = parameters.inputVolume, bundles.bundle.path, parameters.device
        slice_direction = parameters.sliceDirection.value if bundles.has_setting("slice_direction") else None
        judge_ood = parameters.judgeOod and bundles.has_setting("judge_ood")
        try:
            python = child_python(self._module_folder, self.python.folder)
        except PythonError as error:
            self.run.fail(str(error))
            return
        if input_node.GetScene() is None:
            self.run.fail(_("The volume is no longer in the scene, so nothing was run."))
            return
        self.run.start(python, input_node, bundle, device=device, slice_direction=slice_direction, judge_ood=judge_ood)

    def _show_run(self) -> None:
        ui, percent = self._ui, self.run.percent
        for section in (ui.inputCollapsibleButton, ui.advancedCollapsibleButton):
            section.enabled = not self.run.is_running
        ui.progressBar.visible = self.run.is_running
        ui.progressBar.maximum = 0 if percent is None else 100  # with 0 it only shows that something goes on
        ui.progressBar.value = percent or 0
        if ui.logTextEdit.plainText != self.run.log:  # or the place where somebody reads would be lost
            ui.logTextEdit.plainText = self.run.log
        self._show_apply()

    def _show_apply(self) -> None:
        button, running, problem = self._ui.applyButton, self.run.is_running, self._problem()
        # What is wrong with the volume is told at once: what is wrong with a bundle, the panel tells beside it.
        status = "\n".join(filter(None, [self.run.status, "" if running else self._volume_notice()]))
        self._ui.statusLabel.text = status
        self._ui.statusLabel.visible = bool(status)
        button.text = _("Cancel") if running else _("Apply")
        button.enabled = running or not problem
        tip = _("End the run.") if running else problem or _("Look for what is not healthy.")
        button.toolTip = textwrap.fill(tip, _TIP_WIDTH, break_long_words=False, break_on_hyphens=False)

    def _problem(self) -> str:
        """Why nothing can be applied; empty if something can."""
        return self._no_volume() or self.bundles.problem

    def _volume_notice(self) -> str:
        if self._parameters is None:
            return ""
        return self._no_volume() or turn_notice(self._parameters.inputVolume)

    def _no_volume(self) -> str:
        if self._parameters is not None and self._parameters.inputVolume is not None:
            return ""
        return _("Choose a volume; if there is none, load one, or try {sample} in Sample Data.").format(sample=SAMPLE)

    def _choose_bundle(self, checked: bool = False) -> None:
        folder = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Folder of a bundle"))
        try:
            if folder:
                self.bundles.add_folder(folder)
                self.run.forget()  # also that an earlier folder was none
        except BundleError as error:
            self.run.fail(str(error))
        self._show_apply()

    def _choose_python(self, checked: bool = False) -> None:
        folder = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Folder of a Python environment"))
        try:
            if folder:
                self.python.add_folder(folder)
                self.run.forget()
        except PythonError as error:
            self.run.fail(str(error))
