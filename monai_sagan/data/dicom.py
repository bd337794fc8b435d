"""DICOM files: what they hold, and the pixels of one."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import UID

from monai_sagan.data.geometry import Plane, stack_planes
from monai_sagan.data.itk_image import read_by_gdcm
from monai_sagan.data.radiograph import WINDOW_TAGS, as_shown, is_projection
from monai_sagan.errors import ImageError
from monai_sagan.image_names import has_dicom_name

__all__ = [
    "DAMAGED",
    "OWN_RESULT",
    "frame_group",
    "has_position",
    "kind_without_image",
    "may_be_dicom",
    "plane_of",
    "read_dicom",
    "read_header",
    "read_image_header",
    "read_pixels",
]

OWN_RESULT = "a result of monai-sagan"

DAMAGED = "the file is damaged or not an image; copy it again or leave it out."

_OURS = "monai-sagan"  # as Manufacturer, in the results that this package writes
_NO_PIXELS = "the file has no pixel data; copy it again or leave it out."
_PREAMBLE = 128  # bytes before the word that marks a DICOM file
_TAGS = [
    "SOPClassUID",
    "Manufacturer",
    "Modality",
    "SeriesInstanceUID",
    "SeriesNumber",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
]
_FRAME_TAGS = ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"]
# They have pixels, but those show what was found or planned in another image.
_DERIVED = {
    "Label Map Segmentation Storage",
    "Parametric Map Storage",
    "RT Dose Storage",
    "Segmentation Storage",
}


def may_be_dicom(path: Path) -> bool:
    """Whether a file is DICOM by the ending of its name, or by its content, whatever its name."""
    return has_dicom_name(path) or _is_marked(path)


def _is_marked(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(_PREAMBLE + 4)[_PREAMBLE:] == b"DICM"
    except OSError:
        return False


def read_header(path: Path, tags: Sequence[str] = ()) -> Dataset | None:
    """Reads what tells the kind and the place of a DICOM file's image; nothing that names the patient.

    Args:
        path: the file.
        tags: keywords of other attributes to read.

    Returns:
        The attributes, and what precedes them as ``file_meta``; None if this is no DICOM file. One that lacks the mark
        at its beginning, as old ones do, needs an ending of DICOM's.
    """
    if not may_be_dicom(path):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's about values that do not matter here
            header = dcmread(path, stop_before_pixels=True, force=True, specific_tags=[*_TAGS, *tags])
            int(header.get("NumberOfFrames") or 1)  # a text, which may be none of a number
    except Exception:  # a text that is taken for DICOM fails in many ways
        return None
    return header if "Rows" in header or _kind(header) else None


def kind_without_image(header: Dataset) -> str | None:
    """The name of what a DICOM file holds instead of an image to look at; None if it should hold one."""
    if header.get("Manufacturer") == _OURS:
        return OWN_RESULT
    kind = UID(_kind(header))
    name = "an object of a private kind" if kind.name == kind else kind.name
    is_image = header.get("Rows") or "Image Storage" in name
    return None if is_image and name not in _DERIVED else name


def _kind(header: Dataset) -> str:
    """The UID of the kind; the table of contents of a disc has its only before the attributes."""
    before = getattr(header, "file_meta", Dataset())
    return str(header.get("SOPClassUID") or before.get("MediaStorageSOPClassUID") or "")


def has_position(header: Dataset) -> bool:
    """Whether the file is one slice of which the place in the patient is known."""
    return all(header.get(tag) is not None for tag in ("ImagePositionPatient", "ImageOrientationPatient"))


def plane_of(header: Dataset, path: Path) -> Plane:
    """The place of a file's slice in the patient.

    Args:
        header: of the file.
        path: the file, for the message.

    Raises:
        ImageError: if the header does not tell.
    """
    try:
        size = int(header.Columns), int(header.Rows)
        return Plane.from_dicom(header.ImagePositionPatient, header.ImageOrientationPatient, header.PixelSpacing, size)
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise ImageError(path, "the header does not tell where the slice lies; leave it out.") from error


def read_dicom(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads a single file: a slice, a radiograph, or a volume of frames (enhanced CT and MR).

    Args:
        path: the file, whatever its name.

    Returns:
        The array (columns, rows, slices), with colours at the end, and its affine, voxels to millimetres, RAS. A
        radiograph's values are those that a viewer shows, after the window that its header proposes.

    Raises:
        ImageError: if it is damaged, or holds no image, or frames that are no volume.
    """
    header = read_image_header(path, [*WINDOW_TAGS, *_FRAME_TAGS])
    if int(header.get("NumberOfFrames") or 1) > 1:
        return _read_frames(header, path)
    pixels, affine = read_pixels(path)
    if has_position(header) and header.get("PixelSpacing"):
        affine = plane_of(header, path).affine(float(np.linalg.norm(affine[:3, 2])))
    return (as_shown(pixels, header) if is_projection(header) else pixels), affine


def read_image_header(path: Path, tags: Sequence[str] = ()) -> Dataset:
    """As :func:`read_header`, of a file that should hold an image.

    Args:
        path: the file.
        tags: as there.

    Raises:
        ImageError: if it holds none, or is damaged.
    """
    header = read_header(path, tags)
    if header is None:
        raise ImageError(path, DAMAGED)
    kind = kind_without_image(header)
    if kind is not None:
        raise ImageError(path, f"the file holds no image but: {kind}; leave it out.")
    if not header.get("Rows"):
        raise ImageError(path, _NO_PIXELS)
    return header


def read_pixels(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The pixels of a file, (columns, rows, frames), with colours at the end; and the affine that ITK finds.

    Raises:
        ImageError: if there are none, or they cannot be decoded.
    """
    try:
        return read_by_gdcm(path)
    except RuntimeError as error:
        with path.open("rb") as file:
            dcmread(file, stop_before_pixels=True, force=True)
            reason = DAMAGED if file.read(1) else _NO_PIXELS
        raise ImageError(path, reason) from error


def _read_frames(header: Dataset, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A volume from a file of frames, each with its place in the patient."""
    frames = header.get("PerFrameFunctionalGroupsSequence") or []
    places = [_frame_plane(header, frame) for frame in frames]
    planes = [plane for plane in places if plane is not None]
    if len(planes) != int(header.NumberOfFrames):
        raise ImageError(
            path, f"the file holds {header.NumberOfFrames} frames; save the one to look at as a file of its own."
        )
    if len({_rescaling(header, frame) for frame in frames}) > 1:
        raise ImageError(path, "the frames are scaled differently; export them as a series of single files.")
    order, affine = stack_planes(planes, path)
    pixels, _ = read_pixels(path)
    return (pixels if np.all(np.diff(order) == 1) else pixels[:, :, order]), affine


def _frame_plane(header: Dataset, frame: Dataset) -> Plane | None:
    size = int(header.Columns), int(header.Rows)
    position = frame_group(header, frame, "PlanePositionSequence").get("ImagePositionPatient")
    orientation = frame_group(header, frame, "PlaneOrientationSequence").get("ImageOrientationPatient")
    spacing = frame_group(header, frame, "PixelMeasuresSequence").get("PixelSpacing")
    if position is None or orientation is None or spacing is None:
        return None
    return Plane.from_dicom(position, orientation, spacing, size)


def _rescaling(header: Dataset, frame: Dataset) -> tuple[Any, Any]:
    group = frame_group(header, frame, "PixelValueTransformationSequence")
    return group.get("RescaleSlope"), group.get("RescaleIntercept")


def frame_group(header: Dataset, frame: Dataset, name: str) -> Dataset:
    """A frame's own functional group, or the one that all frames share; empty without either.

    Args:
        header: of the file.
        frame: its item of PerFrameFunctionalGroupsSequence.
        name: of the group's sequence, such as PlanePositionSequence.
    """
    for groups in (frame, *(header.get("SharedFunctionalGroupsSequence") or [])):
        for group in groups.get(name) or []:
            return group
    return Dataset()
