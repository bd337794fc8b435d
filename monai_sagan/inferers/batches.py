"""What inferers ask of a batch and a network."""

from __future__ import annotations

from typing import Any

import torch
from monai.data import MetaTensor

__all__ = ["device_of", "dtype_of", "with_affine"]


def device_of(network: Any, default: torch.device) -> torch.device:
    """Where a network is; ``default`` for a function, or a network without parameters."""
    parameters = network.parameters() if isinstance(network, torch.nn.Module) else iter(())
    return next((parameter.device for parameter in parameters), default)


def dtype_of(network: Any) -> torch.dtype:
    """The precision of a network's weights; 32 bits for a function, or a network without parameters."""
    parameters = network.parameters() if isinstance(network, torch.nn.Module) else iter(())
    return next((parameter.dtype for parameter in parameters if parameter.is_floating_point()), torch.float32)


def with_affine(image: torch.Tensor, inputs: torch.Tensor, item: int) -> torch.Tensor:
    """One image of a batch, with its geometry if the batch has any.

    Args:
        image: (C, *spatial), the item without geometry.
        inputs: (B, C, *spatial), with one affine for all of them, or one each, if it is a MetaTensor.
        item: the image's number.
    """
    if not isinstance(inputs, MetaTensor):
        return image
    affine = inputs.affine
    return MetaTensor(image, affine=affine if affine.dim() == 2 else affine[item])
