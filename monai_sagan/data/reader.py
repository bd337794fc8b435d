"""Reading images of every kind, with one clear sentence when one cannot be used."""

from __future__ import annotations

import gzip
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import PathLike
from monai.data import ImageReader, ITKReader, PILReader
from monai.utils import MetaKeys, ensure_tuple
from PIL import Image

from monai_sagan.errors import ImageError

__all__ = ["IMAGE_SUFFIXES", "CaseReader", "find_images", "is_image", "stem"]

_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
_VOLUMES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".dcm", ".dicom")
_NIFTI = (".nii.gz", ".nii")
IMAGE_SUFFIXES = _PICTURES + _VOLUMES

# PIL's modes that hold an image as the transforms expect it; the others (palette, CMYK, 1 bit, ...) are converted.
_PLAIN_MODES = ("L", "RGB", "RGBA", "I", "I;16", "I;16B", "F")
_NOT_FINITE = "some pixels are NaN or infinite; replace them or leave the image out."
_CHUNK = 2**24  # bytes


class CaseReader(ImageReader):
    """Reads pictures by PIL and everything else by ITK, as MONAI's readers do, and refuses what is no usable image.

    Arrays have the axes of the file's geometry, x first. Tags of a DICOM file, which name the patient, are dropped.
    DICOM images in which high values are dark (MONOCHROME1) are inverted, which ITK does.

    Args:
        allow_constant: whether every pixel may have the same value, as in a mask where nothing is marked.
    """

    def __init__(self, allow_constant: bool = False) -> None:
        super().__init__()
        self.allow_constant = allow_constant

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Whether the name of every file ends as an image's does."""
        return all(is_image(Path(name)) for name in ensure_tuple(filename))

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> Path:
        """Only names the file: :class:`monai.transforms.LoadImage` hides what is raised here."""
        return Path(ensure_tuple(data)[0])

    def get_data(self, img: Path) -> tuple[np.ndarray, dict[str, Any]]:
        """Reads the file.

        Args:
            img: the path.

        Returns:
            The array, x first, and MONAI's metadata.

        Raises:
            ImageError: if there is no such file, it cannot be read as an image, or its pixels cannot be used.
        """
        array, meta = self._read(img)
        if array.size == 0:
            raise ImageError(img, "the image has no pixels; leave it out or export it again.")
        if not np.isfinite(array).all():
            raise ImageError(img, _NOT_FINITE)
        if not self.allow_constant and array.min() == array.max():
            raise ImageError(img, "every pixel has the same value, so there is nothing to see; leave the image out.")
        return array, {key: value for key, value in meta.items() if "|" not in str(key)}

    @staticmethod
    def _read(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
        if not path.exists():
            raise ImageError(path, "there is no such file.")
        if path.is_file() and path.stat().st_size == 0:
            raise ImageError(path, "the file is empty; copy it again or leave it out.")
        is_picture = path.name.lower().endswith(_PICTURES)
        reader = PILReader(converter=_plain) if is_picture else ITKReader()
        try:
            array, meta = reader.get_data(reader.read(path))
            if path.name.lower().endswith(_NIFTI):
                _check_nifti(path, meta)
        except ImageError:
            raise
        except PermissionError as error:
            raise ImageError(path, "there is no permission to read the file.") from error
        except Exception as error:
            # PIL and ITK raise everything from SyntaxError to RuntimeError for a damaged file.
            raise ImageError(path, "the file is damaged or not an image; copy it again or leave it out.") from error
        if is_picture:
            # As ITK and Slicer place a picture: x to the patient's left, y to the back, pixels of one millimetre.
            meta[MetaKeys.AFFINE] = meta[MetaKeys.ORIGINAL_AFFINE] = np.diag([-1.0, -1.0, 1.0])
        # torch takes numbers in the machine's own byte order only.
        return array.astype(array.dtype.newbyteorder("="), copy=False), meta


def _check_nifti(path: Path, meta: Mapping[str, Any]) -> None:
    """Raises an error for what ITK and MONAI read without a word.

    ITK makes zero the voxels that the file lacks, or that are no numbers; MONAI takes several volumes for channels.
    """
    sides = [int(meta[f"dim[{axis}]"]) for axis in range(1, int(meta["dim[0]"]) + 1)]
    if math.prod(sides[3:]) > 1:
        raise ImageError(
            path, f"the file holds {math.prod(sides[3:])} volumes; save the one to look at in a file of its own."
        )
    bytes_each = int(meta["bitpix"]) // 8
    is_floating_point = meta["datatype"] in ("16", "64")
    with path.open("rb") as raw:
        is_compressed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        file = gzip.GzipFile(fileobj=raw) if is_compressed else raw
        byte_order = "<" if int.from_bytes(file.read(4), "little") == 348 else ">"  # a header begins with its length
        file.seek(int(float(meta["vox_offset"])))
        left = math.prod(sides) * bytes_each
        while left > 0:
            voxels = file.read(min(left, _CHUNK))
            if len(voxels) < min(left, _CHUNK):
                raise EOFError(f"{left - len(voxels)} bytes are missing.")
            if is_floating_point and not np.isfinite(np.frombuffer(voxels, f"{byte_order}f{bytes_each}")).all():
                raise ImageError(path, _NOT_FINITE)
            left -= len(voxels)


def _plain(image: Image.Image) -> Image.Image:
    if image.mode in _PLAIN_MODES:
        return image
    return image.convert("L" if image.mode in ("1", "LA", "La") else "RGB")


def is_image(path: Path) -> bool:
    """Whether the name ends as an image's does that can be read here, in capitals or not."""
    return path.name.lower().endswith(IMAGE_SUFFIXES)


def stem(path: Path) -> str:
    """The file's name without the ending of its image format (``brain.nii.gz`` to ``brain``)."""
    for suffix in IMAGE_SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem


def find_images(folder: Path) -> list[Path]:
    """All images in a folder and the folders in it, sorted by path; hidden files are left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and is_image(path)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
