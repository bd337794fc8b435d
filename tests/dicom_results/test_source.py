"""Sources as they come: odd, incomplete, or not what they should be."""

from __future__ import annotations

import logging
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.uid import ExplicitVRBigEndian, RLELossless, generate_uid

from monai_sagan.dicom_results.source import read_source
from monai_sagan.errors import UserError

ALL_OF_THEM = {"parametric_map.dcm", "segmentation.dcm", "overlay"}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    "tags",
    [
        dict.fromkeys(("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID")),
        dict.fromkeys(("StudyDate", "StudyTime", "ReferringPhysicianName", "SeriesNumber", "Manufacturer")),
        dict.fromkeys(("PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyID", "SliceThickness"), ""),
        {"PatientSex": "UNKNOWN", "PatientBirthDate": "1970-01-02", "StudyTime": "noon", "PatientName": "Mononym"},
        {"SliceThickness": None, "PositionReferenceIndicator": None},
        {"SpacingBetweenSlices": -3.5},  # as some scanners say it
        {"LossyImageCompression": "01", "LossyImageCompressionRatio": 8, "LossyImageCompressionMethod": "ISO_10918_1"},
        {"SeriesNumber": 2**31 - 1},
    ],
    ids=lambda tags: "-".join(tags)[:40],
)
def test_tags_of_an_unusual_kind_do_no_harm(a_series: Callable, tmp_path: Path, tags: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        case = a_series(**tags)

    assert case.write(tmp_path / "results") == []

    assert names(tmp_path / "results") == ALL_OF_THEM
    volume = hd.imread(tmp_path / "results" / "parametric_map.dcm").get_volume()
    assert volume.spacing == pytest.approx((3.5, 1.25, 0.75), abs=1e-5)


@pytest.mark.parametrize(
    ("character_set", "name"),
    [("ISO_IR 100", "Müller^Jörg"), (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"), ("ISO_IR 192", "Łęcki^Żuk")],
)
def test_names_in_any_alphabet_stay_what_they_are(
    a_series: Callable, tmp_path: Path, character_set: str | list[str], name: str
) -> None:
    a_series(SpecificCharacterSet=character_set, PatientName=name).write(tmp_path / "results")

    written = [dcmread(path) for path in (tmp_path / "results").rglob("*.dcm")]
    assert {str(each.PatientName) for each in written} == {name}


@pytest.mark.parametrize("syntax", [RLELossless, ExplicitVRBigEndian])
def test_however_pixels_are_stored(a_series: Callable, tmp_path: Path, syntax: str) -> None:
    case = a_series()
    for file in case.files:
        dataset = dcmread(file)
        if syntax == RLELossless:
            dataset.compress(RLELossless)
            dataset.save_as(file)
        else:
            dataset["PixelData"].VR = "OW"
            dataset.file_meta.TransferSyntaxUID = syntax
            dcmwrite(file, dataset, implicit_vr=False, little_endian=False, force_encoding=True)

    assert case.write(tmp_path / "results") == []


def test_old_files_without_a_preamble_are_read(a_series: Callable, tmp_path: Path) -> None:
    case = a_series()
    for file in case.files:
        dataset = dcmread(file)
        del dataset.file_meta
        dataset.save_as(file, implicit_vr=True, little_endian=True)

    assert case.write(tmp_path / "results") == []


def test_a_file_of_several_frames_is_referred_to_by_frame(a_series: Callable, tmp_path: Path) -> None:
    converted = {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "BurnedInAnnotation": "NO", "AcquisitionNumber": 1}
    case = a_series(**converted)
    frames = [dcmread(file) for file in case.files]
    enhanced = hd.legacy.LegacyConvertedEnhancedCTImage(
        frames, series_instance_uid=hd.UID(), series_number=1, sop_instance_uid=hd.UID(), instance_number=1
    )
    case.files = [tmp_path / "enhanced.dcm"]
    enhanced.save_as(case.files[0])

    assert case.write(tmp_path / "results") == []

    written = dcmread(tmp_path / "results" / "parametric_map.dcm")
    for frame, group in enumerate(written.PerFrameFunctionalGroupsSequence):
        (reference,) = group.DerivationImageSequence[0].SourceImageSequence
        of_source = enhanced.PerFrameFunctionalGroupsSequence[reference.ReferencedFrameNumber - 1]
        assert reference.ReferencedSOPInstanceUID == enhanced.SOPInstanceUID
        assert group.PlanePositionSequence == of_source.PlanePositionSequence
        # highdicom puts the last position first: the last frame is the map's first slice.
        np.testing.assert_array_equal(written.pixel_array[frame], case.planes[-reference.ReferencedFrameNumber])
    segmentation = dcmread(tmp_path / "results" / "segmentation.dcm")
    assert segmentation.NumberOfFrames == 3
    for frame, group in enumerate(segmentation.PerFrameFunctionalGroupsSequence):
        (reference,) = group.DerivationImageSequence[0].SourceImageSequence
        of_source = enhanced.PerFrameFunctionalGroupsSequence[reference.ReferencedFrameNumber - 1]
        assert group.PlanePositionSequence == of_source.PlanePositionSequence
        expected_mask = case.planes[-reference.ReferencedFrameNumber] > 0.5
        np.testing.assert_array_equal(segmentation.pixel_array[frame] == 1, expected_mask)
    capture = dcmread(tmp_path / "results" / "overlay" / "0002.dcm")
    assert capture.SourceImageSequence[0].ReferencedFrameNumber == 4
    expected = enhanced.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence[0].ImagePositionPatient
    assert capture.ImagePositionPatient == expected


def test_a_frame_of_reference_without_a_place_in_it_is_not_enough_for_a_map(
    a_radiograph: Callable, tmp_path: Path
) -> None:
    sentences = a_radiograph(FrameOfReferenceUID=generate_uid()).write(tmp_path / "results")

    assert names(tmp_path / "results") == {"segmentation.dcm", "overlay"}
    assert sentences == ["The headers of the DICOM images lack what a parametric map needs, so none was written."]


def test_frames_without_a_place_have_an_overlay(a_radiograph: Callable, tmp_path: Path) -> None:
    ultrasound = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.3.1", "Modality": "US", "NumberOfFrames": 3}
    sentences = a_radiograph(size=(40, 30, 3), **ultrasound).write(tmp_path / "results")

    (capture,) = (tmp_path / "results" / "overlay").iterdir()
    assert dcmread(capture).SourceImageSequence[0].ReferencedFrameNumber == 2  # the others' maps are zero
    assert len(sentences) == 2


@pytest.mark.parametrize("tags", [{"FrameOfReferenceUID": None}, {"FrameOfReferenceUID": ""}])
def test_a_series_without_frame_of_reference_has_an_overlay(
    a_series: Callable, tmp_path: Path, tags: dict[str, Any]
) -> None:
    sentences = a_series(**tags).write(tmp_path / "results")

    assert names(tmp_path / "results") == {"overlay"}
    assert sentences == [
        "The DICOM images have no frame of reference, which a parametric map needs, so none was written.",
        "The headers of the DICOM images lack what a segmentation needs, so none was written.",
    ]


def test_a_kind_of_image_that_highdicom_does_not_know_has_an_overlay(a_series: Callable, tmp_path: Path) -> None:
    sentences = a_series(sop_class="1.2.3.4").write(tmp_path / "results")

    assert names(tmp_path / "results") == {"overlay"}
    assert len(sentences) == 2


def test_cosines_that_differ_in_the_last_digit_are_one_orientation(a_series: Callable, tmp_path: Path) -> None:
    case = a_series()
    last = dcmread(case.files[-1])
    last.ImageOrientationPatient = [0.800001, 0.6, 0.0, -0.36, 0.48, 0.8]
    last.save_as(case.files[-1])

    assert case.write(tmp_path / "results") == []


def refusal(case: Any, target: Path) -> str:
    """What is said when nothing can be written, of which nothing is left."""
    before = names(target.parent)
    with pytest.raises(UserError) as caught:
        case.write(target)
    assert names(target.parent) == before
    return str(caught.value)


DAMAGED = bytes(128) + b"DICM\x08\x00\x16\x00SQ\x00\x00\xff\xff\xff\xff" + b"123456789"  # a sequence that is none


@pytest.mark.parametrize(
    "content", [b"no image\n" * 50, b"", b"\x89PNG\r\n\x1a\n" + bytes(500), b"%PDF-1.7\n" * 99, DAMAGED]
)
def test_what_is_no_dicom_is_named(a_series: Callable, tmp_path: Path, content: bytes) -> None:
    case = a_series()
    case.files[2].write_bytes(content)

    message = refusal(case, tmp_path / "results")

    assert message.startswith(f"{case.files[2]}: DICOM results need DICOM images")


def test_a_file_that_has_gone_is_named(a_series: Callable, tmp_path: Path) -> None:
    case = a_series()
    case.files[2].unlink()

    with pytest.raises(FileNotFoundError, match=re.escape(case.files[2].name)):
        case.write(tmp_path / "results")


def test_an_image_that_cannot_be_referred_to_is_named(a_series: Callable, tmp_path: Path) -> None:
    case = a_series(StudyInstanceUID=None)

    message = refusal(case, tmp_path / "results")

    assert message.startswith(f"{case.files[0]}: ")
    assert "StudyInstanceUID" in message


@pytest.mark.parametrize("count", [slice(1, None), slice(None, -1), slice(None, None, 2)])
def test_images_that_are_not_the_maps_slices_are_refused(a_series: Callable, tmp_path: Path, count: slice) -> None:
    case = a_series()
    case.files = case.files[count]

    assert refusal(case, tmp_path / "results").startswith(f"{case.files[0].parent}: these DICOM images are not the")


@pytest.mark.parametrize("reference", ["1.2.3.300", None])
def test_files_in_any_order_are_put_in_the_maps(a_series: Callable, tmp_path: Path, reference: str | None) -> None:
    case = a_series(FrameOfReferenceUID=reference)
    in_order = case.files
    case.files = [case.files[number] for number in (3, 0, 4, 2, 1)]

    case.write(tmp_path / "results")

    for number in (2, 3, 4):
        capture = dcmread(tmp_path / "results" / "overlay" / f"{number:04d}.dcm")
        source = dcmread(in_order[number - 1])
        assert capture.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID


def test_images_that_lie_elsewhere_are_refused(a_series: Callable, tmp_path: Path) -> None:
    case = a_series()
    case.anomaly_map.affine[:3, 3] += case.anomaly_map.affine[:3, 2]

    assert refusal(case, tmp_path / "results").startswith(f"{case.files[0].parent}: these DICOM images are not the")


def test_images_of_two_series_are_refused(a_series: Callable, tmp_path: Path) -> None:
    case = a_series()
    other = dcmread(case.files[3])
    other.SeriesInstanceUID = generate_uid()
    other.save_as(case.files[3])

    assert refusal(case, tmp_path / "results").startswith(f"{case.files[0].parent}: these DICOM images are not the")


def test_headers_against_the_standard_are_refused_in_a_sentence(a_series: Callable, tmp_path: Path) -> None:
    case = a_series(ImageOrientationPatient=[1, 0, 0])
    first = dcmread(case.files[0])
    first.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    first.save_as(case.files[0])

    assert refusal(case, tmp_path / "results").startswith(f"{case.files[0].parent}: the headers of these DICOM images")


def test_without_highdicom_it_is_said_what_to_install(
    a_series: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "highdicom", None)

    assert 'pip install "monai-sagan[dicom]"' in refusal(a_series(), tmp_path / "results")


def test_nobody_is_told_whose_the_images_are(
    a_series: Callable,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    recwarn: pytest.WarningsRecorder,
    capfd: pytest.CaptureFixture,
) -> None:
    whose = {
        "PatientName": "Geheimrat",  # with one part only, which highdicom warns of
        "PatientID": "ID4711",
        "PatientBirthDate": "19010203x",  # no date, which pydicom warns of
        "AccessionNumber": "ACC815",
        "ReferringPhysicianName": "Hausarzt",
        "StudyDescription": "Klinikvisite",
    }
    caplog.set_level(logging.DEBUG)
    case = a_series(**whose)
    recwarn.clear()
    caplog.clear()
    capfd.readouterr()

    sentences = case.write(tmp_path / "results", map_threshold=1.0)

    told = [
        *sentences,
        caplog.text,
        *map(str, recwarn),
        *map(str, (tmp_path / "results").rglob("*")),
        *capfd.readouterr(),
    ]
    written = dcmread(tmp_path / "results" / "parametric_map.dcm")
    assert written.PatientName == "Geheimrat"
    for value in whose.values():
        assert not any(value in text for text in told)


def test_headers_do_not_tell_whose_they_are(a_series: Callable, tmp_path: Path) -> None:
    """What highdicom is given, which may write any of it into a message."""
    whose = {"PatientName": "Doe^Jane", "StudyDescription": "Klinikvisite", "IssuerOfPatientID": "Haus"}
    source = read_source(a_series(**whose).files)
    assert {keyword: str(source.owner[keyword].value) for keyword in whose} == whose
    for header in source.headers:
        assert not any(header.get(keyword) for keyword in (*whose, "PatientID", "AccessionNumber", "StudyDate"))
