"""The pictures of a report: arrays made into what a page can hold."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import matplotlib
import numpy as np
from PIL import Image

from monai_sagan.report.case import EvaluatedCase

__all__ = ["colour_bar", "common_scale", "grey_picture", "map_picture", "outline_path"]

# The level that a lesion of one hundredth of the image reaches, however strong a single pixel is,
_LEVEL_PERCENTILE = 99.0
# and of those levels one that a few odd cases do not decide.
_SCALE_PERCENTILE = 90.0
_LONGEST_SIDE = 512  # pixels; the page shows no picture larger, even on a screen of double density


def common_scale(cases: Sequence[EvaluatedCase]) -> float:
    """The map value of the strongest colour, one for all cases, so that colours compare between them.

    Args:
        cases: those that are shown, at least one.

    Returns:
        The 90th percentile of the cases' levels, a case's level being the 99th percentile of its map; the maximum of
        all maps where that is 0, and 1 where that is 0 too.
    """
    levels = [np.percentile(case.anomaly_map, _LEVEL_PERCENTILE) for case in cases]
    largest = max(case.anomaly_map.max() for case in cases)
    return float(np.percentile(levels, _SCALE_PERCENTILE) or largest or 1.0)


def grey_picture(image: np.ndarray) -> str:
    """An image as a grey picture.

    Args:
        image: (H, W), from -1 (black) to 1 (white); values beyond are cut off.

    Returns:
        A PNG as a data URI.
    """
    return _data_uri(np.round(np.clip((image + 1.0) / 2.0, 0.0, 1.0) * 255.0))


def map_picture(anomaly_map: np.ndarray, scale: float) -> str:
    """A map as a picture to lay over its image: transparent at 0, strongest from `scale` on.

    Args:
        anomaly_map: (H, W), at least 0.
        scale: the value of the strongest colour, above 0.

    Returns:
        A PNG as a data URI.
    """
    return _data_uri(_colours(anomaly_map / scale))


def colour_bar() -> str:
    """The colours of `map_picture` from 0 on the left to the scale's end on the right, one pixel high.

    Returns:
        A PNG as a data URI.
    """
    return _data_uri(_colours(np.linspace(0.0, 1.0, 256)[np.newaxis]))


def outline_path(mask: np.ndarray) -> str:
    """The edges between pixels within and beyond a mask, as an SVG path whose unit is a pixel.

    Args:
        mask: (H, W), bool.

    Returns:
        The `d` of a `<path>`, empty for an empty mask.
    """
    padded = np.pad(mask.astype(np.int8), 1)
    rows, columns = np.nonzero(np.diff(padded, axis=0)[:, 1:-1])
    horizontal = [f"M{x} {y}h1" for y, x in zip(rows, columns, strict=True)]
    rows, columns = np.nonzero(np.diff(padded, axis=1)[1:-1])
    vertical = [f"M{x} {y}v1" for y, x in zip(rows, columns, strict=True)]
    return "".join(horizontal + vertical)


def _colours(share: np.ndarray) -> np.ndarray:
    """Colours (H, W, 4) in [0, 255] of shares (H, W) of the scale; those beyond 1 have the colour of 1."""
    share = np.clip(share, 0.0, 1.0)
    # The dark low end of the colour map would read as tissue on a dark image.
    colours = matplotlib.colormaps["plasma"](0.3 + 0.7 * share)
    colours[..., 3] = 0.9 * share
    return np.round(255.0 * colours)


def _data_uri(pixels: np.ndarray) -> str:
    """A PNG of values in [0, 255], (H, W) grey or (H, W, 4) colour, made smaller where it is larger than is shown."""
    picture = Image.fromarray(pixels.astype(np.uint8))
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
