"""A leaky ReLU for networks whose gradient is derived again."""

from __future__ import annotations

import torch
from monai.networks.layers import Act
from torch import nn

__all__ = ["LeakyReLU"]


class LeakyReLU(nn.Module):
    """Computes what :class:`torch.nn.LeakyReLU` does; its second derivative is nothing instead of zeros.

    A gradient penalty derives the critic's gradient again. torch's own activation then hands a tensor of zeros to the
    layers before it, which derive it through all of their convolutions: a sixth of the arithmetic of a critic's step.

    MONAI's blocks know it as ``act=("LEAKY_RELU_TWICE", {"negative_slope": 0.01})``.

    Args:
        negative_slope: what negative values are multiplied by.
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Activates (B, C, *spatial)."""
        return torch.where(x > 0, x, self.negative_slope * x)


Act.add_factory_class("leaky_relu_twice", LeakyReLU, "For gradients that are derived again.")
