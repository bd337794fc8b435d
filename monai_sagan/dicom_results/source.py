"""The DICOM images that results come from: whose they are, and where their planes lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.valuerep import DS

from monai_sagan.data.dicom import frame_group
from monai_sagan.errors import ImageError

__all__ = ["Source", "SourcePlane", "read_source"]

# What says whose an image is, and of what study and body part. A result has the same, or an archive would not file it
# with its images; those that the standard demands, if only empty, come first.
_DEMANDED = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
_OWNER = (
    *_DEMANDED,
    "IssuerOfPatientID",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "StudyDescription",
    "BodyPartExamined",
    "Laterality",
)
_IDENTIFIERS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_GEOMETRY = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness")
_MULTI_FRAME = ("NumberOfFrames", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_PIXELS = (
    "Rows",
    "Columns",
    "BurnedInAnnotation",
    "RecognizableVisualFeatures",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)
_OTHERS = ("Modality", "SeriesNumber", "FrameOfReferenceUID", "PositionReferenceIndicator", "PatientOrientation")
_TAGS: list[Any] = [*_OWNER, *_IDENTIFIERS, *_GEOMETRY, *_MULTI_FRAME, *_PIXELS, *_OTHERS]

_NOT_DICOM = "DICOM results need DICOM images, and this file is none; write results without DICOM."
_NOTHING: tuple[Any, ...] = (None, "", [])
# Cosines that differ by less are the same direction, written down with few digits.
_SAME_DIRECTION = 1e-4


@dataclass(frozen=True)
class SourcePlane:
    """One slice of the source.

    Args:
        header: of the file that it is in.
        frame: its number in a file of several, counted from 1; None in a file of one.
        geometry: with ``ImagePositionPatient``, ``ImageOrientationPatient``, ``PixelSpacing`` and ``SliceThickness``,
            as far as the source says.
    """

    header: Dataset
    frame: int | None
    geometry: Dataset


@dataclass(frozen=True)
class Source:
    """The images of one case.

    Args:
        folder: where they are.
        owner: patient, study and body part, empty where the source says nothing, with text as Unicode.
        headers: of the files, without pixels and without what says whose they are.
        planes: in the order of the map's slices; so are the headers, where there is one for each plane.
    """

    folder: Path
    owner: Dataset
    headers: list[Dataset]
    planes: list[SourcePlane]

    @property
    def has_frame_of_reference(self) -> bool:
        """Whether places in the images can be compared with places in others."""
        return "FrameOfReferenceUID" in self.headers[0]

    @property
    def frame_order(self) -> list[int]:
        """Numbers of the planes in the order of the headers, and of the frames in a file, as highdicom takes them."""
        return sorted(range(len(self.planes)), key=lambda number: self.planes[number].frame or 0)

    @cached_property
    def positions(self) -> np.ndarray | None:
        """Where the first pixels of the planes lie, (planes, 3), LPS, in millimetres; None if one does not say."""
        if any(_lacks(plane.geometry, _GEOMETRY[:1]) for plane in self.planes):
            return None
        return np.array([plane.geometry.ImagePositionPatient for plane in self.planes], dtype=float)

    @cached_property
    def is_placed(self) -> bool:
        """Whether each plane says where it lies in the frame of reference, all of them parallel."""
        if not self.has_frame_of_reference or any(_lacks(plane.geometry, _GEOMETRY[:3]) for plane in self.planes):
            return False
        directions = np.array([plane.geometry.ImageOrientationPatient for plane in self.planes], dtype=float)
        return bool(np.allclose(directions, directions[0], rtol=0, atol=_SAME_DIRECTION))

    @property
    def series_number(self) -> int:
        """The number of the images' series, 0 without one."""
        number = self.headers[0].get("SeriesNumber")
        return number if isinstance(number, int) else 0


def read_source(files: Sequence[Path], direction: np.ndarray | None = None) -> Source:
    """Reads what results must know of their source, but no pixels.

    Args:
        files: images of one plane each; or one image of several.
        direction: in which the planes follow each other, (3,), LPS; None for the order of the files, and of the frames
            in a file.

    Raises:
        ImageError: if one is no DICOM image.
        OSError: if one cannot be opened.
    """
    headers = [_read_header(file) for file in files]
    owner = _take_owner(headers)
    planes = [plane for header in headers for plane in _planes_of(header)]
    source = Source(files[0].parent, owner, headers, planes)
    if direction is not None and source.positions is not None:
        order = np.argsort(source.positions @ direction, kind="stable")
        in_files = [headers[number] for number in order] if len(headers) == len(planes) else headers
        source = replace(source, headers=in_files, planes=[planes[number] for number in order])
    _settle_geometry(source)
    return source


def _read_header(file: Path) -> Dataset:
    try:
        # Old files begin without a preamble, and other readers do not mind.
        header = dcmread(file, stop_before_pixels=True, force=True, specific_tags=_TAGS)
        lacking = _lacks(header, (*_IDENTIFIERS, "Rows", "Columns"))
    except Exception as error:  # pydicom raises a dozen kinds for what is no DICOM, and OSError without a number
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ImageError(file, _NOT_DICOM) from error
    if "SOPClassUID" in lacking or "Rows" in lacking:
        raise ImageError(file, _NOT_DICOM)
    if lacking:
        raise ImageError(
            file, f"DICOM results must name what this image lacks ({', '.join(lacking)}); write results without DICOM."
        )
    return _some_of(header, _TAGS)  # which no longer knows its file, nor how text was written in it


def _lacks(dataset: Dataset, keywords: Sequence[str]) -> list[str]:
    return [keyword for keyword in keywords if dataset.get(keyword) in _NOTHING]


def _take_owner(headers: Sequence[Dataset]) -> Dataset:
    """Takes out of the headers whose they are, so that no library can tell it in a message."""
    owner = Dataset()
    owner.StudyInstanceUID = headers[0].StudyInstanceUID
    for keyword in _OWNER:
        value = headers[0].get(keyword)
        if keyword.endswith("Name") and value is not None:
            value = str(value)  # a name remembers the bytes it was read from, in the file's own character set
        if value is not None or keyword in _DEMANDED:
            setattr(owner, keyword, value)
        for header in headers:
            header.pop(keyword, None)
    for header in headers:
        for keyword in _DEMANDED:
            setattr(header, keyword, None)
    return owner


def _planes_of(header: Dataset) -> list[SourcePlane]:
    frames = int(header.get("NumberOfFrames") or 1)
    if not header.get("SharedFunctionalGroupsSequence"):
        numbers = range(1, frames + 1) if frames > 1 else [None]
        return [SourcePlane(header, number, _some_of(header, _GEOMETRY)) for number in numbers]
    planes = []
    for number, frame in enumerate(header.get("PerFrameFunctionalGroupsSequence") or [Dataset()] * frames, 1):
        geometry = Dataset()
        for name in ("PixelMeasuresSequence", "PlaneOrientationSequence", "PlanePositionSequence"):
            geometry.update(_some_of(frame_group(header, frame, name), _GEOMETRY))
        planes.append(SourcePlane(header, number, geometry))
    return planes


def _settle_geometry(source: Source) -> None:
    """Lets headers say where planes lie as highdicom reads it: all in one orientation, with a thickness; or not at all.

    Of planes without a place, not even the spacing: without a thickness, highdicom could not read its own file.
    """
    orientation = _some_of(source.planes[0].geometry, ["ImageOrientationPatient"])
    measures = _some_of(source.planes[0].geometry, _GEOMETRY[2:])
    if source.is_placed and "SliceThickness" not in measures and len(source.planes) > 1:
        first, second = (np.array(plane.geometry.ImagePositionPatient, dtype=float) for plane in source.planes[:2])
        measures.SliceThickness = DS(float(np.linalg.norm(second - first)), auto_format=True)
    for header in source.headers:
        if not source.is_placed:
            header.pop("ImagePositionPatient", None)
            header.pop("PixelSpacing", None)
        elif "SharedFunctionalGroupsSequence" in header:
            frames = [source.planes[number].geometry for number in source.frame_order]
            positions = [_some_of(geometry, ["ImagePositionPatient"]) for geometry in frames]
            header.SharedFunctionalGroupsSequence = [
                _item(PlaneOrientationSequence=[orientation], PixelMeasuresSequence=[measures])
            ]
            header.PerFrameFunctionalGroupsSequence = [_item(PlanePositionSequence=[each]) for each in positions]
        else:
            header.SliceThickness = None  # demanded, if only empty
            header.update(orientation)
            header.update(measures)


def _some_of(dataset: Dataset, keywords: Sequence[str]) -> Dataset:
    return _item(**{keyword: dataset[keyword].value for keyword in keywords if dataset.get(keyword) not in _NOTHING})


def _item(**values: Any) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item
