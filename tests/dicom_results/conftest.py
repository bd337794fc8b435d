"""DICOM images to make results of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    MRImageStorage,
    generate_uid,
)
from pydicom.valuerep import DS

from monai_sagan.dicom_results import write_dicom_results

BUNDLE = {"name": "head_bundle", "version": "0.3.0", "weights_sha256": "0123456789abcdef" * 4}
# Axes that no plane of the body is parallel to, spaced differently; to the left, back and head.
OBLIQUE = np.array(
    [
        [0.75 * 0.8, -1.25 * 0.36, 3.5 * 0.48, -71.125],
        [0.75 * 0.6, 1.25 * 0.48, 3.5 * -0.64, 12.5],
        [0.0, 1.25 * 0.8, 3.5 * 0.6, 40.0625],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass
class Case:
    """Files, and what was found on them."""

    files: list[Path]
    image: torch.Tensor
    anomaly_map: torch.Tensor

    @property
    def planes(self) -> np.ndarray:
        """The map, (planes, rows, columns)."""
        array = np.asarray(self.anomaly_map)[0]
        return array.reshape(*array.shape[:2], -1).transpose(2, 1, 0)

    def write(self, target: Path, map_threshold: float | None = 0.5, **other: Any) -> list[str]:
        """Writes the results."""
        arguments = {"map_threshold": map_threshold, "bundle": BUNDLE, "software_version": "1.2.3", **other}
        return write_dicom_results(self.files, self.image, self.anomaly_map, target, **arguments)


@pytest.fixture
def a_series(a_dicom: Callable[..., Path]) -> Callable[..., Case]:
    """Writes a CT or MR series with an affine (voxels to millimetres, LPS) and a map with a few bright planes."""

    def write(
        size: Sequence[int] = (40, 30, 5),
        affine: np.ndarray = OBLIQUE,
        sop_class: str = CTImageStorage,
        **tags: Any,
    ) -> Case:
        shared = _header(sop_class) | _uids("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        directions = affine[:3, :3] / spacing
        shared |= {
            "ImageOrientationPatient": [DS(x, auto_format=True) for x in (*directions[:, 0], *directions[:, 1])],
            "PixelSpacing": [DS(spacing[1], auto_format=True), DS(spacing[0], auto_format=True)],
            "SliceThickness": DS(spacing[2], auto_format=True),
            "PositionReferenceIndicator": "",
        }
        files = []
        for index in range(size[2]):
            position = affine @ (0, 0, index, 1)
            own = {
                "ImagePositionPatient": [DS(x, auto_format=True) for x in position[:3]],
                "InstanceNumber": size[2] - index,  # not the order in space
            }
            own |= _uids("SOPInstanceUID")
            files.append(a_dicom(f"series/{index:03d}.dcm", _black(size), **(shared | own | tags)))
        return Case(files, *_found(size, _LPS @ affine))

    return write


@pytest.fixture
def an_mr_series(a_series: Callable[..., Case]) -> Callable[..., Case]:
    """Writes an MR series."""
    return lambda **options: a_series(sop_class=MRImageStorage, Modality="MR", **options)


@pytest.fixture
def a_radiograph(a_dicom: Callable[..., Path]) -> Callable[..., Case]:
    """Writes an image that has no frame of reference, as radiographs do."""

    def write(size: Sequence[int] = (320, 400), **tags: Any) -> Case:
        header = _header(ComputedRadiographyImageStorage)
        header |= _uids("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        header |= {"Modality": "CR", "PatientOrientation": ["L", "F"], "PixelSpacing": [0.2, 0.2]}
        header |= dict.fromkeys(("ImagePositionPatient", "ImageOrientationPatient", "SliceThickness"))
        file = a_dicom("radiograph.dcm", _black(size), **(header | tags))
        return Case([file], *_found(size, np.diag([-1.0, -1.0, 1.0])))

    return write


def _header(sop_class: str) -> dict[str, Any]:
    return {
        "SOPClassUID": sop_class,
        "Manufacturer": "Scanners",
        "PatientID": "12345",
        "PatientSex": "F",
        "StudyDate": "20240305",
        "StudyTime": "101112",
        "StudyID": "7",
        "AccessionNumber": "A1",
        "ReferringPhysicianName": "Roe^Richard",
        "SeriesNumber": 4,
    }


def _black(size: Sequence[int]) -> np.ndarray:
    """Pixels (rows, columns), at which nobody looks."""
    return np.zeros((size[1], size[0]), "<u2")


def _uids(*keywords: str) -> dict[str, str]:
    return {keyword: generate_uid() for keyword in keywords}


def _found(size: Sequence[int], affine: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """An image and its map, zero but in a part: of the planes of a volume, in all but the first and the last."""
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.uniform(-1, 1, (1, *size)).astype(np.float32))
    anomaly_map = np.zeros((1, *size), dtype=np.float32)
    part = (0, slice(5, 20), slice(8, 25), *[slice(1, -1)] * (len(size) - 2))
    anomaly_map[part] = rng.uniform(0.01, 1, anomaly_map[part].shape)
    return image, MetaTensor(torch.from_numpy(anomaly_map), affine=affine)
