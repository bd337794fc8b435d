"""The adversarial training of SAGAN (arXiv 2405.12872, section 2.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.engines import Trainer
from monai.inferers import Inferer, SimpleInferer
from monai.utils import CommonKeys
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from monai_sagan.engines.cuda_graph import GraphedStep
from monai_sagan.engines.loaders import require_batches
from monai_sagan.errors import SettingError, UserError
from monai_sagan.losses import CriticLoss, GeneratorLoss
from monai_sagan.transforms import RandPseudoAnomaly

__all__ = ["SAGANTrainer"]

# Images in a batch: the square of a pseudo anomaly comes from another one.
_LEAST = 2


class SAGANTrainer(Trainer):
    """Trains generator and critic in turn; one iteration of the engine is one step of the critic.

    A batch is a dictionary with healthy images as ``image`` and unlabelled ones as ``unlabeled``, (B, C, *spatial) in
    [-1, 1]. Every ``critic_steps_per_generator_step``-th iteration ends with a step of the generator on the same
    images, and its restorations of the unlabelled ones serve the critic's step too: between the two, the generator
    does not change. Pseudo anomalies are made on the device, for the whole batch; a healthy image's square comes from
    the next one in the batch, which the loader's shuffling makes a random one.

    ``state.output`` holds the losses of the iteration: ``critic``, ``gradient_penalty``, ``wasserstein`` (how far apart
    the critic scores healthy and restored images) and, where the generator was trained, ``generator``,
    ``adversarial``, ``identity`` and ``restoration``.

    Args:
        device: where to train; the networks are there already.
        max_epochs: passes over the data.
        train_data_loader: yields the batches.
        generator: network that restores images.
        generator_optimizer: its optimizer.
        critic: network that scores images.
        critic_optimizer: its optimizer.
        generator_loss: the generator's objective.
        critic_loss: the critic's objective.
        pseudo_anomaly: makes pseudo anomalies.
        critic_steps_per_generator_step: steps of the critic for each step of the generator.
        inferer: runs the generator.
        train_handlers: handlers to attach.
        amp: whether the generator computes in bfloat16. The critic, whose gradient penalty needs second derivatives,
            always computes in 32 bits.
        cuda_graphs: whether a CUDA device runs each step as a whole; the optimizers need ``capturable=True``. Not for
            networks that are wrapped for distributed training.
        compile: whether torch compiles the generator, which takes a minute or two at the start.

    Raises:
        SettingError: if a number is less than it must be, or a batch has one image only.
        UserError: if there are fewer images than one batch holds, or settings do not go together.
    """

    def __init__(
        self,
        device: torch.device,
        max_epochs: int,
        train_data_loader: DataLoader,
        generator: nn.Module,
        generator_optimizer: Optimizer,
        critic: nn.Module,
        critic_optimizer: Optimizer,
        generator_loss: GeneratorLoss,
        critic_loss: CriticLoss,
        pseudo_anomaly: RandPseudoAnomaly,
        critic_steps_per_generator_step: int = 2,
        inferer: Inferer | None = None,
        train_handlers: Sequence | None = None,
        amp: bool = False,
        cuda_graphs: bool = False,
        compile: bool = False,  # noqa: A002
    ) -> None:
        if critic_steps_per_generator_step < 1:
            raise SettingError(
                f"critic_steps_per_generator_step must be at least 1, not {critic_steps_per_generator_step}."
            )
        if max_epochs < 1:  # now, and not after everything that comes before the first epoch
            raise SettingError("critic_steps must be at least 1.")
        if cuda_graphs and isinstance(generator, nn.parallel.DistributedDataParallel):
            raise UserError("cuda_graphs does not go together with training in several processes; set it to false.")
        self.generator = generator
        self.generator_optimizer = generator_optimizer
        self.critic = critic
        self.critic_optimizer = critic_optimizer
        self.generator_loss = generator_loss
        self.critic_loss = critic_loss
        self.pseudo_anomaly = pseudo_anomaly
        self.critic_steps_per_generator_step = critic_steps_per_generator_step
        self.inferer = SimpleInferer() if inferer is None else inferer
        # Of one shape for each kind of step: what is compiled need not be general.
        self.restorer = torch.compile(generator, dynamic=False) if compile else generator
        self.train_critic: Callable[..., dict[str, torch.Tensor]] = self._train_critic
        self.train_both: Callable[..., dict[str, torch.Tensor]] = self._train_both
        if cuda_graphs and device.type == "cuda":
            optimizers = (generator_optimizer, critic_optimizer)
            self.train_critic = GraphedStep(self._train_critic, optimizers[1:], device)
            self.train_both = GraphedStep(self._train_both, optimizers, device)
        # Handlers attach, and may look at the networks, while the base class is set up.
        super().__init__(
            device=device,
            max_epochs=max_epochs,
            data_loader=require_batches(train_data_loader, least=_LEAST),
            non_blocking=True,
            handlers=train_handlers,
            amp=amp,
            decollate=False,
        )

    def _iteration(self, engine: Any, batchdata: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        healthy, unlabeled = (
            batchdata[key].to(self.state.device, non_blocking=self.non_blocking)
            for key in (CommonKeys.IMAGE, "unlabeled")
        )
        self.generator.train()
        self.critic.train()
        if self.state.iteration % self.critic_steps_per_generator_step != 0:
            return self.train_critic(healthy, unlabeled)
        self.pseudo_anomaly.randomize(healthy.shape[2:], len(healthy))
        return self.train_both(healthy, unlabeled, self.pseudo_anomaly.weights(healthy))

    def _train_critic(self, healthy: torch.Tensor, unlabeled: torch.Tensor) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            restored = self._restore(unlabeled)
        return self._step_critic(healthy, restored)

    def _train_both(
        self, healthy: torch.Tensor, unlabeled: torch.Tensor, weights: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        pseudo = self.pseudo_anomaly.blend(healthy, healthy.roll(1, dims=0), weights)
        # Every image is normalised by itself, so one pass gives what three would.
        restored = self._restore(torch.cat([unlabeled, healthy, pseudo])).chunk(3)
        return self._step_critic(healthy, restored[0]) | self._step_generator(healthy, *restored)

    def _step_critic(self, healthy: torch.Tensor, restored: torch.Tensor) -> dict[str, torch.Tensor]:
        losses = self.critic_loss(self.critic, healthy, restored)
        self.critic_optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        self.critic_optimizer.step()
        return {
            "critic": losses["loss"].detach(),
            "gradient_penalty": losses["gradient_penalty"].detach(),
            "wasserstein": -(losses["real"] + losses["fake"]).detach(),
        }

    def _step_generator(
        self,
        healthy: torch.Tensor,
        restored_unlabeled: torch.Tensor,
        restored_healthy: torch.Tensor,
        restored_pseudo: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        # A distributed critic waits for gradients that this step does not make: use the network inside.
        critic = getattr(self.critic, "module", self.critic)
        critic.requires_grad_(False)
        losses = self.generator_loss(critic(restored_unlabeled), restored_healthy, restored_pseudo, healthy)
        self.generator_optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        self.generator_optimizer.step()
        critic.requires_grad_(True)
        return {
            "generator": losses["loss"].detach(),
            "adversarial": losses["adversarial"].detach(),
            "identity": losses["identity"].detach(),
            "restoration": losses["restoration"].detach(),
        }

    def _restore(self, images: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self.state.device.type, torch.bfloat16, enabled=self.amp):
            restored = self.inferer(images, self.restorer)
        return restored.to(images.dtype)
