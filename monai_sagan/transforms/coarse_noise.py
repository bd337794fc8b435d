"""Coarse noise, from which a network learns to restore what is healthy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from monai.transforms import RandomizableTransform
from monai.utils import TransformBackends, convert_to_tensor
from torch.nn import functional as F

from monai_sagan.errors import SettingError

__all__ = ["RandCoarseNoise"]

_MODES = {2: "bilinear", 3: "trilinear"}


class RandCoarseNoise(RandomizableTransform):
    """Adds Gaussian noise that is drawn on a coarse grid, brought to the image's size and shifted at random.

    It works on a batch (N, C, *spatial), as a training has it on its device, and not on one image in a ``Compose``.
    Only what shows something is covered: the background stays as it is. The random numbers come from ``self.R``,
    whatever the device.

    Source: Kascenas et al., "Denoising autoencoders for unsupervised anomaly detection in brain MRI", MIDL 2022, and
    their code: a standard deviation of 0.2 for intensities in [0, 1] on a grid of 16x16 for images of 128x128.

    Args:
        std: the standard deviation on the grid, in the units of the image; 0 for no noise.
        coarseness: pixels of the image for one of the grid, along each axis.
        background: the largest value that counts as background.

    Raises:
        SettingError: if ``std`` is negative or ``coarseness`` less than 1.
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, std: float = 0.4, coarseness: int = 8, background: float = -0.9) -> None:
        super().__init__(prob=1.0)
        if std < 0:
            raise SettingError(f"noise_std must not be negative, but is {std}.")
        if coarseness < 1:
            raise SettingError(f"noise_coarseness must be at least 1, not {coarseness}.")
        self.std = std
        self.coarseness = coarseness
        self.background = background
        self.noise = np.zeros(0)
        self.shifts: list[int] = []

    def randomize(self, data: Sequence[int]) -> None:
        """Draws noise for images.

        Args:
            data: shape of the images, (N, C, *spatial).
        """
        grid = [max(1, side // self.coarseness) for side in data[2:]]
        self.noise = self.R.normal(0.0, self.std, (*data[:2], *grid))
        self.shifts = [int(self.R.randint(side)) for side in data[2:]]

    def __call__(self, img: torch.Tensor, randomize: bool = True) -> torch.Tensor:
        """Adds noise to a batch.

        Args:
            img: (N, C, *spatial), two or three spatial axes.
            randomize: whether to draw new noise, or to add the same again.

        Returns:
            (N, C, *spatial), where the image is; beyond [-1, 1] where the noise says so.

        Raises:
            ValueError: if that is no batch.
        """
        if img.dim() - 2 not in _MODES:
            raise ValueError(f"a batch is (N, C, *spatial) with two or three spatial axes, not {list(img.shape)}.")
        images = convert_to_tensor(img, track_meta=False, dtype=torch.float32)
        if randomize:
            self.randomize(images.shape)
        size = images.shape[2:]
        coarse = torch.as_tensor(self.noise, dtype=images.dtype, device=images.device)
        fine = F.interpolate(coarse, size=size, mode=_MODES[len(size)], align_corners=False)
        rolled = fine.roll(self.shifts, dims=list(range(2, images.dim())))
        return torch.where(images > self.background, images + rolled, images)
