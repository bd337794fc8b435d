"""What pictures that are files of their own share: the page's colours on white, and how pixels are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from monai_sagan.files import write_whole

__all__ = ["ANOMALOUS", "HEALTHY", "INK", "MUTED", "STYLE", "place_axes", "show", "write_png"]

INK, MUTED, HEALTHY, ANOMALOUS = "#1b1f26", "#5a6270", "#0067a5", "#b94a00"
STYLE: Any = {
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
}

_SMOOTHED_FROM = 160  # pixels; as on the page, a smaller picture is shown pixel by pixel


def place_axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a place in inches from the figure's upper left corner."""
    across, down = figure.get_size_inches()
    return figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))


def show(axes: Axes, pixels: np.ndarray, pixel_height: float = 1.0) -> None:
    """Draws a picture whose pixels are one unit wide and high, counted from its upper left corner.

    Args:
        axes: where to draw; nothing else of them is seen.
        pixels: uint8, (H, W) grey, or (H, W, 4) red, green, blue and opacity.
        pixel_height: height of a pixel in widths of a pixel.
    """
    height, width = pixels.shape[:2]
    interpolation = "nearest" if width <= _SMOOTHED_FROM else "antialiased"
    axes.imshow(
        pixels,
        cmap="gray",
        vmin=0,
        vmax=255,
        interpolation=interpolation,
        extent=(0, width, height, 0),
        aspect=pixel_height,
    )
    axes.set_axis_off()


def write_png(figure: Figure, path: Path) -> None:
    """Writes a figure, the same from run to run.

    Args:
        figure: what to write.
        path: the PNG; an existing one is replaced.

    Raises:
        OSError: if it cannot be written.
    """
    with write_whole(path) as partial:
        figure.savefig(partial, format="png", metadata={"Software": None})
