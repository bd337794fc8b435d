"""Whose image it is: read only where a user asked for it."""

from __future__ import annotations

from pathlib import Path

import pydicom

from monai_sagan.data.dicom import may_be_dicom

__all__ = ["patient_data"]

_TAGS = {
    "name": "PatientName",
    "id": "PatientID",
    "birth_date": "PatientBirthDate",
    "sex": "PatientSex",
    "study_date": "StudyDate",
    "accession_number": "AccessionNumber",
    "study_instance_uid": "StudyInstanceUID",
    "series_instance_uid": "SeriesInstanceUID",
}


def patient_data(path: Path) -> dict[str, str] | None:
    """Who the patient of a DICOM image is, and which study it belongs to.

    Args:
        path: the image's file.

    Returns:
        ``name``, ``id``, ``birth_date``, ``sex``, ``study_date``, ``accession_number``, ``study_instance_uid`` and
        ``series_instance_uid``, each empty where the file does not tell; None if it is no DICOM file.
    """
    if not may_be_dicom(path):
        return None
    # Old files begin without a preamble, which pydicom asks for unless forced.
    header = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=list(_TAGS.values()))
    return {name: str(header.get(tag) or "") for name, tag in _TAGS.items()}
