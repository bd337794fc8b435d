"""A synthetic head with and without lesions, for the demo and for tests.

A subject is defined once, in three dimensions, by formulas: a 2D image is one transversal plane of a subject and a
volume is a stack of such planes, so that what is learnt from the images holds for the slices of a volume.

Positions are given in half fields of view: `x` (columns, towards the patient's left) and `y` (rows, towards the back)
run from -1 to 1 over an image, `z` (slices, towards the top) from -0.45 to 0.45 over a volume. Intensities are
fractions of the full range, 0 (black) to 1 (white), until they are rounded to 8 bits at the very end.
"""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["phantom_image", "phantom_volume", "write_phantom"]

# Raised whenever the same parameters give other pictures, so that a phantom written earlier is not taken for today's.
_VERSION = 1

# Part of each image's seed: a number, once given to a group, is not given to another.
_GROUPS = {"healthy": 0, "unlabeled_0": 1, "unlabeled_1": 2, "test_0": 3, "test_1": 4, "volume": 5}

_PLANE_RANGE = 0.4  # 2D planes lie within this distance of the head's middle
_STACK_HALF_HEIGHT = 0.45  # a volume leaves out the top and bottom of the head, which no 2D image shows either
_BRAIN = 0.86  # where the brain ends, as a fraction of the head's radius
_NOISE = 0.015

_VOLUME_SIZE = (64, 64, 24)
_VOLUME_SPACING_MM = (3.0, 3.0, 3.6)  # 192 mm across and 86.4 mm high: the proportions of the field of view above
_VOLUME_ORIGIN_MM = (-91.5, -103.25, 17.0)
_VOLUME_TILT_DEGREES = (8.0, 5.0)  # about the patient's left-right axis, then about the head-foot axis


@dataclass(frozen=True)
class _Points:
    """Coordinates of a grid, kept apart so that they broadcast: `x` (1, 1, X), `y` (1, Y, 1), `z` (Z, 1, 1)."""

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray

    def from_head(self, head: _Head) -> _Points:
        """The same points as seen from a head that is shifted and turned in the plane."""
        x, y = self.x - head.centre[0], self.y - head.centre[1]
        cos, sin = math.cos(head.angle), math.sin(head.angle)
        return _Points(cos * x + sin * y, cos * y - sin * x, self.z - head.centre[2])


@dataclass(frozen=True)
class _Ellipsoid:
    """An ellipsoid, turned in the plane by `angle` (radians)."""

    centre: tuple[float, float, float]
    semi_axes: tuple[float, float, float]
    angle: float = 0.0

    def level(self, points: _Points) -> np.ndarray:
        """Distance from the centre in radii: 0 in the centre, 1 on the surface."""
        x, y, z = points.x - self.centre[0], points.y - self.centre[1], points.z - self.centre[2]
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        a, b, c = self.semi_axes
        return np.sqrt(((cos * x + sin * y) / a) ** 2 + ((cos * y - sin * x) / b) ** 2 + (z / c) ** 2)


@dataclass(frozen=True)
class _Waves:
    """A sum of plane waves: smooth, without a grid, and the same wherever it is evaluated."""

    vectors: np.ndarray  # (number of waves, 3), radians per half field of view
    phases: np.ndarray  # (number of waves,), radians

    @classmethod
    def random(cls, rng: np.random.Generator, number: int, frequency: float) -> _Waves:
        return cls(rng.normal(0.0, frequency, (number, 3)), rng.uniform(0.0, 2 * math.pi, number))

    def value(self, points: _Points) -> np.ndarray:
        """Values with mean 0 and standard deviation 1, of the points' shape."""
        waves = [
            np.cos(kx * points.x + ky * points.y + kz * points.z + phase)
            for (kx, ky, kz), phase in zip(self.vectors, self.phases, strict=True)
        ]
        return np.asarray(sum(waves)) * math.sqrt(2 / len(waves))


@dataclass(frozen=True)
class _Structure:
    """A part of the anatomy: it replaces what is there by `intensity`, over an edge as wide as `softness` radii."""

    shape: _Ellipsoid
    intensity: float
    softness: float


@dataclass(frozen=True)
class _Head:
    """A healthy subject. Everything inside is placed relative to the head's centre and direction."""

    centre: tuple[float, float, float]
    angle: float
    semi_axes: tuple[float, float, float]
    rim: float
    gap: float
    cortex: float
    tissue: float
    structures: tuple[_Structure, ...]
    fold_phase: float
    texture: _Waves


@dataclass(frozen=True)
class _Lesion:
    """A blob with a soft, slightly irregular edge, brighter than the tissue by `contrast` (negative: darker)."""

    shape: _Ellipsoid
    contrast: float
    irregularity: _Waves

    def weight(self, points: _Points) -> np.ndarray:
        """How much of the lesion is in each point, 0 to 1; one half on its border."""
        level = self.shape.level(points) + 0.06 * self.irregularity.value(points)
        return _step(1 - level, 0.18)


def phantom_image(
    rng: np.random.Generator, *, size: tuple[int, int] = (96, 96), lesion: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a subject and take one transversal plane near the middle of its head.

    Two generators in the same state give the same subject, plane and noise with and without `lesion`.

    Args:
        rng: where every random choice comes from.
        size: rows and columns, in pixels.
        lesion: whether the plane shows one or two lesions.

    Returns:
        The image (rows, columns), uint8, and the lesions' mask (rows, columns), bool, empty in a healthy subject.

    Raises:
        ValueError: if `size` is not two positive numbers.
    """
    rows, columns = _checked_size(size, 2)
    head = _draw_head(rng)
    plane = rng.uniform(-_PLANE_RANGE, _PLANE_RANGE)
    points = _Points(_centres(columns)[None, None, :], _centres(rows)[None, :, None], np.full((1, 1, 1), plane))
    # The plane cuts near the middle of each lesion: nobody would see one that it only grazes.
    image, mask = _draw(rng, head, points, lesion_z=(plane - 0.05, plane + 0.05) if lesion else None)
    return image[0], mask[0]


def phantom_volume(
    rng: np.random.Generator, *, size: tuple[int, int, int] = (64, 64, 24), lesion: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a subject and take a stack of transversal planes through its head.

    Rows and columns of a slice are those of `phantom_image`. Two generators in the same state give the same subject and
    noise with and without `lesion`.

    Args:
        rng: where every random choice comes from.
        size: voxels along x (columns), y (rows) and z (slices), the order in which SimpleITK gives a size.
        lesion: whether the subject has one or two lesions, well inside the stack.

    Returns:
        The volume, uint8, and the lesions' mask, bool, empty in a healthy subject. Array axes are (z, y, x).

    Raises:
        ValueError: if `size` is not three positive numbers.
    """
    columns, rows, slices = _checked_size(size, 3)
    head = _draw_head(rng)
    z = _STACK_HALF_HEIGHT * _centres(slices)
    points = _Points(_centres(columns)[None, None, :], _centres(rows)[None, :, None], z[:, None, None])
    return _draw(rng, head, points, lesion_z=(-0.1, 0.1) if lesion else None)


def write_phantom(
    root: Path,
    *,
    seed: int = 0,
    num_healthy: int = 160,
    num_unlabeled: int = 160,
    anomaly_ratio: float = 0.6,
    num_test: int = 50,
    size: tuple[int, int] = (96, 96),
) -> None:
    """Write a phantom data set in the Med-AD layout, and two volumes to try a trained model on.

    ::

        root/images/*.png               8-bit grey
        root/masks/*.png                0 and 255, for the anomalous test images, under the image's name
        root/data.json                  {"train": {"0": [...], "unlabeled": {"0": [...], "1": [...]}},
                                         "test": {"0": [...], "1": [...]}}, names relative to images/
        root/volumes/phantom_lesion.nii.gz, phantom_lesion_mask.nii.gz
        root/volumes/phantom_healthy.nii.gz     the same subject without the lesion
        root/phantom.json               the arguments of this function

    An image depends on `seed`, `size`, its group and its number alone: more images leave the others as they are.
    The folder is written whole or not at all. One that holds this very phantom is left untouched.

    Args:
        root: folder to write; it may be missing or empty, its parents are made.
        seed: a number from 0.
        num_healthy: healthy images to train on.
        num_unlabeled: training images of which nobody says whether they are healthy.
        anomaly_ratio: share of the unlabelled images that show a lesion, 0 to 1.
        num_test: test images of each class.
        size: rows and columns of an image, in pixels.

    Raises:
        FileExistsError: if `root` holds anything other than this phantom.
        ValueError: if a count or `seed` is negative, `anomaly_ratio` outside [0, 1] or `size` not positive.
    """
    root = Path(root)
    parameters = {
        "version": _VERSION,
        "seed": seed,
        "num_healthy": num_healthy,
        "num_unlabeled": num_unlabeled,
        "anomaly_ratio": anomaly_ratio,
        "num_test": num_test,
        "size": list(_checked_size(size, 2)),
    }
    if min(seed, num_healthy, num_unlabeled, num_test) < 0:
        raise ValueError("seed, num_healthy, num_unlabeled and num_test must not be negative.")
    if not 0 <= anomaly_ratio <= 1:
        raise ValueError(f"anomaly_ratio must be between 0 and 1, got {anomaly_ratio}.")
    if _is_written(root, parameters):
        return

    num_anomalous = round(num_unlabeled * anomaly_ratio)
    counts = {
        "healthy": num_healthy,
        "unlabeled_0": num_unlabeled - num_anomalous,
        "unlabeled_1": num_anomalous,
        "test_0": num_test,
        "test_1": num_test,
    }
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=f".{root.name}-") as scratch:
        folder = Path(scratch) / "phantom"
        for name in ("images", "masks", "volumes"):
            (folder / name).mkdir(parents=True)
        names = {group: _write_images(folder, seed, group, count, size) for group, count in counts.items()}
        _write_volumes(folder / "volumes", seed)
        splits = {
            "train": {
                "0": names["healthy"],
                "unlabeled": {"0": names["unlabeled_0"], "1": names["unlabeled_1"]},
            },
            "test": {"0": names["test_0"], "1": names["test_1"]},
        }
        (folder / "data.json").write_text(json.dumps(splits, indent=2) + "\n", encoding="utf-8")
        (folder / "phantom.json").write_text(json.dumps(parameters, indent=2) + "\n", encoding="utf-8")
        if root.exists():
            root.rmdir()  # empty, as was seen above; renaming onto an empty folder fails on Windows
        folder.rename(root)


def _checked_size(size: tuple[int, ...], dims: int) -> tuple[int, ...]:
    if len(size) != dims or min(size) < 1:
        raise ValueError(f"size must be {dims} positive numbers, got {tuple(size)}.")
    return tuple(int(n) for n in size)


def _centres(number: int) -> np.ndarray:
    """Centres of `number` equal pixels that cover -1 to 1."""
    return (np.arange(number) + 0.5) * (2 / number) - 1


def _step(distance: np.ndarray, width: float) -> np.ndarray:
    """0 to 1 where `distance` goes from negative to positive: one half at 0, smooth, and flat beyond half a `width`."""
    t = np.clip(0.5 + distance / width, 0, 1)
    return t * t * (3 - 2 * t)


def _blend(image: np.ndarray, weight: np.ndarray, value: np.ndarray | float) -> np.ndarray:
    return image + weight * (value - image)


def _draw_head(rng: np.random.Generator) -> _Head:
    """One subject of the population: the layout is fixed; sizes, positions and intensities vary by some per cent."""

    def vary(value: float, by: float) -> float:
        return value + rng.uniform(-by, by)

    scale = vary(1.0, 0.025)
    gain = vary(1.0, 0.05)  # as a scanner's: without it the mean intensity of healthy subjects would hardly vary

    def pair(centre: tuple[float, float, float], axes: tuple[float, float, float], angle: float) -> list[_Ellipsoid]:
        """A left and a right ellipsoid: mirrored, but for the small differences that every body has."""
        x, y, z = (scale * vary(c, 0.02) for c in centre)
        a, b, c = (scale * s * vary(1.0, 0.12) for s in axes)
        return [
            _Ellipsoid((side * x, y + vary(0, 0.01), z), (a * vary(1.0, 0.05), b * vary(1.0, 0.05), c), side * angle)
            for side in (-1, 1)
        ]

    ventricles = pair((0.13, -0.06, 0.05), (0.08, 0.27, 0.75), angle=vary(-0.22, 0.05))
    nuclei = pair((0.33, 0.02, -0.05), (0.12, 0.20, 0.60), angle=vary(0.15, 0.05))
    stem = _Ellipsoid((0.0, scale * vary(0.47, 0.03), -0.1), (scale * 0.2, scale * vary(0.16, 0.02), 0.6))
    ventricle, nucleus = gain * vary(0.17, 0.03), gain * vary(0.63, 0.02)
    return _Head(
        centre=(vary(0, 0.02), vary(0, 0.02), vary(0, 0.04)),
        angle=vary(0, math.radians(3)),
        semi_axes=(scale * vary(0.76, 0.015), scale * vary(0.91, 0.015), scale * vary(1.0, 0.04)),
        rim=gain * vary(0.88, 0.03),
        gap=gain * vary(0.12, 0.02),
        cortex=gain * vary(0.58, 0.02),
        tissue=gain * vary(0.48, 0.02),
        structures=(
            *(_Structure(shape, nucleus, 0.38) for shape in nuclei),
            _Structure(stem, gain * vary(0.41, 0.02), 0.45),
            *(_Structure(shape, ventricle, 0.38) for shape in ventricles),
        ),
        fold_phase=vary(0, 0.4),
        texture=_Waves.random(rng, number=8, frequency=4.0),
    )


def _draw_lesions(rng: np.random.Generator, head: _Head, lesion_z: tuple[float, float]) -> list[_Lesion]:
    """One or two lesions in the brain of `head` whose centres lie between two heights, clear of each other."""
    lesions: list[_Lesion] = []
    for _ in range(rng.integers(1, 3)):
        semi_axes = (rng.uniform(0.16, 0.30), rng.uniform(0.16, 0.30), rng.uniform(0.16, 0.30))
        reach = 1.15 * max(semi_axes)  # the irregular border may lie beyond the ellipsoid
        room = [_BRAIN * axis - reach for axis in head.semi_axes]
        for _ in range(100):
            x, y = (rng.uniform(-r, r) for r in room[:2])
            z = rng.uniform(*lesion_z) - head.centre[2]
            if _is_free(x, y, z, room, reach, head, lesions):
                # The sign is a coin's toss, so that an image's mean intensity does not give a lesion away.
                contrast = rng.uniform(0.22, 0.38) * rng.choice((-1, 1))
                shape = _Ellipsoid((x, y, z), semi_axes, angle=rng.uniform(0, math.pi))
                lesions.append(_Lesion(shape, contrast, _Waves.random(rng, number=5, frequency=9.0)))
                break
    return lesions


def _is_free(
    x: float, y: float, z: float, room: list[float], reach: float, head: _Head, lesions: list[_Lesion]
) -> bool:
    """Whether a lesion that reaches so far fits there: inside the brain, not centred on a cavity, clear of others."""
    if math.hypot(x / room[0], y / room[1], z / (_BRAIN * head.semi_axes[2])) > 1:
        return False
    point = _Points(np.array(x), np.array(y), np.array(z))
    if any(structure.shape.level(point) < 1 for structure in head.structures if structure.intensity < 0.3):
        return False
    return all(math.dist((x, y, z), other.shape.centre) > reach + max(other.shape.semi_axes) for other in lesions)


def _render_head(head: _Head, points: _Points) -> np.ndarray:
    """Intensities of a healthy head, without noise, at points that are given relative to it."""
    level = _Ellipsoid((0.0, 0.0, 0.0), head.semi_axes).level(points)
    # Folds are the same in every subject but for a small shift; symmetric in x, as the rest of the anatomy is.
    folds = np.cos(17 * points.x) * np.cos(13 * points.y + 4 * points.z + head.fold_phase)
    cortex = _step(level - 0.68 - 0.05 * folds, 0.12)
    fissure = np.exp(-((points.x / 0.022) ** 2)) * _step(np.abs(points.y) / head.semi_axes[1] - 0.5, 0.15)

    brain = _blend(np.full(level.shape, head.tissue), cortex, head.cortex)
    for structure in head.structures:
        brain = _blend(brain, _step(1 - structure.shape.level(points), structure.softness), structure.intensity)
    brain = _blend(brain, 0.8 * fissure, head.gap)
    brain = brain + 0.02 * head.texture.value(points)

    image = _blend(np.full(level.shape, head.rim), _step(0.93 - level, 0.045), head.gap)
    image = _blend(image, _step(_BRAIN + 0.012 * folds - level, 0.045), brain)
    return image * _step(1 - level, 0.045)


def _draw(
    rng: np.random.Generator, head: _Head, points: _Points, lesion_z: tuple[float, float] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Render `head` at `points`, with lesions centred in a range of heights if one is given.

    Returns:
        The intensities, uint8, and the lesions' mask, bool, both (Z, Y, X).
    """
    # The noise gets a generator of its own before any lesion is drawn: it is then the same with and without lesions.
    noise_rng = np.random.default_rng(rng.integers(2**63))
    points = points.from_head(head)
    image = _render_head(head, points)
    mask = np.zeros(image.shape, dtype=bool)
    for lesion in _draw_lesions(rng, head, lesion_z) if lesion_z is not None else []:
        weight = lesion.weight(points)
        # What lies beneath shows through by half: a mass neither spares the anatomy nor wipes it out.
        image = _blend(image, weight, (image + head.tissue) / 2 + lesion.contrast)
        mask |= weight > 0.5
    image += noise_rng.normal(0.0, _NOISE, image.shape)
    return np.rint(255 * image.clip(0, 1)).astype(np.uint8), mask


def _case_rng(seed: int, group: str, index: int) -> np.random.Generator:
    return np.random.default_rng([seed, _GROUPS[group], index])


def _write_images(folder: Path, seed: int, group: str, count: int, size: tuple[int, int]) -> list[str]:
    """Write the images of a group, with masks for the anomalous test images, and return their names."""
    from PIL import Image

    names = []
    for index in range(count):
        name = f"{group}_{index:04d}.png"
        image, mask = phantom_image(_case_rng(seed, group, index), size=size, lesion=group.endswith("_1"))
        Image.fromarray(image).save(folder / "images" / name)
        if group == "test_1":
            Image.fromarray(mask.astype(np.uint8) * 255).save(folder / "masks" / name)
        names.append(name)
    return names


def _write_volumes(folder: Path, seed: int) -> None:
    """Write one subject with a lesion, the lesion's mask, and the same subject without it."""
    lesion, mask = phantom_volume(_case_rng(seed, "volume", 0), size=_VOLUME_SIZE, lesion=True)
    healthy, _ = phantom_volume(_case_rng(seed, "volume", 0), size=_VOLUME_SIZE, lesion=False)
    _write_volume(folder / "phantom_lesion.nii.gz", lesion)
    _write_volume(folder / "phantom_lesion_mask.nii.gz", mask.astype(np.uint8))
    _write_volume(folder / "phantom_healthy.nii.gz", healthy)


def _write_volume(path: Path, array: np.ndarray) -> None:
    """Write a volume (z, y, x) with a geometry in which no two things are alike, so that a mix-up shows."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(array)
    image.SetSpacing(_VOLUME_SPACING_MM)
    image.SetOrigin(_VOLUME_ORIGIN_MM)
    image.SetDirection(_direction().ravel().tolist())
    sitk.WriteImage(image, str(path), useCompression=True)


def _direction() -> np.ndarray:
    """The volumes' direction cosines (3, 3), patient coordinates LPS: axial, as a tilted gantry gives it."""
    a, b = (math.radians(angle) for angle in _VOLUME_TILT_DEGREES)
    about_x = np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    about_z = np.array([[math.cos(b), -math.sin(b), 0], [math.sin(b), math.cos(b), 0], [0, 0, 1]])
    return about_z @ about_x


def _is_written(root: Path, parameters: dict[str, Any]) -> bool:
    """Whether `root` holds the phantom with these parameters already; False if it is missing or empty.

    Raises:
        FileExistsError: if it holds anything else.
    """
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        if json.loads((root / "phantom.json").read_text(encoding="utf-8")) == parameters:
            return True
    except (OSError, ValueError):
        pass  # no phantom, or not a readable one
    raise FileExistsError(f"{root} holds something other than this phantom: remove it or choose another folder.")
