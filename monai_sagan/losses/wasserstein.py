"""The objectives of SAGAN's critic and generator (arXiv 2405.12872, section 2.3, with a WGAN-GP critic)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["CriticLoss", "GeneratorLoss"]


class CriticLoss(nn.Module):
    """Wasserstein distance with gradient penalty (Gulrajani et al., 2017, equation 3).

    Args:
        gradient_penalty_weight: weight of the penalty.
    """

    def __init__(self, gradient_penalty_weight: float = 10.0) -> None:
        super().__init__()
        self.gradient_penalty_weight = gradient_penalty_weight

    def forward(
        self,
        critic: Callable[[torch.Tensor], torch.Tensor],
        healthy: torch.Tensor,
        restored: torch.Tensor,
        mix: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Scores both kinds of images, and the images on the line between them.

        Args:
            critic: maps (B, C, *spatial) to scores (B, 1, *map).
            healthy: real healthy images, (B, C, *spatial).
            restored: the generator's restorations of unlabelled images, of the same shape; no gradient flows to them.
            mix: the share of the healthy image in each mixed one, (B, 1, ...) in [0, 1]; drawn uniformly if absent.

        Returns:
            ``loss``, what the critic minimises, and its parts: ``real``, ``fake`` and ``gradient_penalty`` (without its
            weight).

        Raises:
            ValueError: if there are not as many of both kinds, or they are of different sizes.
        """
        if restored.shape != healthy.shape:
            raise ValueError(f"restored is {list(restored.shape)}, and healthy {list(healthy.shape)}.")
        restored = restored.detach()
        if mix is None:
            mix = torch.rand([len(healthy)] + [1] * (healthy.dim() - 1), device=healthy.device).to(healthy.dtype)
        mixed = (mix * healthy + (1 - mix) * restored).requires_grad_(True)
        # Second derivatives are taken of these scores alone: in one pass with the others, all would have them.
        (slope,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
        # The critic normalises nothing across a batch, so one pass gives what two would.
        real_scores, fake_scores = critic(torch.cat([healthy, restored])).chunk(2)
        real = -real_scores.mean()
        fake = fake_scores.mean()
        penalty = (slope.flatten(1).norm(dim=1) - 1).square().mean()
        loss = real + fake + self.gradient_penalty_weight * penalty
        return {"loss": loss, "real": real, "fake": fake, "gradient_penalty": penalty}


class GeneratorLoss(nn.Module):
    """Restored unlabelled images should pass as healthy, healthy ones stay, pseudo anomalies go.

    Args:
        adversarial_weight: weight of the critic's opinion on restored unlabelled images.
        identity_weight: weight of the mean absolute change of healthy images.
        restoration_weight: weight of the mean square error of restored pseudo anomalies.
    """

    def __init__(
        self, adversarial_weight: float = 1.0, identity_weight: float = 1.0, restoration_weight: float = 1.0
    ) -> None:
        super().__init__()
        self.adversarial_weight = adversarial_weight
        self.identity_weight = identity_weight
        self.restoration_weight = restoration_weight

    def forward(
        self,
        restored_scores: torch.Tensor,
        restored_healthy: torch.Tensor,
        restored_pseudo: torch.Tensor,
        healthy: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Adds up the three objectives.

        Args:
            restored_scores: the critic's scores of restored unlabelled images, (B, 1, *map).
            restored_healthy: restorations of the healthy images, (B, C, *spatial).
            restored_pseudo: restorations of the healthy images with a pseudo anomaly, of the same shape.
            healthy: the healthy images, of the same shape.

        Returns:
            ``loss``, what the generator minimises, and its unweighted parts: ``adversarial``, ``identity`` and
            ``restoration``.
        """
        adversarial = -restored_scores.mean()
        identity = F.l1_loss(restored_healthy, healthy)
        restoration = F.mse_loss(restored_pseudo, healthy)
        loss = (
            self.adversarial_weight * adversarial
            + self.identity_weight * identity
            + self.restoration_weight * restoration
        )
        return {"loss": loss, "adversarial": adversarial, "identity": identity, "restoration": restoration}
