"""Public data sets as they are downloaded, with a handful of images each."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

from monai_sagan.prepare import SplitCounts

PATIENT = "Musterfrau^Erika"


@pytest.fixture
def counts() -> SplitCounts:
    """What nine images, six of them healthy, are split into."""
    return SplitCounts(healthy=3, unlabeled_healthy=2, unlabeled_anomalous=2, test_healthy=1, test_anomalous=1)


def random_pixels(name: str, dtype: type = np.uint8, shape: tuple[int, int] = (24, 16)) -> np.ndarray:
    """Pixels (rows, columns) that are an image's own; 16-bit ones use 12 bits."""
    rng = np.random.default_rng(list(name.encode()))
    return rng.integers(0, 256 if dtype is np.uint8 else 4096, shape).astype(dtype)


@pytest.fixture
def a_radiograph() -> Callable[..., Path]:
    """Writes pixels (rows, columns) to a DICOM file that names its patient."""

    def write(path: Path, pixels: np.ndarray | None = None, jpeg: bool = False) -> Path:
        pixels = random_pixels(path.name) if pixels is None else pixels
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit if jpeg else ExplicitVRLittleEndian
        dataset.SOPClassUID = ComputedRadiographyImageStorage
        dataset.SOPInstanceUID = generate_uid()
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.Modality = "CR"
        dataset.PatientName = PATIENT
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.SamplesPerPixel = 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.PixelRepresentation = 0
        dataset.BitsAllocated = 8 * pixels.itemsize
        dataset.BitsStored = 8 if pixels.itemsize == 1 else 12
        dataset.HighBit = dataset.BitsStored - 1
        if jpeg:
            compressed = io.BytesIO()
            Image.fromarray(pixels).save(compressed, "JPEG", quality=95)
            dataset.PixelData = encapsulate([compressed.getvalue()])
        else:
            dataset.PixelData = pixels.tobytes()
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(path, enforce_file_format=True)
        return path

    return write


@pytest.fixture
def a_table() -> Callable[[Path, str, Iterable[Sequence[object]]], Path]:
    """Writes a CSV table."""

    def write(path: Path, columns: str, rows: Iterable[Sequence[object]]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([columns, *(",".join(map(str, row)) for row in rows)]) + "\n")
        return path

    return write


@pytest.fixture
def rsna(tmp_path: Path, a_radiograph: Callable[..., Path], a_table: Callable[..., Path]) -> Path:
    """The RSNA challenge: six normal patients, three with an opacity (and several rows each), two of neither kind."""
    source = tmp_path / "rsna"
    normal, opacity, neither = ([f"{kind}-{n}" for n in range(count)] for kind, count in (("n", 6), ("o", 3), ("x", 2)))
    for name in normal + opacity + neither:
        a_radiograph(source / "stage_2_train_images" / f"{name}.dcm", jpeg=True)
    a_radiograph(source / "stage_2_test_images" / "t-0.dcm")
    rows = [(name, "Normal") for name in normal] + [(name, "Lung Opacity") for name in opacity * 2]
    rows += [(name, "No Lung Opacity / Not Normal") for name in neither]
    a_table(source / "stage_2_detailed_class_info.csv", "patientId,class", rows)
    return source


@pytest.fixture
def vindr_cxr(tmp_path: Path, a_radiograph: Callable[..., Path]) -> Path:
    """The images of VinDr-CXR, without a table: h0 to h5 and a0 to a2, and one of the test set."""
    source = tmp_path / "vindr-cxr"
    for name in [*(f"h{n}" for n in range(6)), *(f"a{n}" for n in range(3))]:
        a_radiograph(source / "train" / f"{name}.dicom", random_pixels(name, np.uint16))
    a_radiograph(source / "test" / "t0.dicom")
    return source


@pytest.fixture
def lag(tmp_path: Path) -> Path:
    """The LAG database in two parts, with the attention maps and labels that come with it."""
    source = tmp_path / "LAG"
    for number in range(9):
        kind = "non_glaucoma" if number < 6 else "suspicious_glaucoma"
        folder = source / f"part_{number % 2}" / kind
        for name, side in (("image", 20), ("attention_map", 8)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            colours = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
            Image.fromarray(colours).save(folder / name / f"{number:04d}.jpg")
        (folder / "label").mkdir(exist_ok=True)
        (folder / "label" / f"{number:04d}.txt").write_text(str(int(number >= 6)))
    return source
