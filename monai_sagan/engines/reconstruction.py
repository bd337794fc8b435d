"""What a network that redraws healthy images is shown, and what it should make of that."""

from __future__ import annotations

from typing import Any

import torch
from monai.engines import PrepareBatch
from monai.utils import CommonKeys

from monai_sagan.transforms.coarse_noise import RandCoarseNoise

__all__ = ["PrepareReconstruction"]


class PrepareReconstruction(PrepareBatch):
    """Gives a trainer images with noise, and the images themselves as what should be made of them.

    Noise is added on the device, to the whole batch at once.

    Args:
        noise: of standard deviation 0 for methods without any.
    """

    def __init__(self, noise: RandCoarseNoise) -> None:
        self.noise = noise

    def __call__(
        self,
        batchdata: dict[str, torch.Tensor],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Prepares a batch.

        Args:
            batchdata: (B, C, *spatial) in [-1, 1] as ``image``.
            device: where to.
            non_blocking: as for ``Tensor.to``.
            **kwargs: as for ``Tensor.to``.

        Returns:
            What the network is given, and what it should give.
        """
        image = batchdata[CommonKeys.IMAGE].to(device=device, non_blocking=non_blocking, **kwargs)
        return (self.noise(image) if self.noise.std > 0 else image), image
