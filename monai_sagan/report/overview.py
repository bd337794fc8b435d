"""Pictures to look at: a few cases side by side, and a volume with its map laid over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from monai.data import MetaTensor
from monai.transforms import LoadImage
from monai.utils import convert_to_tensor

from monai_sagan.data import CaseReader
from monai_sagan.report.case import EvaluatedCase
from monai_sagan.report.gallery import choose_gallery
from monai_sagan.report.on_white import ANOMALOUS, HEALTHY, INK, MUTED, STYLE, place_axes, show, write_png
from monai_sagan.report.pictures import RAMP, grey_pixels, map_pixels, map_scale, outline_segments
from monai_sagan.transforms import Greyscale, ScaleToNetworkRange, SliceLayout

__all__ = ["draw_cases", "draw_volume"]

# Which cases of a class are shown: those at these percentiles of its scores.
_PERCENTILES = {1: (90, 50, 10), 0: (50, 90)}
_NUM_SLICES = 6

_OUTLINE_STROKES = (("#000000", 2.5), ("#00f0ff", 1.25))  # colours and widths, drawn one upon the other
_MAP_ROW = "Anomaly map"

_DOTS_PER_INCH = 110
# Inches: with these, five cases or six slices are about 1300 pixels wide.
_CASE_WIDTH, _SLICE_WIDTH = 2.15, 1.85
_MARGIN, _GAP, _CLASS_GAP = 0.15, 0.06, 0.22
_CLASS_NAME, _TITLE, _ROW_NAME, _LEGEND = 0.42, 0.46, 0.28, 0.42
_CURVE, _CURVE_SCALE = 1.6, 0.6
_FEWEST_COLUMNS = 4  # the legend needs this width


@dataclass(frozen=True)
class _Column:
    """An image and what was made of it, one above the other; arrays as in `EvaluatedCase`."""

    title: str
    score: float
    image: np.ndarray
    restored: np.ndarray | None
    anomaly_map: np.ndarray
    mask: np.ndarray | None = None
    colour: str = INK

    @property
    def rows(self) -> dict[str, np.ndarray]:
        """The grey image of each row, by the row's name."""
        restored = {} if self.restored is None else {"Restored": self.restored}
        return {"Image": self.image, **restored, _MAP_ROW: self.image}


def draw_cases(cases: Sequence[EvaluatedCase], path: Path, *, is_deviation: bool = False) -> None:
    """Draws a few cases of a test set: the image, the restored image, and the map laid over the image.

    None is picked by hand: of the anomalous cases those at the 90th, 50th and 10th percentile of their scores, of the
    healthy ones those at the 50th and 90th. A case is shown once, and a class without cases not at all. A colour means
    what it means on the page that shows the same test set.

    Args:
        cases: the test set, at least one case.
        path: the PNG to write; an existing one is replaced.
        is_deviation: whether the maps are in standard deviations from healthy images.

    Raises:
        ValueError: if there is no case.
        OSError: if the file cannot be written.
    """
    if not cases:
        raise ValueError("There is no case to draw.")
    groups = [(label, _columns_of_class(cases, label)) for label in _PERCENTILES]
    columns = [column for _, group in groups for column in group]
    scale = map_scale([case.anomaly_map for group in choose_gallery(cases) for case in group.cases])
    with matplotlib.style.context(["default", STYLE]):
        sheet = _Sheet(columns, _CASE_WIDTH, above=_CLASS_NAME, beside=_CLASS_GAP)
        left = sheet.left
        for label, group in groups:
            if group:
                name, colour = ("Anomalous", ANOMALOUS) if label else ("Healthy", HEALTHY)
                total = sum(case.label == label for case in cases)
                right = left + len(group) * (_CASE_WIDTH + _GAP) - _GAP
                sheet.text(left, _MARGIN, f"{name}, n = {total}", color=colour, fontsize=13, fontweight="bold")
                sheet.line(left, right, _MARGIN + 0.31, color=colour, linewidth=1.5)
                sheet.draw_columns(group, left, scale)
                left = right + _CLASS_GAP
        sheet.draw_legend(scale, is_deviation, outlined=any(column.mask is not None for column in columns))
        sheet.write(path)


def draw_volume(
    volume: Path,
    anomaly_map: Path,
    restored: Path | None,
    scores: Sequence[float],
    path: Path,
    *,
    slice_axis: int = -1,
    is_deviation: bool = False,
) -> None:
    """Draws slices of a volume with the map laid over them, above the scores of all slices.

    The stack is divided into six parts. Shown is the middle slice of each part, or, of the part that holds it, the
    slice that scores highest.

    Args:
        volume: the file that was mapped.
        anomaly_map: the map's file.
        restored: the restored image's file, in [-1, 1]; None to leave it out.
        scores: `slice_scores` of the result, one a slice.
        path: the PNG to write; an existing one is replaced.
        slice_axis: `slice_axis` of the result, the axis of the file along which slices are stacked.
        is_deviation: whether the map is in standard deviations from healthy images.

    Raises:
        UserError: if a file cannot be read.
        ValueError: if the files are not volumes of one size, with as many slices as there are scores.
        OSError: if the picture cannot be written.
    """
    image = _read(volume)
    if image.dim() != 4:
        raise ValueError(f"An image with {image.dim() - 1} axes is no volume.")
    layout = SliceLayout.of(image, slice_axis)
    volumes = [ScaleToNetworkRange()(image), *(_read(file) for file in (anomaly_map, restored) if file is not None)]
    stacks = [layout.turn(layout.view(convert_to_tensor(each, track_meta=False)))[:, 0].numpy() for each in volumes]
    if any(stack.shape != stacks[0].shape for stack in stacks):
        raise ValueError(f"{volume}, its map and its restored image must be volumes of one size.")
    if len(scores) != len(stacks[0]):
        raise ValueError(f"{volume} has {len(stacks[0])} slices, but there are {len(scores)} scores.")

    highest = int(np.argmax(scores))
    shown = _choose_slices(len(scores), highest)
    columns = [
        _Column(
            title=f"Slice {index + 1}",
            score=scores[index],
            image=stacks[0][index],
            anomaly_map=stacks[1][index],
            restored=None if restored is None else stacks[2][index],
            colour=ANOMALOUS if index == highest else INK,
        )
        for index in shown
    ]
    across, down = (float(image.pixdim[axis]) for axis in (layout.columns, layout.rows))
    scale = map_scale([column.anomaly_map for column in columns])
    with matplotlib.style.context(["default", STYLE]):
        sheet = _Sheet(columns, _SLICE_WIDTH, below=_CURVE + _CURVE_SCALE, pixel_height=down / across)
        sheet.draw_columns(columns, sheet.left, scale)
        sheet.draw_legend(scale, is_deviation, outlined=False)
        axes = sheet.axes(sheet.left + 0.6, sheet.bottom + _LEGEND, sheet.right - sheet.left - 0.6, _CURVE)
        _draw_scores(axes, scores, shown)
        sheet.write(path)


class _Sheet:
    """A picture that is laid out in inches from its upper left corner: columns of pictures, and a legend below.

    Args:
        columns: all that will be drawn.
        width: of a column.
        above: height to leave free above the columns.
        below: height to leave free below the legend.
        beside: width to leave free for gaps between groups of columns.
        pixel_height: height of a pixel in widths of a pixel.
    """

    def __init__(
        self,
        columns: Sequence[_Column],
        width: float,
        *,
        above: float = 0.0,
        below: float = 0.0,
        beside: float = 0.0,
        pixel_height: float = 1.0,
    ) -> None:
        rows = list(columns[0].rows)
        self.pixel_height = pixel_height
        # All cells have the form of the tallest image, but none in which names do not fit or which is a tower.
        tallest = max(column.image.shape[0] / column.image.shape[1] for column in columns)
        self.cell = (width, width * min(max(tallest * pixel_height, 0.5), 2.0))
        self.left = _MARGIN + _ROW_NAME
        self.top = _MARGIN + above + _TITLE
        self.right = self.left + max(len(columns), _FEWEST_COLUMNS) * (width + _GAP) - _GAP + beside
        self.tops = {name: self.top + row * (self.cell[1] + _GAP) for row, name in enumerate(rows)}
        self.bottom = self.top + len(rows) * (self.cell[1] + _GAP)
        self.size = (self.right + _MARGIN, self.bottom + _LEGEND + below)
        self.figure = Figure(figsize=self.size, dpi=_DOTS_PER_INCH, facecolor="white")
        for name, top in self.tops.items():
            self.text(_MARGIN + 0.1, top + self.cell[1] / 2, name, rotation=90, ha="center", va="center")

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes at a place."""
        return place_axes(self.figure, left, top, width, height)

    def text(self, left: float, top: float, text: str, **style: Any) -> None:
        """Text with its upper left corner, unless the style says otherwise, at a place."""
        self.figure.text(left / self.size[0], 1 - top / self.size[1], text, **{"va": "top", **style})

    def line(self, left: float, right: float, top: float, **style: Any) -> None:
        """A horizontal line."""
        axes = self.axes(left, top - 0.05, right - left, 0.1)
        axes.axhline(0.5, **style)
        axes.set_axis_off()

    def draw_columns(self, columns: Sequence[_Column], left: float, scale: float) -> None:
        """Draws columns side by side, the first one at `left`."""
        width, height = self.cell
        for column in columns:
            self.text(left, self.top - 0.43, column.title, color=column.colour, fontweight="bold")
            self.text(left, self.top - 0.23, f"score {column.score:#.3g}", color=MUTED, fontsize=10)
            for name, image in column.rows.items():
                axes = self.axes(left, self.tops[name], width, height)
                show(axes, grey_pixels(image), self.pixel_height)
                if name == _MAP_ROW:
                    show(axes, map_pixels(column.anomaly_map, scale), self.pixel_height)
                    _outline(axes, column.mask)
            left += width + _GAP

    def draw_legend(self, scale: float, is_deviation: bool, *, outlined: bool) -> None:
        """Draws what colours mean."""
        middle, left = self.bottom + 0.2, self.left
        meaning = "Beyond healthy images:  0" if is_deviation else "Change by the model:  0"
        self.text(left + 1.7, middle, meaning, va="center", ha="right", fontsize=10)
        axes = self.axes(left + 1.78, middle - 0.07, 1.5, 0.14)
        axes.imshow(np.full((1, 1, 3), 128, dtype=np.uint8), aspect="auto", extent=(0, 1, 0, 1))
        axes.imshow(map_pixels(RAMP, 1.0), aspect="auto", extent=(0, 1, 0, 1))
        axes.set_axis_off()
        self.text(left + 3.36, middle, f"{scale:.2g}{' SD' if is_deviation else ''} and more", va="center", fontsize=10)
        if outlined:
            for colour, width in _OUTLINE_STROKES:
                self.line(left + 4.8, left + 5.1, middle, color=colour, linewidth=width)
            self.text(left + 5.18, middle, "outlined lesion", va="center", fontsize=10)

    def write(self, path: Path) -> None:
        """Writes a PNG, the same from run to run."""
        write_png(self.figure, path)


def _columns_of_class(cases: Sequence[EvaluatedCase], label: int) -> list[_Column]:
    """The cases of a class that are shown, each once."""
    ordered = sorted((case for case in cases if case.label == label), key=lambda case: (case.score, case.name))
    chosen: dict[int, int] = {}
    for percentile in _PERCENTILES[label] if ordered else ():
        chosen.setdefault(round(percentile / 100 * (len(ordered) - 1)), percentile)
    return [
        _Column(
            title=f"{percentile}th percentile",
            score=case.score,
            image=case.image,
            restored=case.restored,
            anomaly_map=case.anomaly_map,
            mask=case.mask if case.has_lesion else None,
        )
        for case, percentile in ((ordered[index], percentile) for index, percentile in chosen.items())
    ]


def _choose_slices(total: int, highest: int) -> list[int]:
    """The slices of a volume that are shown, in order."""
    parts = min(_NUM_SLICES, total)
    shown = [(2 * part + 1) * total // (2 * parts) for part in range(parts)]
    shown[(2 * highest + 1) * parts // (2 * total)] = highest  # the part where the middle of the slice lies
    return shown


def _read(path: Path) -> MetaTensor:
    """A file's image in grey, (1, *spatial), x first."""
    image = LoadImage(CaseReader(allow_constant=True), image_only=True, dtype=None, ensure_channel_first=True)(path)
    return cast(MetaTensor, Greyscale()(image))


def _outline(axes: Axes, mask: np.ndarray | None) -> None:
    """Draws the outline of a mask, as the page does."""
    segments = [] if mask is None else list(outline_segments(mask))
    for colour, width in _OUTLINE_STROKES:
        axes.add_collection(LineCollection(segments, colors=colour, linewidths=width, capstyle="projecting"))


def _draw_scores(axes: Axes, scores: Sequence[float], shown: Sequence[int]) -> None:
    """Draws the scores of all slices, with the shown ones marked."""
    highest = int(np.argmax(scores))
    numbers = range(1, len(scores) + 1)  # as people count
    axes.plot(numbers, scores, color=MUTED, linewidth=1.5)
    rest = [index for index in shown if index != highest]
    axes.plot(
        [numbers[index] for index in rest],
        [scores[index] for index in rest],
        "o",
        color=INK,
        clip_on=False,
        label="shown above",
    )
    axes.plot(
        numbers[highest], scores[highest], "o", color=ANOMALOUS, clip_on=False, label="shown above, highest score"
    )
    axes.set(xlabel="Slice, the file's first is 1", ylabel="Anomaly score")
    axes.margins(x=0.01, y=0.1)
    axes.xaxis.set_major_locator(MaxNLocator(12, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.legend(frameon=False, fontsize=10, loc="lower right", bbox_to_anchor=(1.0, 1.02), ncols=2)
