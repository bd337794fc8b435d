"""Lets a bundle know what it is made for."""

from __future__ import annotations

from pathlib import Path

import ignite.distributed as idist
import torch

from monai_sagan.data import HealthyUnlabeledDataset
from monai_sagan.familiarity.facts import FactsRecorderd, KnownFacts
from monai_sagan.familiarity.likeness import Likeness
from monai_sagan.familiarity.store import Familiarity, write_familiarity

__all__ = ["FamiliarityFitting"]


class FamiliarityFitting:
    """Learns what training images look like, healthy and unlabelled ones alike, and writes it to a file.

    An image that is not healthy is no stranger. Nothing is learnt from the images that are set aside to calibrate with,
    beside which a new image is judged.

    Args:
        dataset: the training images.
        recorder: has seen them as they were read.
        path: the file to write.
        seed: of :func:`~monai_sagan.familiarity.harmless_changes`.
    """

    def __init__(
        self, dataset: HealthyUnlabeledDataset, recorder: FactsRecorderd, path: str | Path, seed: int = 0
    ) -> None:
        self.dataset = dataset
        self.recorder = recorder
        self.path = Path(path)
        self.seed = seed

    def run(self) -> None:
        """Learns; in distributed training the first process alone, while the others wait.

        Raises:
            OSError: if the file cannot be written.
        """
        if idist.get_rank() == 0:
            self._run()
        idist.barrier()

    def _run(self) -> None:
        data = self.dataset
        samples = torch.cat([data.healthy, data.selection, data.unlabeled])
        likeness = Likeness.fit(samples, self.seed) if samples.dim() == 4 else None
        write_familiarity(self.path, Familiarity(KnownFacts.of(self.recorder.seen), likeness))
