"""The DICOM series of a folder, and the volumes that they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom import Dataset

from monai_sagan.data.dicom import (
    has_position,
    kind_without_image,
    plane_of,
    read_dicom,
    read_header,
    read_image_header,
    read_pixels,
)
from monai_sagan.data.geometry import stack_planes
from monai_sagan.errors import ImageError

__all__ = ["DicomSeries", "find_series", "read_series"]


@dataclass
class DicomSeries:
    """The images of a folder that are one series.

    Args:
        folder: where they are.
        uid: SeriesInstanceUID.
        number: SeriesNumber, None where the header has none.
        modality: such as CT.
        slices: files of which the place in the patient is known.
        images: the other files, each an image by itself.
    """

    folder: Path
    uid: str
    number: int | None
    modality: str
    slices: list[Path] = field(default_factory=list)
    images: list[Path] = field(default_factory=list)

    @property
    def is_volume(self) -> bool:
        """Whether the slices are a volume; a single one is an image by itself."""
        return len(self.slices) > 1

    @property
    def singles(self) -> list[Path]:
        """The files that are images by themselves."""
        return self.images if self.is_volume else sorted(self.images + self.slices)

    def __str__(self) -> str:
        """What distinguishes it, without the patient's data."""
        count = len(self.slices) + len(self.images)
        number = "one without number" if self.number is None else self.number
        return f"{number} ({self.modality}, {count} image{'s' if count > 1 else ''})"


def find_series(paths: Iterable[Path]) -> tuple[list[DicomSeries], dict[Path, str]]:
    """Sorts DICOM files into series, by folder.

    Args:
        paths: files; those that are not DICOM's are passed over.

    Returns:
        The series, sorted by folder and number; and the files that hold no image, with what they hold.
    """
    found: dict[tuple[Path, str], DicomSeries] = {}
    others: dict[Path, str] = {}
    for path in sorted(paths):
        header = read_header(path)
        if header is None:
            continue
        kind = kind_without_image(header)
        if kind is not None:
            others[path] = kind
            continue
        key = path.parent, str(header.get("SeriesInstanceUID", ""))
        series = found.setdefault(key, DicomSeries(*key, _number(header), str(header.get("Modality") or "unknown")))
        is_slice = has_position(header) and int(header.get("NumberOfFrames") or 1) == 1
        (series.slices if is_slice else series.images).append(path)
    by_number = sorted(found.values(), key=lambda one: (one.folder, one.number is None, one.number or 0, one.slices))
    return by_number, others


def read_series(files: Sequence[Path], path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads the volume of a series.

    Args:
        files: its slices, in any order.
        path: its folder, which messages name.

    Returns:
        The array (columns, rows, slices), slices in the direction of rows x columns; and the affine from voxels to
        millimetres, RAS, from the positions in the headers.

    Raises:
        ImageError: if a file is damaged or no slice, or they are not those of one volume.
    """
    if len(files) == 1:
        return read_dicom(files[0])
    headers = [_slice_header(file) for file in files]
    _check_one_series(headers, path)
    order, affine = stack_planes([plane_of(header, file) for header, file in zip(headers, files)], path)
    first, _ = read_pixels(files[order[0]])
    voxels = np.empty((*first.shape[:2], len(order), *first.shape[3:]), first.dtype, order="F")
    for index, number in enumerate(order):
        pixels, _ = read_pixels(files[number])
        # Slices may be rescaled by factors of their own, some to integers and some not.
        voxels = voxels.astype(np.result_type(voxels, pixels), copy=False)
        voxels[:, :, index : index + 1] = pixels
    return voxels, affine


def _slice_header(file: Path) -> Dataset:
    header = read_image_header(file)
    if int(header.get("NumberOfFrames") or 1) > 1:
        raise ImageError(file, f"the file holds {header.NumberOfFrames} frames; give it alone.")
    return header


def _check_one_series(headers: Sequence[Dataset], path: Path) -> None:
    numbers = {str(header.get("SeriesInstanceUID", "")): _number(header) for header in headers}.values()
    if len(numbers) > 1:
        listed = [str(number) for number in sorted(number for number in numbers if number is not None)]
        listed += ["without number"] * (len(numbers) - len(listed))
        raise ImageError(path, f"the files are of {len(numbers)} series ({', '.join(listed)}); choose one by --series.")


def _number(header: Dataset) -> int | None:
    try:
        return int(header.get("SeriesNumber"))
    except (TypeError, ValueError):
        return None
