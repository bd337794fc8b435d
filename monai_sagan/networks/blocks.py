"""Building blocks of the SAGAN networks, on MONAI's :class:`~monai.networks.blocks.Convolution`."""

from __future__ import annotations

import torch
from monai.networks.blocks import Convolution
from torch import nn

import monai_sagan.networks.instance_norm  # noqa: F401  (makes the norm known to MONAI)

__all__ = ["AttentionGate", "FusingBlock", "ResidualBlock", "conv_norm_act"]


def conv_norm_act(
    spatial_dims: int,
    in_channels: int,
    out_channels: int,
    *,
    kernel_size: int,
    strides: int = 1,
    is_transposed: bool = False,
    affine: bool = True,
    activation: bool = True,
) -> Convolution:
    """A convolution, instance normalisation and, if asked for, ReLU.

    With affine normalisation the convolution has no bias, as published. Padding keeps the size at stride 1 and halves
    (or, transposed, doubles) it at stride 2.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of the kernel; odd at stride 1, 4 at stride 2.
        strides: 1 or 2.
        is_transposed: whether to go up instead of down.
        affine: whether the normalisation has a learned scale and shift.
        activation: whether ReLU follows.
    """
    return Convolution(
        spatial_dims,
        in_channels,
        out_channels,
        kernel_size=kernel_size,
        strides=strides,
        padding=(kernel_size - 1) // 2,
        output_padding=0 if is_transposed else None,
        is_transposed=is_transposed,
        bias=not affine,
        norm=("INSTANCE_BY_MOMENTS", {"affine": affine}),
        act=("RELU", {"inplace": True}) if activation else None,
        adn_ordering="NA",
    )


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with instance normalisation, added to what entered.

    Args:
        spatial_dims: 2 or 3.
        channels: channels of input and output.
    """

    def __init__(self, spatial_dims: int, channels: int) -> None:
        super().__init__()
        self.conv1 = conv_norm_act(spatial_dims, channels, channels, kernel_size=3)
        self.conv2 = conv_norm_act(spatial_dims, channels, channels, kernel_size=3, activation=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, *spatial) to the same shape."""
        return x + self.conv2(self.conv1(x))


class FusingBlock(nn.Module):
    """A residual block that changes the number of channels; its shortcut starts after its first convolution.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: channels of the output.
    """

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = conv_norm_act(spatial_dims, in_channels, out_channels, kernel_size=3)
        self.conv2 = conv_norm_act(spatial_dims, out_channels, out_channels, kernel_size=3, activation=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, *spatial) to (B, out_channels, *spatial)."""
        x = self.conv1(x)
        return x + self.conv2(x)


class AttentionGate(nn.Module):
    """Weighs a skip connection, pixel by pixel, by what the decoder knows.

    MONAI's ``AttentionBlock`` (Attention U-Net) does the same with batch normalisation; the published SAGAN
    normalises each image by itself and without learned scale.

    Args:
        spatial_dims: 2 or 3.
        channels: channels of the gate and of the skip connection.
    """

    def __init__(self, spatial_dims: int, channels: int) -> None:
        super().__init__()

        def project(in_channels: int, out_channels: int) -> Convolution:
            return conv_norm_act(spatial_dims, in_channels, out_channels, kernel_size=1, affine=False, activation=False)

        self.gate = project(channels, channels // 2)
        self.skip = project(channels, channels // 2)
        self.weight = project(channels // 2, 1)

    def forward(self, gate: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """Weighs ``skip`` by ``gate``, both (B, channels, *spatial), with one weight in (0, 1) a pixel."""
        weight = torch.sigmoid(self.weight(torch.relu(self.gate(gate) + self.skip(skip))))
        return skip * weight
