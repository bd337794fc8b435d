"""Where peak and findings of a result lie, in millimetres."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
import slicer

from .peak import ras_of
from .results import AnomalyResult, Finding, Peak
from .volumes import ijk_to_ras, to_world

__all__ = ["in_world", "with_places"]

_Place = TypeVar("_Place", Peak, Finding)


def with_places(result: AnomalyResult, map_node: slicer.vtkMRMLScalarVolumeNode) -> AnomalyResult:
    """A result whose findings all have millimetres.

    Args:
        result: the result.
        map_node: its map, while the voxels have the order that the result counts in.
    """
    if not result.findings:
        return result
    matrix = ijk_to_ras(map_node)
    findings = []
    for finding in result.findings:
        if finding.lps_mm is None:
            right, anterior, superior = (matrix @ [*finding.voxel, *[0] * (3 - len(finding.voxel)), 1])[:3].tolist()
            finding = replace(finding, lps_mm=(-right, -anterior, superior))
        findings.append(finding)
    return replace(result, findings=tuple(findings))


def in_world(result: AnomalyResult, map_node: slicer.vtkMRMLScalarVolumeNode) -> AnomalyResult:
    """A result whose places are where the parent transform of its map takes them, as the slice views tell them."""
    findings = result.findings and tuple(_moved(finding, map_node) for finding in result.findings)
    return replace(result, peak=result.peak and _moved(result.peak, map_node), findings=findings)


def _moved(place: _Place, map_node: slicer.vtkMRMLScalarVolumeNode) -> _Place:
    if place.lps_mm is None:
        return place
    right, anterior, superior = to_world(map_node, np.array(ras_of(place.lps_mm))).tolist()
    return replace(place, lps_mm=(-right, -anterior, superior))
