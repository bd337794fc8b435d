"""What a user should know of a volume before its map is believed."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from .volumes import turning_transform

__all__ = ["turn_notice"]


def turn_notice(volume: slicer.vtkMRMLVolumeNode | None) -> str:
    """Says that a volume is turned by a transform, which the bundle does not see; empty where it is not."""
    transform_node = turning_transform(volume) if volume is not None else None
    if transform_node is None:
        return ""
    return _(
        "This volume is turned or bent by the transform {transform}, which the bundle does not see. Harden the "
        "transform (module Transforms), then press Apply."
    ).format(transform=transform_node.GetName())
