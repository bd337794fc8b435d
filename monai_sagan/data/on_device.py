"""A training set that lies where it is trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch.utils.data import Dataset, default_collate

from monai_sagan.data.datasets import HealthyUnlabeledDataset
from monai_sagan.transfers import upload

__all__ = ["OnDeviceDataset", "collate_pairs", "keep_on_device"]

# Of the device's free memory; the rest is the training's.
_LARGEST_SHARE = 0.25


class OnDeviceDataset(Dataset):
    """The pairs of a training set, kept on a device with 8 bits a pixel and given a batch at a time.

    Eight bits are what the authors' preprocessing leaves, and as many as bfloat16 has for a number. A pixel changes by
    at most 1/255, half a grey level.

    Args:
        dataset: the pairs, with values in [-1, 1].
        device: where to keep them.
    """

    def __init__(self, dataset: HealthyUnlabeledDataset, device: torch.device) -> None:
        self.length = len(dataset)
        self.images = {
            key: images.add(1).mul(127.5).round().to(torch.uint8).to(device)
            for key, images in (("image", dataset.healthy), ("unlabeled", dataset.unlabeled))
        }

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"There are {len(self)} pairs, so none has number {index}.")
        return {key: images[0] for key, images in self.__getitems__([index]).items()}

    def __getitems__(self, indices: Sequence[int]) -> dict[str, torch.Tensor]:
        """A whole batch.

        Args:
            indices: numbers of pairs.

        Returns:
            ``image`` and ``unlabeled``, (B, C, *spatial) in [-1, 1], on the device.
        """
        numbers = upload(torch.as_tensor(indices), self.images["image"].device)
        chosen = {key: images[numbers % len(images)] for key, images in self.images.items()}
        return {key: images.float().div(127.5).sub(1) for key, images in chosen.items()}


def keep_on_device(dataset: HealthyUnlabeledDataset, device: torch.device) -> Dataset:
    """A training set on a CUDA device, if it takes a quarter of the memory that is free there at most.

    Args:
        dataset: the pairs.
        device: where to keep them.

    Returns:
        An :class:`OnDeviceDataset`; or the set itself, if it does not fit or the device is no CUDA device.
    """
    if device.type != "cuda":
        return dataset
    free, _ = torch.cuda.mem_get_info(device)
    size = dataset.healthy.numel() + dataset.unlabeled.numel()
    return OnDeviceDataset(dataset, device) if size <= _LARGEST_SHARE * free else dataset


def collate_pairs(
    batch: Mapping[str, torch.Tensor] | list[dict[str, torch.Tensor]],
) -> Mapping[str, torch.Tensor]:
    """Makes a batch of pairs, where it is not one already.

    Args:
        batch: what a data set gives for some indices, at once or one by one.
    """
    return batch if isinstance(batch, Mapping) else default_collate(batch)
