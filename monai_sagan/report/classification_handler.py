"""Turns the run of an evaluator that classifies a labelled test set into figures and a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.utils import convert_to_numpy, convert_to_tensor
from torch import nn

from monai_sagan.errors import UserError
from monai_sagan.metrics import classification_metrics
from monai_sagan.report.classification_page import write_classification_report
from monai_sagan.report.classified_case import ClassifiedCase
from monai_sagan.report.pictures import grey_pixels, shrink
from monai_sagan.report.weight_map import WeightMap, draw_weight_map
from monai_sagan.transforms import SliceLayout, WholeImage

__all__ = ["ClassificationReport"]

_THUMBNAIL_SIDE = 64  # pixels; all that is kept of an image, so that thousands of cases fit in memory


class ClassificationReport:
    """Writes ``metrics.json`` and ``report.html`` when an evaluator is done, and with attention ``weight_map.png``
    and ``weight_map.npz``, its numbers.

    The metrics are left in ``engine.state.metrics["evaluation"]``.

    Args:
        output_dir: where to write; files of these names are replaced, or removed where there is no map to draw.
        title: the page's heading.
        bundle: the bundle's ``name``, ``version`` and ``weights_sha256``.
        classes: names of the classes, in the order of the probabilities.
        network: its ``weight_map`` is (1, 1, *image_size) in [0, 1], or None without attention.
        image_size: the network's size, rows first.
        split: a sentence that says which images are tested, for the page.
    """

    def __init__(
        self,
        output_dir: str | Path,
        title: str,
        bundle: dict[str, Any],
        classes: Sequence[str],
        network: nn.Module,
        image_size: Sequence[int],
        split: str | None = None,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.title = title
        self.bundle = bundle
        self.classes = list(classes)
        self.network = network
        self.whole_image = WholeImage(image_size)
        self.split = split
        self.cases: list[ClassifiedCase] = []
        self.failed: list[str] = []
        self.sum_of_images = np.zeros([int(side) for side in image_size])

    def attach(self, engine: Engine) -> None:
        """Attaches to an evaluator whose output is a list of cases with ``label`` and ``probabilities``."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _collect(self, engine: Any) -> None:
        for case in engine.state.output:
            if "error" in case:
                self.failed.append(case["error"])
            else:
                self.cases.append(_classified(case))
                self.sum_of_images += convert_to_numpy(self.whole_image(case["image"])[0])

    def _write(self, engine: Engine) -> None:
        if not self.cases:
            raise UserError(f"{self.output_dir}: none of the test images could be used, so there is nothing to report.")
        labels = [case.label for case in self.cases]
        metrics = classification_metrics(labels, [case.probabilities for case in self.cases], self.classes)
        metrics["num_failed"] = len(self.failed)
        metrics["left_out"] = [f"Left out: {error}" for error in self.failed]
        engine.state.metrics["evaluation"] = metrics
        weight_map = self._weight_map()
        # Before the figures, by which others tell that the evaluation is done.
        picture, numbers = (self.output_dir / f"weight_map.{ending}" for ending in ("png", "npz"))
        if weight_map is None:
            for file in (picture, numbers):
                file.unlink(missing_ok=True)  # that of another model would pass for this one's
        else:
            draw_weight_map(weight_map.views(), picture)
            weight_map.save(numbers)
        write_classification_report(
            self.cases,
            metrics,
            self.output_dir,
            title=self.title,
            bundle=self.bundle,
            split=self.split,
            weight_map=weight_map,
        )

    def _weight_map(self) -> WeightMap | None:
        weights: torch.Tensor | None = self.network.weight_map  # type: ignore[assignment]
        if weights is None:
            return None
        return WeightMap(weights[0, 0].float().cpu().numpy(), self.sum_of_images / len(self.cases))


def _classified(case: dict[str, Any]) -> ClassifiedCase:
    return ClassifiedCase(
        name=case.get("name") or Path(case["path"]).name,
        label=int(case["label"]),
        probabilities=convert_to_numpy(case["probabilities"], dtype=np.float64),
        thumbnail=shrink(grey_pixels(_picture(case["image"])), _THUMBNAIL_SIDE),
    )


def _picture(image: torch.Tensor) -> np.ndarray:
    """An image (1, *spatial) as a picture, rows first: of a volume, the middle one of the slices it was made of."""
    plain = convert_to_tensor(image, track_meta=False, dtype=torch.float32)
    if plain.dim() == 3:
        return plain[0].T.numpy()
    layout = SliceLayout.of(image)
    middle = plain.shape[1 + layout.slices] // 2
    return layout.take(plain, middle, middle + 1)[0, 0].numpy()
