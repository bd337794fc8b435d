"""Instance normalisation that is fast on GPUs, in whatever order the voxels lie."""

from __future__ import annotations

import torch
from monai.networks.layers import Norm
from torch import nn
from torch.nn import functional as F

__all__ = ["InstanceNorm"]


class InstanceNorm(nn.Module):
    """Normalises each channel of each image by its own mean and variance, as :class:`torch.nn.InstanceNorm2d` does.

    On a GPU that one turns the voxels round to lie channel by channel and back, and reduces them by kernels that were
    made for batch normalisation; it takes most of the network's time. Here the two moments are taken where the voxels
    lie, and one multiplication and addition follow. Other devices have torch's own.

    MONAI's blocks know it as ``norm=("INSTANCE_BY_MOMENTS", {"affine": True})``. Its parameters are named as torch's.

    Args:
        num_features: channels.
        eps: added to the variance.
        affine: whether there is a learned scale and shift.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, affine: bool = False) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalises.

        Args:
            x: (B, C, *spatial).

        Returns:
            Of the same shape, kind and layout.
        """
        if x.is_cuda:
            return self.by_moments(x)
        return F.instance_norm(x, None, None, self.weight, self.bias, True, 0.1, self.eps)

    def by_moments(self, x: torch.Tensor) -> torch.Tensor:
        """What :meth:`forward` computes on a GPU."""
        axes = list(range(2, x.dim()))
        variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
        scale = (variance + self.eps).rsqrt()
        if self.weight is not None and self.bias is not None:
            sides = [-1] + [1] * len(axes)
            scale = scale * self.weight.reshape(sides)
            shift = self.bias.reshape(sides) - mean * scale
        else:
            shift = -mean * scale
        return torch.addcmul(shift.to(x.dtype), x, scale.to(x.dtype))


Norm.add_factory_callable("instance_by_moments", lambda dim: InstanceNorm, "Fast on GPUs.")
