"""The map as Parametric Map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import UID, ParametricMapStorage


@pytest.fixture(params=["a_series", "an_mr_series"])
def case(request: pytest.FixtureRequest) -> object:
    """An oblique series with voxels of three different sides."""
    return request.getfixturevalue(request.param)()


@pytest.fixture
def written(case, tmp_path: Path) -> Dataset:
    """The Parametric Map of it."""
    assert case.write(tmp_path / "results") == []
    return dcmread(tmp_path / "results" / "parametric_map.dcm")


def test_frames_lie_on_their_source_and_hold_the_map(case, written: Dataset) -> None:
    sources = {header.SOPInstanceUID: index for index, header in enumerate(map(dcmread, case.files))}
    headers = [dcmread(file) for file in case.files]
    shared = written.SharedFunctionalGroupsSequence[0]
    orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    measures = shared.PixelMeasuresSequence[0]
    pixels = written.pixel_array

    assert written.FrameOfReferenceUID == headers[0].FrameOfReferenceUID
    np.testing.assert_allclose(orientation, headers[0].ImageOrientationPatient, rtol=0, atol=1e-5)
    np.testing.assert_allclose(measures.PixelSpacing, [1.25, 0.75], rtol=0, atol=1e-5)
    np.testing.assert_allclose(measures.SpacingBetweenSlices, 3.5, rtol=0, atol=1e-5)
    assert pixels.dtype == np.float32
    found = []
    for frame, group in enumerate(written.PerFrameFunctionalGroupsSequence):
        (reference,) = group.DerivationImageSequence[0].SourceImageSequence
        index = sources[reference.ReferencedSOPInstanceUID]
        position = group.PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(position, headers[index].ImagePositionPatient, rtol=0, atol=1e-5)
        np.testing.assert_array_equal(pixels[frame], case.planes[index])
        found.append(index)
    assert sorted(found) == list(range(len(case.files)))


def test_it_refers_to_the_whole_source_and_is_a_series_of_the_same_study(case, written: Dataset) -> None:
    headers = [dcmread(file) for file in case.files]
    references = {each.ReferencedSOPInstanceUID for each in written.SourceImageSequence}

    assert references == {header.SOPInstanceUID for header in headers}
    assert written.ReferencedSeriesSequence[0].SeriesInstanceUID == headers[0].SeriesInstanceUID
    assert written.SOPClassUID == ParametricMapStorage
    assert written.StudyInstanceUID == headers[0].StudyInstanceUID
    assert written.SeriesInstanceUID != headers[0].SeriesInstanceUID
    assert written.SOPInstanceUID not in references
    assert UID(written.SOPInstanceUID).is_valid
    assert UID(written.SeriesInstanceUID).is_valid
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "AccessionNumber"):
        assert written[keyword].value == headers[0][keyword].value


def test_it_says_what_it_is_and_what_made_it(written: Dataset) -> None:
    (mapping,) = written.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence

    assert written.ContentQualification == "RESEARCH"
    assert written.SeriesDescription == "Anomaly map (research use only)"
    assert (written.Manufacturer, written.ManufacturerModelName) == ("monai-sagan", "head_bundle")
    assert (written.SoftwareVersions, written.DeviceSerialNumber) == ("1.2.3", "0123456789abcdef")
    assert written.SeriesNumber == 401  # the first of those after 4
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "1"
    assert mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeValue == "anomaly_map"
    assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1, 0)


def test_the_window_goes_from_zero_to_what_is_shown_as_strongest(case, written: Dataset) -> None:
    (window,) = written.SharedFunctionalGroupsSequence[0].FrameVOILUTSequence

    assert window.VOILUTFunction == "LINEAR_EXACT"
    assert float(window.WindowCenter) == pytest.approx(float(window.WindowWidth) / 2)
    # All that is above zero is spread evenly up to 1, so the strongest is not far below it.
    assert 0.9 < float(window.WindowWidth) <= case.planes.max()


def test_highdicom_reads_it_as_a_volume(case, written: Dataset, tmp_path: Path) -> None:
    volume = hd.imread(tmp_path / "results" / "parametric_map.dcm").get_volume()

    assert volume.frame_of_reference_uid == dcmread(case.files[0]).FrameOfReferenceUID
    assert volume.spacing == pytest.approx((3.5, 1.25, 0.75), abs=1e-5)


def test_a_volume_of_one_slice_has_a_map(a_series: Callable, tmp_path: Path) -> None:
    case = a_series(size=(40, 30, 1))
    case.anomaly_map[0, 3, 4, 0] = 0.75

    assert case.write(tmp_path / "results") == []

    np.testing.assert_array_equal(dcmread(tmp_path / "results" / "parametric_map.dcm").pixel_array, case.planes[0])


def test_weights_that_are_unknown_leave_the_serial_number_general(a_series: Callable, tmp_path: Path) -> None:
    case = a_series()

    case.write(tmp_path / "results", bundle={"name": "a\\b" + "x" * 80, "version": "1", "weights_sha256": None})

    written = dcmread(tmp_path / "results" / "parametric_map.dcm")
    assert written.DeviceSerialNumber == "research"
    assert written.ManufacturerModelName == "a/b" + "x" * 61
