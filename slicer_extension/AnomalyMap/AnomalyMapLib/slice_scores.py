"""The scores of slices: a table, a plot, and the way from one high score to the next.

The table holds places in millimetres, not voxels: a scene that is saved and loaded may come back with its voxels in
another order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import slicer
import vtk

from .results import LOW_P_VALUE
from .volumes import from_world, ijk_to_ras, to_world

__all__ = [
    "POSITION",
    "P_VALUE",
    "SCORE",
    "SLICE",
    "centres",
    "fill_chart",
    "fill_table",
    "high_slices",
    "highest_in_slice",
    "jump",
    "next_high",
    "position_of",
    "present_position",
]

# Columns, besides R, A and S. Slices are counted from one, as the sentence about a result does.
SLICE = "Slice"
SCORE = "Score"
P_VALUE = "p"  # only of a bundle that is calibrated with volumes
POSITION = "Position (mm)"

_HIGHEST_SHARE = 0.25  # as the score of a volume counts slices
_LEAST_CUT = 0.1  # sine of the angle between a view and an axis, below which it does not tell a place on it


def fill_table(
    table_node: slicer.vtkMRMLTableNode,
    map_node: slicer.vtkMRMLScalarVolumeNode,
    axis: int,
    scores: Sequence[float],
    p_values: Sequence[float | None] = (),
) -> None:
    """Writes one row a slice: its number, its score, its p-value if there are any, and where it lies.

    The position is the distance in mm from the scene's origin along the axis, growing to the right, front or top: R,
    A or S where the axis is parallel to one of them. It is told with the map's parent transform, as the slice views
    show it. The columns R, A and S are the slice's centre without that transform.

    Args:
        table_node: what is written over.
        map_node: the map, in the voxel order of its file.
        axis: voxel axis along which the volume was cut into slices, 0 to 2.
        scores: in the order of that axis.
        p_values: likewise, None for background, whose cell is blank; empty without any.
    """
    matrix = ijk_to_ras(map_node)
    indices = np.tile((np.array(map_node.GetImageData().GetDimensions()) - 1) / 2, (len(scores), 1))
    indices[:, axis] = np.arange(len(scores))
    points = indices @ matrix[:3, :3].T + matrix[:3, 3]
    columns = {SLICE: np.arange(1, len(scores) + 1), SCORE: np.asarray(scores, float)}
    columns[POSITION] = _positions(map_node, points, matrix[:3, axis])
    columns.update(zip("RAS", np.ascontiguousarray(points.T)))
    with slicer.util.NodeModify(table_node):  # views look when all columns are there
        slicer.util.updateTableFromArray(table_node, list(columns.values()), list(columns))
        if p_values:
            table_node.GetTable().InsertColumn(_text_column(P_VALUE, p_values), list(columns).index(POSITION))
    table_node.SetUseColumnTitleAsColumnHeader(True)
    table_node.SetLocked(True)  # against typing over it in a table view


def fill_chart(
    chart_node: slicer.vtkMRMLPlotChartNode,
    series_node: slicer.vtkMRMLPlotSeriesNode,
    table_node: slicer.vtkMRMLTableNode,
) -> None:
    """Plots the scores of a table by slice number, as a line.

    Args:
        chart_node: shows that series alone afterwards.
        series_node: the line.
        table_node: see :func:`fill_table`.
    """
    series_node.SetAndObserveTableNodeID(table_node.GetID())
    series_node.SetXColumnName(SLICE)
    series_node.SetYColumnName(SCORE)
    series_node.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)  # which is a line where points are joined
    series_node.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
    series_node.SetColor(0.72, 0.04, 0.02)
    chart_node.RemoveAllPlotSeriesNodeIDs()
    chart_node.AddAndObservePlotSeriesNodeID(series_node.GetID())
    chart_node.SetTitle("Scores of slices")
    chart_node.SetXAxisTitle(SLICE)
    chart_node.SetYAxisTitle(SCORE)
    chart_node.SetLegendVisibility(False)


def next_high(table_node: slicer.vtkMRMLTableNode, from_position: float | None) -> int | None:
    """The row of the next slice that is high after a place, in the table's order, and from its end back to its start.

    Args:
        table_node: see :func:`fill_table`.
        from_position: where the user is, as in the column of positions; None for before the first slice.

    Returns:
        Row, from 0; None if no slice is high.
    """
    rows = high_slices(table_node)
    if not rows:
        return None
    present = -1 if from_position is None else int(np.abs(_column(table_node, POSITION) - from_position).argmin())
    return next((row for row in rows if row > present), rows[0])


def high_slices(table_node: slicer.vtkMRMLTableNode) -> list[int]:
    """The slices that are worth a look, from 0, in order.

    Where the table has p-values, these are the ones with a low one. Otherwise healthy volumes are not known, and a
    slice is high among those of its own volume: its score is a local maximum (higher than the nearest scores on both
    sides that differ; of equal neighbours the middle one counts) and among the highest quarter of all that are not 0.

    Args:
        table_node: see :func:`fill_table`.
    """
    if table_node.GetTable().GetColumnByName(P_VALUE) is not None:
        return np.flatnonzero(_column(table_node, P_VALUE) <= LOW_P_VALUE).tolist()
    scores = _column(table_node, SCORE)
    above_zero = np.sort(scores[scores > 0])
    if above_zero.size == 0:
        return []
    lowest = above_zero[-math.ceil(_HIGHEST_SHARE * above_zero.size)]
    # Runs of equal scores count as one slice.
    starts = np.flatnonzero(np.diff(scores, prepend=np.nan) != 0)
    ends = np.append(starts[1:], scores.size)
    heights = np.pad(scores[starts], 1, constant_values=-np.inf)
    is_peak = (heights[1:-1] > heights[:-2]) & (heights[1:-1] > heights[2:]) & (heights[1:-1] >= lowest)
    return ((starts + ends - 1) // 2)[is_peak].tolist()


def present_position(
    table_node: slicer.vtkMRMLTableNode,
    map_node: slicer.vtkMRMLScalarVolumeNode,
    views: Iterable[slicer.vtkMRMLSliceNode],
) -> float | None:
    """Where the user is along the axis of the slices: where the planes of the slice views meet.

    Where two views do not differ in direction, the first one counts; where they do not meet in one point, the one
    nearest to the middle of the volume.

    Args:
        table_node: see :func:`fill_table`.
        map_node: the map, which may have moved with its parent transform since.
        views: the slice views that count.

    Returns:
        As in the column of positions; None where the views do not tell, since none of them cuts the axis, or if there
        is one slice only.
    """
    positions = _column(table_node, POSITION)
    planes = [slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS()) for view in views]
    if positions.size < 2:
        return None
    first, last = centres(table_node)[[0, -1]]
    along = to_world(map_node, last) - to_world(map_node, first)
    middle = to_world(map_node, (first + last) / 2)
    # The view that lies most nearly in the plane of the slices comes first.
    planes.sort(key=lambda plane: -abs(plane[:3, 2] @ along))
    normals = np.empty((0, 3))
    distances: list[float] = []
    for plane in planes:
        more = np.vstack([normals, plane[:3, 2]])
        if np.linalg.matrix_rank(more, tol=1e-3) == len(more):
            normals = more
            distances.append(plane[:3, 2] @ (plane[:3, 3] - middle))
    if np.max(np.abs(normals @ along), initial=0) < _LEAST_CUT * np.linalg.norm(along):
        return None
    meeting = middle + np.linalg.lstsq(normals, np.array(distances), rcond=None)[0]
    share = (from_world(map_node, meeting) - first) @ (last - first) / np.sum((last - first) ** 2)
    return float(positions[0] + share * (positions[-1] - positions[0]))


def position_of(table_node: slicer.vtkMRMLTableNode, row: int) -> float:
    """Where the slice of a row lies, as in the column of positions."""
    return float(_column(table_node, POSITION)[row])


def highest_in_slice(
    table_node: slicer.vtkMRMLTableNode, map_node: slicer.vtkMRMLScalarVolumeNode, row: int
) -> np.ndarray:
    """Where the map is highest in the slice of a row: mm (R, A, S), with the map's parent transform.

    That is where the other slice views should go: the centre of a slice shows nothing.
    """
    matrix = ijk_to_ras(map_node)
    points = centres(table_node)
    indices = np.c_[points, np.ones(len(points))] @ np.linalg.inv(matrix).T[:, :3]
    axis = int(np.abs(indices[-1] - indices[0]).argmax()) if len(points) > 1 else 2
    values = slicer.util.arrayFromVolume(map_node)
    # Of a volume that came back the other way round, the indices run backwards, and are as good.
    index = round(float(indices[row, axis]))
    plane = np.take(values, index, axis=2 - axis)
    place = np.insert(np.unravel_index(plane.argmax(), plane.shape), 2 - axis, index)[::-1]
    return to_world(map_node, (matrix @ [*place, 1])[:3])


def jump(views: Iterable[slicer.vtkMRMLSliceNode], ras: Sequence[float]) -> None:
    """Moves slice views to a place; those that would not show it are centred on it.

    Args:
        views: the views.
        ras: mm (R, A, S) of the world, that is with parent transforms.
    """
    for view in views:
        view.JumpSliceByOffsetting(*map(float, ras))
        xy = np.linalg.solve(slicer.util.arrayFromVTKMatrix(view.GetXYToRAS()), [*ras, 1])[:2]
        if np.any(xy < 0) or np.any(xy > view.GetDimensions()[:2]):
            view.JumpSliceByCentering(*map(float, ras))


def centres(table_node: slicer.vtkMRMLTableNode) -> np.ndarray:
    """The centres of the slices: (rows, 3), mm (R, A, S), without the map's parent transform."""
    return np.stack([_column(table_node, name) for name in "RAS"], axis=1)


def _positions(map_node: slicer.vtkMRMLScalarVolumeNode, points: np.ndarray, step: np.ndarray) -> np.ndarray:
    """How far points (N, 3) lie along the direction of a step, both in mm without the map's parent transform."""
    start = to_world(map_node, points[0])
    direction = to_world(map_node, points[0] + step) - start
    direction /= np.linalg.norm(direction)
    direction *= np.sign(direction[np.abs(direction).argmax()])
    return np.array([to_world(map_node, point) for point in points]) @ direction


def _text_column(name: str, values: Sequence[float | None]) -> vtk.vtkStringArray:
    """Numbers as text: a column of numbers has no blank cells, and would show ``nan``."""
    column = vtk.vtkStringArray()
    column.SetName(name)
    for value in values:
        column.InsertNextValue("" if value is None else f"{value:.6g}")
    return column


def _column(table_node: slicer.vtkMRMLTableNode, name: str) -> np.ndarray:
    """A column as numbers, which those of a table from a saved scene need not be; NaN for a blank cell."""
    column = table_node.GetTable().GetColumnByName(name)
    cells = [column.GetVariantValue(row) for row in range(column.GetNumberOfValues())]
    return np.array([cell.ToDouble() if cell.ToString() else np.nan for cell in cells])
