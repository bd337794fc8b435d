"""The objective of the reference methods."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from monai_sagan.losses import ReconstructionLoss


def test_of_images_alone() -> None:
    image = torch.zeros(2, 1, 4, 4)
    assert float(ReconstructionLoss()(image + 0.5, image)) == pytest.approx(0.25)


def test_what_a_code_costs() -> None:
    generator = torch.Generator().manual_seed(0)
    image, restored = (torch.rand(2, 1, 4, 4, generator=generator) for _ in range(2))
    mean, log_variance = (torch.randn(2, 3, generator=generator) for _ in range(2))
    divergence = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum()
    loss = ReconstructionLoss(kl_weight=0.5)((restored, mean, log_variance), image)
    assert float(loss) == pytest.approx(float((restored - image).square().mean() + 0.5 * divergence / 32))


def test_a_standard_normal_code_costs_nothing() -> None:
    image = torch.rand(2, 1, 4, 4)
    assert float(ReconstructionLoss()((image, torch.zeros(2, 3), torch.zeros(2, 3)), image)) == 0.0
