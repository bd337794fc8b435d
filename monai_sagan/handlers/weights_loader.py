"""Weights from a file into the network of a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai.handlers import CheckpointLoader

from monai_sagan.errors import UserError
from monai_sagan.files import read_tensors

__all__ = ["WeightsLoader"]


class WeightsLoader(CheckpointLoader):
    """MONAI's ``CheckpointLoader``, which says in a sentence why a file cannot be used."""

    def __call__(self, engine: Any) -> None:
        """Loads the file.

        Args:
            engine: the engine that runs the network.

        Raises:
            UserError: if there is no such file, it is damaged, it holds more than tensors, or the tensors are others
                than the network's.
        """
        try:
            super().__call__(engine)
        except Exception as error:  # torch and ignite raise a dozen kinds
            path = Path(self.load_path)
            read_tensors(path)  # tells what is wrong with the file, if anything is
            raise UserError(
                f"{path}: these weights do not fit the network of the bundle; put the weights and the settings that "
                "belong together back in place."
            ) from error
