"""A folder and a zip archive, read in the same way."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Protocol

from monai_sagan.data import CaseReader
from monai_sagan.errors import ImageError, UserError
from monai_sagan.prepare.images import copy_image

__all__ = ["Archive", "open_archive"]

# What zipfile raises for a damaged member, one with a password, and a compression that it lacks.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)


class Archive(Protocol):
    """Files, by their paths with slashes; none of these leads out of the folder."""

    names: frozenset[str]

    def read(self, name: str) -> bytes:
        """The content of a file."""

    def copy_image(self, name: str, target: Path) -> None:
        """Copies an image as it is; raises an :class:`ImageError` if it cannot be used."""


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Opens a folder or a zip archive.

    Args:
        path: the folder or file.

    Raises:
        UserError: if there is neither, or the archive cannot be read.
    """
    if path.is_dir():
        yield _Folder(path)
        return
    if not path.is_file():
        raise UserError(f"{path}: there is no such folder or archive.")
    try:
        file = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise UserError(
            f"{path}: this is no zip archive, or a damaged one; download it again, or unpack it and give the folder."
        ) from error
    with file:
        yield _Zip(path, file)


class _Folder:
    def __init__(self, root: Path) -> None:
        self.root = root
        names = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
        self.names = frozenset(filter(_is_plain, names))

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def copy_image(self, name: str, target: Path) -> None:
        copy_image(self.root / name, target)


class _Zip:
    def __init__(self, path: Path, file: zipfile.ZipFile) -> None:
        self.path = path
        self.file = file
        self.names = frozenset(name for name in file.namelist() if not name.endswith("/") and _is_plain(name))

    def read(self, name: str) -> bytes:
        try:
            return self.file.read(name)
        except _UNREADABLE as error:
            raise UserError(
                f"{self.path}: {name} in it is damaged or has a password; download it again, or unpack it and give the "
                "folder."
            ) from error

    def copy_image(self, name: str, target: Path) -> None:
        try:
            with self.file.open(name) as member, target.open("wb") as file:
                shutil.copyfileobj(member, file)
        except _UNREADABLE as error:
            raise ImageError(self.path / name, "the file is damaged or has a password; download it again.") from error
        try:
            CaseReader().get_data(target)
        except ImageError as error:
            raise ImageError(self.path / name, error.reason) from error


def _is_plain(name: str) -> bool:
    """Whether a name stays in its folder, is written in one way only, and belongs to no operating system."""
    path = PurePosixPath(name)
    is_inside = not path.is_absolute() and ".." not in path.parts and str(path) == name
    has_drive = any(PureWindowsPath(part).drive for part in path.parts)  # C:/a.png leads anywhere on Windows
    return is_inside and not has_drive and not any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
