"""The findings of a result as a table, which can be saved as a file of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer

from .peak import ras_of
from .results import Finding
from .volumes import to_world, voxel_ml

__all__ = ["fill_finding_table"]


def fill_finding_table(
    table_node: slicer.vtkMRMLTableNode, map_node: slicer.vtkMRMLScalarVolumeNode, findings: Sequence[Finding]
) -> None:
    """Writes one row a finding: number, standard deviations, p-value, size, and where it deviates most.

    The size is in ml, of a picture in pixels; the place in mm (R, A, S) with the map's parent transform.

    Args:
        table_node: what is written over.
        map_node: the map.
        findings: in the order in which they are counted, with their places in millimetres.
    """
    ml = voxel_ml(map_node)
    sizes = np.array([finding.num_voxels for finding in findings])
    places = np.array([to_world(map_node, np.array(ras_of(finding.lps_mm))) for finding in findings])
    columns = {
        "Finding": np.arange(1, len(findings) + 1),
        "SD": np.array([finding.deviation for finding in findings]),
        "p": np.array([finding.p_value for finding in findings]),
        "Size (pixels)" if ml is None else "Size (ml)": sizes if ml is None else sizes * ml,
        **dict(zip("RAS", np.ascontiguousarray(places.T))),
    }
    slicer.util.updateTableFromArray(table_node, list(columns.values()), list(columns))
    table_node.SetUseColumnTitleAsColumnHeader(True)
    table_node.SetLocked(True)  # against typing over it in a table view
