"""The viewer: a result in a scene, and the page that shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import slicer
from trame_slicer.core import SlicerApp
from vtkmodules.vtkCommonCore import vtkLogger, vtkOutputWindow

from monai_sagan.image_names import is_picture
from monai_sagan.viewer.AnomalyMapLib.description import percent
from monai_sagan.viewer.AnomalyMapLib.scene import ResultScene
from monai_sagan.viewer.AnomalyMapLib.slice_scores import POSITION, SCORE, high_slices
from monai_sagan.viewer.AnomalyMapLib.volumes import ijk_to_ras, read_volume
from monai_sagan.viewer.case import Case
from monai_sagan.viewer.page import Steering, build_page, with_key
from monai_sagan.viewer.pictures import read_picture
from monai_sagan.viewer.server import make_server, new_key, serve
from monai_sagan.viewer.views import Views

__all__ = ["Viewer"]

_STEPS = 500  # of a slider
_NUM_COLORS = 9  # that stand for the colour table in the page


class Viewer:
    """Shows a result, with what steers it.

    Args:
        case: what is shown.

    Attributes:
        result_scene: the result in its MRML scene, as the Slicer module lays it.
        server: trame's.
        key: what a page must know to be let in.
        ui: the page; a notebook shows it.

    Raises:
        VolumeError: if volume or map cannot be read, or do not fit each other.
    """

    def __init__(self, case: Case) -> None:
        self.key = new_key()
        self.server = make_server(self.key)
        self._application = SlicerApp()
        scene = self._application.scene
        self.result_scene = ResultScene(scene.AddNode(slicer.vtkMRMLScriptedModuleNode()))
        with _silent_vtk():
            volume = scene.AddNode(read_picture(case.volume) if is_picture(case.volume) else read_volume(case.volume))
            volume.CreateDefaultDisplayNodes()
            self._views = Views(self.server, self._application, _flat_axis(volume))
            self.result_scene.lay(case.result, volume)
            if case.anomaly_map is not None:
                self.result_scene.set_rendering(True, _rendering_logic(self._application))
                # The page has a scale of the colours beside the threshold.
                legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(self.result_scene.node("anomalyMap"))
                legend.SetVisibility(False)
        self._fill_state(case)
        steering = Steering(
            self._jump, self._step, self._next_high_slice, self._next_finding, self.result_scene.mark_peak
        )
        self.ui = build_page(self.server, self._views, steering)
        self.ui.iframe_builder = with_key(self.ui.iframe_builder, self.key)
        if case.anomaly_map is not None:
            self.server.state.change("threshold")(self._set_threshold)
            self.server.state.change("opacity")(self._set_opacity)
        self._views.on_move(self._follow)

    def serve(self, host: str, port: int, open_browser: bool, say: Callable[[str], Any]) -> None:
        """Shows the page to whoever opens its address, until Ctrl-C.

        Args:
            host: name or address to listen on.
            port: 0 for any that is free.
            open_browser: whether a browser is opened on the page.
            say: gets the page's address once it can be opened.
        """
        serve(self.server, self.key, host, port, open_browser, say)

    def _fill_state(self, case: Case) -> None:
        """What the page shows, by the names that it knows."""
        result, map_node = case.result, self.result_scene.node("anomalyMap")
        said = self.result_scene.describe()
        self.server.state.update(
            {
                "trame__title": f"{case.volume.name} - monai-sagan",
                "volume_name": case.volume.name,
                "bundle": f"{result.bundle.name} {result.bundle.version}",
                "score": None if result.anomaly_score is None else f"{result.anomaly_score:.3g}",
                "classes": [
                    {"name": item.name, "percent": percent(item.probability)} for item in result.ranked_classes
                ],
                "p_value": None if result.p_value is None else f"{result.p_value:.2g}",
                "notice": said.notice,
                "sentence": said.text,
                "num_findings": len(result.findings or ()) if map_node is not None else 0,
                "finding": None,
                "has_map": map_node is not None,
                "has_peak": result.peak is not None and result.peak.value > 0,
                "slices": self._slices(),
                "high_words": "p of 0.05 or less" if result.slice_p_values else "highest",
                "row": None,
            }
        )
        if map_node is not None:
            highest = map_node.GetScalarVolumeDisplayNode().GetWindowLevelMax()
            self.server.state.update(
                {
                    "map_name": self.result_scene.map_name,
                    "highest": highest,
                    "step": highest / _STEPS,
                    "threshold": self.result_scene.threshold,
                    "opacity": self.result_scene.opacity,
                    "colors": self._colors(),
                }
            )

    def _slices(self) -> list[dict[str, Any]]:
        """Of each slice: score, height in the chart in percent, place in mm, and whether it is high."""
        table_node = self.result_scene.node("scoreTable")
        if table_node is None:
            return []
        scores, positions = (slicer.util.arrayFromTableColumn(table_node, name) for name in (SCORE, POSITION))
        high = set(high_slices(table_node))
        tallest = max(scores.max(), np.finfo(float).tiny)
        return [
            {
                "score": float(score),
                "height": float(100 * score / tallest),
                "mm": float(position),
                "high": row in high,
            }
            for row, (score, position) in enumerate(zip(scores, positions))
        ]

    def _colors(self) -> list[str]:
        """Colours of the map, from 0 to its highest value, as CSS knows them."""
        table = self.result_scene.node("colorTable")
        rgba = [0.0] * 4
        colors = []
        for index in np.linspace(0, table.GetNumberOfColors() - 1, _NUM_COLORS).round():
            table.GetColor(int(index), rgba)
            colors.append("rgb({:.0f}, {:.0f}, {:.0f})".format(*(255 * channel for channel in rgba[:3])))
        return colors

    def _set_threshold(self, threshold: float, **_: Any) -> None:
        self.result_scene.threshold = threshold

    def _set_opacity(self, opacity: float, **_: Any) -> None:
        self.result_scene.opacity = opacity
        self._views.render_slices()

    def _jump(self, row: int) -> None:
        self.result_scene.jump_to_slice(row)

    def _step(self, rows: int) -> None:
        row = self._row()
        if row is not None:
            self._jump(min(max(row + rows, 0), len(self.server.state.slices) - 1))

    def _next_high_slice(self) -> None:
        self.result_scene.next_high_slice()

    def _next_finding(self) -> None:
        finding = self.result_scene.next_finding()
        if finding is not None:
            self.server.state.finding = self.result_scene.describe_finding(finding)

    def _follow(self) -> None:
        """Tells the page in which slice the views are."""
        row = self._row()
        if row is not None:
            with self.server.state as state:
                state.row = row

    def _row(self) -> int | None:
        """The slice in which the views are, by its row; None where there are no scores of slices."""
        table_node = self.result_scene.node("scoreTable")
        if table_node is None:
            return None
        position = self.result_scene.position
        if position is None:
            return None
        positions = slicer.util.arrayFromTableColumn(table_node, POSITION)
        return int(np.abs(positions - position).argmin())


def _flat_axis(volume: slicer.vtkMRMLVolumeNode) -> int | None:
    """Across which of R, A, S (0 to 2) a single slice lies; None for a volume of several."""
    if volume.GetImageData().GetDimensions()[2] > 1:
        return None
    return int(np.abs(ijk_to_ras(volume)[:3, 2]).argmax())


def _rendering_logic(application: SlicerApp) -> slicer.vtkSlicerVolumeRenderingLogic:
    """Lets the processor render volumes: servers have no graphics card, and one that is imitated takes ten times as
    long, in which no slider moves."""
    logic = application.app_logic.GetModuleLogic("VolumeRendering")
    logic.SetDefaultRenderingMethod("vtkMRMLCPURayCastVolumeRenderingDisplayNode")
    return logic


@contextmanager
def _silent_vtk() -> Iterator[None]:
    """Lets VTK print nothing, since what went wrong is told by an error; afterwards errors, which a user may need to
    mend the graphics, but no warnings, which are for developers."""
    vtkOutputWindow.GetInstance().SetDisplayModeToNever()  # or everything is printed twice
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)
    try:
        yield
    finally:
        vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_ERROR)
