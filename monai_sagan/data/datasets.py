"""Data sets on MONAI's caches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.data import CacheDataset
from monai.transforms import Transform
from torch.utils.data import Dataset

from monai_sagan.errors import UserError, explain

__all__ = ["CaseDataset", "HealthyUnlabeledDataset"]


class HealthyUnlabeledDataset(Dataset):
    """Pairs of a healthy and an unlabelled image, prepared once and kept in memory.

    Nothing relates the two images of a pair. Where one kind is fewer, its images come around again.

    Args:
        data: lists of dictionaries under ``healthy`` and ``unlabeled``, as
            :func:`~monai_sagan.data.load_training_set` gives them.
        transform: deterministic preparation, the same for both; its result holds a tensor (C, *spatial) as ``image``.
        num_workers: threads that prepare.
    """

    def __init__(self, data: Mapping[str, Sequence[Any]], transform: Callable, num_workers: int = 2) -> None:
        self.healthy, self.unlabeled = (
            CacheDataset(list(data[kind]), _Naming(transform), num_workers=num_workers, progress=False)
            for kind in ("healthy", "unlabeled")
        )

    def __len__(self) -> int:
        return max(len(self.healthy), len(self.unlabeled))

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {
            "image": self.healthy[index % len(self.healthy)]["image"],
            "unlabeled": self.unlabeled[index % len(self.unlabeled)]["image"],
        }


class _Naming(Transform):
    """Applies a transform, and lets whatever it raises name the image."""

    def __init__(self, transform: Callable) -> None:
        self.transform = transform

    def __call__(self, data: Mapping[str, Any]) -> Any:
        try:
            return self.transform(data)
        except Exception as error:
            raise UserError(_sentence(data, error)) from error


def _sentence(case: Mapping[str, Any], error: Exception) -> str:
    path, text = str(case["image"]), explain(error)
    return text if str(Path(path)) in text else f"{path}: {text}"


class CaseDataset(Dataset):
    """Cases that are read one by one; what cannot be read becomes a message instead of the end of the run.

    Args:
        data: a dictionary with ``image``, a path, for each case.
        transform: what reads and prepares a case.
    """

    def __init__(self, data: Sequence[Mapping[str, Any]], transform: Callable) -> None:
        self.data = list(data)
        self.transform = transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """The prepared case with its ``path``; or its ``path`` and an ``error``, a sentence that names the file."""
        case = dict(self.data[index])
        path = str(case["image"])
        try:
            return {**self.transform(case), "path": path}
        except Exception as error:  # whatever a reader or transform raises concerns this case alone
            return {"path": path, "error": _sentence(case, error)}
