"""A data set in the Med-AD layout from folders of images."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from monai_sagan.data import CaseReader, find_images, stem
from monai_sagan.errors import ImageError, UserError
from monai_sagan.files import write_whole_folder

__all__ = ["PrepareReport", "prepare_folder"]

_NEEDED = ("healthy", "unlabeled")
_OPTIONAL = ("test/healthy", "test/anomalous")
_MASKS = "masks"


@dataclass
class PrepareReport:
    """What became of the images.

    Args:
        counts: images used of each group.
        left_out: a sentence for each that was not.
    """

    counts: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def prepare_folder(source: Path, target: Path) -> PrepareReport:
    """Makes a data set from folders of images.

    ``source`` holds the folders ``healthy`` and ``unlabeled``, and, if there are labelled test images,
    ``test/healthy`` and ``test/anomalous``; all are searched with what is in them. ``masks`` may hold outlined lesions
    of the anomalous test images, under the same names. Files are copied as they are; the bundle prepares them.

    Args:
        source: the folder of folders.
        target: the data set's folder.

    Returns:
        What became of the images. One that cannot be read is left out, and the rest are used.

    Raises:
        UserError: if a needed folder is missing or holds no usable image, or ``target`` is not empty.
    """
    groups = {name: source / name for name in (*_NEEDED, *_OPTIONAL)}
    for name in _NEEDED:
        if not groups[name].is_dir():
            raise UserError(
                f"{groups[name]}: there is no such folder; put healthy images in 'healthy' and unlabelled ones in "
                "'unlabeled'."
            )
    report = PrepareReport()
    try:
        with write_whole_folder(target.resolve()) as partial:
            names = {group: _copy_group(group, folder, partial, report) for group, folder in groups.items()}
            for group in _NEEDED:
                if not names[group]:
                    raise UserError(f"{groups[group]}: this folder holds no image that can be used.")
            _copy_masks(source / _MASKS, groups["test/anomalous"], partial, report)
            layout = {
                "train": {"0": names["healthy"], "unlabeled": names["unlabeled"]},
                "test": {"0": names["test/healthy"], "1": names["test/anomalous"]},
            }
            (partial / "data.json").write_text(
                json.dumps(layout, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
            )
    except FileExistsError as error:
        raise UserError(f"{target}: {error.strerror}.") from error
    return report


def _copy_group(group: str, folder: Path, target: Path, report: PrepareReport) -> list[str]:
    """Copies the readable images of a group to a folder of its own, with the folders below: no two share a name."""
    names = []
    for path in find_images(folder) if folder.is_dir() else []:
        try:
            CaseReader().get_data(path)
        except ImageError as error:
            report.left_out.append(str(error))
            continue
        name = Path(group) / path.relative_to(folder)
        _copy(path, target / "images" / name)
        names.append(name.as_posix())
    report.counts[group] = len(names)
    return names


def _copy_masks(masks: Path, anomalous: Path, target: Path, report: PrepareReport) -> None:
    if not masks.is_dir():
        return
    images = {stem(path.relative_to(anomalous)): path for path in find_images(anomalous)}
    count = 0
    for path in find_images(masks):
        image = images.get(stem(path.relative_to(masks)))
        if image is None:
            report.left_out.append(f"{path}: no image in {anomalous} has this name.")
            continue
        _copy(path, target / _MASKS / "test" / "anomalous" / image.relative_to(anomalous))
        count += 1
    report.counts[_MASKS] = count


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
