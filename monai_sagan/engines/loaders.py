"""What a training asks of its data loader."""

from __future__ import annotations

from torch.utils.data import DataLoader

from monai_sagan.errors import UserError
from monai_sagan.processes import process_rank

__all__ = ["require_batches"]


def require_batches(loader: DataLoader) -> DataLoader:
    """The loader, if it has a batch to give.

    Args:
        loader: of a training, which leaves out a last batch that is not full.

    Raises:
        UserError: if there are fewer images than one batch holds.
    """
    if len(loader) == 0:
        images, batch = len(loader.dataset), loader.batch_size * process_rank()[1]  # type: ignore
        raise UserError(f"batch_size: {images} training images do not fill a batch of {batch}; choose a smaller one.")
    return loader
