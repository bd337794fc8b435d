"""The Med-AD layout: a folder ``images`` and a ``data.json`` that says what each image is for.

``{"train": {"0": [healthy], "unlabeled": {"0": [...], "1": [...]}}, "test": {"0": [...], "1": [...]}}``; 0 is healthy,
1 is not. What is under ``unlabeled`` is used without its label, which only serves to mix the two in a chosen ratio.
Where nobody knows the labels, ``unlabeled`` is a plain list. Masks of lesions, where there are any, lie in a folder
``masks`` under the names of their images.

Source: the Med-AD benchmark (Cai et al., "Dual-distribution discrepancy for anomaly detection in chest X-rays", MICCAI
2022) and, for the anomaly ratio, the code of SAGAN (arXiv 2405.12872).
"""

from __future__ import annotations

import json
import os
import posixpath
import random
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from monai_sagan.data.layout import DATA_JSON, IMAGES, MASKS
from monai_sagan.data.trained_on import leave_out_trained, untrained_cases
from monai_sagan.errors import UserError, such_as
from monai_sagan.image_names import IMAGE_SUFFIXES, stem

__all__ = [
    "list_labeled",
    "load_calibration_set",
    "load_evaluation_set",
    "load_healthy_set",
    "load_test_set",
    "load_training_set",
    "read_data_json",
]

_KNOWN = "{name}: left out, since the bundle was trained on this image or calibrated with it."


def read_data_json(dataset_dir: str | Path) -> dict[str, Any]:
    """Reads a data set's ``data.json``.

    Args:
        dataset_dir: the folder of the data set.

    Returns:
        Its content.

    Raises:
        UserError: if there is no such folder or file, or it is no JSON object.
    """
    path = Path(dataset_dir) / DATA_JSON
    if not path.is_file():
        raise UserError(
            f"{path}: there is no such file; make a data set with 'monai-sagan prepare folder SRC DST' and give its "
            "folder."
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: this is no valid JSON ({error}).") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected an object with 'train' and 'test', found {type(content).__name__}.")
    return content


def load_healthy_set(dataset_dir: str | Path, calibration_share: float = 0.0, seed: int = 0) -> list[dict[str, str]]:
    """Lists the healthy images to train with, for what learns from healthy images alone.

    Args:
        dataset_dir: a folder in the Med-AD layout; it need not list unlabelled images.
        calibration_share: as in :func:`load_training_set`, which sets the same images aside.
        seed: of the draw.

    Returns:
        ``[{"image": path}, ...]``.

    Raises:
        UserError: if the layout is broken, a file is missing, no healthy image is listed, or one is listed for the test
            too.
    """
    root = Path(dataset_dir)
    healthy = _healthy(_section(read_data_json(root), root, "train"), root, calibration_share, seed)
    _refuse_leaks(root, set(healthy))
    return [{"image": path} for path in _paths(root, healthy)]


def load_training_set(
    dataset_dir: str | Path,
    anomaly_ratio: float | None = None,
    calibration_share: float = 0.0,
    seed: int = 0,
    selection_share: float = 0.0,
) -> dict[str, list[dict[str, str]]]:
    """Lists the images to train with.

    A share of the healthy images, drawn at random, is set aside first, to calibrate with. A share of the others is held
    out of the adversarial training, to select its best checkpoint by.

    All unlabelled images are taken. Where it is known which of them are healthy, they may be mixed in a chosen ratio
    instead, as published: then they are as many as the healthy ones, the first ``int(n * anomaly_ratio)`` of those that
    are not healthy, and the first of the healthy ones for the rest.

    Args:
        dataset_dir: a folder in the Med-AD layout.
        anomaly_ratio: share, in [0, 1], of images that are not healthy in the unlabelled set, 0.6 as published; None to
            take all as they are.
        calibration_share: share, in [0, 1), of the healthy images that is set aside; 0 as published.
        seed: of the draw.
        selection_share: share, in [0, 1), of the healthy images left that is held out; 0 as published.

    Returns:
        ``{"healthy": [{"image": path}, ...], "selection": [...], "unlabeled": [...]}``.

    Raises:
        UserError: if the layout is broken, a file is missing, an image is listed for the test too, or there are too
            few images for the ratio, or only a plain list, whose labels nobody knows.
    """
    if anomaly_ratio is not None and not 0.0 <= anomaly_ratio <= 1.0:
        raise UserError(f"anomaly_ratio must lie in [0, 1], not {anomaly_ratio}.")
    root = Path(dataset_dir)
    train = _section(read_data_json(root), root, "train")
    left = _healthy(train, root, calibration_share, seed)
    healthy, selection = _draw(left, "selection_share", selection_share, seed)
    mixture = _mixture(train, root, len(healthy), anomaly_ratio)
    if not mixture:
        raise UserError(
            f"{root / DATA_JSON}: train.unlabeled lists no image; add unlabelled ones, or train "
            "reconstruction_anomaly_detection, which learns from healthy images alone."
        )
    _refuse_leaks(root, {*healthy, *selection, *mixture})
    parts = {"healthy": healthy, "selection": selection, "unlabeled": mixture}
    return {part: [{"image": path} for path in _paths(root, names)] for part, names in parts.items()}


def _healthy(train: dict[str, Any], root: Path, calibration_share: float, seed: int) -> list[str]:
    """The healthy images without those that are set aside to calibrate with."""
    names = _names(train, root, "train", "0")
    if not names:
        raise UserError(f"{root / DATA_JSON}: train.0 (healthy) lists no image; training needs healthy ones.")
    return _draw(names, "calibration_share", calibration_share, seed)[0]


def _mixture(train: dict[str, Any], root: Path, size: int, anomaly_ratio: float | None) -> list[str]:
    """The unlabelled images: all of them, or, where a ratio is wanted and labels are known, as many as ``size``."""
    unlabeled = train.get("unlabeled")
    if not isinstance(unlabeled, dict):
        names = _names(train, root, "train", "unlabeled")
        if names and anomaly_ratio is not None:
            raise UserError(
                f"{root / DATA_JSON}: train.unlabeled does not say which images are anomalous, so no anomaly_ratio can "
                "be made of them; leave out anomaly_ratio."
            )
        return names
    anomalous, healthy = (_names(unlabeled, root, "train.unlabeled", label) for label in ("1", "0"))
    if anomaly_ratio is not None:
        num_anomalous = int(size * anomaly_ratio)
        anomalous = _first(anomalous, num_anomalous, root, anomaly_ratio)
        healthy = _first(healthy, size - num_anomalous, root, anomaly_ratio)
    return anomalous + healthy


def _draw(names: list[str], setting: str, share: float, seed: int) -> tuple[list[str], list[str]]:
    """The names without a share of them that is drawn at random, and that share, in their order."""
    if not 0.0 <= share < 1.0:
        raise UserError(f"{setting} must lie in [0, 1), not {share}.")
    drawn = set(random.Random(seed).sample(range(len(names)), int(share * len(names))))  # noqa: S311  no secret
    kept = [name for number, name in enumerate(names) if number not in drawn]
    return kept, [name for number, name in enumerate(names) if number in drawn]


def load_calibration_set(dataset_dir: str | Path, trained_on: str | Path) -> list[dict[str, Any]]:
    """Lists the healthy images to calibrate with: those of the training list that were not trained on.

    Args:
        dataset_dir: a folder in the Med-AD layout.
        trained_on: what :func:`~monai_sagan.data.write_trained_on` wrote of the training images.

    Returns:
        ``{"image": path, "name": as in data.json}`` for each.

    Raises:
        UserError: if the layout is broken, a file is missing, or all of them were trained on.
    """
    root = Path(dataset_dir)
    names = _names(_section(read_data_json(root), root, "train"), root, "train", "0")
    if not names:
        raise UserError(f"{root / DATA_JSON}: train.0 (healthy) lists no image; calibration needs healthy ones.")
    cases = [{"image": path, "name": name} for name, path in zip(names, _paths(root, names))]
    others = leave_out_trained(trained_on, cases)
    if not others:
        raise UserError(
            f"{root / DATA_JSON}: the bundle was trained on all healthy images of train.0, perhaps because they are "
            "among the unlabelled ones too; train it with a calibration_share that sets some aside (0.2 of five images "
            "is one), or calibrate it with other healthy images."
        )
    return others


def _refuse_leaks(root: Path, trained_on: set[str]) -> None:
    """Raises an error if a test image, or a volume some of whose slices would be tested, is trained on."""
    test = read_data_json(root).get("test")
    tested = [name for label in ("0", "1") for name in _names(test, root, "test", label)] if test else []
    leaked = sorted({posixpath.normpath(name) for name in trained_on} & {posixpath.normpath(name) for name in tested})
    if leaked:
        raise UserError(
            f"{root / DATA_JSON}: {leaked[0]} is listed for training and for the test"
            f"{f', and {len(leaked) - 1} more are' if len(leaked) > 1 else ''}; list each image once."
        )


def load_test_set(dataset_dir: str | Path) -> list[dict[str, Any]]:
    """Lists the test images with their labels.

    Args:
        dataset_dir: a folder in the Med-AD layout.

    Returns:
        ``{"image": path, "name": as in data.json, "label": 0 or 1}`` and, where there is one, ``"mask": path``.

    Raises:
        UserError: if the layout is broken, a file is missing, or nothing is listed.
    """
    root = Path(dataset_dir)
    test = _section(read_data_json(root), root, "test")
    cases: list[dict[str, Any]] = []
    for label in (0, 1):
        names = _names(test, root, "test", str(label))
        for name, path in zip(names, _paths(root, names)):
            mask = _mask_of(root / MASKS / name)
            case = {"image": path, "name": name, "label": label}
            cases.append(case | ({"mask": str(mask)} if mask else {}))
    if not cases:
        raise UserError(f"{root / DATA_JSON}: test lists no image, so there is nothing to evaluate.")
    return cases


def _mask_of(path: Path) -> Path | None:
    """The mask of an image: its namesake, whatever the formats of the two."""
    if path.is_file():
        return path
    namesakes = (path.with_name(stem(path) + suffix) for suffix in IMAGE_SUFFIXES)
    return next((other for other in namesakes if other.is_file()), None)


def load_evaluation_set(
    dataset_dir: str | Path, known: Sequence[str | Path] = (), num_reference: int = 32
) -> list[dict[str, Any]]:
    """Lists the test images and, where lesions are outlined, healthy images from outside the test set.

    The latter tell which values of a map are ordinary, without a look at the test set. An image that the bundle knows
    already is no test of it, whatever its name: it is left out, with a warning.

    Args:
        dataset_dir: a folder in the Med-AD layout.
        known: what :func:`~monai_sagan.data.write_trained_on` wrote of the images that the bundle knows: first of those
            that it was trained on, then of others, as those that it was calibrated with.
        num_reference: number of those healthy images, the first ones of the training list that it was not trained on;
            to the networks of a bundle those are more ordinary than any other. If it was trained on all, the first
            ones.

    Returns:
        As :func:`load_test_set`, and the other images with ``"role": "reference"``; of what is left out, its ``path``
        and a ``warning``.

    Raises:
        UserError: as :func:`load_test_set`, and if the bundle knows all of them.
    """
    listed, root = load_test_set(dataset_dir), Path(dataset_dir)
    cases = leave_out_trained(known, listed)
    if not cases:
        raise UserError(
            f"{root / DATA_JSON}: the bundle was trained on, or calibrated with, all of 'test'; list other images."
        )
    kept = {case["image"] for case in cases}
    left_out = [
        {"path": case["image"], "warning": _KNOWN.format(name=case["name"])}
        for case in listed
        if case["image"] not in kept
    ]
    return cases + _references(cases, root, known[:1], num_reference) + left_out


def _references(
    cases: list[dict[str, Any]], root: Path, trained_on: Sequence[str | Path], count: int
) -> list[dict[str, Any]]:
    if not any("mask" in case for case in cases):
        return []
    names = _names(_section(read_data_json(root), root, "train"), root, "train", "0")

    def healthy() -> Iterator[dict[str, Any]]:
        for name in names:
            (path,) = _paths(root, [name])
            yield {"image": path, "name": name, "label": 0, "role": "reference"}

    return list(islice(untrained_cases(trained_on, healthy()), count)) or list(islice(healthy(), count))


def list_labeled(dataset_dir: str | Path) -> list[dict[str, Any]]:
    """Lists every image of which it is known whether it is healthy.

    Args:
        dataset_dir: a folder in the Med-AD layout.

    Returns:
        ``{"image": path, "name": as in data.json, "label": 0 or 1, "part": "train" or "test"}``; of the unlabelled
        images those whose labels are known too.

    Raises:
        UserError: if the layout is broken or a file is missing.
    """
    root = Path(dataset_dir)
    train = _section(read_data_json(root), root, "train")
    unlabeled = train.get("unlabeled")
    known = unlabeled if isinstance(unlabeled, dict) else {}
    groups = [(_names(train, root, "train", "0"), 0)]
    groups += [(_names(known, root, "train.unlabeled", str(label)), label) for label in (0, 1)]
    _refuse_leaks(root, {name for names, _ in groups for name in names})
    cases = [
        {"image": path, "name": name, "label": label, "part": "train"}
        for names, label in groups
        for name, path in zip(names, _paths(root, names))
    ]
    return cases + [{**case, "part": "test"} for case in load_test_set(root)]


def _section(content: dict[str, Any], root: Path, name: str) -> dict[str, Any]:
    section = content.get(name)
    if not isinstance(section, dict):
        raise UserError(f"{root / DATA_JSON}: '{name}' is missing or no object.")
    return section


def _names(section: dict[str, Any], root: Path, where: str, key: str) -> list[str]:
    names = section.get(key, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{root / DATA_JSON}: '{where}.{key}' must be a list of file names.")
    return names


def _first(names: list[str], count: int, root: Path, anomaly_ratio: float) -> list[str]:
    if len(names) < count:
        raise UserError(
            f"{root / DATA_JSON}: an anomaly ratio of {anomaly_ratio} needs {count} unlabelled images of a kind of "
            f"which only {len(names)} are listed; choose another anomaly_ratio."
        )
    return names[:count]


def _paths(root: Path, names: list[str]) -> list[str]:
    folder = root / IMAGES
    paths = [folder / name for name in names]
    for path in paths:
        # By name: a link in the folder may well point elsewhere, since the folder's owner made it.
        if not Path(os.path.normpath(path)).is_relative_to(os.path.normpath(folder)):
            raise UserError(f"{root / DATA_JSON}: '{path.name}' lies outside of the folder '{IMAGES}'.")
    missing = [path for path in paths if not path.exists()]  # a folder may hold a DICOM series
    if missing:
        shown = such_as([path.name for path in missing])
        raise UserError(f"{root / DATA_JSON}: names files that are not in {folder}: {shown}.")
    return [str(path) for path in paths]
