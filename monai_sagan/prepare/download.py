"""What a public data set holds as it was downloaded: its tables and its files."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from monai_sagan.data import find_images, stem
from monai_sagan.errors import UserError, such_as

__all__ = ["Download", "find_table", "index_images", "not_in_table", "read_table", "require_folder", "settle_labels"]


@dataclass(frozen=True)
class Download:
    """The images of a download.

    Args:
        source: its folder.
        labels: 0 (healthy) or 1 for each image that has a label, whether its file is there or not.
        files: the file of each image, whether it has a label or not.
        notes: what is odd about them, in sentences.
    """

    source: Path
    labels: dict[str, int]
    files: dict[str, Path]
    notes: list[str]


def require_folder(source: Path, expected: str) -> None:
    """Makes sure that there is a folder to look into.

    Args:
        source: the download's folder.
        expected: what it should hold, in words.

    Raises:
        UserError: if there is none.
    """
    if source.is_file():
        raise UserError(f"{source}: this is a file; unpack it and give the folder, which should hold {expected}.")
    if not source.is_dir():
        raise UserError(f"{source}: there is no such folder; give the download's, which should hold {expected}.")


def find_table(source: Path, names: Sequence[str], expected: str) -> Path:
    """Finds a table anywhere in a download.

    Args:
        source: the download's folder.
        names: names that the table may have, the best first.
        expected: what the folder should hold, in words.

    Returns:
        The table's file.

    Raises:
        UserError: if there is none, or two have the same name.
    """
    for name in names:
        tables = sorted(path for path in source.rglob(name) if path.is_file())
        if len(tables) > 1:
            raise UserError(
                f"{tables[1]}: there is {tables[0]} too, and only one of them can be used; give the folder of one "
                "download."
            )
        if tables:
            return tables[0]
    raise UserError(f"{source}: holds no {' or '.join(names)}; this folder should hold {expected}.")


def read_table(path: Path, columns: Sequence[str]) -> Iterator[list[str]]:
    """Reads some columns of a CSV table.

    Args:
        path: the file, whose first line names the columns.
        columns: the columns to read.

    Returns:
        Their values in each row, "" where the row is too short.

    Raises:
        UserError: if a column is missing, or the file is no text.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            for column in columns:
                if column not in (rows.fieldnames or ()):
                    raise UserError(f"{path}: the column '{column}' is missing; download the table again.")
            for row in rows:
                yield [(row[column] or "").strip() for column in columns]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: this is no CSV table; download it again.") from error


def settle_labels(said: Iterable[tuple[str, int]]) -> tuple[dict[str, int], list[str]]:
    """One label for each image, from all that is said of it.

    Args:
        said: images and labels; an image may come more than once.

    Returns:
        The labels without the images that have more than one, and sentences about those.
    """
    labels: dict[str, int] = {}
    contradicted: dict[str, None] = {}
    for name, label in said:
        if labels.setdefault(name, label) != label:
            contradicted[name] = None
    for name in contradicted:
        del labels[name]
    if not contradicted:
        return labels, []
    return labels, [f"Not used, because they are said to be healthy and not: {such_as(list(contradicted))}."]


def index_images(source: Path, belongs: Callable[[Path], bool]) -> tuple[dict[str, Path], list[str]]:
    """Finds the images of a download.

    Args:
        source: the download's folder.
        belongs: whether an image, by its path from there, is to be used.

    Returns:
        The file of each image by its name without ending, the first where there are more; and sentences about the
        others.
    """
    files: dict[str, Path] = {}
    double = []
    for path in find_images(source):
        if belongs(path.relative_to(source)) and files.setdefault(stem(path), path) != path:
            double.append(str(path))
    return files, [f"Not used, because another one has the same name: {such_as(double)}."] if double else []


def not_in_table(files: Collection[str], listed: Collection[str]) -> list[str]:
    """Sentences about files that no table lists.

    Args:
        files: images of which there are files.
        listed: images in the table.
    """
    extra = sorted(set(files) - set(listed))
    return [f"Not used, because the table does not list them: {such_as(extra)}."] if extra else []
