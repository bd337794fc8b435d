"""The coloured overlay as secondary captures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from pydicom import Dataset, dcmread

from monai_sagan.dicom_results.overlay import add_band, blend


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
