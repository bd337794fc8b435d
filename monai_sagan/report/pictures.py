"""The pictures of a report: arrays made into pixels, and into what a page can hold."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import matplotlib
import numpy as np
from PIL import Image

__all__ = [
    "RAMP",
    "data_uri",
    "grey_pixels",
    "map_pixels",
    "map_scale",
    "outline_path",
    "outline_segments",
    "shrink",
]

# What a colour bar shows: from 0 on the left to 1 on the right, one pixel high.
RAMP = np.linspace(0.0, 1.0, 256)[np.newaxis]

# The level that a lesion of one hundredth of the image reaches, however strong a single pixel is,
_LEVEL_PERCENTILE = 99.0
# and of those levels one that a few odd cases do not decide.
_SCALE_PERCENTILE = 90.0
_OPACITY_POWER = 1.5
_LONGEST_SIDE = 512  # pixels; the page shows no picture larger, even on a screen of double density


def map_scale(maps: Sequence[np.ndarray]) -> float:
    """The value of the strongest colour, one for all maps, so that colours compare between them.

    Args:
        maps: those that are shown, (H, W), at least one.

    Returns:
        The 90th percentile of the maps' levels, a map's level being its 99th percentile; the maximum of all maps where
        that is 0, and 1 where that is 0 too.
    """
    levels = [np.percentile(each, _LEVEL_PERCENTILE) for each in maps]
    largest = max(each.max() for each in maps)
    return float(np.percentile(levels, _SCALE_PERCENTILE) or largest or 1.0)


def grey_pixels(image: np.ndarray) -> np.ndarray:
    """An image as grey levels.

    Args:
        image: (H, W), from -1 (black) to 1 (white); values beyond are cut off.

    Returns:
        (H, W), uint8.
    """
    return np.round(np.clip((image + 1.0) / 2.0, 0.0, 1.0) * 255.0).astype(np.uint8)


def map_pixels(anomaly_map: np.ndarray, scale: float) -> np.ndarray:
    """A map as colours to lay over its image: transparent at 0, strongest from `scale` on.

    Args:
        anomaly_map: (H, W), at least 0.
        scale: the value of the strongest colour, above 0.

    Returns:
        (H, W, 4), red, green, blue and opacity, uint8.
    """
    share = np.clip(anomaly_map / scale, 0.0, 1.0)
    # The dark low end of the colour map would read as tissue on a dark image.
    colours = matplotlib.colormaps["plasma"](0.3 + 0.7 * share)
    # Opacity lags behind, so that the low values that a map has everywhere leave the image clear.
    colours[..., 3] = 0.9 * share**_OPACITY_POWER
    return np.round(255.0 * colours).astype(np.uint8)


def outline_path(mask: np.ndarray) -> str:
    """The edges between pixels within and beyond a mask, as an SVG path whose unit is a pixel.

    Args:
        mask: (H, W), bool.

    Returns:
        The `d` of a `<path>`, empty for an empty mask.
    """
    return "".join(f"M{x} {y}{'h' if y == end_y else 'v'}1" for (x, y), (_, end_y) in outline_segments(mask).tolist())


def outline_segments(mask: np.ndarray) -> np.ndarray:
    """The edges between pixels within and beyond a mask, as lines of the length of a pixel.

    Args:
        mask: (H, W), bool.

    Returns:
        (N, 2, 2), whole numbers: of each line the start and the end, of each of these x and y, counted in pixels from
        the image's upper left corner.
    """
    padded = np.pad(mask.astype(np.int8), 1)
    horizontal = np.argwhere(np.diff(padded, axis=0)[:, 1:-1])[:, ::-1]
    vertical = np.argwhere(np.diff(padded, axis=1)[1:-1])[:, ::-1]
    return np.concatenate(
        [np.stack([starts, starts + step], axis=1) for starts, step in ((horizontal, [1, 0]), (vertical, [0, 1]))]
    )


def data_uri(pixels: np.ndarray) -> str:
    """A picture for a page, made smaller where it is larger than is shown.

    Args:
        pixels: uint8, (H, W) grey, or (H, W, 4) red, green, blue and opacity.

    Returns:
        A PNG as a data URI.
    """
    buffer = io.BytesIO()
    Image.fromarray(shrink(pixels, _LONGEST_SIDE)).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def shrink(pixels: np.ndarray, longest_side: int) -> np.ndarray:
    """Makes a picture smaller if it is larger than wanted.

    Args:
        pixels: uint8, (H, W) grey, or (H, W, 4) red, green, blue and opacity.
        longest_side: the most pixels that it may be high or wide.

    Returns:
        As many axes, uint8.
    """
    picture = Image.fromarray(pixels)
    picture.thumbnail((longest_side, longest_side))
    return np.asarray(picture)
