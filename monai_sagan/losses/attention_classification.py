"""The objective of a classifier with global attention."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from monai_sagan.losses.attention_sparsity import AttentionSparsityLoss
from monai_sagan.networks import GlobalAttentionClassifier

__all__ = ["AttentionClassificationLoss"]


class AttentionClassificationLoss(nn.Module):
    """Cross entropy, and what the map of weights costs.

    The map is the one that the classifier weighed the batch by: this loss looks on while the attention computes it.

    Args:
        network: the classifier; without attention there is no map to cost anything. Not a distributed wrapper of it.
        sparsity_weight: of the map's cost, see :class:`AttentionSparsityLoss`; 0 as published.
    """

    def __init__(self, network: GlobalAttentionClassifier, sparsity_weight: float = 0.03) -> None:
        super().__init__()
        self.sparsity_weight = sparsity_weight
        self.sparsity = AttentionSparsityLoss()
        self._maps: list[torch.Tensor] = []
        if network.attention is not None:
            network.attention.source.register_forward_hook(self._look_on)

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The objective for a batch that the classifier has just seen.

        Args:
            logits: (B, classes).
            labels: (B,), numbers of classes.

        Returns:
            A scalar.
        """
        loss = F.cross_entropy(logits.float(), labels)
        if self._maps:
            loss = loss + self.sparsity_weight * self.sparsity(self._maps.pop().float())
            self._maps.clear()
        return loss

    def _look_on(self, module: nn.Module, inputs: Any, weight_map: torch.Tensor) -> None:
        if weight_map.requires_grad:
            self._maps.append(weight_map)
