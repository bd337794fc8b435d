"""Takes the pictures of the Slicer module for the documentation: ``make screenshots``.

The panel is the true one, in Qt with the stand-ins of ``tests/slicer/headless.py``; its result is that of a true run on
the sample volume; the slice views are rendered by Slicer's own pipelines, with OpenGL. What they do not show is
Slicer's window.
"""

# ruff: noqa: E402
from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
MODULE_FOLDER = REPOSITORY / "slicer_extension" / "AnomalyMap"
SAMPLE = MODULE_FOLDER / "Resources" / "SampleData" / "phantom_lesion.nrrd"
sys.path[:0] = [str(REPOSITORY / "tests" / "slicer"), str(MODULE_FOLDER)]
os.environ["QT_SCALE_FACTOR"] = "2"  # for print, and screens with small pixels

import headless
import numpy as np
import scenes
import slicer
import vtk
from AnomalyMapLib.volumes import read_volume
from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QColor, QImage, QPainter
from vtk.util.numpy_support import vtk_to_numpy

_PANEL_WIDTH = 400
_VIEW_SIZE = 480
_MARGIN = 8
_DEADLINE_S = 600.0
_DISPLAYABLE_MANAGERS = (
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
)
# Slicer's own colours of the views, and the sides to which they lie.
_VIEWS = {
    "Red": ("Axial", "#f34a33", 2, "SI"),
    "Yellow": ("Sagittal", "#edd54c", 0, "RL"),
    "Green": ("Coronal", "#6eb04b", 1, "AP"),
}


def main() -> None:
    """Opens the module, runs it on the sample, and takes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", type=Path, required=True, help="environment with monai-sagan, which does the run")
    parser.add_argument("--output", type=Path, required=True, help="folder for the pictures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as settings:
        headless.start(Path(settings))
        scene = scenes.Scene()
        headless.use_scene(scene)
        panel = open_with_sample(scene)
        windows = {name: Window(scene, name) for name in _VIEWS}  # views watch what is laid
        try:
            run(panel, options.python)
            panel.ui.nextFindingButton.click()
            options.output.mkdir(parents=True, exist_ok=True)
            save_panel(panel, options.output / "slicer_panel.png")
            save_views(scene, windows, options.output / "slicer_views.png")
        finally:
            panel.cleanup()


class Window:
    """A slice view as Slicer draws it: its picture, and over it outlines, marks and the scale of colours."""

    def __init__(self, scene: scenes.Scene, name: str) -> None:
        self._logic = scene.views[name]
        self._logic.ResizeSliceNode(_VIEW_SIZE, _VIEW_SIZE)
        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(True)
        self._window.SetSize(_VIEW_SIZE, _VIEW_SIZE)
        self._interactor = vtk.vtkGenericRenderWindowInteractor()
        self._window.SetInteractor(self._interactor)
        renderer = vtk.vtkRenderer()
        self._window.AddRenderer(renderer)
        self._picture = vtk.vtkImageMapper()
        self._picture.SetColorWindow(255)
        self._picture.SetColorLevel(127.5)
        actor = vtk.vtkActor2D()
        actor.SetMapper(self._picture)
        actor.GetProperty().SetDisplayLocationToBackground()
        renderer.AddViewProp(actor)
        scene.application.SetModuleLogic("Markups", scene.logics["vtkSlicerMarkupsLogic"])
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(scene.application)
        for manager in _DISPLAYABLE_MANAGERS:
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        self._managers = factory.InstantiateDisplayableManagers(renderer)
        self._managers.SetMRMLDisplayableNode(self._logic.GetSliceNode())

    def pixels(self) -> np.ndarray:
        """What it shows: (rows from above, columns, RGB)."""
        self._logic.UpdatePipeline()
        self._picture.SetInputConnection(self._logic.GetImageDataConnection())
        self._window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self._window)
        grab.ReadFrontBufferOff()
        grab.Update()
        pixels = vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars())
        return pixels.reshape(_VIEW_SIZE, _VIEW_SIZE, -1)[::-1, :, :3]


def open_with_sample(scene: scenes.Scene) -> Any:
    """The module's widget, opened where the sample volume is loaded."""
    import AnomalyMap

    node = read_volume(SAMPLE)
    node.SetName("AnomalyMapPhantom")
    scene.mrml.AddNode(node).CreateDefaultDisplayNodes()
    return headless.open_panel(AnomalyMap)


def run(panel: Any, python: Path) -> None:
    """Presses Apply and waits for the result.

    Raises:
        RuntimeError: if there is none in time, with what the panel says.
    """
    panel.apply.python.add_folder(str(python.absolute()))
    panel.ui.applyButton.click()
    deadline = time.monotonic() + _DEADLINE_S
    while panel.apply.run.is_running and time.monotonic() < deadline:
        headless.slicer.app.processEvents()
        time.sleep(0.02)
    if panel.ui.statusLabel.text != "Done.":
        raise RuntimeError(f"The run brought no result: {panel.ui.statusLabel.text}\n{panel.apply.run.log}")


def save_panel(panel: Any, path: Path) -> None:
    """The panel in a column as narrow as Slicer's usually is."""
    parent = panel.parent
    parent.show()
    parent.resize(_PANEL_WIDTH, parent.heightForWidth(_PANEL_WIDTH))
    headless.slicer.app.processEvents()
    parent.grab().save(str(path))


def save_views(scene: scenes.Scene, windows: dict[str, Window], path: Path) -> None:
    """The slice views side by side."""
    offsets = {name: view.GetSliceNode().GetSliceOffset() for name, view in scene.views.items()}
    scene.fit()
    for name, view in scene.views.items():
        view.GetSliceNode().SetSliceOffset(offsets[name])
    width = len(_VIEWS) * (_VIEW_SIZE + _MARGIN) - _MARGIN
    picture = QImage(width, _VIEW_SIZE, QImage.Format.Format_RGB888)
    picture.fill(Qt.GlobalColor.white)
    painter = QPainter(picture)
    for number, (name, (title, color, axis, sides)) in enumerate(_VIEWS.items()):
        left = number * (_VIEW_SIZE + _MARGIN)
        pixels = np.ascontiguousarray(windows[name].pixels())
        image = QImage(pixels.data, _VIEW_SIZE, _VIEW_SIZE, 3 * _VIEW_SIZE, QImage.Format.Format_RGB888)
        painter.drawImage(left, 0, image)
        painter.fillRect(QRect(left, 0, _VIEW_SIZE, 6), QColor(color))
        painter.setPen(Qt.GlobalColor.white)
        place = scene.views[name].GetSliceNode().GetSliceToRAS().GetElement(axis, 3)
        painter.drawText(left + 10, 26, f"{title}  {sides[place < 0]} {abs(place):.1f} mm")
    painter.end()
    picture.save(str(path))


if __name__ == "__main__":
    main()
