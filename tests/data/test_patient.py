"""Who the patient of an image is, for those who ask."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydicom import dcmread

from monai_sagan.data import patient_data

JANE = {
    "name": "Doe^Jane",
    "id": "4711-42",
    "birth_date": "19700102",
    "sex": "",
    "study_date": "",
    "accession_number": "",
    "study_instance_uid": "1.2.3.200",
    "series_instance_uid": "1.2.3.100",
}


def test_of_a_file(a_dicom: Callable[..., Path]) -> None:
    assert patient_data(a_dicom()) == JANE


def test_of_an_old_file_without_a_preamble(a_dicom: Callable[..., Path]) -> None:
    path = a_dicom()
    image = dcmread(path)
    del image.file_meta
    image.save_as(path, implicit_vr=True, little_endian=True)
    assert patient_data(path) == JANE


def test_other_images_have_none(a_picture: Callable[..., Path]) -> None:
    assert patient_data(a_picture()) is None
