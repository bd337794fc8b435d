"""Batch normalisation that costs nothing once a network is trained."""

from __future__ import annotations

from typing import TypeVar, cast

from monai.networks.blocks import Convolution
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import fuse_conv_bn_eval

__all__ = ["fold_batch_norm"]

_Network = TypeVar("_Network", bound=nn.Module)


def fold_batch_norm(network: _Network) -> _Network:
    """Lets the weights of convolutions do what the batch normalisation right behind them does.

    In evaluation mode that is a scale and a shift of each channel. What the network gives stays the same but for
    rounding.

    Args:
        network: in evaluation mode; it is changed. Of MONAI's :class:`~monai.networks.blocks.Convolution` those are
            folded that are not transposed and whose normalisation comes first (``adn_ordering`` "NA" or "NDA").

    Returns:
        The network, which cannot be trained any more.
    """
    for block in network.modules():
        if isinstance(block, Convolution) and hasattr(block, "adn") and not block.is_transposed:
            conv, adn = cast(_ConvNd, block.conv), block.get_submodule("adn")
            name, norm = next(adn.named_children())
            if isinstance(norm, _BatchNorm) and norm.track_running_stats:
                block.conv = fuse_conv_bn_eval(conv, norm)
                setattr(adn, name, nn.Identity())
    return network
