"""The synthetic phantom as a data set on disk."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from monai_sagan.data.itk_image import import_itk
from monai_sagan.data.layout import IMAGES, MASKS, write_data_json
from monai_sagan.data.phantom import phantom_image, phantom_volume
from monai_sagan.errors import SettingError
from monai_sagan.files import write_json, write_whole_folder

__all__ = ["write_phantom", "write_phantom_volumes"]

# Raised whenever the same parameters give other pictures, so that a phantom written earlier is not taken for today's.
_VERSION = 2

# Part of each image's seed: a number, once given to a group, is not given to another.
_GROUPS = {"healthy": 0, "unlabeled_0": 1, "unlabeled_1": 2, "test_0": 3, "test_1": 4}
_VOLUME_GROUPS = {"healthy": 6, "unlabeled_0": 7, "unlabeled_1": 8, "test_0": 9, "test_1": 10}

_LISTED_AS = {
    "healthy": "healthy",
    "unlabeled_0": "unlabeled/healthy",
    "unlabeled_1": "unlabeled/anomalous",
    "test_0": "test/healthy",
    "test_1": "test/anomalous",
}

_VOLUME_SUBJECT = (5, 1)  # a group of its own, and a number; with seed 0, a single lesion that stands apart
_VOLUME_SIZE = (64, 64, 20)
_VOLUME_SPACING_MM = (3.0, 3.0, 3.84)  # 192 mm across and 76.8 mm high: the proportions of the field of view above
_VOLUME_ORIGIN_MM = (-91.5, -103.25, 17.0)
_VOLUME_TILT_DEGREES = (8.0, 5.0)  # about the patient's left-right axis, then about the head-foot axis


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
    counts = {"num_healthy": num_healthy, "num_unlabeled": num_unlabeled, "num_test": num_test}
    parameters = {"version": _VERSION, "seed": seed, **counts, "anomaly_ratio": anomaly_ratio, "size": list(size)}
    _write_data_set(Path(root), _PICTURES, parameters)


def write_phantom_volumes(
    root: Path,
    *,
    seed: int = 0,
    num_healthy: int = 32,
    num_unlabeled: int = 32,
    anomaly_ratio: float = 0.6,
    num_test: int = 20,
    size: tuple[int, int, int] = _VOLUME_SIZE,
) -> None:
    """Write a phantom data set of volumes in the Med-AD layout: oblique stacks of slices like the images' planes.

    ::

        root/images/*.nii.gz            8-bit grey
        root/masks/*.nii.gz             0 and 1, for the anomalous test volumes, under the volume's name
        root/data.json, root/phantom.json   as `write_phantom` has them

    As with the images, a volume depends on `seed`, `size`, its group and its number alone, and the folder is written
    whole or not at all; one that holds this very phantom is left untouched.

    Args:
        root: folder to write; it may be missing or empty, its parents are made.
        seed: a number from 0.
        num_healthy: healthy volumes to train on.
        num_unlabeled: training volumes of which nobody says whether they are healthy.
        anomaly_ratio: share of the unlabelled volumes that show a lesion, 0 to 1.
        num_test: test volumes of each class.
        size: columns, rows and slices, in voxels.

    Raises:
        FileExistsError: if `root` holds anything other than this phantom.
        ValueError: if a count or `seed` is negative, `anomaly_ratio` outside [0, 1] or `size` not positive.
    """
    counts = {"num_healthy": num_healthy, "num_unlabeled": num_unlabeled, "num_test": num_test}
    parameters = {
        "version": _VERSION,
        "kind": "volumes",
        "seed": seed,
        **counts,
        "anomaly_ratio": anomaly_ratio,
        "size": list(size),
    }
    _write_data_set(Path(root), _VOLUMES, parameters)


@dataclass(frozen=True)
class _Kind:
    """Pictures, or volumes.

    Args:
        ending: of the files' names.
        groups: the number of each group.
        draw: a case of a size, with or without lesions, and the lesions' mask.
        write: an array as a file.
        marked: what a mask's file has where there is a lesion.
    """

    ending: str
    groups: Mapping[str, int]
    draw: Callable[..., tuple[np.ndarray, np.ndarray]]
    write: Callable[[Path, np.ndarray], None]
    marked: int


def _write_data_set(root: Path, kind: _Kind, parameters: dict[str, Any]) -> None:
    """Write a phantom data set, unless this very phantom is there already; with pictures, the volumes to try them on.

    Args:
        root: folder to write.
        kind: what the cases are.
        parameters: what the phantom depends on.
    """
    num_healthy, num_unlabeled, num_test = (parameters[f"num_{kind}"] for kind in ("healthy", "unlabeled", "test"))
    if min(parameters["seed"], num_healthy, num_unlabeled, num_test) < 0:
        raise SettingError("seed, num_healthy, num_unlabeled and num_test must not be negative.")
    if not 0 <= parameters["anomaly_ratio"] <= 1:
        raise SettingError(f"anomaly_ratio must be between 0 and 1, got {parameters['anomaly_ratio']}.")
    if _is_written(root, parameters):
        return
    num_anomalous = int(num_unlabeled * parameters["anomaly_ratio"])  # as the Med-AD layout is read
    counts = {
        "healthy": num_healthy,
        "unlabeled_0": num_unlabeled - num_anomalous,
        "unlabeled_1": num_anomalous,
        "test_0": num_test,
        "test_1": num_test,
    }
    with write_whole_folder(root) as folder:
        for name in (IMAGES, MASKS):
            (folder / name).mkdir()
        names = {group: _write_group(folder, kind, parameters, group, count) for group, count in counts.items()}
        write_data_json(folder, {_LISTED_AS[group]: listed for group, listed in names.items()})
        write_json(folder / "phantom.json", parameters)
        if kind is _PICTURES:
            _write_volumes(folder / "volumes", parameters["seed"])


def _case_rng(kind: _Kind, seed: int, group: str, index: int) -> np.random.Generator:
    return np.random.default_rng([seed, kind.groups[group], index])


def _write_group(folder: Path, kind: _Kind, parameters: dict[str, Any], group: str, count: int) -> list[str]:
    """Write the cases of a group, with masks for the anomalous test cases, and return their names."""
    names = []
    for index in range(count):
        name = f"{group}_{index:04d}{kind.ending}"
        rng = _case_rng(kind, parameters["seed"], group, index)
        image, mask = kind.draw(rng, size=tuple(parameters["size"]), lesion=group.endswith("_1"))
        kind.write(folder / IMAGES / name, image)
        if group == "test_1":
            kind.write(folder / MASKS / name, mask.astype(np.uint8) * kind.marked)
        names.append(name)
    return names


def _write_volumes(folder: Path, seed: int) -> None:
    """Write one subject with a lesion, the lesion's mask, and the same subject without it."""
    folder.mkdir()
    (lesion, mask), (healthy, _) = (
        phantom_volume(np.random.default_rng([seed, *_VOLUME_SUBJECT]), size=_VOLUME_SIZE, lesion=with_lesion)
        for with_lesion in (True, False)
    )
    _write_volume(folder / "phantom_lesion.nii.gz", lesion)
    _write_volume(folder / "phantom_lesion_mask.nii.gz", mask.astype(np.uint8))
    _write_volume(folder / "phantom_healthy.nii.gz", healthy)


def _write_picture(path: Path, array: np.ndarray) -> None:
    """Write a picture (rows, columns)."""
    Image.fromarray(array).save(path)


def _write_volume(path: Path, array: np.ndarray) -> None:
    """Write a volume (z, y, x) with a geometry in which no two things are alike, so that a mix-up shows."""
    itk = import_itk()
    image = itk.image_view_from_array(array)
    image.SetSpacing(_VOLUME_SPACING_MM)
    image.SetOrigin(_VOLUME_ORIGIN_MM)
    image.SetDirection(itk.matrix_from_array(_direction()))
    itk.imwrite(image, str(path), compression=True)


_PICTURES = _Kind(".png", _GROUPS, phantom_image, _write_picture, 255)
_VOLUMES = _Kind(".nii.gz", _VOLUME_GROUPS, phantom_volume, _write_volume, 1)


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
