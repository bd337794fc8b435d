"""Stand-ins for four Python modules of Slicer that slicer-core lacks: what the module uses of them, no more.

``headless`` puts them in their places, unless ``SLICER_SOURCE`` names a checkout that has the true ones.
"""

from __future__ import annotations

import enum
import types
import typing
import unittest
from pathlib import Path
from typing import Any

import ctk
import qt
import slicer
import vtk


def _module(name: str, *parts: Any, **values: Any) -> types.ModuleType:
    module = types.ModuleType(f"slicer.{name}")
    vars(module).update({part.__name__: part for part in parts}, **values)
    return module


# ScriptedLoadableModule


class ScriptedLoadableModule:
    def __init__(self, parent: Any) -> None:
        self.parent = parent


class ScriptedLoadableModuleWidget:
    def __init__(self, parent: Any) -> None:
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.parent = parent
        self.layout = parent.layout()

    def setup(self) -> None:
        pass

    def resourcePath(self, name: str) -> str:  # noqa: N802
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / name)


class ScriptedLoadableModuleLogic:
    def __init__(self) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self) -> Any:  # noqa: N802
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.vtkMRMLScriptedModuleNode()
            node.SetSingletonTag(self.moduleName)
            node.SetName(self.moduleName)
            node = slicer.mrmlScene.AddNode(node)
        node.SetAttribute("ModuleName", self.moduleName)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    def delayDisplay(self, message: str) -> None:  # noqa: N802
        print(message)


# packaging


def load_requirements(path: Path) -> list[str]:
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def pip_check(requirement: str) -> bool:
    return False


def pip_ensure(requirements: list[str], *, requester: str, skip_packages: list[str]) -> None:
    """In a test nothing is installed, as in Slicer while it is tested."""


# parameterNodeWrapper


class WithinRange:
    def __init__(self, minimum: float, maximum: float) -> None:
        self.minimum, self.maximum = minimum, maximum


class GuiConnector:
    """Between a widget and what is told when it changes."""

    def __init__(self) -> None:
        self._callback: Any = None

    def onChanged(self, callback: Any) -> None:  # noqa: N802
        self._callback = callback
        if callback is None:
            self._disconnect()
        else:
            self._connect()

    def changed(self) -> None:
        if self._callback is not None:
            self._callback()


class _SignalConnector(GuiConnector):
    def __init__(self, widget: Any, signal: str) -> None:
        super().__init__()
        self._widget, self._signal = widget, signal

    def _connect(self) -> None:
        getattr(self._widget, self._signal).connect(self.changed)

    def _disconnect(self) -> None:
        getattr(self._widget, self._signal).disconnect(self.changed)


class _CheckBoxConnector(_SignalConnector):
    def __init__(self, widget: Any) -> None:
        super().__init__(widget, "stateChanged")

    def read(self) -> bool:
        return self._widget.checked

    def write(self, value: bool) -> None:
        self._widget.checked = value


class _SliderConnector(_SignalConnector):
    def __init__(self, widget: Any, span: WithinRange) -> None:
        super().__init__(widget, "valueChanged")
        widget.minimum, widget.maximum = span.minimum, span.maximum

    def read(self) -> float:
        return self._widget.value

    def write(self, value: float) -> None:
        self._widget.value = value


class _NodeConnector(_SignalConnector):
    def __init__(self, widget: Any) -> None:
        super().__init__(widget, "currentNodeChanged")

    def read(self) -> Any:
        return self._widget.currentNode()

    def write(self, value: Any) -> None:
        self._widget.setCurrentNode(value)


class _EnumConnector(_SignalConnector):
    def __init__(self, widget: Any, choices: type[enum.Enum]) -> None:
        super().__init__(widget, "currentIndexChanged")
        self._choices = list(choices)
        widget.clear()
        for choice in self._choices:
            widget.addItem(choice.label())

    def read(self) -> enum.Enum:
        return self._choices[self._widget.currentIndex]

    def write(self, value: enum.Enum) -> None:
        self._widget.currentIndex = self._choices.index(value)


def _connector(widget: Any, kind: Any, annotations: tuple[Any, ...]) -> GuiConnector:
    """The types have to be the same, as in Slicer: a class that is derived from another does not count."""
    if type(widget) is qt.QCheckBox and kind is bool:
        return _CheckBoxConnector(widget)
    if type(widget) is ctk.ctkSliderWidget and kind is float:
        return _SliderConnector(widget, next(item for item in annotations if isinstance(item, WithinRange)))
    if type(widget) is slicer.qMRMLNodeComboBox and issubclass(kind, slicer.vtkMRMLNode):
        return _NodeConnector(widget)
    if type(widget) is qt.QComboBox and issubclass(kind, enum.Enum):
        return _EnumConnector(widget, kind)
    raise RuntimeError(f"No connector from {kind} to {type(widget)}.")


class _Wrapper:
    """A parameter node whose parameters have types; nodes are references beside an empty parameter, as in Slicer."""

    _fields: typing.ClassVar[dict[str, tuple[Any, tuple[Any, ...]]]]

    def __init__(self, node: Any) -> None:
        self.parameterNode = node
        self._connections: dict[int, tuple[dict[str, GuiConnector], int]] = {}
        self._is_writing = False
        for name in self._fields:
            if not node.HasParameter(name):
                self.setValue(name, self._defaults.get(name))

    def getValue(self, name: str) -> Any:  # noqa: N802
        kind, _ = self._fields[name]
        if issubclass(kind, slicer.vtkMRMLNode):
            return self.parameterNode.GetNodeReference(name)
        text = self.parameterNode.GetParameter(name)
        if issubclass(kind, enum.Enum):
            return kind[text]
        return text == "True" if kind is bool else kind(text)

    def setValue(self, name: str, value: Any) -> None:  # noqa: N802
        kind, annotations = self._fields[name]
        if issubclass(kind, slicer.vtkMRMLNode):
            assert value is None or isinstance(value, kind)
            with slicer.util.NodeModify(self.parameterNode):
                self.parameterNode.SetParameter(name, "")
                self.parameterNode.SetNodeReferenceID(name, value.GetID() if value is not None else None)
            return
        assert isinstance(value, kind)
        for span in annotations:
            if not span.minimum <= value <= span.maximum:
                raise ValueError(f"{name} = {value}")
        self.parameterNode.SetParameter(name, value.name if issubclass(kind, enum.Enum) else str(value))

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:  # noqa: N802
        connectors = {
            name: widget if isinstance(widget, GuiConnector) else _connector(widget, *self._fields[name])
            for name, widget in mapping.items()
        }
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.onChanged(lambda name=name, connector=connector: self._from_gui(name, connector))
        tag = self.parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._to_gui(connectors))
        self._connections[tag] = (connectors, tag)
        return tag

    def disconnectGui(self, tag: int) -> None:  # noqa: N802
        connectors, _ = self._connections.pop(tag)
        for connector in connectors.values():
            connector.onChanged(None)
        self.parameterNode.RemoveObserver(tag)

    def StartModify(self) -> int:  # noqa: N802
        return self.parameterNode.StartModify()

    def EndModify(self, was_modified: int) -> None:  # noqa: N802
        self.parameterNode.EndModify(was_modified)

    def _from_gui(self, name: str, connector: GuiConnector) -> None:
        if not self._is_writing:
            self.setValue(name, connector.read())

    def _to_gui(self, connectors: dict[str, GuiConnector]) -> None:
        if self._is_writing:
            return
        self._is_writing = True
        try:
            for name, connector in connectors.items():
                connector.write(self.getValue(name))
        finally:
            self._is_writing = False


def parameterNodeWrapper(cls: type) -> type:  # noqa: N802
    """Makes a class with typed fields a wrapper."""
    fields, values = {}, {}
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        annotations = getattr(hint, "__metadata__", ())
        kind = typing.get_args(hint)[0] if annotations else hint
        fields[name] = (kind, annotations)
        values[name] = property(
            lambda self, name=name: self.getValue(name), lambda self, value, name=name: self.setValue(name, value)
        )
    defaults = {name: getattr(cls, name) for name in fields if hasattr(cls, name)}
    return type(cls.__name__, (_Wrapper,), {**values, "_fields": fields, "_defaults": defaults, "__doc__": cls.__doc__})


MODULES = {
    "i18n": _module("i18n", tr=lambda text: text, translate=lambda context, text: text),
    "packaging": _module("packaging", load_requirements, pip_check, pip_ensure),
    "parameterNodeWrapper": _module("parameterNodeWrapper", GuiConnector, WithinRange, parameterNodeWrapper),
    "ScriptedLoadableModule": _module(
        "ScriptedLoadableModule",
        ScriptedLoadableModule,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
        ScriptedLoadableModuleWidget,
    ),
}
