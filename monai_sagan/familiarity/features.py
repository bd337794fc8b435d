"""A picture in numbers that tell what kind of picture it is."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from monai_sagan.transforms import image_features, resize
from monai_sagan.transforms.image_features import differences

__all__ = ["FEATURES", "picture_features"]

_SCALES = 3  # each of half the pixels a side
_BINS = 8  # of grey, and of the strength of edges
# The lengths of the groups of features, in their order.
FEATURES = {"brightness": 256, "edges": 576, "histogram": 32, "texture": _SCALES * _BINS**2}

_SIDE = 64  # pixels; the same for every network, so that its size decides nothing
_LEAST_SPREAD = 0.01  # added to a picture's standard deviation: one without contrast is not blown up to noise
_RANGE = 3.0  # standard deviations to either side of the mean: from the first bin of grey to the last
_FAINTEST = 1e-3  # strength of edges in the first bin, as a share of that range; the last bin has 1
_AT_ONCE = 256


def picture_features(pictures: torch.Tensor) -> torch.Tensor:
    """Describes pictures by :func:`~monai_sagan.transforms.image_features` and by their texture.

    Args:
        pictures: (B, 1, rows, columns) in [-1, 1], of any size; they are seen at 64x64.

    Returns:
        (B, 1056): brightness, edges, histogram; and the texture, which says nothing of where: at three scales, how
        often which grey, less the picture's mean and in units of its standard deviation, comes with edges of which
        strength, as the root of the share of pixels in each of 8x8 bins.
    """
    return torch.cat([_features(resize(some, (_SIDE, _SIDE))) for some in pictures.split(_AT_ONCE)])


def _features(pictures: torch.Tensor) -> torch.Tensor:
    groups = image_features(pictures) | {"texture": _texture(pictures)}
    return torch.cat([groups[name] for name in FEATURES], dim=1)


def _texture(pictures: torch.Tensor) -> torch.Tensor:
    grey = (pictures + 1) / 2
    spread, mean = torch.std_mean(grey, dim=(1, 2, 3), keepdim=True)
    grey = ((grey - mean) / (spread + _LEAST_SPREAD) / _RANGE + 1) / 2
    shares = []
    for _ in range(_SCALES):
        strength = torch.hypot(*differences(grey))
        shares.append(_shares(grey, 1 - (strength + _FAINTEST).log() / math.log(_FAINTEST)))
        grey = F.avg_pool2d(grey, 2)
    return torch.cat(shares, dim=1).sqrt()


def _shares(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """The share of pixels in each of 8x8 bins (B, 64) of two values in [0, 1]; between bins, a pixel counts in both."""
    places = torch.stack([first.flatten(1), second.flatten(1)]).clamp(0, 1) * (_BINS - 1)
    below = places.floor().clamp(max=_BINS - 2)
    above = places - below
    corner = (below[0] * _BINS + below[1]).long()
    shares = first.new_zeros(len(first), _BINS**2)
    for down in (0, 1):
        for across in (0, 1):
            part = (above[0] if down else 1 - above[0]) * (above[1] if across else 1 - above[1])
            shares.scatter_add_(1, corner + down * _BINS + across, part)
    return shares / corner.shape[1]
