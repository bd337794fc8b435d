"""The coloured overlay as secondary captures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydicom import Dataset, dcmread

from monai_sagan.dicom_results.overlay import OverlayContent, add_band, blend
from monai_sagan.results.save import overlay_of


def read_overlay(results: Path) -> dict[str, Dataset]:
    return {path.name: dcmread(path) for path in sorted((results / "overlay").iterdir())}


def test_slices_with_something_to_show_are_captured_in_place(a_series: Callable, tmp_path: Path) -> None:
    case = a_series()
    case.write(tmp_path / "results")

    captures = read_overlay(tmp_path / "results")

    assert list(captures) == ["0002.dcm", "0003.dcm", "0004.dcm"]  # the first and the last map are zero
    for name, capture in captures.items():
        number = int(name[:4])
        source = dcmread(case.files[number - 1])
        (reference,) = capture.SourceImageSequence
        assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert capture.InstanceNumber == number
        for keyword in ("FrameOfReferenceUID", "StudyInstanceUID", "PatientName"):
            assert capture[keyword].value == source[keyword].value
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
            np.testing.assert_allclose(capture[keyword].value, source[keyword].value, rtol=0, atol=1e-5)
        assert list(capture.PatientOrientation) == ["L", "H"]


def test_the_picture_is_grey_where_the_map_is_zero_and_coloured_elsewhere(a_series: Callable, tmp_path: Path) -> None:
    case = a_series(size=(300, 240, 3))
    case.write(tmp_path / "results")

    pixels = read_overlay(tmp_path / "results")["0002.dcm"].pixel_array[:240, :300].astype(int)

    plane, image = case.planes[1], case.image[0, :, :, 1].numpy().T
    colourfulness = pixels.max(axis=2) - pixels.min(axis=2)
    grey = np.clip(np.round((image + 1) * 127.5), 0, 255)
    assert (colourfulness[plane == 0] == 0).all()
    # Half a grey level either way, as two ways of rounding may differ.
    np.testing.assert_allclose(pixels[plane == 0, 0], grey[plane == 0], rtol=0, atol=1)
    assert (colourfulness[plane > 0.5] > 30).all()


def test_below_the_picture_stands_that_it_is_for_research_only(a_series: Callable, tmp_path: Path) -> None:
    a_series(size=(300, 240, 3)).write(tmp_path / "results")

    (capture,) = read_overlay(tmp_path / "results").values()

    band = capture.pixel_array[240:]
    assert capture.Columns == 300
    assert (band == 255).any()
    assert "RESEARCH USE ONLY - NOT FOR DIAGNOSIS" in capture.ImageComments
    assert capture.SeriesDescription == "Anomaly overlay (research use only)"


def test_a_small_picture_is_widened_for_the_text_and_stays_where_it_is() -> None:
    picture = np.full((20, 24, 3), 77, dtype=np.uint8)

    pixels = add_band(picture, 0.5)

    np.testing.assert_array_equal(pixels[:20, :24], picture)
    assert (pixels[:20, 24:] == 0).all()
    text = np.flatnonzero((pixels[20:] > 128).any(axis=(0, 2)))
    assert 0 < text[0] < text[-1] < pixels.shape[1] - 1  # none of it is cut off
    assert text[-1] > 100


def test_what_was_found_is_told(a_series: Callable, tmp_path: Path) -> None:
    case = a_series(size=(300, 240, 3))
    statement = "Score 0.52, p 0.52, findings: 0"
    overlay = OverlayContent(case.anomaly_map * 8, "SD from healthy", 4.0, statement)
    case.write(tmp_path / "without")
    case.write(tmp_path / "with", overlay=overlay)

    (without,), (told,) = (read_overlay(tmp_path / name).values() for name in ("without", "with"))

    assert statement in told.ImageComments
    assert told.Rows > without.Rows
    assert (told.pixel_array[-10:] == 255).any()  # the line below


def test_colours_are_of_the_scale_that_is_given(a_series: Callable, tmp_path: Path) -> None:
    """So a case in which nothing stands out is not as bright as one in which something does."""
    case = a_series(size=(300, 240, 3))
    for name, scale in (("weak", 1000.0), ("strong", 0.1)):
        case.write(tmp_path / name, overlay=OverlayContent(case.anomaly_map, scale=scale))

    (weak,), (strong,) = (read_overlay(tmp_path / name).values() for name in ("weak", "strong"))

    weak, strong = (capture.pixel_array[:240].astype(int) for capture in (weak, strong))
    assert np.ptp(weak, axis=2).max() < 20  # all but grey
    assert np.ptp(strong, axis=2).max() > 100


@pytest.mark.parametrize(
    ("values", "statement"),
    [
        ({"is_ood": True}, "Do not rely on this: not the kind of image that the bundle was made for."),
        ({"is_ood": False, "p_value": 0.04, "findings": [{}, {}]}, "Score 0.25, p 0.04, findings: 2"),
        ({"is_ood": None, "p_value": None, "findings": None}, "Score 0.25"),
    ],
)
def test_statements(values: dict[str, Any], statement: str) -> None:
    result = {"anomaly_score": 0.25, "finding_threshold": 3.0, **values}
    maps = {"anomaly_map": torch.ones(1), "deviation_map": torch.zeros(1)}

    found = overlay_of(maps, result)

    assert (found.shown_map, found.scale, found.statement) == (maps["deviation_map"], 3.0, statement)
    assert overlay_of({"anomaly_map": maps["anomaly_map"]}, result).scale is None


def test_text_grows_with_the_picture() -> None:
    heights = [add_band(np.zeros((10, width, 3), dtype=np.uint8), 0.5).shape[0] - 10 for width in (64, 512, 2048)]

    assert heights == sorted(set(heights))


def test_values_from_the_scale_on_have_one_colour() -> None:
    image = np.zeros((1, 3))

    colours = blend(image, np.array([[0.1, 0.2, 0.9]]), scale=0.2)[0]

    np.testing.assert_array_equal(colours[1], colours[2])
    assert (colours[0] != colours[1]).any()


@pytest.mark.parametrize("burned_in", ["YES", "NO", None])
def test_burned_in_text_is_what_the_source_says(a_radiograph: Callable, tmp_path: Path, burned_in: str | None) -> None:
    a_radiograph(BurnedInAnnotation=burned_in).write(tmp_path / "results")

    (capture,) = read_overlay(tmp_path / "results").values()

    assert capture.get("BurnedInAnnotation") == burned_in


def test_a_radiograph_keeps_its_spacing_and_orientation(a_radiograph: Callable, tmp_path: Path) -> None:
    a_radiograph().write(tmp_path / "results")

    (capture,) = read_overlay(tmp_path / "results").values()

    assert list(capture.PixelSpacing) == [0.2, 0.2]
    assert list(capture.PatientOrientation) == ["L", "F"]
    assert "FrameOfReferenceUID" not in capture


def test_a_map_of_zeros_has_no_overlay(a_series: Callable, tmp_path: Path) -> None:
    case = a_series()
    case.anomaly_map = torch.zeros_like(case.anomaly_map)

    sentences = case.write(tmp_path / "results", map_threshold=None)

    assert sentences == ["The map is zero everywhere, so no DICOM overlay was written."]
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["parametric_map.dcm"]
