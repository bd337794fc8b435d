"""Finding the images among files and folders, and giving each a name for its results."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_sagan.data.dicom import OWN_RESULT, may_be_dicom
from monai_sagan.data.dicom_series import DicomSeries, find_series
from monai_sagan.errors import UserError
from monai_sagan.image_names import IMAGE_SUFFIXES, has_dicom_name, is_image, is_unread_image, stem
from monai_sagan.result_files import JSON_ENDING, MAP_KINDS

__all__ = ["find_images", "list_cases"]

# Nobody misses the table of contents of a disc, DICOMDIR, and what was made of the images here.
_NOT_WORTH_TELLING = ("Media Storage Directory Storage", OWN_RESULT)
_SHOWN = 10  # series that a message lists


@dataclass
class _Case:
    """An image that was found.

    Args:
        files: one, or those of a series.
        path: what messages call it: the file, or the folder of the series.
        name: for its results, without an ending.
        full_name: the same with the ending, for where two would share a name without.
        series: the DICOM series that it is of.
    """

    files: list[Path]
    path: Path
    name: Path
    full_name: Path
    series: DicomSeries | None = None


@dataclass
class _Found:
    """What an input holds: cases, and a sentence for each folder where something was left out."""

    cases: list[_Case] = field(default_factory=list)
    warnings: dict[Path, str] = field(default_factory=dict)


def list_cases(inputs: Sequence[str | Path], series: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The images among files and folders, each with a name of its own for its results.

    A DICOM file is known by its ending or its content. Those of one series in one folder that say where in the patient
    they lie are one volume.

    Args:
        inputs: files, and folders that are searched with all that is in them, but for hidden files and folders and
            results of former runs.
        series: numbers or SeriesInstanceUIDs of the DICOM series to keep; everything, if there are none.

    Returns:
        ``{"image": path, or a list of the paths of a series, "path": the file, or the folder of the series (and, of
        several in it, which one), for messages, "name": name}``. The name repeats the folders below the one that was
        given, and keeps the file's ending only where names would be the same without. A series has the name of its
        folder, or, of several, ``FOLDER/series_NUMBER``. Besides, ``{"path": path, "warning": sentence}`` for files
        that hold no image.

    Raises:
        UserError: if there is no input, one does not exist, a folder holds no image, or a series is not there.
    """
    if not inputs:
        raise UserError("no image was given; name at least one, or a folder of them.")
    paths = [Path(given) for given in inputs]
    found = [_search(path, bool(series)) for path in paths]
    chosen = _choose(_each_once(case for one in found for case in one.cases), series, paths)
    names = _names(chosen)
    times = Counter(case.path for case in chosen)
    entries: list[dict[str, Any]] = []
    for case, name in zip(chosen, names):
        which = f" ({Path(name).name})" if times[case.path] > 1 else ""  # of several series in one folder
        entries.append({"image": _image(case), "path": f"{os.path.abspath(case.path)}{which}", "name": name})
    warnings = {path: warning for one in found for path, warning in one.warnings.items()}
    return entries + [{"path": str(path), "warning": warning} for path, warning in warnings.items()]


def find_images(folder: Path) -> list[Path]:
    """All files in a folder and the folders in it that are images by their names, sorted; hidden ones are left out."""
    return [path for path in _walk(folder) if is_image(path)] if folder.is_dir() else []


def _walk(folder: Path) -> list[Path]:
    """All files that are not hidden, sorted; links to folders are followed, each folder once."""
    return sorted(_walk_unsorted(folder))


def _walk_unsorted(folder: Path) -> Iterator[Path]:
    seen = set()

    def is_new(path: str) -> bool:
        real = os.path.realpath(path)
        is_new = real not in seen
        seen.add(real)
        return is_new

    def fail(error: OSError) -> None:
        raise error

    is_new(str(folder))
    for root, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and is_new(os.path.join(root, name)))
        paths = (Path(root, name) for name in files if not name.startswith("."))
        yield from (path for path in paths if path.is_file() or path.is_symlink())  # no pipes, no devices


def _search(given: Path, with_series: bool) -> _Found:
    if not os.path.lexists(given):
        raise UserError(f"{given}: there is no such file or folder.")
    if given.is_dir():
        return _search_folder(given)
    series = find_series([given])[0] if with_series else []
    return _Found([_file_case(given, given.parent, *series)])


def _search_folder(given: Path) -> _Found:
    files = [path for path in _walk(given) if not _is_result(path)]
    # Other files are what their names say.
    dicom = {path for path in files if has_dicom_name(path) or (not is_image(path) and may_be_dicom(path))}
    series, others = find_series(dicom)
    cases = [_series_case(one, given, series) for one in series if one.is_volume]
    cases += [_file_case(path, given, one) for one in series for path in one.singles]
    known = {path for one in series for path in one.slices + one.images} | set(others)
    cases += [_file_case(path, given) for path in files if path not in known and (path in dicom or is_image(path))]
    warnings = _warnings(others)
    if unread := _not_read(given, [path for path in files if path not in dicom]):
        warnings[given] = f"{warnings[given]} {unread}" if given in warnings else unread
    if not cases:
        nothing = f"{given}: this folder holds no image ({', '.join(IMAGE_SUFFIXES)})."
        raise UserError(" ".join(warnings.values()) or nothing)
    return _Found(sorted(cases, key=lambda case: case.full_name), warnings)


def _is_result(path: Path) -> bool:
    """Whether predict wrote the image: the folder of its results may lie in the folder of the images."""
    name = stem(path)
    ending = next((f"_{kind}" for kind in MAP_KINDS if name.endswith(f"_{kind}")), None)
    return ending is not None and path.with_name(f"{name.removesuffix(ending)}{JSON_ENDING}").is_file()


def _warnings(others: dict[Path, str]) -> dict[Path, str]:
    """A sentence for each folder with DICOM files that hold no image."""
    kinds: dict[Path, list[str]] = {}
    for path, kind in others.items():
        if kind not in _NOT_WORTH_TELLING:
            kinds.setdefault(path.parent, []).append(kind)
    return {folder: _left_out(folder, held) for folder, held in kinds.items()}


def _not_read(folder: Path, files: Sequence[Path]) -> str:
    """A sentence about images of other formats; empty if there are none."""
    endings = [path.suffix.lower() for path in files if is_unread_image(path)]
    if not endings:
        return ""
    count = "1 file was" if len(endings) == 1 else f"{len(endings)} files were"
    kinds = ", ".join(sorted(set(endings)))
    return f"{folder}: {count} left out, since this format is not read ({kinds}); convert to PNG or NIfTI."


def _left_out(folder: Path, kinds: Sequence[str]) -> str:
    listed = ", ".join(sorted(set(kinds)))
    if len(kinds) == 1:
        return f"{folder}: 1 DICOM file holds no image ({listed}) and was left out."
    return f"{folder}: {len(kinds)} DICOM files hold no image ({listed}) and were left out."


def _file_case(path: Path, home: Path, series: DicomSeries | None = None) -> _Case:
    name = path.relative_to(home)
    return _Case([path], path, name.with_name(stem(name)), name, series)


def _series_case(series: DicomSeries, home: Path, every: Sequence[DicomSeries]) -> _Case:
    folder = series.folder.relative_to(home)
    name = Path(home.resolve().name) if folder == Path() else folder
    beside = [one for one in every if one.folder == series.folder and one.is_volume]
    if len(beside) > 1:
        name /= _numbered(series, beside)
    return _Case(series.slices, series.folder, name, name, series)


def _numbered(series: DicomSeries, beside: Sequence[DicomSeries]) -> str:
    """A name among the series of a folder, where numbers may be absent or repeated."""
    name = f"series_{'without_number' if series.number is None else series.number}"
    alike = [one for one in beside if one.number == series.number]
    place = next(index for index, one in enumerate(alike, start=1) if one is series)
    return name if place == 1 else f"{name}_{place}"


def _each_once(cases: Iterable[_Case]) -> list[_Case]:
    """Without those that were found before by another way, such as a link."""
    first: dict[str, _Case] = {}
    for case in cases:
        first.setdefault(os.path.realpath(case.files[0]), case)
    return list(first.values())


def _choose(cases: list[_Case], wanted: Sequence[str], inputs: Sequence[Path]) -> list[_Case]:
    if not wanted:
        return cases
    of_series = [(case, case.series) for case in cases if case.series is not None]
    for name in wanted:
        if not any(name in _labels(series) for _, series in of_series):
            what = f"series {name}" if name.isdecimal() else "such series"  # a UID tells whose it is
            raise UserError(f"there is no {what} in {', '.join(map(str, inputs))}; {_what_is_there(of_series)}.")
    return [case for case, series in of_series if _labels(series) & set(wanted)]


def _labels(series: DicomSeries) -> set[str]:
    return {series.uid} if series.number is None else {series.uid, str(series.number)}


def _what_is_there(of_series: Sequence[tuple[_Case, DicomSeries]]) -> str:
    texts = list({id(series): str(series) for _, series in of_series}.values())
    if not texts:
        return "it holds no DICOM series"
    more = [f"{len(texts) - _SHOWN} more"] if len(texts) > _SHOWN else []
    *most, last = texts[:_SHOWN] + more
    return f"it holds {', '.join(most)} and {last}" if most else f"it holds {last}"


def _names(cases: Sequence[_Case]) -> list[str]:
    """Names that are unique."""
    times = Counter(_as_file(case.name) for case in cases)
    names = [(case.name if times[_as_file(case.name)] == 1 else case.full_name).as_posix() for case in cases]
    taken = Counter(map(_as_file, names))
    repeated = next((name for name in names if taken[_as_file(name)] > 1), None)
    if repeated is not None:
        raise UserError(f"{repeated}: two of the images given have this name; give them to two runs with two outputs.")
    return names


def _as_file(name: str | Path) -> str:
    """What two names have in common that mean one file: on Windows and macOS capitals make no difference."""
    return str(name).casefold() if sys.platform in ("win32", "darwin") else str(name)


def _image(case: _Case) -> str | list[str]:
    paths = [os.path.abspath(file) for file in case.files]
    return paths if len(paths) > 1 else paths[0]
