"""The place of a result in the subject hierarchy, the tree of the module Data."""

from __future__ import annotations

from collections.abc import Iterable

import slicer

__all__ = ["file_beside"]


def file_beside(volume: slicer.vtkMRMLVolumeNode, nodes: Iterable[slicer.vtkMRMLNode]) -> None:
    """Files the nodes of a result in a folder beside their volume, and so in its study if it has one.

    Only those that lie at the top, where Slicer puts what is new: whoever moves one elsewhere finds it there again,
    and those that are new then beside it.

    Args:
        volume: what the result is of.
        nodes: of the result; those that the tree does not show are passed over.
    """
    hierarchy = volume.GetScene().GetSubjectHierarchyNode()
    top = hierarchy.GetSceneItemID()
    items = [item for item in map(hierarchy.GetItemByDataNode, nodes) if item]
    parents = [hierarchy.GetItemParent(item) for item in items]
    if top not in parents:
        return
    folder = next((parent for parent in parents if parent != top), None) or _folder_beside(hierarchy, volume)
    for item, parent in zip(items, parents):
        if parent == top:
            hierarchy.SetItemParent(item, folder)


def _folder_beside(hierarchy: slicer.vtkMRMLSubjectHierarchyNode, volume: slicer.vtkMRMLVolumeNode) -> int:
    """The folder of a volume's results, made if there is none."""
    item = hierarchy.GetItemByDataNode(volume)
    parent = hierarchy.GetItemParent(item) if item else hierarchy.GetSceneItemID()
    name = f"Anomaly Map of {volume.GetName()}"
    return hierarchy.GetItemChildWithName(parent, name) or hierarchy.CreateFolderItem(parent, name)
