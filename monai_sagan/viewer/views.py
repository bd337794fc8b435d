"""Slice views and a 3D view of a scene, in the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
from trame_client.ui.core import AbstractLayout
from trame_server import Server
from trame_slicer.core import LayoutManager, SlicerApp
from trame_slicer.rca_view import register_rca_factories
from trame_slicer.views import Layout, LayoutDirection, ThreeDView, ViewLayoutDefinition
from vtkmodules.vtkCommonCore import vtkCommand

__all__ = ["Views"]

_LAYOUT = "views"
_AXIAL = ViewLayoutDefinition.axial_view()
# Of the 3D view's camera: degrees, and how much nearer it is than for all corners to be seen.
_AZIMUTH, _ELEVATION, _ZOOM = 30.0, 35.0, 0.25


class Views:
    """Views as Slicer arranges four: axial and 3D above, coronal and sagittal below; of a single slice, one.

    Args:
        server: of the page.
        application: holds the scene.
        flat_axis: across which of R, A, S (0 to 2) a single slice lies; None for a volume of several.

    Attributes:
        is_flat: whether there is a single slice.
    """

    def __init__(self, server: Server, application: SlicerApp, flat_axis: int | None) -> None:
        self.is_flat = flat_axis is not None
        self._manager = application.view_manager
        register_rca_factories(self._manager, server)
        self._layout = LayoutManager(application.scene, self._manager, server)
        self._layout.register_layout(_LAYOUT, _four_up_layout() if flat_axis is None else _single_layout(flat_axis))
        self._layout.set_layout(_LAYOUT)
        for view in self._manager.get_views():
            self._fit_when_sized(view)
            view.set_orientation_marker(
                slicer.vtkMRMLAbstractViewNode.OrientationMarkerTypeAxes,
                slicer.vtkMRMLAbstractViewNode.OrientationMarkerSizeSmall,
            )
        for view in self._manager.get_threed_views():
            view.renderer().CreateLight()
            for light in view.renderer().GetLights():
                light.SetAmbientColor(1.0, 1.0, 1.0)  # VTK's is black, and a map rendered by the processor dark with it
        if flat_axis is None:
            # One slice shows where in the body a map is; three would hide most of it.
            self._manager.get_view(_AXIAL.singleton_tag).set_visible_in_3d(True)

    def fill(self, page: AbstractLayout) -> None:
        """Puts the views where the page is being built."""
        self._layout.initialize_layout_grid(page)

    def on_move(self, call: Callable[[], Any]) -> None:
        """Calls whenever a slice view moves."""
        for view in self._manager.get_slice_views():
            view.modified.connect(lambda _view: call())

    def render_slices(self) -> None:
        """Draws the slice views again: they do so by themselves when a volume or its display changed, not when their
        composition did."""
        for view in self._manager.get_slice_views():
            view.schedule_render()

    def _fit_when_sized(self, view: Any) -> None:
        """Shows the whole volume once the page has told how large a view is: before that there is nothing to fit."""

        def fit(*_: Any) -> None:
            view.render_window().RemoveObserver(tag)
            view.reset_view()
            for other in self._manager.get_threed_views():  # which shows a slice that has just got its size
                _look_from_above(other)

        tag = view.render_window().AddObserver(vtkCommand.WindowResizeEvent, fit)


def _four_up_layout() -> Layout:
    rows = (
        [_AXIAL, ViewLayoutDefinition.threed_view()],
        [ViewLayoutDefinition.coronal_view(), ViewLayoutDefinition.sagittal_view()],
    )
    return Layout(LayoutDirection.Vertical, [Layout(LayoutDirection.Horizontal, row) for row in rows])


def _look_from_above(view: ThreeDView) -> None:
    """Shows the whole scene, so that an axial slice does not hide what lies on it."""
    view.reset_view()
    camera = view.get_camera_node().GetCamera()
    camera.Azimuth(_AZIMUTH)
    camera.Elevation(_ELEVATION)
    camera.OrthogonalizeViewUp()
    view.reset_camera()
    view.zoom(_ZOOM)


def _single_layout(axis: int) -> Layout:
    across = (ViewLayoutDefinition.sagittal_view(), ViewLayoutDefinition.coronal_view(), _AXIAL)
    return Layout(LayoutDirection.Vertical, [across[axis]])
