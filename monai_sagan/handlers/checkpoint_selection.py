"""Chooses a checkpoint without a label."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from torch import nn

from monai_sagan.data import HealthyUnlabeledDataset
from monai_sagan.errors import SettingError
from monai_sagan.files import read_tensors, save_tensors
from monai_sagan.metrics import delong_auc
from monai_sagan.processes import is_first
from monai_sagan.selection import write_selection

__all__ = ["CheckpointSelection"]

# Images that the generator restores at once.
_AT_ONCE = 16
# An interval of one standard error to both sides.
_ONE_ERROR = 0.683
# A standard error needs two images at least.
_FEWEST = 2


class CheckpointSelection:
    """Keeps the generator's weights of several moments of a training, and chooses among them without a label.

    The criterion is the AUC by which the published score tells healthy images that were held out from the unlabelled
    ones (AUCp). It grows with the AUC against the anomalous images among these (Menon et al., ICML 2015, section 4).
    Few images are held out, so the highest of several values is mostly chance. So the latest candidate is taken that
    is within a standard error of the best one (the rule of Breiman et al., "Classification and Regression Trees", 1984,
    section 3.4.3): training goes on unless it does harm.

    What was chosen, and why, is written to a file. Without images held out, nothing is chosen.

    Args:
        dataset: the training images; ``selection`` are those held out.
        generator: network that restores images.
        folder: where the candidates lie until one is chosen.
        weights_path: where the weights that the bundle runs with are written.
        selection_path: the JSON file that says what was chosen.
        num_candidates: moments, evenly over the training; the end is one of them.
        resume: whether candidates that are there already stay.

    Raises:
        SettingError: if there is not one candidate at least.
    """

    def __init__(
        self,
        dataset: HealthyUnlabeledDataset,
        generator: nn.Module,
        folder: str | Path,
        weights_path: str | Path,
        selection_path: str | Path,
        num_candidates: int = 5,
        resume: bool = False,
    ) -> None:
        if num_candidates < 1:
            raise SettingError(f"selection_candidates must be at least 1, not {num_candidates}.")
        self.dataset = dataset
        self.generator = generator
        self.folder = Path(folder)
        self.weights_path = Path(weights_path)
        self.selection_path = Path(selection_path)
        self.num_candidates = num_candidates
        self.resume = resume

    def attach(self, engine: Engine) -> None:
        """Attaches to a trainer, after the handler that writes its weights."""
        if len(self.dataset.counts["selection"]) >= _FEWEST:
            engine.add_event_handler(Events.STARTED, self._clear)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._keep)
            engine.add_event_handler(Events.COMPLETED, self._choose)

    def _clear(self, engine: Any) -> None:
        if is_first() and not self.resume:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _keep(self, engine: Any) -> None:
        epoch, last = engine.state.epoch, engine.state.max_epochs
        # The ends of equal parts of the training.
        is_candidate = epoch * self.num_candidates // last > (epoch - 1) * self.num_candidates // last
        if not is_first() or not is_candidate:
            return
        content = {
            "step": engine.state.iteration,
            "weights": {name: tensor.cpu() for name, tensor in self.generator.state_dict().items()},
            "healthy": self._scores("selection"),
            "unlabeled": self._scores("unlabeled"),
        }
        save_tensors(content, self.folder / f"{epoch:08d}.pt")

    def _choose(self, engine: Any) -> None:
        if not is_first() or not self.folder.is_dir():
            return
        candidates = [read_tensors(path) for path in sorted(self.folder.glob("*.pt"))]
        labels = [0] * len(candidates[0]["healthy"]) + [1] * len(candidates[0]["unlabeled"])
        scores = [torch.cat([candidate["healthy"], candidate["unlabeled"]]).numpy() for candidate in candidates]
        chosen = latest_good(labels, scores)
        save_tensors(candidates[chosen]["weights"], self.weights_path)
        steps = [candidate["step"] for candidate in candidates]
        write_selection(
            self.selection_path,
            num_held_out=len(candidates[0]["healthy"]),
            candidates=[{"step": step, **delong_auc(labels, found).as_dict()} for step, found in zip(steps, scores)],
            chosen_step=steps[chosen],
            checkpoint_reason=_reason(steps, chosen),
        )
        shutil.rmtree(self.folder)

    @torch.no_grad()
    def _scores(self, kind: str) -> torch.Tensor:
        """The published score of each image of one kind; of a volume, the mean of its samples'."""
        device = next(self.generator.parameters()).device
        self.generator.eval()
        scores = []
        for some in getattr(self.dataset, kind).split(_AT_ONCE):
            images = some.to(device)
            scores.append((images - self.generator(images)).abs().flatten(1).mean(dim=1).cpu() / 2)
        return torch.stack([image.mean() for image in torch.cat(scores).split(self.dataset.counts[kind])])


def latest_good(labels: Sequence[int], scores: Sequence[np.ndarray]) -> int:
    """Which of several checkpoints is taken.

    Args:
        labels: 0 for the healthy images held out, 1 for the unlabelled ones.
        scores: of each checkpoint in order, the images' scores.

    Returns:
        The number of the latest one that is not below the best one by more than a standard error of that.
    """
    areas = [delong_auc(labels, found, confidence=_ONE_ERROR) for found in scores]
    best = max(areas, key=lambda area: area.value)
    return max(number for number, area in enumerate(areas) if area.value >= best.low)


def _reason(steps: Sequence[int], chosen: int) -> str:
    return (
        f"Of {len(steps)} checkpoints, that after {steps[chosen]} of {steps[-1]} steps was taken: the latest one that "
        "tells held-out healthy images from unlabelled ones as well as the best does, to one standard error."
    )
