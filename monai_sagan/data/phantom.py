"""A synthetic head with and without lesions, for the demo and for tests.

A subject is defined once, in three dimensions, by formulas: a 2D image is one transversal plane of a subject and a
volume is a stack of such planes, so that what is learnt from the images holds for the slices of a volume.

Positions are given in half fields of view: `x` (columns, towards the patient's left) and `y` (rows, towards the back)
run from -1 to 1 over an image, `z` (slices, towards the top) from -0.4 to 0.4 over a volume. Intensities are
fractions of the full range, 0 (black) to 1 (white), until they are rounded to 8 bits at the very end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["phantom_image", "phantom_volume"]


_PLANE_RANGE = 0.4  # planes lie within this distance of the head's middle, in images and in volumes alike
_BRAIN = 0.86  # where the brain ends, as a fraction of the head's radius
_NOISE = 0.015


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
        size: voxels along x (columns), y (rows) and z (slices), the order in which ITK gives a size.
        lesion: whether the subject has one or two lesions, well inside the stack.

    Returns:
        The volume, uint8, and the lesions' mask, bool, empty in a healthy subject. Array axes are (z, y, x).

    Raises:
        ValueError: if `size` is not three positive numbers.
    """
    columns, rows, slices = _checked_size(size, 3)
    head = _draw_head(rng)
    z = _PLANE_RANGE * _centres(slices)
    points = _Points(_centres(columns)[None, None, :], _centres(rows)[None, :, None], z[:, None, None])
    return _draw(rng, head, points, lesion_z=(-0.1, 0.1) if lesion else None)


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
        semi_axes=(scale * vary(0.76, 0.015), scale * vary(0.91, 0.015), scale * vary(1.3, 0.04)),
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
