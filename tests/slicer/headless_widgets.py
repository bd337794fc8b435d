"""Stand-ins for the widgets of CTK and Slicer in the panel: the properties, signals and methods that it uses."""

# ruff: noqa: N801, N802, N815
from __future__ import annotations

import types
from typing import Any

import slicer
from headless import PythonQt
from PySide6.QtCore import Property, QModelIndex, Qt, Signal
from PySide6.QtGui import QStandardItem, QStandardItemModel
from PySide6.QtWidgets import QComboBox, QDoubleSpinBox, QFrame, QHBoxLayout, QSlider, QTableView, QToolButton, QWidget

__all__ = ["SLICER_WIDGETS", "ctk_module"]


def _kept_property(kind: Any, name: str, default: Any) -> Property:
    """A property that is kept and does nothing."""
    return Property(
        kind,
        lambda self: self.__dict__.get(f"_{name}", default),
        lambda self, value: self.__dict__.__setitem__(f"_{name}", value),
    )


class ctkCollapsibleButton(PythonQt, QWidget):
    """A button above a frame that it folds."""

    contentsCollapsed = Signal(bool)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._button = QToolButton(self)
        self._button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._button.setAutoRaise(True)
        self._button.clicked.connect(lambda: self._collapse(not self._collapsed))
        self._collapsed = False
        self._show_arrow()
        self.setContentsMargins(0, self._button.sizeHint().height(), 0, 0)

    def resizeEvent(self, event: Any) -> None:
        self._button.setGeometry(0, 0, self.width, self._button.sizeHint().height())

    def childEvent(self, event: Any) -> None:
        if event.added() and self.__dict__.get("_collapsed") and isinstance(event.child(), QWidget):
            event.child().hide()

    def _collapse(self, collapsed: bool) -> None:
        self._collapsed = collapsed
        for child in self.children():
            if isinstance(child, QWidget) and child is not self._button:
                child.setVisible(not collapsed)
        self._show_arrow()
        self.contentsCollapsed.emit(collapsed)

    def _show_arrow(self) -> None:
        arrow = Qt.ArrowType.RightArrow if self._collapsed else Qt.ArrowType.DownArrow
        self._button.setArrowType(arrow)

    text = Property(str, lambda self: self._button.text(), lambda self, text: self._button.setText(text))
    collapsed = Property(bool, lambda self: self._collapsed, _collapse)


class ctkSliderWidget(PythonQt, QWidget):
    """A slider beside a box with the number, which rounds."""

    valueChanged = Signal(float)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._slider, self._box = QSlider(Qt.Orientation.Horizontal), QDoubleSpinBox()
        self._slider.setRange(0, 1000)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider, 1)
        layout.addWidget(self._box)
        self._box.valueChanged.connect(self._on_value)
        self._slider.sliderMoved.connect(self._on_moved)

    def _on_value(self, value: float) -> None:
        span = self._box.maximum() - self._box.minimum()
        self._slider.setValue(round(1000 * (value - self._box.minimum()) / span) if span else 0)
        self.valueChanged.emit(value)

    def _on_moved(self, position: int) -> None:
        span = self._box.maximum() - self._box.minimum()
        self._box.setValue(self._box.minimum() + span * position / 1000)

    value = Property(float, lambda self: self._box.value(), lambda self, value: self._box.setValue(value))
    minimum = Property(float, lambda self: self._box.minimum(), lambda self, value: self._box.setMinimum(value))
    maximum = Property(float, lambda self: self._box.maximum(), lambda self, value: self._box.setMaximum(value))
    singleStep = Property(
        float, lambda self: self._box.singleStep(), lambda self, value: self._box.setSingleStep(value)
    )
    decimals = Property(int, lambda self: self._box.decimals(), lambda self, value: self._box.setDecimals(value))


class qMRMLWidget(PythonQt, QFrame):
    """Passes its scene on to those that the .ui file connects."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.scene_receivers: list[Any] = []

    def setMRMLScene(self, scene: Any) -> None:
        for receiver in self.scene_receivers:
            receiver.setMRMLScene(scene)


class qMRMLNodeComboBox(PythonQt, QWidget):
    """The nodes of a scene that are of some classes; one of them is current where there is one, as in Slicer."""

    currentNodeChanged = Signal(object)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._combo = QComboBox()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self._scene: Any = None
        self._tags: list[int] = []
        self._combo.currentIndexChanged.connect(lambda index: self.currentNodeChanged.emit(self.currentNode()))

    nodeTypes = _kept_property("QStringList", "types", [])
    showChildNodeTypes = _kept_property(bool, "show_child_types", True)
    noneEnabled = _kept_property(bool, "none_enabled", False)
    addEnabled = _kept_property(bool, "add_enabled", True)
    removeEnabled = _kept_property(bool, "remove_enabled", True)

    def setMRMLScene(self, scene: Any) -> None:
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._scene = scene
        events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndBatchProcessEvent)
        self._tags = [scene.AddObserver(event, self._refresh) for event in events]
        self._refresh()

    def currentNode(self) -> Any:
        node_id = self._combo.currentData()
        return self._scene.GetNodeByID(node_id) if node_id else None

    def setCurrentNode(self, node: Any) -> None:
        self._combo.setCurrentIndex(self._combo.findData(node.GetID()) if node is not None else -1)

    def _refresh(self, caller: Any = None, event: Any = None) -> None:
        if self._scene.IsBatchProcessing():
            return
        current = self._combo.currentData()
        self._combo.blockSignals(True)
        self._combo.clear()
        for node in slicer.util.getNodesByClass("vtkMRMLNode", self._scene):
            if self._fits(node) and not node.GetHideFromEditors():
                self._combo.addItem(node.GetName(), node.GetID())
        self._combo.setCurrentIndex(self._combo.findData(current) if current else -1)
        self._combo.blockSignals(False)
        if self._combo.currentData() != current:
            self.currentNodeChanged.emit(self.currentNode())

    def _fits(self, node: Any) -> bool:
        if self.showChildNodeTypes:
            return any(node.IsA(name) for name in self.nodeTypes)
        return node.GetClassName() in self.nodeTypes


class qMRMLTableView(PythonQt, QTableView):
    """The cells of a table node."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._node: Any = None
        self.setModel(QStandardItemModel(self))

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene

    def mrmlTableNode(self) -> Any:
        return self._node

    def setMRMLTableNode(self, node: Any) -> None:
        if node is not None and self._scene is None:
            raise RuntimeError("The scene has to be set before the table node, see qMRMLTableView.h.")
        self._node = node
        model = self.model()
        model.clear()
        if node is None:
            return
        table = node.GetTable()
        columns = range(table.GetNumberOfColumns())
        model.setHorizontalHeaderLabels([table.GetColumnName(column) for column in columns])
        for row in range(table.GetNumberOfRows()):
            cells = [table.GetValue(row, column) for column in columns]
            texts = [cell.ToString() if cell.IsString() else f"{cell.ToDouble():.6g}" for cell in cells]
            model.appendRow([QStandardItem(text) for text in texts])

    def click(self, row: int) -> None:
        """What a user does."""
        self.clicked.emit(self.model().index(row, 0, QModelIndex()))


SLICER_WIDGETS = (qMRMLNodeComboBox, qMRMLTableView, qMRMLWidget)


class _CtkModule(types.ModuleType):
    """The module ``ctk``. Slicer's own parameterNodeWrapper asks for the types of widgets that are not in the panel."""

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("ctk"):
            raise AttributeError(name)
        setattr(self, name, type(name, (), {}))
        return getattr(self, name)


def ctk_module() -> types.ModuleType:
    """The module ``ctk``, and what Slicer's own parameterNodeWrapper asks of ``slicer`` besides."""
    module = _CtkModule("ctk")
    module.ctkCollapsibleButton, module.ctkSliderWidget = ctkCollapsibleButton, ctkSliderWidget
    for name in ("qMRMLSliderWidget", "qMRMLSpinBox", "qMRMLRangeWidget"):
        setattr(slicer, name, type(name, (), {}))
    return module
