"""Batch normalisation that becomes part of the convolution before it."""

from __future__ import annotations

import pytest
import torch
from monai.networks.blocks import Convolution
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from monai_sagan.networks import ContrastNetwork, fold_batch_norm


def trained(network: nn.Module) -> nn.Module:
    """The network with statistics and weights of normalisation as a training may leave them."""
    random = torch.Generator().manual_seed(0)
    for norm in (module for module in network.modules() if isinstance(module, _BatchNorm)):
        for tensor in (norm.running_mean, norm.bias):
            if tensor is not None:
                tensor.data.normal_(generator=random)
        for tensor in (norm.running_var, norm.weight):
            if tensor is not None:
                tensor.data.uniform_(0.5, 2.0, generator=random)
    return network.eval()


def count_norms(network: nn.Module) -> int:
    return sum(isinstance(module, _BatchNorm) for module in network.modules())


@pytest.mark.parametrize("dims", [2, 3])
def test_a_network_says_the_same_without_its_norms(dims: int) -> None:
    torch.manual_seed(0)
    network = trained(ContrastNetwork(spatial_dims=dims, base_channels=4))
    images = torch.rand(2, 1, *[16] * dims) * 2 - 1
    with torch.inference_mode():
        expected = network.local_logits(images)
        assert count_norms(network) == 6
        folded = fold_batch_norm(network)
        assert count_norms(folded) == 0
        # Rounding alone, seen: 2e-7.
        torch.testing.assert_close(folded.local_logits(images), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        ({"adn_ordering": "NDA", "dropout": 0.5}, 0),
        ({"is_transposed": True, "strides": 2, "adn_ordering": "NA"}, 1),
        ({"adn_ordering": "AN"}, 1),  # the activation comes between
        ({"adn_ordering": "NA", "norm": ("BATCH", {"track_running_stats": False})}, 1),  # of each batch anew
        ({"conv_only": True}, 0),
    ],
)
def test_what_follows_a_plain_convolution_is_folded(settings: dict, left: int) -> None:
    torch.manual_seed(0)
    block = trained(nn.Sequential(Convolution(2, 3, 4, **{"norm": "BATCH", "act": "RELU"} | settings)))
    images = torch.randn(2, 3, 8, 8)
    expected = block(images)
    torch.testing.assert_close(fold_batch_norm(block)(images), expected, rtol=1e-4, atol=1e-5)
    assert count_norms(block) == left
