"""Where and how the weights of a network lie."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["to_device"]


def to_device(network: nn.Module, device: torch.device) -> nn.Module:
    """Moves a network to a device; on CUDA devices, weights lie with channels last, as their convolutions want them.

    Args:
        network: in 2D or 3D; it is changed.
        device: where to.

    Returns:
        The network.
    """
    network = network.to(device)
    if device.type == "cuda":
        layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
        for parameter in network.parameters():
            if parameter.dim() in layouts:
                parameter.data = parameter.data.contiguous(memory_format=layouts[parameter.dim()])
    return network
