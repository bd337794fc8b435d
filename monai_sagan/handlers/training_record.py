"""Writes down which images a bundle is trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from monai_sagan.data import write_trained_on
from monai_sagan.processes import is_first

__all__ = ["TrainingRecord"]


class TrainingRecord:
    """Writes what tells the training images from others before the first step, see
    :func:`~monai_sagan.data.write_trained_on`.

    Args:
        path: the text file.
        data: the training images.
    """

    def __init__(self, path: str | Path, data: Sequence[Mapping[str, Any]]) -> None:
        self.path = Path(path)
        self.data = data

    def attach(self, engine: Engine) -> None:
        """Attaches to a trainer."""
        engine.add_event_handler(Events.STARTED, self._write)

    def _write(self, engine: Engine) -> None:
        if is_first():
            write_trained_on(self.path, self.data)
