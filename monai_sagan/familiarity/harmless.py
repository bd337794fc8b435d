"""Changes of a picture that leave it of the same kind."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from monai_sagan.transforms.moving import move_pictures

__all__ = ["harmless_changes"]

_TURN = math.radians(2.5)
_ZOOM = 0.03
_SHIFT = 0.02  # of a side
_GAMMA = 0.125  # of its logarithm
_GAIN = 0.05
_OFFSET = 0.025  # of the range of grey
_NOISE = 0.02  # standard deviation, of the range of grey
_BINOMIAL = (0.25, 0.5, 0.25)


def harmless_changes(pictures: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Turns, shifts and zooms pictures a little, blurs them, changes brightness and contrast a little, and adds noise.

    A scan at another resolution, by another programme or with the patient somewhat to the side differs by as much.

    Args:
        pictures: (B, 1, rows, columns) in [-1, 1].
        generator: of the random numbers.

    Returns:
        The same shape and range.
    """

    def draw(most: float) -> torch.Tensor:
        return most * (2 * torch.rand(len(pictures), generator=generator) - 1)

    def share(most: float) -> torch.Tensor:
        return most * torch.rand(len(pictures), 1, 1, 1, generator=generator)

    angle, zoom = draw(_TURN), draw(_ZOOM).exp()
    moved = move_pictures(pictures, angle, (zoom, zoom), (draw(_SHIFT), draw(_SHIFT)), outside="border")
    grey = (torch.lerp(moved, _blur(moved), share(1.0)) + 1) / 2
    grey = grey.clamp(0, 1) ** draw(_GAMMA).exp()[:, None, None, None]
    grey = grey * (1 + draw(_GAIN))[:, None, None, None] + draw(_OFFSET)[:, None, None, None]
    grey = grey + share(_NOISE) * torch.randn(grey.shape, generator=generator)
    return grey.clamp(0, 1) * 2 - 1


def _blur(pictures: torch.Tensor) -> torch.Tensor:
    weights = torch.tensor(_BINOMIAL)
    kernel = (weights[:, None] * weights)[None, None]
    return F.conv2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), kernel)
