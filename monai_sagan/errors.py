"""What went wrong, in words for the person who can mend it."""

from __future__ import annotations

from pathlib import Path

__all__ = ["ImageError", "UserError", "explain"]


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


def explain(error: BaseException) -> str:
    """The sentence a user should read for an error.

    MONAI wraps what a transform raises in errors that tell the transform, not the cause; a :class:`UserError` below
    them is what the user should see, otherwise the innermost error.

    Args:
        error: as caught.

    Returns:
        One line.
    """
    innermost = error
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, UserError):
            return str(cause)
        innermost, cause = cause, cause.__cause__
    text = str(innermost).strip() or type(innermost).__name__
    if isinstance(innermost, OSError) and innermost.filename is not None:
        return f"{innermost.filename}: {innermost.strerror}."
    return text.splitlines()[0]
