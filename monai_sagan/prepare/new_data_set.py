"""The folder of a data set that is being made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monai_sagan.errors import UserError
from monai_sagan.files import write_whole_folder

__all__ = ["new_data_set"]


@contextmanager
def new_data_set(target: Path) -> Iterator[Path]:
    """As :func:`monai_sagan.files.write_whole_folder`.

    Args:
        target: the data set's folder.

    Raises:
        UserError: if it exists and is not empty.
    """
    try:
        with write_whole_folder(target.resolve()) as partial:
            yield partial
    except FileExistsError as error:
        raise UserError(f"{target}: {error.strerror}.") from error
