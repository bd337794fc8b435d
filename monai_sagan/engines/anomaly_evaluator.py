"""Runs a network over cases of any size, and goes on when one of them cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import torch
from monai.engines import Evaluator
from monai.inferers import Inferer
from monai.utils import CommonKeys, convert_to_dst_type, convert_to_tensor
from torch import nn
from torch.utils.data import DataLoader

from monai_sagan.errors import explain

__all__ = ["AnomalyEvaluator"]


class AnomalyEvaluator(Evaluator):
    """Restores cases and maps their anomalies.

    A batch is a list of cases as :class:`~monai_sagan.data.CaseDataset` gives them; neighbours of one size pass the
    inferer together. ``state.output`` is the list of finished cases: each with what the inferer and the postprocessing
    added, or with an ``error``, a sentence that begins with the file's name. What the postprocessing raises ends the
    run: results that cannot be written concern every case.

    Args:
        device: where the network is.
        val_data_loader: yields lists of cases.
        network: restores images.
        inferer: maps (B, C, *spatial) and the network to a dictionary of tensors (B, ...).
        postprocessing: applied to each case after the inferer.
        val_handlers: handlers to attach.
    """

    def __init__(
        self,
        device: torch.device,
        val_data_loader: DataLoader,
        network: nn.Module,
        inferer: Inferer,
        postprocessing: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        val_handlers: Sequence | None = None,
    ) -> None:
        self.network = network
        self.inferer = inferer
        self.finish = postprocessing
        super().__init__(device=device, val_data_loader=val_data_loader, val_handlers=val_handlers, decollate=False)

    def _iteration(  # type: ignore[override]
        self, engine: Any, batchdata: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        self.network.eval()
        finished: list[dict[str, Any]] = []
        for shape, group in groupby(batchdata, key=_shape):
            cases = list(group)
            finished += cases if shape is None else self._restore(cases)
        return finished

    def _restore(self, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
        images = [case[CommonKeys.IMAGE] for case in cases]
        try:
            outputs = self.inferer(
                torch.stack([convert_to_tensor(image, track_meta=False) for image in images]), self.network
            )
        except ValueError as error:  # the images do not suit the network
            return [_failed(case, explain(error)) for case in cases]
        return [
            # A stack has no metadata: each result takes its own image's.
            self._complete(case, {key: convert_to_dst_type(value[index], image)[0] for key, value in outputs.items()})
            for index, (case, image) in enumerate(zip(cases, images))
        ]

    def _complete(self, case: dict[str, Any], results: dict[str, torch.Tensor]) -> dict[str, Any]:
        if not all(bool(result.isfinite().all()) for result in results.values()):
            return _failed(case, "the network restores it to what is no number; its weights cannot be used.")
        return case | results if self.finish is None else self.finish(case | results)


def _shape(case: dict[str, Any]) -> tuple[int, ...] | None:
    return None if "error" in case else tuple(case[CommonKeys.IMAGE].shape)


def _failed(case: dict[str, Any], reason: str) -> dict[str, Any]:
    return {"path": case["path"], "error": f"{case['path']}: {reason}"}
