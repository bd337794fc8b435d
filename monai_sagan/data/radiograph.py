"""Radiographs as a viewer shows them.

The numbers of a radiograph mean nothing by themselves: its header says which of them to show, by a window or a table
("values of interest"). Those of CT and MR are left as they are; there, a window is one way of many to look at them.

Source: DICOM PS3.3, C.11.2 (VOI LUT module), by pydicom.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydicom import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut

__all__ = ["WINDOW_TAGS", "as_shown", "is_projection"]

WINDOW_TAGS = [
    "BitsStored",
    "ModalityLUTSequence",
    "PhotometricInterpretation",
    "PixelRepresentation",
    "RescaleIntercept",
    "RescaleSlope",
    "VOILUTFunction",
    "VOILUTSequence",
    "WindowCenter",
    "WindowWidth",
]
_DEEPEST = 16  # bits
_PROJECTIONS = {"CR", "DR", "DX", "IO", "MG", "PX", "RF", "RG", "XA"}


def is_projection(header: Dataset) -> bool:
    """Whether the image is a projection through the body."""
    return header.get("Modality") in _PROJECTIONS


def as_shown(pixels: np.ndarray, header: Dataset) -> np.ndarray:
    """Applies the first window or table that the header proposes.

    Args:
        pixels: as ITK reads them: rescaled, and inverted where high values are dark.
        header: with :data:`WINDOW_TAGS`.

    Returns:
        The pixels, of the same shape; high values are bright. The same pixels where the header proposes nothing, or
        they have colours.
    """
    is_grey = header.PhotometricInterpretation.startswith("MONOCHROME")  # colours have no window
    proposes = _has_window(header) or header.get("VOILUTSequence") or header.get("ModalityLUTSequence")
    if not is_grey or not proposes:
        return pixels
    is_inverted = header.PhotometricInterpretation == "MONOCHROME1"
    limits = _limits(header)
    values = limits.sum() - pixels if is_inverted else pixels
    shown = _apply_proposals(values, header)
    return _apply_proposals(limits, header).sum() - shown if is_inverted else shown


def _has_window(header: Dataset) -> bool:
    """Whether there is a window, and one that the standard allows."""
    width, centre = header.get("WindowWidth"), header.get("WindowCenter")
    if width is None or centre is None:
        return False
    first = float(width[0] if isinstance(width, Sequence) else width)
    return first > 0 if header.get("VOILUTFunction", "LINEAR") != "LINEAR" else first >= 1


def _limits(header: Dataset) -> np.ndarray:
    """The least and the greatest value that the header allows, rescaled."""
    count = 2 ** int(header.BitsStored)
    least = -count // 2 if header.PixelRepresentation else 0
    slope, intercept = (header.get(tag) for tag in ("RescaleSlope", "RescaleIntercept"))
    limits = np.array([least, least + count - 1], dtype=np.float64)
    return limits if slope is None or intercept is None else limits * float(slope) + float(intercept)


def _apply_proposals(values: np.ndarray, header: Dataset) -> np.ndarray:
    if header.get("ModalityLUTSequence"):
        values = apply_modality_lut(np.rint(values).astype(np.int64), header)
    if header.get("VOILUTSequence"):
        # By the depth of the entries pydicom also chooses that of their numbers, of which there may be more.
        header.VOILUTSequence[0].LUTDescriptor[2] = _DEEPEST
        return apply_voi_lut(np.rint(values).astype(np.int64), header)
    return apply_voi_lut(values, header) if _has_window(header) else values
