"""The critic's activation: values and gradients are torch's, and the second derivative costs less."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from monai_sagan.losses import CriticLoss
from monai_sagan.networks import SAGANCritic
from monai_sagan.networks.leaky_relu import LeakyReLU


@pytest.fixture
def critics() -> tuple[SAGANCritic, SAGANCritic]:
    """The critic, and one with torch's activation and the same weights."""
    torch.manual_seed(0)
    critic = SAGANCritic(base_channels=4, num_layers=4)
    plain = copy.deepcopy(critic)
    for layer in plain.layers:
        assert isinstance(layer.adn.A, LeakyReLU)
        layer.adn.A = nn.LeakyReLU(0.01)
    return critic, plain


class Convolutions(TorchDispatchMode):
    """Counts how often a convolution is derived."""

    def __init__(self) -> None:
        super().__init__()
        self.derived = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.derived += function is torch.ops.aten.convolution_backward.default
        return function(*args, **(kwargs or {}))


def gradients(critic: SAGANCritic) -> tuple[list[torch.Tensor], int]:
    """Of a step with gradient penalty, and how often a convolution is derived for it."""
    random = torch.Generator().manual_seed(1)
    healthy, restored = torch.rand(2, 3, 1, 32, 32, generator=random) * 2 - 1
    mix = torch.rand(3, 1, 1, 1, generator=random)
    with Convolutions() as convolutions:
        CriticLoss()(critic, healthy, restored, mix)["loss"].backward()
    return [parameter.grad for parameter in critic.parameters() if parameter.grad is not None], convolutions.derived


def test_values() -> None:
    x = torch.tensor([-2.0, -0.0, 0.0, 3.0, float("inf")])
    assert torch.equal(LeakyReLU(0.2)(x), nn.LeakyReLU(0.2)(x))


def test_gradients_are_the_same_bits(critics: tuple[SAGANCritic, SAGANCritic]) -> None:
    (ours, _), (plain, _) = (gradients(critic) for critic in critics)
    assert len(ours) == len(plain) > 8
    assert all(torch.equal(one, other) for one, other in zip(ours, plain))


def test_the_penalty_derives_fewer_convolutions(critics: tuple[SAGANCritic, SAGANCritic]) -> None:
    (_, ours), (_, plain) = (gradients(critic) for critic in critics)
    assert ours <= plain - len(critics[0].layers) + 1  # all that lie before an activation
