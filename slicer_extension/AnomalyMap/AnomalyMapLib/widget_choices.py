"""What can be chosen in the panel's combo boxes: bundles, devices, slice directions, Python environments."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import GuiConnector

from .bundles import Bundle, BundleError, read_bundle, shipped_bundles
from .environment import named_python
from .gpus import GpuQuery

__all__ = ["DEFAULT_BUNDLE", "BundleChoice", "ChoiceConnector", "DeviceChoice", "PythonChoice", "SliceDirection"]

# Its weights are made for the phantom, so that a new user has a result at once.
DEFAULT_BUNDLE = "sagan_anomaly_detection"

_BUNDLE_FOLDERS = "AnomalyMap/BundleFolders"
_PYTHON_FOLDERS = "AnomalyMap/PythonFolders"
_PYTHON = "AnomalyMap/Python"
_POLL_MS = 100
_MOST_FOLDERS = 10


class ChoiceConnector(GuiConnector):
    """Binds a parameter of text to a combo box whose items carry values besides their labels.

    Slicer's own connector has to know all values beforehand. Here, one that is not among the items, as a scene from
    another computer may hold it, becomes an item.

    Args:
        combo: the combo box.
        label: what to show for such a value.
    """

    def __init__(self, combo: qt.QComboBox, label: Callable[[str], str]) -> None:
        super().__init__()
        self._combo = combo
        self._label = label

    @staticmethod
    def canRepresent(widget: Any, datatype: Any) -> bool:  # noqa: N802
        return False  # it is never looked for, only used by name

    @staticmethod
    def create(widget: Any, datatype: Any) -> None:
        return None

    def _connect(self) -> None:
        self._combo.currentIndexChanged.connect(self.changed)

    def _disconnect(self) -> None:
        self._combo.currentIndexChanged.disconnect(self.changed)

    def widget(self) -> qt.QComboBox:
        return self._combo

    def read(self) -> str:
        return _value(self._combo)

    def write(self, value: str) -> None:
        _select(self._combo, value, self._label)


class SliceDirection(enum.Enum):
    """How a volume is cut into slices; the values are the child's words."""

    BUNDLE = None
    ACQUISITION = "acquisition"
    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"

    def label(self) -> str:
        """What the panel shows."""
        labels = {
            SliceDirection.BUNDLE: _("As the bundle has it"),
            SliceDirection.ACQUISITION: _("As they were acquired"),
            SliceDirection.AXIAL: _("Axial"),
            SliceDirection.CORONAL: _("Coronal"),
            SliceDirection.SAGITTAL: _("Sagittal"),
        }
        return labels[self]


class BundleChoice:
    """The bundles that ship and the folders that were chosen on this computer.

    A bundle is a program, and a scene may come from anybody: a folder that only the scene names is shown and not run.

    Args:
        combo: shows names and versions; its values are the names of folders that ship, or paths.
        label: shows what the chosen bundle was made for.
        module_folder: the folder of ``AnomalyMap.py``.

    Attributes:
        default: the value to begin with; empty if none ships.
        bundle: the one that :meth:`look_at` looked at; None if it cannot be used.
        problem: why not, in a sentence; empty if it can.
    """

    def __init__(self, combo: qt.QComboBox, label: qt.QLabel, module_folder: Path) -> None:
        self._combo, self._label = combo, label
        self._shipped = {bundle.path.name: bundle for bundle in shipped_bundles(module_folder)}
        self.default = DEFAULT_BUNDLE if DEFAULT_BUNDLE in self._shipped else next(iter(self._shipped), "")
        self.bundle: Bundle | None = None
        self.problem = ""
        self.connector = ChoiceConnector(combo, self._name)
        for value in [*self._shipped, *_kept(_BUNDLE_FOLDERS)]:
            combo.addItem(self._name(value), value)

    def has_setting(self, name: str) -> bool:
        """Whether an option for a run makes a difference to the bundle."""
        return self.bundle is not None and name in self.bundle.settings

    def look_at(self, value: str) -> None:
        """Reads what the bundle of a value says of itself, and shows it."""
        try:
            bundle = self._read(value)
        except BundleError as error:
            self.bundle, self.problem = None, str(error)
        else:
            self.bundle, self.problem = (None if bundle.problem else bundle), bundle.problem
        self._label.text = self.problem or self.bundle.purpose

    def add_folder(self, folder: str) -> None:
        """Chooses a folder, from now on one of the choices on this computer.

        Raises:
            BundleError: if it is no bundle.
        """
        read_bundle(Path(folder))
        _keep(_BUNDLE_FOLDERS, folder)
        was_there = _value(self._combo) == folder
        _select(self._combo, folder, self._name)
        self._combo.setItemText(self._combo.currentIndex, self._name(folder))
        if was_there:  # named by the scene until now
            self.look_at(folder)

    def _read(self, value: str) -> Bundle:
        if value in self._shipped:
            return read_bundle(self._shipped[value].path)
        if not value:
            raise BundleError(_("No bundle comes with this extension; choose the folder of one."))
        if not Path(value).is_absolute():
            raise BundleError(
                _("{name}: this bundle does not come with this extension; choose another one.").format(name=value)
            )
        if value not in _kept(_BUNDLE_FOLDERS):
            raise BundleError(
                _(
                    "{folder}: the scene names this bundle, and a bundle is a program. If you trust those who made it, "
                    "choose its folder by the button beside it."
                ).format(folder=value)
            )
        return read_bundle(Path(value))

    def _name(self, value: str) -> str:
        try:
            bundle = self._read(value)
        except BundleError:
            return value
        return f"{bundle.name} {bundle.version}".strip()


class DeviceChoice:
    """Auto, CPU, and each GPU as soon as they are known.

    Args:
        combo: shows them; its values are as PyTorch names devices.
    """

    def __init__(self, combo: qt.QComboBox) -> None:
        self._combo = combo
        self.connector = ChoiceConnector(combo, str)
        for label, value in ((_("Auto"), "auto"), (_("CPU"), "cpu")):
            combo.addItem(label, value)
        self._query = GpuQuery(slicer.util.startupEnvironment())
        self._timer = qt.QTimer()
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self._add_gpus)
        self._timer.start()

    def close(self) -> None:
        """Asks no more."""
        self._timer.stop()
        self._query.close()

    def _add_gpus(self) -> None:
        gpus = self._query.poll()
        if gpus is None:
            return
        self.close()
        for gpu in gpus:
            label = f"{gpu.name} ({gpu.device})" if gpu.name else gpu.device
            index = self._combo.findData(gpu.device)  # a scene may have named it already
            if index < 0:
                self._combo.addItem(label, gpu.device)
            else:
                self._combo.setItemText(index, label)


class PythonChoice:
    """Slicer's own Python, and the environments that were chosen on this computer.

    It is kept with Slicer's settings: a scene may come from anybody, and should not choose what program is run.

    Args:
        combo: shows them; its values are folders, empty for Slicer's own.
    """

    def __init__(self, combo: qt.QComboBox) -> None:
        self._combo = combo
        combo.addItem(_("Slicer's own"), "")
        for folder in _kept(_PYTHON_FOLDERS):
            combo.addItem(folder, folder)
        chosen = qt.QSettings().value(_PYTHON) or ""
        if combo.findData(chosen) >= 0:
            _select(combo, chosen, str)
        combo.currentIndexChanged.connect(self._remember)

    @property
    def folder(self) -> str:
        """The environment that is chosen; empty for Slicer's own."""
        return _value(self._combo)

    def add_folder(self, folder: str) -> None:
        """Chooses an environment, from now on one of the choices on this computer.

        Raises:
            PythonError: if there is no Python in it.
        """
        named_python(Path(folder), {})
        _keep(_PYTHON_FOLDERS, folder)
        _select(self._combo, folder, str)

    def _remember(self, index: int = 0) -> None:
        qt.QSettings().setValue(_PYTHON, self.folder)


def _value(combo: qt.QComboBox) -> str:
    return combo.itemData(combo.currentIndex) or ""


def _select(combo: qt.QComboBox, value: str, label: Callable[[str], str]) -> None:
    if combo.findData(value) < 0:
        combo.addItem(label(value), value)
    combo.currentIndex = combo.findData(value)


def _kept(key: str) -> list[str]:
    # As JSON: what Qt makes of a list differs between platforms and with its length.
    return json.loads(qt.QSettings().value(key) or "[]")


def _keep(key: str, folder: str) -> None:
    folders = [other for other in _kept(key) if other != folder]
    qt.QSettings().setValue(key, json.dumps([folder, *folders][:_MOST_FOLDERS]))
