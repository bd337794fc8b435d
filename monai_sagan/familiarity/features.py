"""A picture in numbers that tell what kind of picture it is."""

from __future__ import annotations

from itertools import pairwise

import torch

from monai_sagan.transforms import image_features, resize

__all__ = ["FEATURES", "picture_features"]

# The lengths of the groups of features, in their order.
FEATURES = {"brightness": 256, "edges": 576, "histogram": 32, "spectrum": 11}

_SIDE = 64  # pixels; the same for every network, so that its size decides nothing
# Waves across a picture, from and to.
_BANDS = (0.5, 1.5, 2.5, 4.0, 6.0, 8.0, 11.0, 15.0, 20.0, 26.0, 33.0, 46.0)
_FAINTEST = 1e-6  # power that counts as none; of one grey level in 255 it is 1.5e-5
_AT_ONCE = 256


def picture_features(pictures: torch.Tensor) -> torch.Tensor:
    """Describes pictures by :func:`~monai_sagan.transforms.image_features` and by how much detail of which size.

    Args:
        pictures: (B, 1, rows, columns) in [-1, 1], of any size; they are seen at 64x64.

    Returns:
        (B, 875): brightness, edges, histogram; and the spectrum, the logarithm of the mean power in each of 11 bands
        of waves across the picture.
    """
    return torch.cat([_features(resize(some, (_SIDE, _SIDE))) for some in pictures.split(_AT_ONCE)])


def _features(pictures: torch.Tensor) -> torch.Tensor:
    groups = image_features(pictures) | {"spectrum": _spectrum(pictures)}
    return torch.cat([groups[name] for name in FEATURES], dim=1)


def _spectrum(pictures: torch.Tensor) -> torch.Tensor:
    grey = (pictures[:, 0] + 1) / 2
    power = torch.fft.rfft2(grey - grey.mean(dim=(1, 2), keepdim=True), norm="ortho").abs() ** 2
    down = torch.fft.fftfreq(_SIDE, 1 / _SIDE)
    across = torch.fft.rfftfreq(_SIDE, 1 / _SIDE)
    waves = torch.hypot(down[:, None], across)
    bands = [power[:, (waves >= low) & (waves < high)].mean(dim=1) for low, high in pairwise(_BANDS)]
    return (torch.stack(bands, dim=1) + _FAINTEST).log()
