"""Volumes of every geometry, and what ``predict`` makes of them.

Volumes are SimpleITK's images: which part of the patient a voxel shows is told by a library that has no part in what is
tested.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from monai_sagan import workflows
from monai_sagan.bundles import find_bundle
from monai_sagan.derived_bundle import derive_bundle
from monai_sagan.networks import SAGANGenerator

REAL = ("patient01_study1", "patient03_study1", "patient12_study1", "patient12_study2", "patient19_study1")

# Values that become -1 and 1 in these tests' bundles; tissue stays below their middle.
WINDOW = (0, 1000)
TISSUE = 400

# Two turns, so that no axis of a volume is parallel to one of the patient.
_A, _B = math.radians(20), math.radians(-35)
_OBLIQUE = np.array([[math.cos(_B), -math.sin(_B), 0], [math.sin(_B), math.cos(_B), 0], [0, 0, 1]]) @ np.array(
    [[1, 0, 0], [0, math.cos(_A), -math.sin(_A)], [0, math.sin(_A), math.cos(_A)]]
)
_SIZE, _SPACING = (44, 40, 18), (0.7, 0.8, 3.1)

# Size, spacing and directions. Slices lie along the last axis, but in those that are permuted.
SYNTHETIC: dict[str, tuple[tuple[int, ...], tuple[float, ...], np.ndarray]] = {
    "oblique": (_SIZE, _SPACING, _OBLIQUE),
    "left-handed": (_SIZE, _SPACING, _OBLIQUE @ np.diag([1, 1, -1])),
    "flipped-x": (_SIZE, _SPACING, np.diag([-1, 1, 1])),
    "flipped-y": (_SIZE, _SPACING, np.diag([1, -1, 1])),
    "flipped-z": (_SIZE, _SPACING, np.diag([1, 1, -1])),
    "permuted": ((18, 44, 40), (3.1, 0.7, 0.8), _OBLIQUE[:, [2, 0, 1]]),
    "permuted-left-handed": ((44, 18, 40), (0.7, 3.1, 0.8), _OBLIQUE[:, [0, 2, 1]]),
    "sagittal-stack": ((44, 40, 18), (0.9, 0.9, 2.2), np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]])),
    "anisotropic": ((44, 40, 16), (0.31, 1.7, 6.3), np.eye(3)),
    "single-slice": ((44, 40, 1), (0.7, 0.8, 5.0), _OBLIQUE),
}


@dataclass
class Prediction:
    """What was written of a volume."""

    path: Path
    facts: dict[str, Any]

    @property
    def anomaly_map(self) -> sitk.Image:
        return sitk.ReadImage(str(self.path))


@pytest.fixture(params=SYNTHETIC)
def any_geometry(request: pytest.FixtureRequest) -> sitk.Image:
    """One volume of every made-up geometry after the other."""
    return _a_volume(*SYNTHETIC[request.param])


@pytest.fixture
def a_geometry() -> Callable[[str], sitk.Image]:
    """The volume of a made-up geometry."""
    return lambda name: _a_volume(*SYNTHETIC[name])


@pytest.fixture
def real_file(shared: Path) -> Callable[[str], Path]:
    """The file of a real volume."""
    return lambda name: shared / "data" / "flair" / f"{name}_FLAIR.nii.gz"


@pytest.fixture(params=REAL)
def any_real_file(request: pytest.FixtureRequest, real_file: Callable[[str], Path]) -> Path:
    """One real volume after the other, oblique transversal stacks of heads."""
    return real_file(request.param)


def _a_volume(size: Sequence[int], spacing: Sequence[float], direction: np.ndarray) -> sitk.Image:
    """Tissue at random."""
    voxels = np.random.default_rng(0).integers(150, TISSUE, tuple(reversed(size))).astype(np.uint16)
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(spacing)
    image.SetDirection(direction.ravel().tolist())
    image.SetOrigin((-101.3, 57.25, 12.9))
    return image


@pytest.fixture
def with_a_ball() -> Callable[..., sitk.Image]:
    """A volume in which a ball that fades outwards is brighter than all tissue.

    ``place`` is its centre in millimetres (LPS), ``width`` the standard deviation of its brightness.
    """

    def put(volume: sitk.Image, place: Sequence[float], width: float) -> sitk.Image:
        voxels = sitk.GetArrayFromImage(volume).astype(np.float32)
        voxels *= TISSUE / voxels.max()
        index = np.stack(np.meshgrid(*map(np.arange, volume.GetSize()), indexing="ij", copy=False), -1)
        step = np.reshape(volume.GetDirection(), (3, 3)) * volume.GetSpacing()
        distance = np.linalg.norm(index @ step.T + volume.GetOrigin() - np.asarray(place), axis=-1)
        ball = WINDOW[1] * np.exp(-0.5 * (distance.T / width) ** 2)
        result = sitk.GetImageFromArray(np.maximum(voxels, ball.astype(np.float32)))
        result.CopyInformation(volume)
        return result

    return put


@pytest.fixture
def a_copy() -> Callable[..., sitk.Image]:
    """The same scene with other array axes: flipped, then permuted."""

    def make(volume: sitk.Image, order: Sequence[int], flips: Sequence[bool]) -> sitk.Image:
        flipped = volume[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
        return sitk.PermuteAxes(flipped, list(order))

    return make


@pytest.fixture
def axes_seen() -> Callable[..., list[int]]:
    """The array axes that slices, rows and columns of a volume run along, where it is seen in a direction."""

    def find(volume: sitk.Image, direction: str = "acquisition") -> list[int]:
        cosines = np.abs(np.reshape(volume.GetDirection(), (3, 3)))
        head, back, left = (int(cosines[axis].argmax()) for axis in (2, 1, 0))
        size = volume.GetSize()
        acquired = size.index(1) if 1 in size else int(np.argmax(volume.GetSpacing()))
        first = {"axial": head, "coronal": back, "sagittal": left, "acquisition": acquired}[direction]
        return [first, *(axis for axis in (head, back, left) if axis != first)]

    return find


@pytest.fixture
def slice_size(axes_seen: Callable[..., list[int]]) -> Callable[..., list[int]]:
    """Rows and columns of a volume's slices."""
    return lambda volume, direction="acquisition": [volume.GetSize()[axis] for axis in axes_seen(volume, direction)[1:]]


@pytest.fixture
def a_bundle(tmp_path: Path) -> Callable[..., Path]:
    """A bundle with small random weights for a size, in 2D or 3D."""

    def derive(image_size: Sequence[int], patch_grid: int = 1, **settings: Any) -> Path:
        sizes = {"base_channels": 2, "num_res_blocks": 1, "patch_grid": patch_grid}
        with torch.random.fork_rng():
            torch.manual_seed(0)
            weights = SAGANGenerator(len(image_size), **sizes).state_dict()
        root = tmp_path / f"bundle_{len(list(tmp_path.glob('bundle_*')))}"
        overrides = {"image_size": list(image_size), **sizes, **settings}
        derive_bundle(find_bundle("sagan_anomaly_detection"), root, overrides, {}, weights)
        return root

    return derive


@pytest.fixture
def predict(tmp_path: Path) -> Callable[..., dict[str, Prediction]]:
    """Runs a bundle on files and folders; what was written, by the names of the results."""

    def run(bundle: Path, inputs: Sequence[Path], output_ext: str = ".nrrd", **options: Any) -> dict[str, Prediction]:
        output = tmp_path / f"output_{len(list(tmp_path.glob('output_*')))}"
        done = workflows.predict(bundle, inputs, output, output_ext=output_ext, progress="none", **options)
        assert done["num_failed"] == 0
        return {
            path.name.removesuffix("_anomaly.json"): Prediction(
                path.with_name(path.name.removesuffix(".json") + output_ext),
                json.loads(path.read_text(encoding="utf-8")),
            )
            for path in output.glob("*.json")
        }

    return run


@pytest.fixture
def network_that_takes_away_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundles whose maps are the images themselves, from 0 to 1."""
    monkeypatch.setattr(SAGANGenerator, "forward", lambda self, image, background: torch.full_like(image, -1))


@pytest.fixture
def network_that_dims(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundles that take away what is brighter than tissue, and nothing else."""
    monkeypatch.setattr(SAGANGenerator, "forward", lambda self, image, background: image.clamp(max=0.0))


@pytest.fixture
def saved(tmp_path: Path, a_series: Callable[..., Path]) -> Callable[..., Path]:
    """A volume in a file; where ``ending`` is "dicom", its slices in a folder, or a single one in a file."""

    def write(volume: sitk.Image, ending: str, name: str = "volume") -> Path:
        path = tmp_path / f"{name}{ending}"
        if ending != "dicom":
            sitk.WriteImage(volume, str(path))
            return path
        voxels = sitk.GetArrayFromImage(volume).T
        spacing = volume.GetSpacing()[2]
        folder = a_series(name, voxels, _ras_affine(volume), BitsStored=16, Modality="MR", SpacingBetweenSlices=spacing)
        files = list(folder.iterdir())
        return files[0].rename(tmp_path / f"{name}.dcm") if len(files) == 1 else folder

    return write


def _ras_affine(volume: sitk.Image) -> np.ndarray:
    """Voxels to millimetres."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(volume.GetDirection(), (3, 3)) * volume.GetSpacing()
    affine[:3, 3] = volume.GetOrigin()
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
