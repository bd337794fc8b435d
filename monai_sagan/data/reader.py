"""Reading images of every kind, with one clear sentence when one cannot be used."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import PathLike
from monai.data import ImageReader, PILReader
from monai.utils import MetaKeys, SpaceKeys, ensure_tuple
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from monai_sagan.data.dicom import DAMAGED, may_be_dicom, read_dicom, read_header
from monai_sagan.data.dicom_series import find_series, read_series
from monai_sagan.data.geometry import check_axes
from monai_sagan.data.itk_image import read_by_itk
from monai_sagan.data.nifti import read_nifti
from monai_sagan.errors import ImageError
from monai_sagan.image_names import is_image, is_nifti, is_picture, is_unread_image

__all__ = ["CaseReader"]

# PIL's modes that hold an image as the transforms expect it; the others (palette, CMYK, 1 bit, ...) are converted.
_PLAIN_MODES = ("L", "RGB", "RGBA", "I", "I;16", "I;16B", "F")
# As ITK and Slicer place a picture: x to the patient's left, y to the back, pixels of one millimetre.
_PICTURE_AFFINE = np.diag([-1.0, -1.0, 1.0])

_MODALITY = re.compile(r"[A-Z0-9]{2,8}")

_SLICES_AT_ONCE = 16


class CaseReader(ImageReader):
    """Reads a case: a picture, a volume, a DICOM image or series; and refuses what cannot be used.

    Pictures are read by PIL, NIfTI by :func:`~monai_sagan.data.nifti.read_nifti`, everything else by ITK, and the
    geometry of a DICOM series is that of its headers. Arrays have the axes of the file's geometry, x first. Of the rest
    of the headers only DICOM's word for the modality is kept (``modality``): they name the patient. DICOM images in
    which high values are dark (MONOCHROME1) are inverted, and radiographs are windowed as their headers propose.

    Args:
        allow_constant: whether every pixel may have the same value, as in a mask where nothing is marked.
    """

    def __init__(self, allow_constant: bool = False) -> None:
        super().__init__()
        self.allow_constant = allow_constant

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Whether every file is an image by its name or is DICOM."""
        return all(is_image(Path(name)) or may_be_dicom(Path(name)) for name in ensure_tuple(filename))

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> tuple[Path, ...]:
        """Only names the files: :class:`monai.transforms.LoadImage` hides what is raised here."""
        return tuple(Path(name) for name in ensure_tuple(data))

    def get_data(self, img: Path | Sequence[Path]) -> tuple[np.ndarray, dict[str, Any]]:
        """Reads the case.

        Args:
            img: a file, a folder that holds one DICOM series, or the files of a DICOM series.

        Returns:
            The array, x first, and MONAI's metadata.

        Raises:
            ImageError: if there is no such file, it cannot be read as an image, or its pixels cannot be used.
        """
        paths = [Path(path) for path in ensure_tuple(img)]
        case = paths[0] if len(paths) == 1 else _common_folder(paths)
        if case.is_dir() and len(paths) == 1:
            paths = _series_files(case)
        for path in paths:
            _check_file(path)
        try:
            array, affine = read_series(paths, case) if len(paths) > 1 else _read(paths[0])
        except ImageError:
            raise
        except Exception as error:
            # PIL and ITK raise everything from SyntaxError to RuntimeError for a damaged file.
            raise ImageError(case, DAMAGED) from error
        self._check_pixels(array, case)
        check_axes(affine, case)
        return _for_torch(array), _metadata(array, affine) | _modality(paths[0])

    def _check_pixels(self, array: np.ndarray, case: Path) -> None:
        if array.size == 0:
            raise ImageError(case, "the image has no pixels; leave it out or export it again.")
        least, greatest = array.min(), array.max()  # NaN, if there is one
        if not np.isfinite([least, greatest]).all():
            raise ImageError(case, "some pixels are NaN or infinite; replace them or leave the image out.")
        if max(-float(least), float(greatest)) > np.finfo(np.float32).max:
            raise ImageError(case, "some values do not fit 32-bit numbers; scale them or leave the image out.")
        if not self.allow_constant and least == greatest:
            raise ImageError(case, "every pixel has the same value, so there is nothing to see; leave the image out.")


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The array and its affine, (3, 3) or (4, 4)."""
    if may_be_dicom(path):
        return read_dicom(path)
    if is_unread_image(path):
        raise ImageError(path, "this format is not read; convert to PNG or NIfTI.")
    if is_picture(path):
        reader = PILReader(converter=_plain)
        return reader.get_data(reader.read(path))[0], _PICTURE_AFFINE
    return read_nifti(path) if is_nifti(path) else read_by_itk(path)


def _series_files(folder: Path) -> list[Path]:
    """The DICOM files of a folder, whatever is wrong with them, without those that hold no image."""
    paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    series, others = find_series(paths)
    files = [path for one in series for path in one.slices + one.images]
    # What claims to be DICOM and cannot be read may be a slice of it.
    unknown = set(paths) - set(files) - set(others)
    files += sorted(path for path in unknown if may_be_dicom(path))
    if not files:
        raise ImageError(folder, "this folder holds no DICOM series; give it a series, or give its images one by one.")
    return files


def _check_file(path: Path) -> None:
    """Refuses what libraries would give all kinds of errors for."""
    if not path.exists():
        if path.is_symlink():
            raise ImageError(path, "this is a symbolic link that leads nowhere; repair it or leave it out.")
        raise ImageError(path, "there is no such file.")
    if not path.is_file():
        raise ImageError(path, "this is no file that can be read; leave it out.")
    if path.stat().st_size == 0:
        raise ImageError(path, "the file is empty; copy it again or leave it out.")
    if not os.access(path, os.R_OK):  # ITK does not tell
        raise ImageError(path, "there is no permission to read the file.")


def _common_folder(paths: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([path.parent for path in paths]))


def _for_torch(array: np.ndarray) -> np.ndarray:
    """In the machine's own byte order and with the first axis slowest, as torch takes arrays."""
    if array.flags.c_contiguous or array.ndim < 3:
        return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    turned = np.empty(array.shape, dtype=array.dtype.newbyteorder("="))
    # A few slices at a time: five times as fast as all in one go, for which a processor's cache is too small.
    for start in range(0, array.shape[2], _SLICES_AT_ONCE):
        part = np.s_[:, :, start : start + _SLICES_AT_ONCE]
        turned[part] = array[part]
    return turned


def _metadata(array: np.ndarray, affine: np.ndarray) -> dict[str, Any]:
    """What MONAI needs to know of an array."""
    num_axes = len(affine) - 1
    return {
        MetaKeys.AFFINE: affine.copy(),
        MetaKeys.ORIGINAL_AFFINE: affine.copy(),
        MetaKeys.SPACE: SpaceKeys.RAS,
        MetaKeys.SPATIAL_SHAPE: np.array(array.shape[:num_axes]),
        MetaKeys.ORIGINAL_CHANNEL_DIM: -1 if array.ndim > num_axes else float("nan"),
    }


def _modality(path: Path) -> dict[str, str]:
    """What DICOM calls the modality (CT, MR, DX, ...), where a file says so."""
    header = None if is_picture(path) or is_nifti(path) else read_header(path)
    modality = "" if header is None else str(header.get("Modality", ""))
    # Nothing but a code: what was typed in there by mistake may name the patient.
    return {"modality": modality} if _MODALITY.fullmatch(modality) else {}


def _plain(image: Image.Image) -> Image.Image:
    count = image.n_frames if isinstance(image, TiffImageFile) else 1
    if count > 1:
        raise ImageError(Path(str(image.filename)), f"the file holds {count} pictures; save each as a file of its own.")  # type: ignore[attr-defined]
    if image.mode in _PLAIN_MODES:
        return image
    return image.convert("L" if image.mode in ("1", "LA", "La") else "RGB")
