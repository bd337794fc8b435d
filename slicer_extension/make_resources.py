"""Draws what the Slicer module shows before there is a result: its icon, the sample volume, and the sample's thumbnail.

Run it with the environment of the library, from the checkout: ``.venv/bin/python slicer_extension/make_resources.py``.
The files are in the repository; they are made again only when something here changes.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import SimpleITK as sitk
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse

from monai_sagan.data.phantom import phantom_volume

RESOURCES = Path(__file__).resolve().parent / "AnomalyMap" / "Resources"

# Of the subjects with one lesion that lies off the middle of every axis, one that is not hard to see.
_SEED = 14
_SIZE = (128, 128, 32)  # columns, rows, slices
_SPACING_MM = (1.5, 1.5, 2.4)  # 192 mm across and 76.8 mm high: the proportions of the phantom's field of view
_THUMBNAIL = (2.6, 2.8)  # inches at 100 dots each: what Slicer's Sample Data shows

_SKULL, _BRAIN, _VENTRICLE = "#bcc5ce", "#76818d", "#4a545f"
_HALO, _GLOW, _PEAK = "#b3261e", "#f58220", "#ffe08a"


def sample_volume() -> tuple[sitk.Image, np.ndarray]:
    """The sample: a head with a lesion, seen by an axial scan with the head in its middle.

    Returns:
        The volume, 8 bits, directions along the patient's axes, and the lesion's mask (slices, rows, columns), bool.
    """
    voxels, mask = phantom_volume(np.random.default_rng(_SEED), size=_SIZE, lesion=True)
    volume = sitk.GetImageFromArray(voxels)
    volume.SetSpacing(_SPACING_MM)
    volume.SetOrigin([-(size - 1) / 2 * spacing for size, spacing in zip(_SIZE, _SPACING_MM)])
    return volume, mask


def draw_icon(path: Path) -> None:
    """A head seen from above with a hot spot, 128 x 128 pixels, on a transparent ground."""
    figure, axes = _canvas((1.28, 1.28))
    for centre, width, height, colour in (
        ((0, 0), 1.56, 1.92, _SKULL),
        ((0, 0), 1.30, 1.66, _BRAIN),
        ((-0.20, 0.04), 0.16, 0.62, _VENTRICLE),
        ((0.20, 0.04), 0.16, 0.62, _VENTRICLE),
        ((0.22, -0.28), 0.74, 0.74, _HALO),
        ((0.22, -0.28), 0.50, 0.50, _GLOW),
        ((0.22, -0.28), 0.24, 0.24, _PEAK),
    ):
        axes.add_patch(Ellipse(centre, width, height, color=colour, linewidth=0))
    axes.set(xlim=(-1, 1), ylim=(-1, 1))
    _save(figure, path)


def draw_thumbnail(path: Path, volume: sitk.Image, mask: np.ndarray) -> None:
    """The sample's slice with most of the lesion, as the Sample Data module shows it on a button."""
    voxels = sitk.GetArrayViewFromImage(volume)
    figure, axes = _canvas(_THUMBNAIL)
    figure.set_facecolor("black")
    axes.imshow(voxels[mask.sum(axis=(1, 2)).argmax()], cmap="gray", vmin=0, vmax=255, interpolation="bicubic")
    _save(figure, path)


def _canvas(inches: tuple[float, float]) -> tuple[plt.Figure, Axes]:
    figure = plt.figure(figsize=inches, dpi=100, facecolor="none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_aspect("equal")
    axes.axis("off")
    return figure, axes


def _save(figure: plt.Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    """Writes all of them to where the module looks for them."""
    icons, samples = RESOURCES / "Icons", RESOURCES / "SampleData"
    icons.mkdir(exist_ok=True)
    samples.mkdir(exist_ok=True)
    volume, mask = sample_volume()
    sitk.WriteImage(volume, str(samples / "phantom_lesion.nrrd"), useCompression=True)
    draw_icon(icons / "AnomalyMap.png")
    draw_thumbnail(icons / "AnomalyMapPhantom.png", volume, mask)


if __name__ == "__main__":
    main()
