"""The temporary folder of a run; those that were left when a program was killed are removed by the next run."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
import time
import weakref
from contextlib import suppress
from pathlib import Path

__all__ = ["WorkFolder"]

_PREFIX = "anomaly-map-"
# Its owner holds it for as long as it lives: the system lets go of it, whatever the end.
_LOCK = "lock"


class WorkFolder:
    """A new temporary folder, which goes with this object and when the program ends.

    Attributes:
        path: where it is; only this user may look into it.

    Raises:
        OSError: if it cannot be made.
    """

    def __init__(self) -> None:
        _remove_left()
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = None
        with suppress(OSError):  # on a disk that knows no locks; nobody else will remove it then
            lock = _hold_new_lock(self.path)
        self._remove = weakref.finalize(self, _remove_own, self.path, lock)

    def remove(self) -> None:
        """Removes the folder with all that is in it."""
        self._remove()


def _remove_left() -> None:
    """Removes the folders of this user whose owners are gone: there are images of patients in them."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            lock = _take_lock(folder)
            try:
                shutil.rmtree(folder, ignore_errors=True)
                _mark_left(folder)
            finally:
                if lock is not None:
                    os.close(lock)


def _hold_new_lock(folder: Path) -> int:
    """Makes the lock of a new folder; there is no moment at which it is there and nobody holds it."""
    if sys.platform == "win32":  # this was not tried: there, a file that is open cannot be removed
        return os.open(folder / _LOCK, os.O_CREAT | os.O_EXCL | os.O_RDWR)
    import fcntl

    new = folder / f"{_LOCK}.new"
    lock = os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        new.rename(folder / _LOCK)
    except OSError:
        os.close(lock)
        raise
    return lock


def _take_lock(folder: Path) -> int | None:
    """Takes the lock of a folder whose owner is gone, and holds it against others who would remove the folder too.

    Returns:
        What to close afterwards; None where there is nothing to hold.

    Raises:
        OSError: if there is no lock, somebody holds it, or this is no folder of this user.
    """
    if sys.platform == "win32":  # this was not tried
        (folder / _LOCK).unlink()
        return None
    import fcntl

    # Step by step from the folder itself, and no link is followed: others may write to where temporary folders are.
    inside = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(inside).st_uid != os.getuid():
            raise PermissionError(f"{folder}: this folder is somebody else's.")
        lock = os.open(_LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=inside)
    finally:
        os.close(inside)
    try:
        if not stat.S_ISREG(os.fstat(lock).st_mode):
            raise FileNotFoundError(f"{folder}: this folder has no lock.")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


def _remove_own(folder: Path, lock: int | None) -> None:
    """Removes a folder. What was killed a moment ago may still write, and Windows keeps files that are open."""
    if lock is not None:
        os.close(lock)
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)
    _mark_left(folder)


def _mark_left(folder: Path) -> None:
    """Lets the next run try again to remove a folder: on Windows, of what is open in it all but that may be gone."""
    if sys.platform == "win32" and folder.exists():
        with suppress(OSError):
            (folder / _LOCK).touch()
