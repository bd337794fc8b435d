"""Fixtures that several tests share."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from monai_sagan.bundles import derive_bundle, find_bundle
from monai_sagan.data import write_phantom
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
}


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Networks this small lose by sharing work among threads, in this process and in those that tests start."""
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"


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
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small synthetic data set in the Med-AD layout; nobody writes to it."""
    root = tmp_path_factory.mktemp("phantom") / "data"
    write_phantom(root, num_healthy=24, num_unlabeled=24, num_test=8, size=(64, 64))
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
