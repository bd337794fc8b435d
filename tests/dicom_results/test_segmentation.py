"""What lies above a threshold, as Segmentation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import highdicom as hd
import numpy as np
from pydicom import dcmread


def test_the_mask_is_what_lies_above_the_threshold_of_each_source_image(a_series: Callable, tmp_path: Path) -> None:
    case = a_series()
    case.anomaly_map[0, 6, 9, 2] = 0.5  # which is not above it
    case.write(tmp_path / "results", map_threshold=0.5)

    segmentation = hd.seg.segread(tmp_path / "results" / "segmentation.dcm")
    uids = [dcmread(file).SOPInstanceUID for file in case.files]
    # Planes without anything are left out of the file.
    masks = segmentation.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)[..., 0]

    assert segmentation.NumberOfFrames == 3
    np.testing.assert_array_equal(masks == 1, case.planes > 0.5)


def test_it_lies_on_its_source(a_series: Callable, tmp_path: Path) -> None:
    case = a_series()
    case.write(tmp_path / "results")

    written = dcmread(tmp_path / "results" / "segmentation.dcm")
    headers = {header.SOPInstanceUID: header for header in map(dcmread, case.files)}
    source = next(iter(headers.values()))
    orientation = written.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient
    assert written.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert written.StudyInstanceUID == source.StudyInstanceUID
    assert {each.ReferencedSOPInstanceUID for each in written.SourceImageSequence} == set(headers)
    np.testing.assert_allclose(orientation, source.ImageOrientationPatient, rtol=0, atol=1e-5)
    for group in written.PerFrameFunctionalGroupsSequence:
        reference = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        position = group.PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(position, headers[reference].ImagePositionPatient, rtol=0, atol=1e-5)


def test_its_segment_names_the_algorithm(a_series: Callable, tmp_path: Path) -> None:
    a_series().write(tmp_path / "results", map_threshold=0.125)

    segmentation = hd.seg.segread(tmp_path / "results" / "segmentation.dcm")
    segment = segmentation.get_segment_description(1)

    assert segmentation.segmentation_type == hd.seg.SegmentationTypeValues.BINARY
    assert segment.segment_label == "Anomaly"
    assert segment.algorithm_type == hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC
    assert segment.algorithm_identification.name == "head_bundle"
    assert segment.algorithm_identification.version == "0.3.0"
    assert segment.algorithm_identification.parameters == {"threshold": "0.125"}
    assert segmentation.SeriesDescription == "Anomaly segmentation (research use only)"


def test_every_kind_is_a_series_of_its_own(a_series: Callable, tmp_path: Path) -> None:
    case = a_series()
    case.write(tmp_path / "results")

    written = [dcmread(path) for path in sorted((tmp_path / "results").rglob("*.dcm"))]
    instances = [each.SOPInstanceUID for each in written]
    assert len(set(instances)) == len(instances) == 5
    assert len({each.SeriesInstanceUID for each in written}) == 3
    assert {int(each.SeriesNumber) for each in written} == {401, 402, 403}


def test_nothing_above_the_threshold_is_said(a_series: Callable, tmp_path: Path) -> None:
    sentences = a_series().write(tmp_path / "results", map_threshold=1.0)

    assert sentences == ["The map lies nowhere above the threshold of 1, so no DICOM segmentation was written."]
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["overlay", "parametric_map.dcm"]


def test_without_a_threshold_there_is_none(a_series: Callable, tmp_path: Path) -> None:
    assert a_series().write(tmp_path / "results", map_threshold=None) == []

    assert not (tmp_path / "results" / "segmentation.dcm").exists()


def test_a_radiograph_without_frame_of_reference_has_one(a_radiograph: Callable, tmp_path: Path) -> None:
    case = a_radiograph()
    sentences = case.write(tmp_path / "results")

    segmentation = hd.seg.segread(tmp_path / "results" / "segmentation.dcm")
    source = dcmread(case.files[0])
    mask = segmentation.get_pixels_by_source_instance([source.SOPInstanceUID], ignore_spatial_locations=True)
    assert sentences == [
        "The DICOM images have no frame of reference, which a parametric map needs, so none was written."
    ]
    assert not (tmp_path / "results" / "parametric_map.dcm").exists()
    np.testing.assert_array_equal(mask[0, ..., 0] == 1, case.planes[0] > 0.5)
    assert list(segmentation.PatientOrientation) == ["L", "F"]
