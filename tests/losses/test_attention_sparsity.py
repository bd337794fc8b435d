"""What a map of weights costs."""

from __future__ import annotations

import torch

from monai_sagan.losses import AttentionSparsityLoss


def test_equal_weights_cost_one_whatever_they_are() -> None:
    for weight in (1.0, 0.5, 1e-3):
        assert AttentionSparsityLoss()(torch.full((1, 1, 4, 4), weight)) == 1.0


def test_one_pixel_of_sixteen_costs_a_sixteenth() -> None:
    weights = torch.zeros(1, 1, 4, 4)
    weights[0, 0, 1, 2] = 0.25
    assert AttentionSparsityLoss()(weights) == 1 / 16


def test_no_weight_at_all_costs_nothing_and_has_a_gradient() -> None:
    weights = torch.zeros(1, 1, 4, 4, requires_grad=True)
    cost = AttentionSparsityLoss()(weights)
    cost.backward()
    assert cost == 0
    assert bool(weights.grad.isfinite().all())
