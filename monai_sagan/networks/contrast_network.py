"""A small network that tells healthy images from a mixture that holds others."""

from __future__ import annotations

import torch
from monai.networks.blocks import Convolution
from monai.networks.layers.factories import Dropout, Pool
from torch import nn

__all__ = ["ContrastNetwork"]

# Added to an image's standard deviation, in units of [-1, 1]: an image without contrast is not blown up to noise.
_LEAST_SPREAD = 0.04


class ContrastNetwork(nn.Module):
    """Says of an image whether it is from the unlabelled set: the larger, the less it looks like the healthy ones.

    Three stages of two convolutions with batch norm and ReLU, with max pooling between them, then one number for each
    place, of which the mean is taken: what is told of an image is told of its places, and a part that looks like no
    healthy one is seen wherever it lies. The image's own mean and standard deviation are taken out first, so that
    exposure does not decide.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the images.
        base_channels: channels of the first stage; they double at each of the next two.
        dropout: share of the last features that are left out in training.
    """

    def __init__(
        self, spatial_dims: int = 2, in_channels: int = 1, base_channels: int = 16, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.axes = tuple(range(2, 2 + spatial_dims))
        stages: list[nn.Module] = []
        channels = in_channels
        for stage, width in enumerate((base_channels, 2 * base_channels, 4 * base_channels)):
            if stage > 0:
                stages.append(Pool[Pool.MAX, spatial_dims](2))
            stages.append(_convolution(spatial_dims, channels, width, kernel_size=3 if stage > 0 else 5))
            stages.append(_convolution(spatial_dims, width, width))
            channels = width
        self.features = nn.Sequential(*stages)
        self.dropout = Dropout[Dropout.DROPOUT, 1](dropout)
        self.evidence = Convolution(spatial_dims, channels, 1, kernel_size=1, conv_only=True)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Judges images.

        Args:
            images: (B, C, *spatial) in [-1, 1], at least 4 pixels a side.

        Returns:
            (B, 1), logits of "is from the unlabelled set".
        """
        return self.local_logits(images).flatten(2).mean(dim=2)

    def local_logits(self, images: torch.Tensor) -> torch.Tensor:
        """The logit of each place, of which :meth:`forward` gives the mean.

        Args:
            images: as for :meth:`forward`.

        Returns:
            (B, 1, *spatial / 4).
        """
        spread, mean = torch.std_mean(images, dim=self.axes, keepdim=True)
        return self.evidence(self.dropout(self.features((images - mean) / (spread + _LEAST_SPREAD))))


def _convolution(spatial_dims: int, channels: int, width: int, kernel_size: int = 3) -> nn.Module:
    return Convolution(
        spatial_dims,
        channels,
        width,
        kernel_size=kernel_size,
        adn_ordering="NA",
        norm="BATCH",
        act=("RELU", {"inplace": True}),
        bias=False,
    )
