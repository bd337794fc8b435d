"""The image in grey with the map over it in colour, as DICOM secondary captures that any viewer shows."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset

from monai_sagan.dicom_results.source import Source, SourcePlane
from monai_sagan.report.pictures import grey_pixels, map_pixels

__all__ = ["OverlayContent", "add_band", "blend", "make_overlay"]

_NOTICE = "RESEARCH USE ONLY - NOT FOR DIAGNOSIS"
_SMALLEST, _LARGEST = 9, 48  # size of text in pixels
_FONT = f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf"  # which comes with matplotlib
# Names of where the axes of the patient point to: left, posterior, head; and of the other way.
_AHEAD, _BACK = "LPH", "RAF"


@dataclass(frozen=True)
class OverlayContent:
    """What is laid over the images of a case.

    Args:
        shown_map: the map, as large as the image, at least 0.
        meaning: of its numbers, in one or two words.
        scale: the value of the strongest colour; None for the level that the brightest slices reach.
        statement: what was found, in one line; empty for nothing.
    """

    shown_map: torch.Tensor
    meaning: str = "Anomaly map"
    scale: float | None = None
    statement: str = ""


def make_overlay(
    source: Source, plane: SourcePlane, pixels: np.ndarray, number: int, series: dict[str, Any], statement: str = ""
) -> Dataset:
    """Makes a secondary capture of one plane.

    Args:
        source: the images that the map comes from.
        plane: that of them which is shown.
        pixels: (rows, columns, 3), red, green and blue, uint8; the first one lies where the plane's first pixel does.
        number: of the capture in its series, from 1.
        series: what highdicom's classes are told of the series and of what made it.
        statement: what was found, in one line.
    """
    import highdicom as hd
    from pydicom.sr.codedict import codes

    capture = hd.sc.SCImage(
        pixel_array=pixels,
        photometric_interpretation=hd.PhotometricInterpretationValues.RGB,
        bits_allocated=8,
        coordinate_system=hd.CoordinateSystemNames.PATIENT,
        patient_orientation=("L", "P"),  # replaced below
        study_instance_uid=source.owner.StudyInstanceUID,
        sop_instance_uid=hd.UID(),
        instance_number=number,
        **series,
    )
    capture.ConversionType = "WSD"  # made at a workstation
    capture.ImageComments = " ".join(filter(None, ("Anomaly map over the image.", statement, f"{_NOTICE}.")))
    _refer(capture, plane, hd.sr.CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation))
    _place(capture, source, plane)
    # Burned-in annotation is text that tells who the patient is: what is written here does not, the source may.
    for keyword in ("BurnedInAnnotation", "RecognizableVisualFeatures", "LossyImageCompression"):
        if keyword in plane.header:
            capture[keyword] = plane.header[keyword]
    return capture


def _refer(capture: Dataset, plane: SourcePlane, purpose: Dataset) -> None:
    reference = Dataset()
    reference.ReferencedSOPClassUID = plane.header.SOPClassUID
    reference.ReferencedSOPInstanceUID = plane.header.SOPInstanceUID
    if plane.frame is not None:
        reference.ReferencedFrameNumber = plane.frame
    reference.PurposeOfReferenceCodeSequence = [purpose]
    reference.SpatialLocationsPreserved = "YES"
    capture.SourceImageSequence = [reference]


def _place(capture: Dataset, source: Source, plane: SourcePlane) -> None:
    """Gives a capture the plane's place in space, or, without one, what is known of it."""
    if "PixelSpacing" in plane.geometry:
        capture.PixelSpacing = plane.geometry.PixelSpacing
    if not source.is_placed:
        capture.PatientOrientation = plane.header.get("PatientOrientation")
        return
    capture.update(plane.geometry)
    capture.FrameOfReferenceUID = plane.header.FrameOfReferenceUID
    capture.PositionReferenceIndicator = plane.header.get("PositionReferenceIndicator")
    cosines = np.array(plane.geometry.ImageOrientationPatient, dtype=float).reshape(2, 3)
    capture.PatientOrientation = [_name_of(direction) for direction in cosines]


def _name_of(direction: np.ndarray) -> str:
    axis = int(np.abs(direction).argmax())
    return (_AHEAD if direction[axis] > 0 else _BACK)[axis]


def blend(image: np.ndarray, anomaly_map: np.ndarray, scale: float) -> np.ndarray:
    """Lays a map over its image, in the colours of the reports.

    Args:
        image: (rows, columns), in [-1, 1].
        anomaly_map: (rows, columns), at least 0.
        scale: the value of the strongest colour, above 0.

    Returns:
        (rows, columns, 3), uint8; grey where the map is 0.
    """
    grey = Image.fromarray(grey_pixels(image)).convert("RGBA")
    return np.asarray(Image.alpha_composite(grey, Image.fromarray(map_pixels(anomaly_map, scale))).convert("RGB"))


def add_band(picture: np.ndarray, scale: float, meaning: str = "Anomaly map", statement: str = "") -> np.ndarray:
    """Adds below a picture that it is for research only, what its colours mean, and what was found.

    Args:
        picture: (rows, columns, 3), uint8.
        scale: the value of the strongest colour.
        meaning: of the colours, in one or two words.
        statement: what was found, in one line; empty for nothing.

    Returns:
        (more rows, columns, 3), uint8, with black columns on the right if the text is wider than the picture.
    """
    rows, columns, _ = picture.shape
    band = _draw_band(columns, scale, meaning, statement)
    pixels = np.zeros((rows + len(band), band.shape[1], 3), dtype=np.uint8)
    pixels[:rows, :columns] = picture
    pixels[rows:] = band
    return pixels


@functools.cache
def _draw_band(width: int, scale: float, meaning: str, statement: str) -> np.ndarray:
    """Draws two or three lines of text, at least as wide as told."""
    sizes = range(_LARGEST, _SMALLEST - 1, -1)
    font = next((font for font in map(_font, sizes) if font.getlength(_NOTICE) <= 0.6 * width), _font(_SMALLEST))
    line = round(1.5 * font.size)
    widest = max(font.getlength(text) for text in (_NOTICE, statement))
    canvas = Image.new("RGB", (max(width, round(widest) + line), (3 if statement else 2) * line + line // 2))
    draw = ImageDraw.Draw(canvas)
    left, first, second = line // 2, line * 3 // 4, line * 7 // 4
    draw.text((left, first), _NOTICE, font=font, fill="white", anchor="lm")
    draw.text((left, line * 11 // 4), statement, font=font, fill="white", anchor="lm")
    draw.text((left, second), f"{meaning} 0 ", font=font, fill="white", anchor="lm")
    left += round(font.getlength(f"{meaning} 0 "))
    ramp = np.broadcast_to(np.linspace(0.0, scale, 3 * line), (line // 2, 3 * line))
    canvas.paste(Image.fromarray(blend(np.zeros(ramp.shape), ramp, scale)), (left, second - line // 4))
    draw.text((left + 3 * line, second), f" {scale:.2g} and more", font=font, fill="white", anchor="lm")
    return np.asarray(canvas)


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_FONT, size)
