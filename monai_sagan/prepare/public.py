"""From a public data set as it was downloaded to one in the Med-AD layout."""

from __future__ import annotations

from pathlib import Path

from monai_sagan.data.layout import IMAGES, LABELS, Split, write_data_json
from monai_sagan.errors import UserError, such_as
from monai_sagan.prepare.download import Download
from monai_sagan.prepare.images import copy_image, note_repeated, write_images, write_png
from monai_sagan.prepare.new_data_set import new_data_set
from monai_sagan.prepare.report import PrepareReport, reporting
from monai_sagan.prepare.split import SplitCounts, draw_split, read_split
from monai_sagan.progress import ProgressKind

__all__ = ["write_public_data_set"]


def write_public_data_set(
    download: Download,
    target: Path,
    *,
    counts: SplitCounts,
    seed: int,
    split: Path | None,
    size: int | None,
    progress: ProgressKind,
) -> PrepareReport:
    """Splits the images of a download, writes them, and tells what became of them.

    Args:
        download: the images.
        target: the data set's folder.
        counts: images wanted in each group.
        seed: of the split.
        split: a ``data.json`` whose split is used instead.
        size: pixels of the longer side, at most, of the PNG that is made of an image; None to copy images as they are.
        progress: how to report progress.

    Returns:
        What became of the images. One that is missing or cannot be read is left out, and the rest are used.

    Raises:
        UserError: if the split cannot be read, no healthy image can be used, or ``target`` is not empty.
    """

    def file_name(name: str) -> str:
        return download.files[name].name if size is None else f"{name}.png"

    def write(name: str, path: Path) -> None:
        if size is None:
            copy_image(download.files[name], path)
        else:
            write_png(download.files[name], path, size)

    wanted = draw_split(download.labels, counts, seed) if split is None else read_split(split)
    missing = _missing(wanted, download)
    report = PrepareReport(notes=[*download.notes, *_not_wanted(wanted, download)])
    if split is None:
        _note_shortage(download, counts, report)
    with new_data_set(target) as partial:
        names = [name for group in wanted.values() for name in group if name not in missing]
        targets = {name: partial / IMAGES / file_name(name) for name in names}
        with reporting(progress, len(targets)) as reporter:
            written = write_images(targets, write, reporter)
            usable = targets.keys() - written.errors.keys()
            used = {group: [file_name(name) for name in names if name in usable] for group, names in wanted.items()}
            if not used["healthy"]:
                raise UserError(
                    f"{download.source}: holds no healthy image that can be used; download the images again."
                )
            write_data_json(partial, used)
            report.counts = {group: len(used[group]) for group in LABELS if group in used}
            report.left_out = [*written.errors.values(), *missing.values()]
            report.notes += note_repeated(written)
            report.tell(reporter)
    reporter.done(counts=report.counts)
    return report


def _missing(wanted: Split, download: Download) -> dict[str, str]:
    """Why images of a split cannot be used, as far as one can tell without reading them."""
    missing = {}
    for group, names in wanted.items():
        for name in names:
            label = download.labels.get(name)
            if name not in download.files:
                missing[name] = f"{name}: there is no such image in {download.source}; download it again."
            elif label is None:
                missing[name] = f"{name}: the download says neither that this image is healthy nor that it is not."
            elif LABELS[group] not in (None, label):
                missing[name] = f"{name}: the split and the download disagree on whether this image is healthy."
    return missing


def _not_wanted(wanted: Split, download: Download) -> list[str]:
    """Sentences about images that could be used and belong to no group."""
    unused = download.labels.keys() & download.files.keys() - {name for names in wanted.values() for name in names}
    return [f"Not used, because they are in no group of the split: {such_as(sorted(unused))}."] if unused else []


def _note_shortage(download: Download, counts: SplitCounts, report: PrepareReport) -> None:
    for label, word in ((0, "healthy"), (1, "anomalous")):
        needed = sum(counts.of_label(label).values())
        found = sum(value == label for value in download.labels.values())
        if found < needed:
            report.is_incomplete = True
            report.notes.append(
                f"{download.source}: {found} of the {needed} {word} images of the published split are there; its "
                "proportions were kept."
            )
