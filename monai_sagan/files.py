"""Files and folders that are written whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["write_whole", "write_whole_folder"]


@contextmanager
def write_whole(path: Path) -> Iterator[Path]:
    """Gives a name beside ``path`` to write to, and renames it when the block ends without an error.

    The name has the same endings, by which libraries choose a format. After an error nothing is left of it.

    Args:
        path: the file; its folder is made if need be.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def write_whole_folder(path: Path) -> Iterator[Path]:
    """As :func:`write_whole`, for a folder that does not exist yet.

    Args:
        path: the folder; the one around it is made if need be.

    Raises:
        FileExistsError: if it exists and is not empty.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise FileExistsError(17, "exists already and is not empty; choose another folder or remove it", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        yield partial
        if path.exists():
            path.rmdir()
        os.replace(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
