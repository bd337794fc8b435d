"""What a training asks of its data loader."""

from __future__ import annotations

from torch.utils.data import DataLoader

from monai_sagan.errors import SettingError, UserError
from monai_sagan.processes import num_processes

__all__ = ["require_batches"]


def require_batches(loader: DataLoader, least: int = 1) -> DataLoader:
    """The loader, if it has a batch to give.

    Args:
        loader: of a training, which leaves out a last batch that is not full.
        least: images that a batch must have at least.

    Raises:
        SettingError: if batches are too small.
        UserError: if there are fewer images than one batch holds.
    """
    world = num_processes()
    if loader.batch_size is not None and loader.batch_size < least:
        raise SettingError(
            f"batch_size {loader.batch_size * world}: each process needs {least} images in a batch; give at least "
            f"{least * world}."
        )
    if len(loader) == 0:
        images, batch = len(loader.dataset), loader.batch_size * world  # type: ignore
        raise UserError(f"batch_size: {images} training images do not fill a batch of {batch}; choose a smaller one.")
    return loader
