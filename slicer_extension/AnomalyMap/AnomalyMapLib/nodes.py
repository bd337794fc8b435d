"""Nodes of a scene: those of a class, and those that one node holds, each by its role."""

from __future__ import annotations

import re

import slicer

__all__ = ["ROLES", "HeldNodes", "give_name", "nodes_of_class"]

# Names of the node references, and so of the fields of the module's parameter node.
ROLES = (
    "inputVolume",
    "anomalyMap",
    "segmentation",
    "scoreTable",
    "scoreSeries",
    "scoreChart",
    "findingTable",
    "peakMarker",
    "colorTable",
    "volumeProperty",
    "volumeRendering",
)
# Attribute of a node: the name that it was given here.
_NAME = "AnomalyMap.name"


def nodes_of_class(scene: slicer.vtkMRMLScene, name: str) -> list[slicer.vtkMRMLNode]:
    """All nodes of a class, and of those that are derived from it, in the order of the scene."""
    # Not slicer.util.getNodesByClass, which looks through the application's scene whichever it is given.
    return [scene.GetNthNodeByClass(index, name) for index in range(scene.GetNumberOfNodesByClass(name))]


def give_name(node: slicer.vtkMRMLNode, name: str) -> None:
    """Names a node of a scene, with a number behind the name where another node has it; one that it has already stays.

    People tell nodes by their names, and Slicer saves them to files of those names. So a name that somebody gave the
    node since stays too.
    """
    given = node.GetAttribute(_NAME) or node.GetName()
    if node.GetName() != given or re.fullmatch(re.escape(name) + r"(_\d+)?", given):
        return
    scene = node.GetScene()
    # Not GenerateUniqueName at once, which remembers what it was asked, and not what was removed since.
    node.SetName(name if scene.GetFirstNodeByName(name) is None else scene.GenerateUniqueName(name))
    node.SetAttribute(_NAME, node.GetName())


class HeldNodes:
    """Nodes by their roles: references of a node that holds them.

    Args:
        holder: refers to each node by its role.
    """

    def __init__(self, holder: slicer.vtkMRMLScriptedModuleNode) -> None:
        self._holder = holder

    def get(self, role: str) -> slicer.vtkMRMLNode | None:
        """The node of a role; None if there is none (any more)."""
        return self._holder.GetNodeReference(role)

    def made(self, role: str, class_name: str) -> slicer.vtkMRMLNode:
        """The node of a role, made if there is none."""
        return self.get(role) or self.add(role, getattr(slicer, class_name)())

    def add(self, role: str, node: slicer.vtkMRMLNode) -> slicer.vtkMRMLNode:
        """Adds a node to the scene, and holds it by a role."""
        # Not AddNewNodeByClass, which knows a class only where the module that it comes from was loaded.
        node = self._holder.GetScene().AddNode(node)
        self.hold(role, node)
        return node

    def hold(self, role: str, node: slicer.vtkMRMLNode | None) -> None:
        """Holds a node of the scene by a role from now on; with None, lets go of the one that is held."""
        # With an empty parameter of the same name, as a parameterNodeWrapper marks a reference that was set: without
        # it, the wrapper's default would take its place.
        self._holder.SetParameter(role, "")
        self._holder.SetNodeReferenceID(role, node.GetID() if node is not None else None)

    def remove(self, role: str) -> None:
        """Removes the node of a role from the scene, with its display and storage nodes."""
        node = self.get(role)
        self.hold(role, None)
        if node is None:
            return
        scene = node.GetScene()
        attached = []
        if node.IsA("vtkMRMLDisplayableNode"):
            attached += [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
        if node.IsA("vtkMRMLStorableNode"):
            attached += [node.GetNthStorageNode(index) for index in range(node.GetNumberOfStorageNodes())]
        scene.RemoveNode(node)
        for other in attached:
            if other is not None and other.GetScene() is scene:
                scene.RemoveNode(other)
