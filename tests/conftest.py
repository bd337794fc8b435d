"""Fixtures that several tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedMRImageStorage, ExplicitVRLittleEndian
from pydicom.valuerep import DSfloat

from monai_sagan.bundles import find_bundle
from monai_sagan.data import write_phantom
from monai_sagan.derived_bundle import derive_bundle
from monai_sagan.networks import SAGANGenerator

# Networks and images small enough for a test: a step of training takes milliseconds.
TINY_SETTINGS = {
    "image_size": [32, 32],
    "base_channels": 2,
    "num_res_blocks": 1,
    "patch_grid": 2,
    "critic_base_channels": 2,
    "batch_size": 8,
    "critic_steps": 4,
    "contrast_networks": 0,
    "contrast_trees": 0,
    "calibration_share": 0.0,
    "selection_share": 0.0,
}

# A turn about three axes with anisotropic voxels, in millimetres, RAS.
OBLIQUE = np.array(
    [
        [0.56965839, -0.48506657, 1.81690705, -11.5],
        [0.32889240, 0.97082053, 0.08653590, 20.25],
        [-0.23941410, 0.17949350, 4.44199931, -71.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Networks this small lose by sharing work among threads, in this process and in those that tests start."""
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"


# Operators that torchvision's wheels bring only for the CUDA build of torch. No network that classifies needs them, but
# the import of torchvision looks for them.
_TORCHVISION_OPERATORS = ("nms", "qnms", "roi_align", "qroi_align", "roi_pool", "ps_roi_align", "ps_roi_pool")
_TORCHVISION_OPERATORS += ("deform_conv2d", "_roi_align_backward", "_roi_pool_backward", "_ps_roi_align_backward")
_TORCHVISION_OPERATORS += ("_ps_roi_pool_backward", "_deform_conv2d_backward")


@pytest.fixture(scope="session")
def torchvision_models() -> Any:
    """torchvision's networks; beside a torch without CUDA, the operators that are missing there have no content."""
    try:
        from torchvision import models
    except ModuleNotFoundError:
        pytest.skip("torchvision is not installed")
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in _TORCHVISION_OPERATORS:
            library.define(f"{name}(Tensor x) -> Tensor")
        from torchvision import models

        models.missing_operators = library  # they are there as long as this is
    return models


@pytest.fixture(scope="session")
def tiny_settings() -> dict[str, Any]:
    """Settings with which the bundle trains in a moment."""
    return dict(TINY_SETTINGS)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory, tiny_settings: dict[str, Any]) -> Path:
    """A bundle with random weights; nobody writes to it."""
    root = tmp_path_factory.mktemp("bundles") / "tiny"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {key: tiny_settings[key] for key in ("base_channels", "num_res_blocks", "patch_grid")}
        weights = SAGANGenerator(**sizes).state_dict()
    derive_bundle(find_bundle("sagan_anomaly_detection"), root, tiny_settings, {}, weights)
    return root


@pytest.fixture(scope="session")
def shared() -> Path:
    """Reference values and real images that lie beside the repository and are not part of it."""
    path = Path(__file__).resolve().parents[2] / "shared"
    if not path.is_dir():
        pytest.skip(f"{path} is absent: reference values and real images are not part of the repository")
    return path


@pytest.fixture(scope="session")
def reference(shared: Path) -> dict[str, torch.Tensor]:
    """Small random weights under the published names, inputs, and what the published code makes of them."""
    with np.load(shared / "reference" / "sagan_published_base8.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.fixture(scope="session")
def published_weights(reference: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """The weights of these for ``generator`` and ``critic``."""
    return {
        network: {name.removeprefix(f"{network}/"): each for name, each in reference.items() if f"{network}/" in name}
        for network in ("generator", "critic")
    }


@pytest.fixture(scope="session")
def check_as_the_model_zoo(shared: Path) -> Callable[..., str]:
    """Makes the checks that MONAI's model zoo makes of a bundle; none may fail or warn."""

    def check(bundle: Path, data: Path) -> str:
        script = shared / "bundle_check" / "check_bundle.sh"
        result = subprocess.run(
            [script, bundle, "--onnx", "--dataset-dir", data],
            env={**os.environ, "PY": sys.executable},
            capture_output=True,
            text=True,
            timeout=180,
        )
        complaints = [line for line in result.stdout.splitlines() if line.startswith(("[FAIL]", "[WARN]"))]
        assert complaints == []
        assert result.returncode == 0, result.stderr
        return result.stdout

    return check


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small synthetic data set in the Med-AD layout; nobody writes to it."""
    root = tmp_path_factory.mktemp("phantom") / "data"
    write_phantom(root, num_healthy=24, num_unlabeled=24, num_test=8, size=(64, 64))
    return root


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder a class: noise that changes with each picture, and an upper left corner that tells the class.

    A small network learns it in a moment; nobody writes to it.
    """
    root = tmp_path_factory.mktemp("labeled") / "pictures"
    for number, name in enumerate(("dark corner", "light corner")):
        (root / name).mkdir(parents=True)
        for index in range(20):
            pixels = np.random.default_rng([number, index]).integers(60, 190, (36, 40))
            pixels[:12, :12] += 60 * (2 * number - 1)
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{index:02}.png")
    return root


@pytest.fixture
def a_picture(tmp_path: Path) -> Callable[..., Path]:
    """Writes random pixels in one of PIL's modes; ``size`` is (width, height), as PIL's is."""

    def write(name: str = "picture.png", mode: str = "L", size: tuple[int, int] = (40, 30), seed: int = 0) -> Path:
        rng = np.random.default_rng(seed)
        colours = rng.integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
        if mode == "I;16":
            image = Image.fromarray(rng.integers(0, 65536, (size[1], size[0]), dtype=np.uint16))
        elif mode in ("LA", "RGBA"):
            image = Image.fromarray(np.ascontiguousarray(colours[..., : len(mode)]))
        else:
            image = Image.fromarray(colours[..., :3].copy()).convert(mode)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
        return path

    return write


@pytest.fixture
def a_volume(tmp_path: Path) -> Callable[..., Path]:
    """Writes voxels, or random ones of a size, to a NIfTI file with the affine given (RAS, millimetres)."""

    def write(
        name: str = "volume.nii.gz",
        voxels: np.ndarray | None = None,
        size: Sequence[int] = (20, 24, 6),
        affine: np.ndarray | None = None,
    ) -> Path:
        if voxels is None:
            voxels = np.random.default_rng(0).integers(0, 1000, tuple(size)).astype(np.int16)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        affine = np.diag([-1.0, -1.0, 1.0, 1.0]) if affine is None else affine
        header = nib.Nifti1Header(endianness=">" if voxels.dtype.str.startswith(">") else "<")
        header.set_data_dtype(voxels.dtype)
        nib.save(nib.Nifti1Image(voxels, affine, header), path)
        return path

    return write


@pytest.fixture
def oblique() -> np.ndarray:
    """A geometry that no axis of the patient is parallel to."""
    return OBLIQUE.copy()


@pytest.fixture
def a_dicom(tmp_path: Path) -> Callable[..., Path]:
    """Writes a slice of a patient with a name: 12-bit pixels (rows, columns), or colours of 8 bits (rows, columns, 3).

    Other attributes are given by their keywords; None takes one away.
    """

    def write(name: str = "slice.dcm", pixels: np.ndarray | None = None, number: int = 0, **attributes: Any) -> Path:
        if pixels is None:
            pixels = np.random.default_rng(number).integers(0, 4096, (20, 30)).astype("<u2")
        if pixels.shape[-1] == 3:
            sizes = {"Rows": pixels.shape[0], "Columns": pixels.shape[1], "SamplesPerPixel": 3, "BitsStored": 8}
            attributes = {**sizes, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0, **attributes}
        defaults = {
            "SOPClassUID": CTImageStorage,
            "SOPInstanceUID": f"1.2.3.{number + 1}",
            "SeriesInstanceUID": "1.2.3.100",
            "StudyInstanceUID": "1.2.3.200",
            "PatientName": "Doe^Jane",
            "PatientID": "4711-42",
            "PatientBirthDate": "19700102",
            "InstitutionName": "Saint Elsewhere",
            "Modality": "CT",
            "SeriesNumber": 3,
            "InstanceNumber": number + 1,
            "Rows": pixels.shape[-2],
            "Columns": pixels.shape[-1],
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "BitsAllocated": pixels.itemsize * 8,
            "BitsStored": 12,
            "HighBit": int(attributes.get("BitsStored", 12)) - 1,
            "PixelRepresentation": 0,
            "RescaleSlope": 1,
            "RescaleIntercept": 0,
            "SliceThickness": 3,
            "PixelSpacing": [0.5, 0.25],
            "ImagePositionPatient": [1, 2, 7 + 3 * number],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "PixelData": pixels.tobytes(),
        }
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = attributes.get("SOPClassUID", CTImageStorage)
        meta.MediaStorageSOPInstanceUID = defaults["SOPInstanceUID"]
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        for keyword, value in (defaults | attributes).items():
            if value is not None:
                setattr(dataset, keyword, value)
        dataset.save_as(path, enforce_file_format=True)
        return path

    return write


@pytest.fixture
def a_series(a_dicom: Callable[..., Path]) -> Callable[..., Path]:
    """Writes the slices of a volume (x, y, z) into a folder, under names in another order.

    ``changes`` are attributes of single slices by their number, ``attributes`` those of all.
    """

    def write(
        folder: str = "series",
        voxels: np.ndarray | None = None,
        affine: np.ndarray = OBLIQUE,
        changes: dict[int, dict[str, Any]] | None = None,
        **attributes: Any,
    ) -> Path:
        if voxels is None:
            voxels = np.random.default_rng(0).integers(0, 4096, (6, 5, 8)).astype("<u2")
        paths = []
        for number, pixels in enumerate(np.moveaxis(voxels, -1, 0)):
            name = f"{folder}/{number * 7 % 101:03d}.dcm"
            at = place(affine, number)
            changed = (changes or {}).get(number, {})
            paths.append(a_dicom(name, np.ascontiguousarray(pixels.T), number, **(at | attributes | changed)))
        return paths[0].parent

    return write


@pytest.fixture
def an_enhanced_file(a_dicom: Callable[..., Path]) -> Callable[..., Path]:
    """Writes a volume (x, y, z) as the frames of a single file, in the order given."""

    def write(voxels: np.ndarray, affine: np.ndarray, order: list[int], slopes: dict[int, float] | None = None) -> Path:
        frames = []
        for number in order:
            at = place(affine, number)
            frame, position, orientation, measures, rescaling = (Dataset() for _ in range(5))
            position.ImagePositionPatient = at["ImagePositionPatient"]
            orientation.ImageOrientationPatient = at["ImageOrientationPatient"]
            measures.PixelSpacing, measures.SliceThickness = at["PixelSpacing"], 1
            rescaling.RescaleSlope, rescaling.RescaleIntercept = (slopes or {}).get(number, 1), 0
            rescaling.RescaleType = "US"
            frame.PlanePositionSequence, frame.PlaneOrientationSequence = [position], [orientation]
            frame.PixelMeasuresSequence, frame.PixelValueTransformationSequence = [measures], [rescaling]
            frames.append(frame)
        return a_dicom(
            "enhanced.dcm",
            np.ascontiguousarray(voxels[..., order].T),
            SOPClassUID=EnhancedMRImageStorage,
            Modality="MR",
            NumberOfFrames=len(order),
            SharedFunctionalGroupsSequence=[Dataset()],
            PerFrameFunctionalGroupsSequence=frames,
            ImagePositionPatient=None,
            ImageOrientationPatient=None,
            PixelSpacing=None,
            RescaleSlope=None,
            RescaleIntercept=None,
        )

    return write


def place(affine: np.ndarray, slice_number: int) -> dict[str, list[DSfloat]]:
    """Where DICOM says that a slice lies, as precisely as its decimal numbers of 16 characters can."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :2], axis=0)
    orientation = (lps[:3, :2] / spacing).T.ravel()
    return {
        "ImagePositionPatient": _decimals(lps[:3, 3] + slice_number * lps[:3, 2]),
        "ImageOrientationPatient": _decimals(orientation),
        "PixelSpacing": _decimals(spacing[::-1]),
    }


def _decimals(values: np.ndarray) -> list[DSfloat]:
    return [DSfloat(float(value), auto_format=True) for value in values]


@pytest.fixture(autouse=True)
def the_same_random_numbers() -> None:
    """Whichever tests ran before: no test depends on luck."""
    torch.manual_seed(0)


@pytest.fixture
def pretended_cuda(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """CUDA's streams and recordings without a GPU: what is recorded runs as it is, and replaying it does nothing.

    The list has the devices that were made the current one, the innermost last.
    """
    current: list[Any] = []

    @contextmanager
    def device(chosen: Any) -> Iterator[None]:
        current.append(chosen)
        yield
        current.pop()

    @contextmanager
    def within(*args: Any, **kwargs: Any) -> Iterator[None]:
        yield

    stream = SimpleNamespace(wait_stream=lambda other: None)
    monkeypatch.setattr(torch.cuda, "device", device)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device=None: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: stream)
    monkeypatch.setattr(torch.cuda, "stream", within)
    monkeypatch.setattr(torch.cuda, "graph", within)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: SimpleNamespace(replay=lambda: None))
    return current
