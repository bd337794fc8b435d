"""Instance normalisation that is fast on GPUs, in whatever order the voxels lie."""

from __future__ import annotations

from typing import Any

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
        if x.is_cuda and not torch.jit.is_scripting():
            return self.by_moments(x)
        return F.instance_norm(x, None, None, self.weight, self.bias, True, 0.1, self.eps)

    @torch.jit.unused
    def by_moments(self, x: torch.Tensor) -> torch.Tensor:
        """What :meth:`forward` computes on a GPU."""
        if torch.compiler.is_compiling():  # what is compiled needs no help with its gradient
            return _normalise(x, self.weight, self.bias, self.eps)[0]
        return _Normalisation.apply(x, self.weight, self.bias, self.eps)


class _Normalisation(torch.autograd.Function):
    """Normalisation by the moments of each channel, with a gradient in few passes over the voxels.

    Both ways the result is a voxel times a number of its channel plus another one; memory is what takes the time.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float
    ) -> torch.Tensor:
        normalised, *moments = _normalise(x, weight, bias, eps)
        ctx.save_for_backward(x, *moments)
        ctx.is_affine = weight is not None
        return normalised

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, mean, inverse, scale = ctx.saved_tensors
        axes, count = _spatial(x), x[0, 0].numel()
        of_shift = gradient.sum(axes, keepdim=True, dtype=mean.dtype)
        # Of the voxels after normalisation, before the learned scale.
        of_scale = ((gradient * x).sum(axes, keepdim=True, dtype=mean.dtype) - mean * of_shift) * inverse
        along_x = -scale * inverse * of_scale / count
        constant = -scale * of_shift / count - along_x * mean
        of_x = torch.addcmul(constant.to(x.dtype), x, along_x.to(x.dtype))
        of_x = torch.addcmul(of_x, gradient, scale.to(x.dtype))
        if not ctx.is_affine:
            return of_x, None, None, None
        return of_x, of_scale.sum(0).flatten(), of_shift.sum(0).flatten(), None


def _normalise(
    x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The normalised voxels; and of each channel its mean, one over its deviation, and what voxels are scaled by."""
    sides = [-1] + [1] * (x.dim() - 2)
    variance, mean = (_widened(moment) for moment in torch.var_mean(x, _spatial(x), correction=0, keepdim=True))
    inverse = (variance + eps).rsqrt()
    scale = inverse if weight is None else inverse * weight.reshape(sides)
    shift = -mean * scale if bias is None else bias.reshape(sides) - mean * scale
    return torch.addcmul(shift.to(x.dtype), x, scale.to(x.dtype)), mean, inverse, scale


def _spatial(x: torch.Tensor) -> list[int]:
    return list(range(2, x.dim()))


def _widened(moment: torch.Tensor) -> torch.Tensor:
    """In at least 32 bits, to compute with; it was taken in the precision of the voxels."""
    return moment if moment.dtype == torch.float64 else moment.float()


Norm.add_factory_callable("instance_by_moments", lambda dim: InstanceNorm, "Fast on GPUs.")
