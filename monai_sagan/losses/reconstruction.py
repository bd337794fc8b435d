"""The objective of the networks that redraw healthy images."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["ReconstructionLoss"]


class ReconstructionLoss(nn.Module):
    """Mean squared error, and for a variational autoencoder how far its codes are from a standard normal distribution.

    Args:
        kl_weight: of the latter, the Kullback-Leibler divergence for each pixel; 1 is the evidence lower bound for
            pixels with a variance of one half (Kingma and Welling, ICLR 2014).
    """

    def __init__(self, kl_weight: float = 1.0) -> None:
        super().__init__()
        self.kl_weight = kl_weight

    def forward(
        self, output: torch.Tensor | tuple[torch.Tensor, torch.Tensor, torch.Tensor], image: torch.Tensor
    ) -> torch.Tensor:
        """The objective for a batch.

        Args:
            output: restored images (B, C, *spatial); or these, and the mean and the logarithm of the variance of their
                codes, (B, L) each.
            image: what they should be, (B, C, *spatial).

        Returns:
            A scalar.
        """
        if isinstance(output, torch.Tensor):
            return F.mse_loss(output.float(), image)
        restored, mean, log_variance = (each.float() for each in output)
        divergence = (mean.square() + log_variance.exp() - 1.0 - log_variance).sum() / 2.0
        return F.mse_loss(restored, image) + self.kl_weight * divergence / image.numel()
