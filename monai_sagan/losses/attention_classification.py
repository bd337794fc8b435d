"""The objective of a classifier with global attention."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from monai_sagan.losses.attention_sparsity import AttentionSparsityLoss
from monai_sagan.networks import GlobalAttentionClassifier

__all__ = ["AttentionClassificationLoss"]


class AttentionClassificationLoss(nn.Module):
    """Cross entropy, and what the map of weights costs.

    The map is the one that the classifier weighed its last batch by in training.

    Args:
        network: the classifier; without attention there is no map to cost anything. Not a distributed wrapper of it,
            nor a copy of the one that is trained.
        sparsity_weight: of the map's cost, see :class:`AttentionSparsityLoss`; 0 as published.
    """

    def __init__(self, network: GlobalAttentionClassifier, sparsity_weight: float = 0.03) -> None:
        super().__init__()
        self.sparsity_weight = sparsity_weight
        self.sparsity = AttentionSparsityLoss()
        self._attention = (network.attention,)  # as an attribute of its own it would be a part of this module

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The objective for a batch that the classifier has just seen.

        Args:
            logits: (B, classes).
            labels: (B,), numbers of classes.

        Returns:
            A scalar.
        """
        loss = F.cross_entropy(logits.float(), labels)
        (attention,) = self._attention
        if attention is None or not attention.training or attention.last_weights is None:
            return loss
        return loss + self.sparsity_weight * self.sparsity(attention.last_weights.float())
