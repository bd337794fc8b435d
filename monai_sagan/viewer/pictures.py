"""Pictures (PNG, JPEG and the like) as volumes of one slice: the libraries of Slicer from PyPI read none of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer
from PIL import Image

from monai_sagan.viewer.AnomalyMapLib.volumes import VolumeError

__all__ = ["read_picture"]

# As monai_sagan.data reads them, which cannot be asked: it loads torch.
_GREY_MODES = ("L", "I", "I;16", "I;16B", "F")
_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # x to the patient's left, y to the back, pixels of one millimetre


def read_picture(path: Path) -> slicer.vtkMRMLScalarVolumeNode:
    """Reads a picture, colours as grey.

    Args:
        path: PNG, JPEG, BMP or TIFF.

    Returns:
        A node that is in no scene yet, where the map of such a picture lies too.

    Raises:
        VolumeError: if it cannot be read, or holds several.
    """
    try:
        with Image.open(path) as image:
            count = image.n_frames if image.format == "TIFF" else 1
            pixels = np.asarray(image if image.mode in _GREY_MODES else image.convert("L"))
    except Exception as error:  # PIL raises everything from SyntaxError to RuntimeError for a damaged file
        raise VolumeError(f"{path}: this file is damaged or not a picture.") from error
    if count > 1:
        raise VolumeError(f"{path}: the file holds {count} pictures; save each as a file of its own.")
    node = slicer.vtkMRMLScalarVolumeNode()
    slicer.util.updateVolumeFromArray(node, pixels[None].astype(pixels.dtype.newbyteorder("=")))
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(_TO_RAS))
    node.SetName(path.name.split(".")[0])
    return node
