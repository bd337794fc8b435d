"""What the commands share: options, and how a run ends."""

from __future__ import annotations

from typing import Annotated, NoReturn

import typer

from monai_sagan.progress import ProgressKind, make_reporter

__all__ = ["ProgressOption", "fail", "show_error"]


ProgressOption = Annotated[ProgressKind, typer.Option(help="Progress as a bar, as JSON lines, or none.")]


def show_error(message: str) -> None:
    """Tells a person what went wrong."""
    make_reporter("none").error(message)


def fail(message: str) -> NoReturn:
    """Ends a run that is complete but for some images; programs have read of each of them, and that it is done."""
    show_error(message)
    raise typer.Exit(1)
