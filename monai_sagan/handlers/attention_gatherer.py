"""What the map of a classifier is made of, gathered before training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from ignite.engine import Engine, Events

from monai_sagan.data import LabeledDataset
from monai_sagan.errors import UserError
from monai_sagan.networks import GlobalAttentionClassifier
from monai_sagan.processes import process_rank

__all__ = ["AttentionGatherer"]


class AttentionGatherer:
    """Gives the training images to a classifier's attention when training starts.

    Of statistics, each process of a distributed training gathers its share.

    Args:
        network: the classifier. Not a distributed wrapper of it.
        dataset: the training images; they are given as they were prepared, not augmented.
        batch_size: images at once.

    Raises:
        UserError: when training starts, if there are too few images for what is gathered.
    """

    def __init__(self, network: GlobalAttentionClassifier, dataset: LabeledDataset, batch_size: int = 64) -> None:
        self.network = network
        self.dataset = dataset
        self.batch_size = batch_size

    def attach(self, engine: Engine) -> None:
        """Attaches to a trainer; a checkpoint that is taken up afterwards brings its own features."""
        engine.add_event_handler(Events.STARTED, self._gather)

    def _gather(self, engine: Any) -> None:
        try:
            self.network.gather(self._batches())
        except ValueError as error:
            raise UserError(f"attention: {error}") from error

    def _batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        attention = self.network.attention
        is_shared_out = attention is not None and attention.features_from == "statistics"
        rank, world = process_rank() if is_shared_out else (0, 1)
        for numbers in torch.arange(rank, len(self.dataset), world).split(self.batch_size):
            yield self.dataset.images[numbers], self.dataset.labels[numbers]
