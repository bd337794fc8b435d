"""Training objectives."""

from monai_sagan.losses.wasserstein import CriticLoss, GeneratorLoss

__all__ = ["CriticLoss", "GeneratorLoss"]
