"""Scenes with slice views that are rendered without OpenGL, and volumes for them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

VIEWS = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}
VIEW_SIZE = 240

# What the tree of the module Data shows.
_IN_TREE = (
    "vtkMRMLVolumeNode",
    "vtkMRMLSegmentationNode",
    "vtkMRMLMarkupsNode",
    "vtkMRMLTableNode",
    "vtkMRMLPlotChartNode",
    "vtkMRMLPlotSeriesNode",
)

_LOGICS = (
    "vtkSlicerVolumesLogic",
    "vtkSlicerSegmentationsModuleLogic",
    "vtkSlicerMarkupsLogic",
    "vtkSlicerVolumeRenderingLogic",
    "vtkSlicerTablesLogic",
    "vtkSlicerPlotsLogic",
)


class Scene:
    """A MRML scene with application logic, slice views and a node that holds the result, as Slicer has."""

    def __init__(self) -> None:
        self.mrml = slicer.vtkMRMLScene()
        self._follow_tree()
        self.application = slicer.vtkSlicerApplicationLogic()
        self.application.SetMRMLScene(self.mrml)
        self.application.GetColorLogic().SetMRMLScene(self.mrml)
        self.application.GetColorLogic().AddDefaultColorNodes()
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.mrml, True)
        self.application.SetSliceLogics(vtk.vtkCollection())
        self.logics = {}
        for name in _LOGICS:
            if hasattr(slicer, name):
                logic = getattr(slicer, name)()
                if hasattr(logic, "SetMRMLApplicationLogic"):
                    logic.SetMRMLApplicationLogic(self.application)
                logic.SetMRMLScene(self.mrml)
                self.logics[name] = logic
        self.mrml.RegisterNodeClass(slicer.vtkMRMLColorLegendDisplayNode())  # as the module Colors does
        self.mrml.AddNode(slicer.vtkMRMLViewNode())
        self.views = {name: self.add_view(name, orientation) for name, orientation in VIEWS.items()}
        self.holder = slicer.vtkMRMLScriptedModuleNode()
        self.holder.SetSingletonTag("AnomalyMap")
        self.holder.SetModuleName("AnomalyMap")
        self.holder = self.mrml.AddNode(self.holder)

    def _follow_tree(self) -> None:
        """Keeps the subject hierarchy as Slicer does, whose qSlicerSubjectHierarchyPluginLogic this stands for."""

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def add(scene: Any, event: str, node: Any) -> None:
            if not scene.IsImporting() and any(node.IsA(name) for name in _IN_TREE):
                tree = scene.GetSubjectHierarchyNode()
                tree.CreateItem(tree.GetSceneItemID(), node)

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def remove(scene: Any, event: str, node: Any) -> None:
            if scene is None or scene.IsClosing():  # none as the scene itself ends
                return
            tree = scene.GetSubjectHierarchyNode()
            if item := tree.GetItemByDataNode(node):
                tree.RemoveItem(item, False, False)

        self.mrml.AddObserver(self.mrml.NodeAddedEvent, add)
        self.mrml.AddObserver(self.mrml.NodeAboutToBeRemovedEvent, remove)

    def add_view(self, name: str, orientation: str) -> Any:
        """A slice view of 240 x 240 pixels."""
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLApplicationLogic(self.application)
        logic.SetMRMLScene(self.mrml)
        logic.AddSliceNode(name)
        self.application.GetSliceLogics().AddItem(logic)
        logic.GetSliceNode().SetOrientation(orientation)
        logic.ResizeSliceNode(VIEW_SIZE, VIEW_SIZE)
        return logic

    def close(self) -> None:
        self.mrml.Clear(True)

    def add_volume(self, voxels: np.ndarray, matrix: np.ndarray, name: str = "volume") -> Any:
        """A scalar volume of (k, j, i) voxels, with a grey display over its whole range."""
        node = self.mrml.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        slicer.util.updateVolumeFromArray(node, voxels)
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().AutoWindowLevelOff()
        node.GetDisplayNode().SetWindowLevelMinMax(float(voxels.min()), float(voxels.max()) or 1.0)
        return node

    def slice_nodes(self) -> list[Any]:
        """All slice views, in the order in which they were made."""
        name = "vtkMRMLSliceNode"
        return [self.mrml.GetNthNodeByClass(index, name) for index in range(self.mrml.GetNumberOfNodesByClass(name))]

    def show(self, volumes: dict[str, Any]) -> None:
        """Shows a volume in each of some views, with nothing over it; with None, nothing."""
        for view, volume in volumes.items():
            composite = self.views[view].GetSliceCompositeNode()
            composite.SetForegroundVolumeID(None)
            composite.SetBackgroundVolumeID(volume and volume.GetID())

    def fit(self) -> None:
        """Lets all views show the whole of their background."""
        for view in self.views.values():
            view.FitSliceToBackground()

    def pixels(self, view: str) -> np.ndarray:
        """What a view shows: (rows from below, columns, RGB), integers."""
        logic = self.views[view]
        logic.UpdatePipeline()
        connection = logic.GetImageDataConnection()
        connection.GetProducer().Update()
        image = connection.GetProducer().GetOutputDataObject(connection.GetIndex())
        width, height, _ = image.GetDimensions()
        return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[..., :3].astype(int)

    def places(self, view: str) -> np.ndarray:
        """Where the pixels of a view lie: (rows from below, columns, RAS), mm."""
        matrix = slicer.util.arrayFromVTKMatrix(self.views[view].GetSliceNode().GetXYToRAS())
        rows, columns = np.mgrid[:VIEW_SIZE, :VIEW_SIZE]
        points = np.stack([columns, rows, np.zeros_like(rows), np.ones_like(rows)], axis=-1)
        return (points @ matrix.T)[..., :3]

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """What is done inside is a batch of changes."""
        self.mrml.StartState(slicer.vtkMRMLScene.BatchProcessState)
        yield
        self.mrml.EndState(slicer.vtkMRMLScene.BatchProcessState)

    def move(self, node: Any, matrix: np.ndarray, name: str = "T") -> Any:
        """Lays a node under a new linear transform, which is returned."""
        transform_node = self.mrml.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
        transform_node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
        node.SetAndObserveTransformNodeID(transform_node.GetID())
        return transform_node

    def save(self, path: Path) -> None:
        assert self.mrml.WriteToMRB(str(path))

    @classmethod
    def load(cls, path: Path) -> Scene:
        """A new scene with what was saved; its slice views are those of the file."""
        scene = cls()
        remote = slicer.vtkMRMLRemoteIOLogic()  # which opens .mrb files too
        remote.SetMRMLApplicationLogic(scene.application)
        remote.SetMRMLScene(scene.mrml)
        remote.GetCacheManager().SetRemoteCacheDirectory(str(path.parent))
        remote.AddDataIOToScene()
        assert scene.mrml.ReadFromMRB(str(path))
        scene.holder = scene.mrml.GetSingletonNode("AnomalyMap", "vtkMRMLScriptedModuleNode")
        return scene


def count_nodes(scene: Scene) -> dict[str, int]:
    """How many nodes of each class a scene has."""
    counts: dict[str, int] = {}
    for index in range(scene.mrml.GetNumberOfNodes()):
        name = scene.mrml.GetNthNode(index).GetClassName()
        counts[name] = counts.get(name, 0) + 1
    return counts


def coloured(pixels: np.ndarray) -> np.ndarray:
    """Which pixels are not grey."""
    return np.ptp(pixels, axis=-1) > 8


def rotation() -> np.ndarray:
    """Turns about two axes, so that nothing is parallel to anything."""
    a, b = math.radians(20), math.radians(-35)
    about_x = np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    about_z = np.array([[math.cos(b), -math.sin(b), 0], [math.sin(b), math.cos(b), 0], [0, 0, 1]])
    return about_z @ about_x


def affine(directions: np.ndarray, spacing: tuple[float, float, float] = (1.5, 1.2, 3.0)) -> np.ndarray:
    """A matrix from voxel index to RAS in mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = directions @ np.diag(spacing)
    matrix[:3, 3] = (30.5, -12.25, -55.0)
    return matrix


# Slicer's usual (right-handed in RAS), one with a mirrored axis, and one that is parallel to nothing.
GEOMETRIES = {
    "right-handed": affine(np.diag([-1.0, -1.0, 1.0])),
    "left-handed": affine(np.diag([1.0, -1.0, 1.0])),
    "oblique": affine(rotation()),
    "oblique left-handed": affine(rotation() @ np.diag([1.0, 1.0, -1.0])),
}

SHAPE = (20, 32, 36)  # (k, j, i)


def phantom() -> tuple[np.ndarray, np.ndarray]:
    """A volume and its map, (k, j, i): a grey head, and a blob in it that lies off the middle of every axis.

    The map is highest, 0.8, at voxel (i, j, k) = (24, 10, 13).
    """
    k, j, i = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    head = ((k - 9.5) / 9) ** 2 + ((j - 15.5) / 14) ** 2 + ((i - 17.5) / 16) ** 2 < 1
    volume = np.where(head, 100 + 20 * np.sin(i / 4), 5).astype(np.float32)
    blob = np.exp(-(((k - 13) / 2) ** 2 + ((j - 10) / 3) ** 2 + ((i - 24) / 3.5) ** 2))
    return volume, (0.8 * blob).astype(np.float32)


PEAK = (24, 10, 13)  # (i, j, k)


def translation(*mm: float) -> np.ndarray:
    """The matrix of a shift."""
    matrix = np.eye(4)
    matrix[:3, 3] = mm
    return matrix


def about_x(degrees: float) -> np.ndarray:
    """The matrix of a rotation about the axis from left to right."""
    angle = math.radians(degrees)
    matrix = np.eye(4)
    matrix[1:3, 1:3] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    return matrix


def write_map(path: Path, voxels: np.ndarray, matrix: np.ndarray) -> Path:
    """A file as the child writes it: NRRD, in the voxel order of the input."""
    node = slicer.vtkMRMLScalarVolumeNode()
    slicer.util.updateVolumeFromArray(node, voxels)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    assert storage.WriteData(node)
    return path
