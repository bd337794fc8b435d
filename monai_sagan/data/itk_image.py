"""Reading by ITK, without a word on the terminal."""

from __future__ import annotations

import locale
import math
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import ITKReader
from monai.utils import MetaKeys

from monai_sagan.errors import ImageError

__all__ = ["import_itk", "read_by_gdcm", "read_by_itk"]

_ONE_AT_A_TIME = threading.Lock()


def import_itk() -> Any:
    """ITK, which takes seconds to import.

    It gets names of files as UTF-8, which Windows's C library takes for names in the computer's old encoding unless
    the locale says otherwise: no file in the folder of a user called Müller would be found.
    """
    if sys.platform == "win32":
        with suppress(locale.Error):  # a Windows of before 2018
            locale.setlocale(locale.LC_CTYPE, ".UTF8")
    import itk

    return itk


def read_by_itk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads an image of a format that its content and name tell, such as NRRD or MetaImage.

    Args:
        path: the file.

    Returns:
        The array, x first, colours on an axis of their own at the end; and its affine, voxels to millimetres, RAS,
        (dimensions + 1) square.

    Raises:
        ImageError: if it holds several volumes, or vectors that are no colours.
        Exception: of many kinds, if it is damaged.
    """
    itk = import_itk()
    with _silence():
        header = itk.ImageIOFactory.CreateImageIO(str(path), itk.CommonEnums.IOFileMode_ReadMode)
        if header is None:
            raise ValueError("This is no image.")
        header.SetFileName(str(path))
        header.ReadImageInformation()
        sides = [header.GetDimensions(axis) for axis in range(header.GetNumberOfDimensions())]
        components = header.GetNumberOfComponents()
        colour_types = (itk.CommonEnums.IOPixel_RGB, itk.CommonEnums.IOPixel_RGBA)
        are_colours = (
            header.GetPixelType() in colour_types and header.GetComponentType() == itk.CommonEnums.IOComponent_UCHAR
        )
        if math.prod(sides[3:]) > 1:
            raise ImageError(
                path, f"the file holds {math.prod(sides[3:])} volumes; save the one to look at in a file of its own."
            )
        if components > 1 and not are_colours:
            raise ImageError(
                path,
                f"the file holds {components} values a voxel (a sequence over time, or vectors); save the volume to "
                "look at in a file of its own.",
            )
        reader = ITKReader()
        array, meta = reader.get_data(reader.read(str(path)))
    affine = np.asarray(meta[MetaKeys.AFFINE])
    num_axes = len(affine) - 1
    return np.asarray(array).reshape(*array.shape[:num_axes], *([components] if components > 1 else [])), affine


def read_by_gdcm(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads the pixels of a DICOM file, whatever its name.

    Args:
        path: the file.

    Returns:
        As :func:`read_by_itk`, (columns, rows, frames) and colours at the end. Values are rescaled as the header says,
        and inverted where high values are dark (MONOCHROME1).

    Raises:
        Exception: of many kinds, if it is damaged.
    """
    itk = import_itk()
    with _silence():
        reader = ITKReader()
        array, meta = reader.get_data(reader.read(str(path), imageio=itk.GDCMImageIO.New()))
    return np.asarray(array), np.asarray(meta[MetaKeys.AFFINE])


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps what libraries in C++ print away from the user, who gets a sentence of ours: some know no other way.

    Standard error is the whole process's, so one image is read at a time.
    """
    with _ONE_AT_A_TIME:
        try:
            kept = os.dup(2)
        except OSError:  # a program without a terminal
            yield
            return
        sys.stderr.flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
