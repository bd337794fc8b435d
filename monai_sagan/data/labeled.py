"""Images with the name of their class: a folder a class, or a table ``labels.csv``."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from monai_sagan.config_text import is_expression
from monai_sagan.data.cases import list_cases
from monai_sagan.data.layout import DATA_JSON, IMAGES
from monai_sagan.data.med_ad import list_labeled
from monai_sagan.data.trained_on import leave_out_trained
from monai_sagan.errors import SettingError, UserError, such_as

__all__ = [
    "LabeledImage",
    "list_classes",
    "load_labeled_test_set",
    "load_labeled_training_set",
    "read_labeled_images",
    "split_for_training",
]

_TABLE = "labels.csv"
_PARTS = ("train", "test")
_MED_AD_CLASSES = ("healthy", "anomalous")


@dataclass(frozen=True)
class LabeledImage:
    """An image and its class.

    Args:
        image: its file, or the files of a DICOM series.
        path: what messages call it: the file, or the folder of the series.
        name: below the data set's folder.
        label: the name of its class.
        part: "train" or "test" where the data set says what it is for; else empty.
        patient: what tells its patient from others; empty where nothing does.
    """

    image: str | list[str]
    path: str
    name: str
    label: str
    part: str = ""
    patient: str = ""


def read_labeled_images(dataset_dir: str | Path) -> list[LabeledImage]:
    """Lists the images of a data set with their classes.

    The folder holds either a table ``labels.csv`` with the columns ``file`` and ``label``, and perhaps ``part``
    (train or test) and ``patient``, whose files lie beside it or in a folder ``images``; or the Med-AD layout, whose
    classes are called healthy and anomalous; or a folder for each class, perhaps within folders ``train`` and
    ``test``.

    Args:
        dataset_dir: the folder of the data set.

    Returns:
        The images, in the order of the table, or of the names.

    Raises:
        UserError: if there is no such folder, the table is broken or names files that are missing or outside of the
            folder, a folder of a class holds no image, or there is one class only.
    """
    root = Path(dataset_dir)
    if not root.is_dir():
        raise UserError(f"{root}: there is no such folder; give one with a folder for each class, or with {_TABLE}.")
    if (root / _TABLE).is_file():
        images = _from_table(root)
    elif (root / DATA_JSON).is_file():
        images = _from_med_ad(root)
    else:
        images = _from_folders(root)
    classes = list_classes(images)
    for name in classes:
        if is_expression(name):  # it comes to stand in a bundle's config, which is a program
            raise UserError(f"{root}: a class cannot be called {name}; choose another name, without $, @ and %.")
    if len(classes) < 2:
        found = f"only {classes[0]}" if classes else "none"
        raise UserError(
            f"{root}: two classes or more are needed, and there is {found}; make a folder for each class, or a table "
            f"{_TABLE} with the columns file and label."
        )
    return images


def list_classes(images: Sequence[LabeledImage]) -> list[str]:
    """The names of the classes, sorted."""
    return sorted({image.label for image in images})


def split_for_training(
    images: Sequence[LabeledImage], num_folds: int = 5, fold: int = 0, seed: int = 0
) -> list[LabeledImage]:
    """The images to train with; the others are kept to evaluate with.

    Where the data set says what is for training, that; otherwise all folds of a stratified cross-validation but one.
    The images of one patient stay together.

    Args:
        images: of the data set.
        num_folds: equal parts of the data; 1 to train with every image.
        fold: the part to keep out, counted from 0.
        seed: of the division into parts.

    Returns:
        Those to train with, in the same order.

    Raises:
        UserError: if a class has a single image, or none to train with.
        SettingError: if there is no such fold, or a class has fewer patients than there are folds.
    """
    if any(image.part for image in images):
        chosen = [image for image in images if image.part == "train"]
    elif num_folds == 1:
        chosen = list(images)
    else:
        chosen = _all_but_one(images, num_folds, fold, seed)
    counts = Counter(image.label for image in chosen)
    missing = [label for label in list_classes(images) if counts[label] == 0]
    if missing:
        raise UserError(f"there is no image of the class {missing[0]} to train with; add some, or leave the class out.")
    return chosen


def load_labeled_training_set(
    dataset_dir: str | Path, classes: Sequence[str], num_folds: int = 5, fold: int = 0, seed: int = 0
) -> list[dict[str, Any]]:
    """Lists the images to train a classifier with.

    Args:
        dataset_dir: as for :func:`read_labeled_images`.
        classes: the names of the classes, in the order of their numbers.
        num_folds: as for :func:`split_for_training`.
        fold: as there.
        seed: as there.

    Returns:
        ``{"image": ..., "path": ..., "name": ..., "label": number}`` for each.

    Raises:
        UserError: as there, or if the data set has other classes.
    """
    images = read_labeled_images(dataset_dir)
    missing = sorted(set(classes) - set(list_classes(images)))
    if missing:
        raise UserError(
            f"{dataset_dir}: there is no image of the class {missing[0]}, one of the bundle's classes; add some, or "
            "set the classes."
        )
    return _numbered(split_for_training(images, num_folds, fold, seed), classes)


def load_labeled_test_set(
    dataset_dir: str | Path, classes: Sequence[str], trained_on: str | Path
) -> list[dict[str, Any]]:
    """Lists the images to evaluate a classifier with: none that it was trained on.

    Args:
        dataset_dir: as for :func:`read_labeled_images`.
        classes: the names of the classes, in the order of their numbers.
        trained_on: what :func:`~monai_sagan.data.write_trained_on` wrote of the training images.

    Returns:
        As :func:`load_labeled_training_set`; where the data set says what is for the test, only that.

    Raises:
        UserError: as :func:`read_labeled_images`, if an image is of another class, or none is left.
    """
    images = read_labeled_images(dataset_dir)
    if any(image.part for image in images):
        images = [image for image in images if image.part == "test"]
        if not images:
            raise UserError(f"{dataset_dir}: no image is for the test; give some the part test.")
    others = leave_out_trained(trained_on, _numbered(images, classes))
    if not others:
        raise UserError(
            f"{dataset_dir}: the bundle was trained on all {len(images)} images, so they say nothing about it; "
            "evaluate it on others, or train it without some of them (the setting num_folds)."
        )
    return others


def _numbered(images: Sequence[LabeledImage], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Images as dictionaries for the transforms, with the numbers of their classes."""
    unknown = sorted({image.label for image in images} - set(classes))
    if unknown:
        raise UserError(
            f"the data set has a class {unknown[0]}, and the bundle knows {', '.join(classes)}; rename or leave out "
            "what it does not know."
        )
    numbers = {name: number for number, name in enumerate(classes)}
    return [
        {"image": image.image, "path": image.path, "name": image.name, "label": numbers[image.label]}
        for image in images
    ]


def _all_but_one(images: Sequence[LabeledImage], num_folds: int, fold: int, seed: int) -> list[LabeledImage]:
    if num_folds < 1:
        raise SettingError(f"num_folds must be at least 1, not {num_folds}.")
    if not 0 <= fold < num_folds:
        raise SettingError(f"fold must be from 0 to {num_folds - 1}, not {fold}.")
    labels = [image.label for image in images]
    label, count = Counter(labels).most_common()[-1]
    if count < num_folds:
        raise UserError(
            f"the class {label} has {count} {'image' if count == 1 else 'images'}, which cannot be divided into "
            f"{num_folds} folds; add some, or choose num_folds={count}{' to train with all' if count == 1 else ''}."
        )
    groups = [image.patient or image.name for image in images]
    if any(image.patient for image in images):
        splitter: Any = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed)
    else:
        splitter = StratifiedKFold(num_folds, shuffle=True, random_state=seed)
    try:
        parts = list(splitter.split(labels, labels, groups))
    except ValueError as error:  # fewer patients than folds
        raise SettingError(f"num_folds={num_folds}: {error}") from error
    return [images[number] for number in parts[fold][0]]


def _from_table(root: Path) -> list[LabeledImage]:
    table = root / _TABLE
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table}: this is no table in UTF-8 ({error}); save it as CSV again.") from error
    for column in ("file", "label"):
        if not rows or column not in rows[0][1]:
            raise UserError(f"{table}: the column '{column}' is missing; the first line names them: file,label.")
    images = [_from_row(root, table, number, row) for number, row in rows]
    _refuse_repeated(table, images)
    missing = [image.path for image in images if not Path(image.path).exists()]
    if missing:
        shown = such_as([Path(path).name for path in missing])
        raise UserError(f"{table}: names files that are not in {_image_folder(root)}: {shown}.")
    return [_with_series(image) for image in images]


def _from_row(root: Path, table: Path, number: int, row: dict[str, Any]) -> LabeledImage:
    name, label, part = ((row.get(column) or "").strip() for column in ("file", "label", "part"))
    if not name or not label:
        raise UserError(f"{table}: line {number} has no {'label' if name else 'file'}; fill it in, or remove the line.")
    if part not in ("", *_PARTS):
        raise UserError(f"{table}: line {number} has the part '{part}'; it must be train or test.")
    folder = _image_folder(root)
    path = Path(os.path.normpath(folder / name))
    if not path.is_relative_to(os.path.normpath(folder)):
        raise UserError(f"{table}: line {number} names a file outside of {folder}; move it there.")
    return LabeledImage(str(path), str(path), name, label, part, (row.get("patient") or "").strip())


def _image_folder(root: Path) -> Path:
    return root / IMAGES if (root / IMAGES).is_dir() else root


def _refuse_repeated(table: Path, images: Sequence[LabeledImage]) -> None:
    name, times = Counter(image.path for image in images).most_common(1)[0]
    if times > 1:
        raise UserError(f"{table}: {Path(name).name} stands on {times} lines; list each image once.")
    parts = {image.part for image in images}
    if "" in parts and len(parts) > 1:
        raise UserError(f"{table}: some lines have a part and some have none; give train or test on every line.")
    trained_on = {image.patient for image in images if image.part == "train" and image.patient}
    both = [image for image in images if image.part == "test" and image.patient in trained_on]
    if both:
        raise UserError(
            f"{table}: a patient's images are both for training and for the test, as {both[0].name} is; keep those of "
            "one patient together."
        )


def _with_series(image: LabeledImage) -> LabeledImage:
    """A folder in the table is a DICOM series."""
    if not Path(image.path).is_dir():
        return image
    cases = [case for case in list_cases([image.path]) if "image" in case]
    if len(cases) != 1:
        raise UserError(f"{image.path}: this folder holds {len(cases)} images; name each of them by itself.")
    return LabeledImage(cases[0]["image"], image.path, image.name, image.label, image.part, image.patient)


def _from_med_ad(root: Path) -> list[LabeledImage]:
    images = [
        LabeledImage(case["image"], case["image"], case["name"], _MED_AD_CLASSES[case["label"]], case["part"])
        for case in list_labeled(root)
    ]
    return [_with_series(image) for image in images]


def _from_folders(root: Path) -> list[LabeledImage]:
    folders = _folders_in(root)
    if {folder.name for folder in folders} == set(_PARTS):
        return [image for folder in folders for image in _from_classes(folder, root, folder.name)]
    part = next((folder for folder in folders if folder.name in _PARTS), None)
    if part is not None:  # no class: its images would be trained on
        raise UserError(
            f"{part}: this folder would be a class; give a folder that holds nothing but one folder for each class, or "
            "the folders train and test with these in each."
        )
    return _from_classes(root, root, "")


def _from_classes(home: Path, root: Path, part: str) -> list[LabeledImage]:
    images = []
    for folder in _folders_in(home):
        for case in list_cases([folder]):
            if "image" in case:
                name = (folder.relative_to(root) / case["name"]).as_posix()
                images.append(LabeledImage(case["image"], case["path"], name, folder.name, part))
    return images


def _folders_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
