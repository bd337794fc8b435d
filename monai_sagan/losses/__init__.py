"""Training objectives."""

from monai_sagan.losses.attention_classification import AttentionClassificationLoss
from monai_sagan.losses.attention_sparsity import AttentionSparsityLoss
from monai_sagan.losses.reconstruction import ReconstructionLoss
from monai_sagan.losses.wasserstein import CriticLoss, GeneratorLoss

__all__ = ["AttentionClassificationLoss", "AttentionSparsityLoss", "CriticLoss", "GeneratorLoss", "ReconstructionLoss"]
