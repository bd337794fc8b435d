"""Healthy images alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

from monai_sagan.data.datasets import prepare_samples
from monai_sagan.progress import ProgressKind

__all__ = ["HealthyDataset"]


class HealthyDataset(Dataset):
    """Samples of healthy images, prepared once and kept in memory.

    Args:
        data: dictionaries, as :func:`~monai_sagan.data.load_training_set` gives them under ``healthy``.
        transform: deterministic preparation; its result holds the samples of an image, (N, C, *spatial), as ``image``.
        num_workers: threads that prepare.
        progress: how to report progress.
        in_shares: as for :class:`~monai_sagan.data.HealthyUnlabeledDataset`.

    Attributes:
        images: the samples, (N, C, *spatial).
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Callable,
        num_workers: int = 2,
        progress: ProgressKind = "none",
        in_shares: bool = False,
    ) -> None:
        samples = prepare_samples({"healthy": data}, transform, num_workers, progress, in_shares)
        self.images = torch.cat(samples["healthy"])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"image": self.images[index]}
