"""Runs a network over cases of any size, and goes on when one of them cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import torch
from monai.data import MetaTensor
from monai.engines import Evaluator
from monai.inferers import Inferer
from monai.utils import CommonKeys, convert_to_dst_type, convert_to_tensor, ensure_tuple
from torch import nn
from torch.utils.data import DataLoader

from monai_sagan.errors import UserError, causes_of, explain
from monai_sagan.transforms.picture_batches import is_picture

__all__ = ["AnomalyEvaluator"]

BatchScoring = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


class AnomalyEvaluator(Evaluator):
    """Restores cases and maps their anomalies.

    A batch is a list of cases as :class:`~monai_sagan.data.CaseDataset` gives them; neighbouring pictures of one size
    pass the inferer together, volumes alone. ``state.output`` is the list of finished cases: each with what the inferer
    and the postprocessing added, or with an ``error``, a sentence that begins with the file's name; cases without an
    image, of which there is a result already or a warning to tell, are passed on. An error of the operating system in
    the postprocessing ends the run: results that cannot be written concern every case.

    Args:
        device: where the network is.
        val_data_loader: yields lists of cases.
        network: restores images.
        inferer: maps (B, C, *spatial) and the network to a dictionary of tensors (B, ...).
        postprocessing: applied to each case after the inferer.
        batch_scoring: one or several, each applied to the cases of a batch before that; what they add, the
            postprocessing finds.
        val_handlers: handlers to attach.
    """

    def __init__(
        self,
        device: torch.device,
        val_data_loader: DataLoader,
        network: nn.Module,
        inferer: Inferer,
        postprocessing: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        batch_scoring: BatchScoring | Sequence[BatchScoring] = (),
        val_handlers: Sequence | None = None,
    ) -> None:
        self.network = network
        self.inferer = inferer
        self.finish = postprocessing
        self.batch_scoring = ensure_tuple(batch_scoring)
        super().__init__(device=device, val_data_loader=val_data_loader, val_handlers=val_handlers, decollate=False)

    def _iteration(  # type: ignore[override]
        self, engine: Any, batchdata: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        self.network.eval()
        finished: list[dict[str, Any]] = []
        scored = batchdata
        for score in self.batch_scoring:
            scored = score(scored)
        for shape, group in groupby(scored, key=_shape):
            cases = list(group)
            if shape is None:
                finished += cases
            elif is_picture(cases[0][CommonKeys.IMAGE]):
                finished += self._restore(cases)
            else:
                finished += [case for alone in cases for case in self._restore([alone])]
        batchdata.clear()  # the engine keeps the batch, and so its volumes, while the next one is read
        return finished

    def _restore(self, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
        images = [case[CommonKeys.IMAGE] for case in cases]
        try:
            outputs = self.inferer(_batch(images), self.network)
        except ValueError as error:  # the images do not suit the network
            return [_failed(case, explain(error)) for case in cases]
        plain = {key: convert_to_tensor(value, track_meta=False) for key, value in outputs.items()}
        return [
            # Each result takes its own image's metadata.
            self._complete(case, {key: convert_to_dst_type(value[index], image)[0] for key, value in plain.items()})
            for index, (case, image) in enumerate(zip(cases, images))
        ]

    def _complete(self, case: dict[str, Any], results: dict[str, torch.Tensor]) -> dict[str, Any]:
        # NaN and infinity stay in a sum, which is fifty times as fast as a look at every voxel.
        if not all(bool(result.sum().isfinite()) for result in results.values()):
            return _failed(
                case,
                "the network's output is NaN or infinite, so its weights cannot be used; train it again.",
            )
        try:
            return case | results if self.finish is None else self.finish(case | results)
        except RuntimeError as error:  # which MONAI makes of whatever a transform raises
            if not isinstance(causes_of(error)[-1], UserError):
                raise
            return _failed(case, explain(error))


def _shape(case: dict[str, Any]) -> tuple[int, ...] | None:
    image = case.get(CommonKeys.IMAGE)
    return None if image is None or "error" in case else tuple(image.shape)


def _batch(images: list[torch.Tensor]) -> torch.Tensor:
    """Images as a batch; one alone is not copied, and keeps its geometry."""
    if len(images) == 1:
        image = images[0]
        alone = convert_to_tensor(image, track_meta=False)[None]
        return MetaTensor(alone, affine=image.affine) if isinstance(image, MetaTensor) else alone
    return torch.stack([convert_to_tensor(image, track_meta=False) for image in images])


def _failed(case: dict[str, Any], reason: str) -> dict[str, Any]:
    error = reason if case["path"] in reason else f"{case['path']}: {reason}"
    return {key: case[key] for key in ("path", "name") if key in case} | {"error": error}
