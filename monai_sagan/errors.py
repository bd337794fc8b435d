"""What went wrong, in words for the person who can put it right."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["ImageError", "SettingError", "UserError", "causes_of", "explain", "lack_of_memory", "such_as"]

_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another folder",
    errno.EFBIG: "a file may not be as large as this here; raise the limit or choose another folder",
    errno.EACCES: "there is no permission to use it; change its permissions or choose another folder",
    errno.EPERM: "there is no permission to use it; change its permissions or choose another folder",
    errno.ENOTDIR: "a file is where a folder should be; choose another folder",
    errno.EROFS: "the disk is read-only; choose another folder",
}

_NAMES_SHOWN = 3  # in a message; the rest is counted

# What torch (on Windows in other words than elsewhere) and oneDNN say where a processor's memory does not suffice, by
# errors that can mean anything else too.
_OF_PROCESSORS = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "could not create a primitive",
)


class UserError(Exception):
    """One sentence that names the file or the value and says what to do; shown without a traceback."""


class ImageError(UserError):
    """An image that cannot be used, and why.

    Args:
        path: the image's file.
        reason: what is wrong with it, and what to do, without the file's name.
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = Path(path), reason


class SettingError(UserError, ValueError):
    """A setting that nothing can work with."""


def explain(error: BaseException) -> str:
    """The sentence a user should read for an error.

    MONAI wraps what a transform raises in errors that tell the transform, not the cause; a :class:`UserError` below
    them, or an error of the operating system that names a file, is what the user should see, otherwise the innermost
    error.

    Args:
        error: as caught.

    Returns:
        One line.
    """
    causes = causes_of(error)
    for cause in causes:
        if isinstance(cause, UserError):
            return str(cause)
        if isinstance(cause, OSError) and cause.filename is not None:
            return f"{cause.filename}: {_advice(cause)}."
    text = str(causes[-1]).strip() or type(causes[-1]).__name__
    return text.splitlines()[0]


def _advice(error: OSError) -> str | None:
    if sys.platform == "win32" and isinstance(error, PermissionError):  # most often it is a table that Excel shows
        return (
            "another program has it open, or there is no permission to use it; close that program, change the "
            "permissions or choose another folder"
        )
    return _ADVICE.get(error.errno or 0, error.strerror)


def causes_of(error: BaseException) -> list[BaseException]:
    """The error, what caused it, and so on to the innermost one."""
    causes = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    return causes


def lack_of_memory(error: BaseException) -> str | None:
    """What to do, in a sentence, if an error says that memory does not suffice; else None.

    Args:
        error: as a library raised it.
    """
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which need not be imported for it
        return (
            "CUDA out of memory: train with a smaller batch_size or network, predict with a smaller "
            "inference_batch_size (in configs/inference.json), or close what else uses the GPU."
        )
    if isinstance(error, MemoryError) or any(sign in str(error) for sign in _OF_PROCESSORS):
        return (
            "there is not enough memory: train with a smaller batch_size or network, take smaller images, or close "
            "other programs."
        )
    return None


def such_as(names: Sequence[str]) -> str:
    """The first few of some names, in words: ``a, b, c and 5 more``.

    Args:
        names: at least one.
    """
    shown = ", ".join(names[:_NAMES_SHOWN])
    return f"{shown} and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else shown
