"""Sorts breast ultrasound images as docs/results/lesions.md measures them, for ``monai-sagan prepare folder``.

    python benchmarks/breast_ultrasound.py Dataset_BUSI_with_GT scans

reads the data set of Al-Dhabyani et al. (Data in Brief, 2020) as it is downloaded: ``normal``, ``benign`` and
``malignant``, with ``NAME.png``, ``NAME_mask.png`` and, for further lesions, ``NAME_mask_1.png``. The test has 30
normal images and the lesions benign (15) to (49) and malignant (1) to (50), with their outlines; of the other normal
images 95 are healthy, and 8 go with all other lesions into the unlabelled ones. All become 256x256.
"""

from __future__ import annotations

import random
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageChops

__all__ = ["sort_images"]

_SIZE = (256, 256)
_HEALTHY, _UNLABELED = 95, 8  # normal images, in an order drawn with seed 0; the others are for the test
_TESTED = {"benign": range(15, 50), "malignant": range(1, 51)}


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what the arguments say."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("download", type=Path, help="the folder with normal, benign and malignant")
    parser.add_argument("target", type=Path, help="the folder to make")
    arguments = parser.parse_args(argv)
    for kind in ("normal", *_TESTED):
        if not (arguments.download / kind).is_dir():
            parser.error(f"{arguments.download}: holds no folder '{kind}'; give the folder of the data set.")
    if arguments.target.exists():
        parser.error(f"{arguments.target}: exists already; give a folder that does not.")
    sort_images(arguments.download, arguments.target)


def sort_images(download: Path, target: Path) -> None:
    """Writes the images into the folders that ``monai-sagan prepare folder`` takes.

    Args:
        download: the data set.
        target: a folder that does not exist yet.
    """
    for folder in ("healthy", "unlabeled", "test/healthy", "test/anomalous", "masks"):
        (target / folder).mkdir(parents=True)
    normal = _images(download / "normal")
    random.Random(0).shuffle(normal)  # noqa: S311  no secret
    for number, path in enumerate(normal):
        folder = "healthy" if number < _HEALTHY else "unlabeled" if number < _HEALTHY + _UNLABELED else "test/healthy"
        _write(Image.open(path), target / folder / path.name)
    for kind, tested in _TESTED.items():
        names = {f"{kind} ({number})" for number in tested}
        for path in _images(download / kind):
            is_tested = path.stem in names
            _write(Image.open(path), target / ("test/anomalous" if is_tested else "unlabeled") / path.name)
            if is_tested:
                _write_mask(path, target / "masks" / path.name)


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.png") if "_mask" not in path.stem)


def _write(image: Image.Image, path: Path) -> None:
    (image if image.size == _SIZE else image.convert("RGB").resize(_SIZE, Image.Resampling.BILINEAR)).save(path)


def _write_mask(image: Path, path: Path) -> None:
    """Joins the outlines of an image's lesions."""
    first, *others = sorted(image.parent.glob(f"{image.stem}_mask*.png"))
    joined = Image.open(first).convert("L")
    for other in others:
        joined = ImageChops.lighter(joined, Image.open(other).convert("L"))
    joined.resize(_SIZE, Image.Resampling.NEAREST).point(lambda value: 255 * (value > 127)).save(path)


if __name__ == "__main__":
    main()
