"""Files and folders that are written whole or not at all."""

from __future__ import annotations

import csv
import errno
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from monai_sagan.errors import UserError

__all__ = [
    "not_written",
    "read_tensors",
    "save_tensors",
    "write_json",
    "write_table",
    "write_whole",
    "write_whole_folder",
]

_PAUSES = (0.05, 0.2, 0.8)  # seconds before another try


@contextmanager
def write_whole(path: Path) -> Iterator[Path]:
    """Gives a name beside ``path`` to write to, and renames it when the block ends without an error.

    The name has the same endings, by which libraries choose a format. After an error nothing is left of it, and an
    error of the operating system names ``path``.

    Args:
        path: the file; its folder is made if need be.
    """
    _make_folder(path.parent)
    partial = _partial(path)
    try:
        yield partial
        _rename(partial, path)
    except OSError as error:
        _name_file(error, partial, path)
        raise
    finally:
        with suppress(OSError):  # of a disk that is read-only, say; what happened before is what counts
            partial.unlink(missing_ok=True)


def save_tensors(tensors: Any, path: Path) -> None:
    """As :func:`torch.save`, whole or not at all.

    Args:
        tensors: what to write.
        path: the file.

    Raises:
        OSError: if it cannot be written.
    """
    with write_whole(path) as partial:
        try:
            with partial.open("wb") as file:  # of a name, torch writes it into the file, and equal ones would differ
                torch.save(tensors, file)
        except RuntimeError as error:  # torch's only one
            raise not_written(path) from error


def read_tensors(path: Path) -> Any:
    """As :func:`torch.load`, to the processor's memory and without running code that a file may hold.

    Args:
        path: the file.

    Raises:
        UserError: if there is no such file, or it cannot be read as tensors.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError:
        raise
    except Exception as error:  # torch raises a dozen kinds for damaged files and for pickles that hold code
        raise UserError(
            f"{path}: this file is damaged or holds more than tensors, and was not opened, because it could run code; "
            "get it again from where it came."
        ) from error


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file that people can read too, whole or not at all.

    Args:
        path: the file.
        content: what it says.
    """
    with write_whole(path) as partial:
        partial.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a CSV file, whole or not at all; names of files in it need not be valid text.

    Args:
        path: the file.
        columns: their names.
        rows: with a value for each column; None is left empty.
    """
    with (
        write_whole(path) as partial,
        partial.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


def not_written(path: Path) -> OSError:
    """The error for a file that a library could not write without saying why."""
    reason = "it could not be written, perhaps because the disk is full; free some space or choose another folder"
    return OSError(errno.EIO, reason, str(path))


@contextmanager
def write_whole_folder(path: Path) -> Iterator[Path]:
    """As :func:`write_whole`, for a folder that does not exist yet.

    Args:
        path: the folder; the one around it is made if need be.

    Raises:
        FileExistsError: if it exists and is not empty.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise FileExistsError(
            errno.EEXIST, "exists already and is not empty; choose another folder or remove it", str(path)
        )
    _make_folder(path.parent)
    partial = _partial(path)
    try:
        partial.mkdir()
        yield partial
        if path.exists():
            path.rmdir()
        _rename(partial, path)
    except OSError as error:
        _name_file(error, partial, path)
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from error


def _partial(path: Path) -> Path:
    # In containers each process may have the same number.
    return path.with_name(f".partial-{secrets.token_hex(4)}-{path.name}")


def _rename(partial: Path, path: Path) -> None:
    """Gives what was written its name. On Windows nobody else may have it open, and virus scanners look into new files
    for a moment."""
    for pause in _PAUSES if sys.platform == "win32" else ():
        try:
            os.replace(partial, path)
            return
        except PermissionError:
            time.sleep(pause)
    os.replace(partial, path)


def _name_file(error: OSError, partial: Path, path: Path) -> None:
    """Lets an error name what should have been written: a write names no file, and nobody knows the name beside it."""
    if error.errno is None:
        return
    names = [name for name in (error.filename, error.filename2) if name is not None]
    if not names or any(Path(str(name)).is_relative_to(partial) for name in names):
        error.filename = str(path)
