"""Slicer's Qt world for tests: slicer-core has none of it.

Real are MRML and the logics (slicer-core), ``slicer.util``, and Qt with the .ui file (PySide6). Stand-ins are: PySide6
posing as PythonQt (this file), the widgets of CTK and Slicer (``headless_widgets``), and four of Slicer's Python
modules, ``i18n``, ``packaging``, ``parameterNodeWrapper`` and ``ScriptedLoadableModule`` (``headless_modules``). Where
the environment variable ``SLICER_SOURCE`` names a checkout of Slicer, the last ones are Slicer's own.
"""

from __future__ import annotations

import importlib
import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import slicer
import slicer.util
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

_STAND_INS = ("i18n", "packaging", "parameterNodeWrapper", "ScriptedLoadableModule")
# Properties that C++ looks up in Python as methods that might be overridden.
_VIRTUAL = {"minimumSizeHint", "sizeHint"}
# Qt does not own what Python made, and what Python lets go of is deleted.
_kept: list[Any] = []


class PythonQt:
    """Makes a class of PySide6 look as PythonQt has it: properties are attributes, and keep their C++ types."""

    def __getattribute__(self, name: str) -> Any:
        if name == "name":
            return QtCore.QObject.objectName(self)
        if name[0] != "_" and name in _properties(self):
            return QtCore.QObject.property(self, name)
        return super().__getattribute__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name[0] == "_" or name not in _properties(self):
            super().__setattr__(name, value)
        elif not QtCore.QObject.setProperty(self, name, list(value) if isinstance(value, tuple) else value):
            raise TypeError(f"{type(self).__name__}.{name} = {value!r}: Qt does not take it")


def _properties(instance: QtCore.QObject) -> set[str]:
    meta = QtCore.QObject.metaObject(instance)
    names = _names_of_properties.get(meta.className())
    if names is None:
        names = {meta.property(index).name() for index in range(meta.propertyCount())} - _VIRTUAL
        _names_of_properties[meta.className()] = names
    return names


_names_of_properties: dict[str, set[str]] = {}


class _QtModule(types.ModuleType):
    """The module ``qt``: classes are wrapped when they are asked for."""

    def __getattr__(self, name: str) -> Any:
        for module in (QtCore, QtGui, QtWidgets):
            found = getattr(module, name, None)
            if isinstance(found, type) and issubclass(found, QtWidgets.QWidget):
                found = type(found)(name, (PythonQt, found), {})
            if found is not None:
                setattr(self, name, found)
                return found
        raise AttributeError(name)


class _UiLoader(QtUiTools.QUiLoader):
    """Makes the widgets of a .ui file from stand-ins, and connects the scene as the file says."""

    def createWidget(self, class_name: str, parent: Any = None, name: str = "") -> Any:  # noqa: N802
        modules = (sys.modules["ctk"], slicer, sys.modules["qt"])
        found = next((vars(module)[class_name] for module in modules if class_name in vars(module)), None)
        if found is None:
            found = getattr(sys.modules["qt"], class_name, None)
        if found is None:
            raise ValueError(f"The .ui file has a widget that Slicer does not know: {class_name}")
        widget = found(parent)
        widget.setObjectName(name)
        _kept.append(widget)
        return widget

    def load(self, file: QtCore.QFile, parent: Any = None) -> Any:
        tree = ElementTree.fromstring(bytes(file.readAll()))  # noqa: S314
        file.seek(0)
        panel = super().load(file, parent)
        for connection in tree.iter("connection"):
            receiver = panel.findChild(QtCore.QObject, connection.findtext("receiver"))
            panel.scene_receivers.append(receiver)
        _kept.append(panel)
        return panel


class Application:
    """What the module uses of ``slicer.app``."""

    def __init__(self, qt_application: QtWidgets.QApplication) -> None:
        self._qt = qt_application
        self.startup: list[Callable[[], None]] = []

    def connect(self, signal: str, slot: Callable[[], None]) -> bool:
        assert signal == "startupCompleted()"
        self.startup.append(slot)
        return True

    def moduleManager(self) -> Any:  # noqa: N802
        return types.SimpleNamespace(connect=lambda *args: True, disconnect=lambda *args: True)

    def processEvents(self) -> None:  # noqa: N802
        self._qt.processEvents()

    def startupEnvironment(self) -> QtCore.QProcessEnvironment:  # noqa: N802
        return QtCore.QProcessEnvironment.systemEnvironment()

    def testingEnabled(self) -> bool:  # noqa: N802
        return True

    def topLevelWidgets(self) -> list[Any]:  # noqa: N802
        return []

    def translate(self, context: str, text: str) -> str:
        return text


def start(settings_folder: Path) -> None:
    """Puts ``qt``, ``ctk``, ``slicer.app``, ``slicer.modules`` and the four Python modules in their places, once.

    Args:
        settings_folder: where Qt keeps settings.
    """
    if hasattr(slicer, "app"):
        return
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["headless"])
    QtCore.QCoreApplication.setOrganizationName("headless")
    QtCore.QCoreApplication.setApplicationName("headless")
    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
    for scope in (QtCore.QSettings.Scope.UserScope, QtCore.QSettings.Scope.SystemScope):
        QtCore.QSettings.setPath(QtCore.QSettings.Format.IniFormat, scope, str(settings_folder))
    QtCore.qInstallMessageHandler(_on_message)
    qt = _QtModule("qt")
    qt.QUiLoader = _UiLoader
    sys.modules["qt"] = qt
    import headless_widgets

    sys.modules["ctk"] = headless_widgets.ctk_module()
    for widget in headless_widgets.SLICER_WIDGETS:
        setattr(slicer, widget.__name__, widget)
    slicer.app = Application(application)
    slicer.modules = sys.modules["slicer.modules"] = types.ModuleType("slicer.modules")
    _add_python_modules(os.environ.get("SLICER_SOURCE"))


def use_scene(scene: Any) -> None:
    """Makes a scene of ``scenes.Scene`` the application's."""
    slicer.mrmlScene = scene.mrml
    for module, logic in (("volumerendering", "VolumeRendering"), ("plots", "Plots"), ("volumes", "Volumes")):
        holder = types.SimpleNamespace(logic=lambda name=f"vtkSlicer{logic}Logic": scene.logics[name])
        setattr(slicer.modules, module, holder)


def open_panel(module: Any) -> Any:
    """Opens a scripted module as Slicer does: its class, its widget, and its panel in a parent widget.

    Args:
        module: the Python module, as ``import AnomalyMap`` gives it.

    Returns:
        The widget object, set up; ``parent`` is the Qt widget.
    """
    name = module.__name__
    setattr(slicer.modules, name.lower(), types.SimpleNamespace(path=module.__file__))
    parent = slicer.qMRMLWidget()
    parent.setLayout(QtWidgets.QVBoxLayout())
    parent.setMRMLScene(slicer.mrmlScene)
    parent.isEntered = True
    _kept.append(parent)
    widget = getattr(module, f"{name}Widget")(parent)
    widget.setup()
    return widget


def _on_message(kind: Any, context: Any, message: str) -> None:
    # The scene's connections in a .ui file are C++ signatures, which stand-ins do not have; see _UiLoader. And a
    # picture without a screen has no window to resize.
    expected = ("mrmlSceneChanged(vtkMRMLScene*)", "(sender name:", "(receiver name:", "propagateSizeHints")
    if not any(words in message for words in expected):
        print(f"Qt: {message}", file=sys.stderr)


def _add_python_modules(checkout: str | None) -> None:
    if checkout is not None:
        slicer.__path__.append(str(Path(checkout) / "Base" / "Python" / "slicer"))
        for name in _STAND_INS:
            setattr(slicer, name, importlib.import_module(f"slicer.{name}"))
        return
    import headless_modules

    for name, module in headless_modules.MODULES.items():
        sys.modules[f"slicer.{name}"] = module
        setattr(slicer, name, module)
