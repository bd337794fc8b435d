"""What a map of weights costs, so that pixels that do not matter get little."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["AttentionSparsityLoss"]


class AttentionSparsityLoss(nn.Module):
    """The mean weight, as a share of the highest one.

    Nothing in the classification keeps the weight of a pixel low that only carries noise, so without this the published
    map is high nearly everywhere. Being relative, it cannot be escaped by lower weights for all pixels, which any
    normalisation in the network would undo.

    Source: this project; the published objective has no such term.
    """

    def forward(self, weight_map: torch.Tensor) -> torch.Tensor:
        """The cost of a map.

        Args:
            weight_map: (1, 1, *spatial) in [0, 1].

        Returns:
            A scalar in (0, 1]: 1 where all weights are the same.
        """
        return weight_map.mean() / weight_map.amax().clamp_min(torch.finfo(weight_map.dtype).tiny)
