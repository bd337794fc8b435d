"""A data set in the Med-AD layout from folders of images and volumes."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from monai.transforms import LoadImage
from monai.utils import convert_to_tensor, ensure_tuple

from monai_sagan.calibration import fewest_healthy
from monai_sagan.data import CaseReader, find_images, is_picture, list_cases, may_be_dicom, stem
from monai_sagan.data.layout import DATA_JSON, IMAGES, MASKS, write_data_json
from monai_sagan.errors import UserError, explain
from monai_sagan.image_names import is_header
from monai_sagan.prepare.new_data_set import new_data_set
from monai_sagan.prepare.report import PrepareReport
from monai_sagan.results import write_image
from monai_sagan.transforms import Greyscale

__all__ = ["prepare_folder"]

_HEALTHY, _UNLABELED = "healthy", "unlabeled"
_GROUPS = (_HEALTHY, _UNLABELED, "test/healthy", "test/anomalous")
# Healthy images that p-values down to 0.05 take, the share that training sets aside for them unless told otherwise, and
# the pictures that should be left: a batch. A volume has many slices.
_TO_CALIBRATE = fewest_healthy(0.05)
_SHARE = 0.2
_TO_TRAIN = 16


def prepare_folder(source: Path, target: Path) -> PrepareReport:
    """Makes a data set from folders of images and volumes.

    ``source`` holds the folder ``healthy``, ``unlabeled`` for methods that learn from such images too, and, if there
    are labelled test images, ``test/healthy`` and ``test/anomalous``; all are searched with what is in them. ``masks``
    may hold outlined lesions of the anomalous test images, under the same names. Files are copied as they are; the
    bundle prepares them. DICOM series and images become NIfTI files with the same values and geometry, so that nothing
    of the patients gets into the data set; so do images in two files, of which one would not find the other.

    Args:
        source: the folder of folders.
        target: the data set's folder.

    Returns:
        What became of the images. One that cannot be read is left out, and the rest are used.

    Raises:
        UserError: if there is no such folder, or no healthy image that can be used, ``unlabeled`` is there and holds
            none, the name of one of the folders is misspelt, or ``target`` is not empty or lies in one of them.
    """
    if not source.is_dir():
        raise UserError(f"{source}: there is no such folder; give the one that holds 'healthy' and 'unlabeled'.")
    groups = {name: source / name for name in _GROUPS}
    unused = list(_unused(source))
    for folder, meant in unused:
        if meant:
            raise UserError(
                f"{folder}: a folder of this name is not used; rename it to '{meant}', or move it elsewhere."
            )
    if not groups[_HEALTHY].is_dir():
        raise UserError(
            f"{groups[_HEALTHY]}: there is no such folder; put healthy images in 'healthy' and unlabelled ones in "
            "'unlabeled'."
        )
    for folder in (*groups.values(), source / MASKS):
        if target.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{target}: this lies among the images of {folder}; choose a folder beside them.")
    report = PrepareReport()
    with new_data_set(target) as partial:
        names = {group: _copy_group(group, folder, partial, report) for group, folder in groups.items()}
        for group in (_HEALTHY, _UNLABELED):
            if groups[group].is_dir() and not names[group]:
                raise UserError(f"{groups[group]}: this folder holds no image that can be used.")
        report.notes += [
            f"{folder}: this folder is not used; those that are used are {', '.join(_GROUPS)} and {MASKS}."
            for folder, _ in unused
        ]
        report.notes += _note_on_few(groups[_HEALTHY], names[_HEALTHY])
        if not names[_UNLABELED]:
            report.notes.append(
                f"{groups[_UNLABELED]}: there is no such folder, so the data set has healthy images alone; "
                "reconstruction_anomaly_detection can be trained on it."
            )
        _copy_masks(source, names["test/anomalous"], partial, report)
        write_data_json(partial, names)
    return report


def _unused(source: Path) -> Iterator[tuple[Path, str]]:
    """Folders that lie where those of the images do, but are none of them; each with the name that was probably meant,
    of those that are missing, or with an empty one."""
    test = Path(_GROUPS[-1]).parent.name
    expected = {source: (_HEALTHY, _UNLABELED, test, MASKS), source / test: ("healthy", "anomalous")}
    for parent, names in expected.items():
        for folder in sorted(parent.iterdir()) if parent.is_dir() else []:
            # Where capitals do not matter to the file system, Healthy is healthy.
            is_one = folder.name in names or ((parent / folder.name.lower()).is_dir() and folder.name.lower() in names)
            if is_one or folder.name.startswith(".") or not folder.is_dir() or (folder / DATA_JSON).is_file():
                continue
            missing = [name for name in names if not (parent / name).is_dir()]
            yield folder, next(iter(get_close_matches(folder.name.lower(), missing, n=1)), "")


def _note_on_few(folder: Path, names: list[str]) -> list[str]:
    """What to know where a fifth of the healthy images are too few to calibrate with; nothing where they are enough."""
    count = len(names)
    if int(_SHARE * count) >= _TO_CALIBRATE:
        return []
    of_pictures = all(is_picture(Path(name)) for name in names)
    if count < _TO_CALIBRATE + (_TO_TRAIN if of_pictures else 1):
        left = f", which should be {_TO_TRAIN} or more" if of_pictures else ""
        return [
            f"{folder}: only {count} healthy images; p-values down to 0.05 take {_TO_CALIBRATE} besides those to train "
            f"on{left}."
        ]
    share = math.ceil(100 * _TO_CALIBRATE / count) / 100
    return [
        f"{folder}: of {count} healthy images training sets a fifth aside to calibrate with, and p-values down to 0.05 "
        f"take {_TO_CALIBRATE}: train with calibration_share={share:.2f}."
    ]


def _copy_group(group: str, folder: Path, target: Path, report: PrepareReport) -> list[str]:
    """Copies the readable images of a group to a folder of its own, with the folders below: no two share a name."""
    names = []
    for case in list_cases([folder]) if folder.is_dir() and any(folder.iterdir()) else []:
        if "warning" in case:
            report.notes.append(case["warning"])
            continue
        try:
            name = _copy_image(case, folder, target / IMAGES / group)
        except UserError as error:
            report.left_out.append(str(error))
            continue
        names.append((Path(group) / name).as_posix())
    report.counts[group] = len(names)
    return names


def _copy_image(case: Mapping[str, Any], folder: Path, target: Path) -> Path:
    """Copies one image, and returns its path below the group's folder."""
    files = [Path(file) for file in ensure_tuple(case["image"])]
    if not (may_be_dicom(files[0]) or is_header(files[0])):
        CaseReader().get_data([files[0]])
        name = files[0].relative_to(os.path.abspath(folder))
        _copy(files[0], target / name)
        return name
    name = Path(f"{case['name']}.nii.gz")
    _convert(files, CaseReader(), target / name)
    return name


def _copy_masks(source: Path, names: list[str], target: Path, report: PrepareReport) -> None:
    """Copies outlined lesions of anomalous test images, where these lie; a mask's name is its image's, whatever the
    formats of the two."""
    masks, group = source / MASKS, Path("test") / "anomalous"
    if not masks.is_dir():
        return
    images = {_without_ending(Path(name).relative_to(group)) for name in names}
    count = 0
    for path in find_images(masks):
        name = path.relative_to(masks)
        if _without_ending(name) not in images:
            report.left_out.append(f"{path}: no image in {source / group} has this name.")
            continue
        try:
            _copy_mask(path, target / MASKS / group / name)
        except UserError as error:
            report.left_out.append(str(error))
            continue
        count += 1
    report.counts[MASKS] = count


def _copy_mask(path: Path, target: Path) -> None:
    reader = CaseReader(allow_constant=True)
    if is_header(path):
        _convert([path], reader, target.with_name(f"{stem(target)}.nii.gz"))
        return
    reader.get_data([path])
    _copy(path, target)


def _without_ending(path: Path) -> Path:
    return path.with_name(stem(path))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _convert(files: Sequence[Path], reader: CaseReader, target: Path) -> None:
    """Makes a NIfTI file of an image; colour, for which it has no place, becomes grey, as it would in the bundle."""
    try:
        image = LoadImage(reader, image_only=True, dtype=None, ensure_channel_first=True)(files)
    except Exception as error:  # MONAI's, around the sentence
        raise UserError(explain(error)) from error
    target.parent.mkdir(parents=True, exist_ok=True)
    write_image(convert_to_tensor(Greyscale()(image), track_meta=True), target, dtype=None)
