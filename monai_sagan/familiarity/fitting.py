"""Lets a bundle know what it is made for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np
import torch

from monai_sagan.data import HealthyUnlabeledDataset
from monai_sagan.familiarity.facts import FactsRecorderd, ImageFacts, KnownFacts
from monai_sagan.familiarity.held_out import held_out_ood_scores
from monai_sagan.familiarity.likeness import Likeness
from monai_sagan.familiarity.store import Familiarity, write_familiarity
from monai_sagan.processes import first_alone, from_all

__all__ = ["FamiliarityFitting"]

# The lists of a training set, the unlabelled images last.
_KINDS = ("healthy", "selection", "unlabeled")
_ORDINARY = 0.95  # of the unlabelled images


class FamiliarityFitting:
    """Learns what training images look like, healthy and unlabelled ones alike, and writes it to a file.

    An image that is not healthy is not out of distribution, so nothing counts as unusual that is no more so than 95% of
    the unlabelled images are to the others. Nothing is learnt from the images that are set aside to calibrate with,
    beside which a new image is judged.

    Args:
        dataset: the training images.
        recorder: has seen them as they were read.
        path: the file to write.
        seed: of :func:`~monai_sagan.familiarity.harmless_changes`.
        resume: whether a file that is there stays, as what a training that goes on was begun with.
    """

    def __init__(
        self,
        dataset: HealthyUnlabeledDataset,
        recorder: FactsRecorderd,
        path: str | Path,
        seed: int = 0,
        resume: bool = False,
    ) -> None:
        self.dataset = dataset
        self.recorder = recorder
        self.path = Path(path)
        self.seed = seed
        self.resume = resume

    def run(self) -> None:
        """Learns; in distributed training the first process alone, while the others wait.

        Raises:
            OSError: if the file cannot be written.
        """
        seen = [astuple(facts) for facts in self.recorder.seen]  # of this process's share
        facts = [ImageFacts(*told) for share in from_all(seen) for told in share]
        first_alone(lambda: self._run(facts))

    def _run(self, facts: Sequence[ImageFacts]) -> None:
        if self.resume and self.path.is_file():
            return
        likeness = self._likeness() if self.dataset.healthy.dim() == 4 else None
        write_familiarity(self.path, Familiarity(KnownFacts.of(facts), likeness))

    def _likeness(self) -> Likeness:
        parts = [getattr(self.dataset, kind) for kind in _KINDS]
        counts = torch.tensor([count for kind in _KINDS for count in self.dataset.counts[kind]])
        pictures = torch.cat(parts)
        images = torch.arange(len(counts)).repeat_interleave(counts)
        unlabeled = held_out_ood_scores(pictures, images, self.seed)[-len(parts[-1]) :]
        return Likeness.fit(
            pictures, self.seed, ordinary=float(np.quantile(unlabeled.numpy(), _ORDINARY, method="higher"))
        )
