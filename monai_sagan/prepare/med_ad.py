"""The Med-AD benchmark as its authors prepared it: data sets that are in the layout, in a folder or a zip archive."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath

from monai_sagan.data import is_image
from monai_sagan.data.layout import DATA_JSON, IMAGES, Split, listed_twice, parse_split, write_data_json
from monai_sagan.errors import UserError, such_as
from monai_sagan.prepare.archive import Archive, open_archive
from monai_sagan.prepare.images import note_repeated, write_images
from monai_sagan.prepare.new_data_set import new_data_set
from monai_sagan.prepare.report import PrepareReport, reporting
from monai_sagan.progress import ProgressKind

__all__ = ["prepare_med_ad"]


def prepare_med_ad(source: Path, target: Path, *, progress: ProgressKind = "none") -> PrepareReport:
    """Takes over data sets that are in the layout already, without the images that cannot be used.

    Args:
        source: a folder that holds one or several of them at any depth, or a zip archive of it.
        target: the data set's folder; several become folders in it.
        progress: how to report progress.

    Returns:
        What became of the images. The groups of several data sets are named ``LAG/healthy`` and so on.

    Raises:
        UserError: if ``source`` holds no data set with a usable healthy image or cannot be read, or ``target`` is not
            empty.
    """
    report = PrepareReport()
    with open_archive(source) as archive, new_data_set(target) as partial:
        splits = _find_splits(archive, source)
        root = PurePosixPath(posixpath.commonpath(list(splits)))
        listed = {str(_image(folder, name)) for folder, split in splits.items() for name in _names(split)}
        targets = {name: partial / PurePosixPath(name).relative_to(root) for name in sorted(listed & archive.names)}
        with reporting(progress, len(targets)) as reporter:
            written = write_images(targets, archive.copy_image, reporter)
            usable = targets.keys() - written.errors.keys()
            for folder, split in splits.items():
                used = {group: _usable(folder, names, usable) for group, names in split.items()}
                if not used["healthy"]:
                    raise UserError(f"{source / folder}: holds no healthy image that can be used; download it again.")
                place = folder.relative_to(root)
                write_data_json(partial / place, used)
                report.counts |= {str(place / group): len(names) for group, names in used.items()}
                report.notes += _notes(folder, split, listed, archive)
            missing = (f"{source / name}: there is no such file; download it again." for name in listed - archive.names)
            report.left_out = [*written.errors.values(), *sorted(missing)]
            report.notes += note_repeated(written)
            report.tell(reporter)
    reporter.done(counts=report.counts)
    return report


def _find_splits(archive: Archive, source: Path) -> dict[PurePosixPath, Split]:
    """The data sets' folders, and which images belong to which group."""
    folders = [PurePosixPath(name).parent for name in sorted(archive.names) if PurePosixPath(name).name == DATA_JSON]
    if not folders:
        raise UserError(
            f"{source}: holds no data.json; it should hold folders such as RSNA, VinCXR, BrainTumor and LAG, each with "
            "data.json and images/."
        )
    return {
        folder: parse_split(archive.read(str(folder / DATA_JSON)), str(source / folder / DATA_JSON))
        for folder in folders
    }


def _image(folder: PurePosixPath, name: str) -> PurePosixPath:
    return folder / IMAGES / name


def _names(split: Split) -> list[str]:
    return [name for names in split.values() for name in names]


def _usable(folder: PurePosixPath, names: Iterable[str], usable: Collection[str]) -> list[str]:
    return [name for name in names if str(_image(folder, name)) in usable]


def _notes(folder: PurePosixPath, split: Split, listed: Collection[str], archive: Archive) -> list[str]:
    """Sentences about images that are listed twice, or not at all."""
    notes = []
    if twice := listed_twice(split):
        notes.append(f"{folder / DATA_JSON}: lists images more than once: {such_as(twice)}.")
    ours = folder / IMAGES
    images = {name for name in archive.names if is_image(Path(name)) and PurePosixPath(name).is_relative_to(ours)}
    if extra := sorted(images - set(listed)):
        notes.append(f"Not used, because {folder / DATA_JSON} does not list them: {such_as(extra)}.")
    return notes
