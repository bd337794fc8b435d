"""The map that weighs all images, laid over their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from monai_sagan.files import write_whole
from monai_sagan.report.on_white import STYLE, place_axes, show, write_png
from monai_sagan.report.pictures import grey_pixels

__all__ = [
    "OVERLAY_OPACITY",
    "WeightMap",
    "WeightView",
    "draw_mean_weight_maps",
    "draw_weight_map",
    "weight_pixels",
]

_DOTS_PER_INCH = 300  # as journals ask for
# Inches: the longest side of a view, and what is around the views.
_LONGEST_SIDE, _GAP, _TITLE = 2.4, 0.1, 0.25
_BAR, _BAR_NUMBERS = 0.12, 0.5

OVERLAY_OPACITY = 0.5
_COLOURS = matplotlib.colormaps["plasma"]


@dataclass(frozen=True, eq=False)
class WeightView:
    """A picture of the map and of the mean image, or one slice of these.

    Args:
        name: which slice; empty for a picture.
        image: (H, W), in [-1, 1].
        weights: (H, W), in [0, 1].
    """

    name: str
    image: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True, eq=False)
class WeightMap:
    """One map for all images of a test set.

    Args:
        weights: (rows, columns), or (slices, rows, columns) from foot to head, front to back and right to left; in
            [0, 1].
        image: the mean of the images, of the same shape, in [-1, 1].

    Raises:
        ValueError: if shapes differ, or have neither two nor three axes.
    """

    weights: np.ndarray
    image: np.ndarray

    def __post_init__(self) -> None:
        if self.weights.shape != self.image.shape or self.weights.ndim not in (2, 3):
            raise ValueError(
                f"The weight map has the shape {self.weights.shape} and the mean image {self.image.shape}, but they "
                "must be pictures or volumes of one size."
            )

    @classmethod
    def load(cls, path: Path) -> WeightMap:
        """What :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            return cls(file["weights"], file["image"])

    def save(self, path: Path) -> None:
        """Writes both arrays as they are, whole or not at all, for use in other programs (``numpy.load``).

        Args:
            path: the ``.npz`` file; an existing one is replaced.
        """
        with write_whole(path) as partial:
            np.savez_compressed(partial, weights=self.weights, image=self.image)

    @property
    def peak(self) -> tuple[int, ...]:
        """Where the weight is highest; of several places, the one nearest to the middle."""
        highest = np.argwhere(self.weights == self.weights.max())
        middle = (np.array(self.weights.shape) - 1) / 2
        return tuple(highest[np.linalg.norm(highest - middle, axis=1).argmin()].tolist())

    def views(self) -> list[WeightView]:
        """The picture; of a volume, its axial, coronal and sagittal slice through the peak, turned to be seen.

        As in radiology: front on top of the axial slice, head on top of the others, the patient's left on the right,
        and of the sagittal slice front on the left.
        """
        if self.weights.ndim == 2:
            return [WeightView("", self.image, self.weights)]
        names, volumes = ("axial", "coronal", "sagittal"), (self.image, self.weights)
        return [
            WeightView(f"{name} slice {place + 1} of {side}", *(_slice(each, axis, place) for each in volumes))
            for axis, (name, place, side) in enumerate(zip(names, self.peak, self.weights.shape))
        ]


def weight_pixels(weights: np.ndarray, opacity: float = 1.0) -> np.ndarray:
    """The colours of weights. A hue tells a weight, whatever image lies below.

    Args:
        weights: (H, W), in [0, 1].
        opacity: of all pixels, in [0, 1].

    Returns:
        (H, W, 4), red, green, blue and opacity, uint8.
    """
    return np.round(255.0 * _COLOURS(weights, alpha=opacity)).astype(np.uint8)


def draw_weight_map(views: Sequence[WeightView], path: Path) -> None:
    """Draws the map over the mean image, with a colour bar, for print.

    Args:
        views: of a map, at least one.
        path: the PNG to write; an existing one is replaced.

    Raises:
        OSError: if the file cannot be written.
    """
    inch = _LONGEST_SIDE / max(max(view.image.shape) for view in views)
    top = _GAP + (_TITLE if views[0].name else 0.0)
    height = inch * max(view.image.shape[0] for view in views)
    width = sum(inch * view.image.shape[1] + _GAP for view in views)
    size = (_GAP + width + _BAR + _BAR_NUMBERS, top + height + _GAP)
    with matplotlib.style.context(["default", {**STYLE, "font.size": 9, "axes.titlesize": 9, "ytick.labelsize": 8}]):
        figure = Figure(figsize=size, dpi=_DOTS_PER_INCH, facecolor="white")
        left = _GAP
        for view in views:
            down, across = (inch * side for side in view.image.shape)
            axes = place_axes(figure, left, top, across, down)
            show(axes, grey_pixels(view.image))
            show(axes, weight_pixels(view.weights, OVERLAY_OPACITY))
            axes.set_title(view.name.capitalize(), pad=4)
            left += across + _GAP
        bar = place_axes(figure, left, top, _BAR, height)
        figure.colorbar(ScalarMappable(cmap=_COLOURS, norm=Normalize(0, 1)), cax=bar, ticks=[0, 0.5, 1]).set_label(
            "Weight"
        )
        write_png(figure, path)


def draw_mean_weight_maps(maps: Mapping[str, Sequence[Path]], path: Path) -> None:
    """Draws maps of several trainings side by side: for each name the mean of its maps over the mean of its images.

    Args:
        maps: by name, files that :meth:`WeightMap.save` wrote, at least one each; of volumes, the axial slice is shown.
        path: the PNG to write; an existing one is replaced.

    Raises:
        OSError: if the file cannot be written.
    """
    views = []
    for name, files in maps.items():
        loaded = [WeightMap.load(file) for file in files]
        mean = WeightMap(np.mean([one.weights for one in loaded], 0), np.mean([one.image for one in loaded], 0))
        view = mean.views()[0]
        views.append(WeightView(name, view.image, view.weights))
    draw_weight_map(views, path)


def _slice(volume: np.ndarray, axis: int, place: int) -> np.ndarray:
    """One slice of a volume, with the head on top where it has one."""
    taken = np.take(volume, place, axis)
    return taken if axis == 0 else taken[::-1]
