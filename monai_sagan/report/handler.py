"""Turns the run of an evaluator over a labelled test set into figures and a page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.utils import convert_to_tensor

from monai_sagan.errors import UserError
from monai_sagan.files import write_table
from monai_sagan.report.case import EvaluatedCase
from monai_sagan.report.evaluation import evaluation_metrics
from monai_sagan.report.overview import draw_cases
from monai_sagan.report.page import write_report
from monai_sagan.transforms import SliceLayout, resize

__all__ = ["EvaluationReport"]

# Larger pictures are shrunk for the page and the pixel measures, so that thousands of cases fit in memory.
_LONGEST_SIDE = 256
_MAPS = ("anomaly_map", "deviation_map")


class EvaluationReport:
    """Writes ``metrics.json``, ``scores.csv``, ``report.html`` and ``examples.png`` when an evaluator is done.

    Cases with ``role`` "reference" are healthy images from outside the test set: a share of their pixels, the same for
    every bundle, lies above the threshold at which pixels of the test set count as found. So nothing is chosen on the
    test set. Cases with a ``warning`` instead of an image are left out of the test, and named. Where all cases have a
    ``deviation_map``, it is what is shown and measured. The metrics are left in ``engine.state.metrics["evaluation"]``.

    Args:
        output_dir: where to write.
        title: the page's heading.
        bundle: the bundle's ``name``, ``version`` and ``weights_sha256``.
        reference_share: share, in (0, 1), of the reference images' pixels that lies above the threshold.
    """

    def __init__(
        self, output_dir: str | Path, title: str, bundle: dict[str, Any], reference_share: float = 0.01
    ) -> None:
        self.output_dir = Path(output_dir)
        self.title = title
        self.bundle = bundle
        self.reference_share = reference_share
        self.cases: list[EvaluatedCase] = []
        self.reference: list[dict[str, np.ndarray]] = []
        self.deviations: list[dict[str, np.ndarray | None]] = []
        self.failed: list[str] = []
        self.left_out: list[str] = []
        self.score_kind = "residual"

    def attach(self, engine: Engine) -> None:
        """Attaches to an evaluator whose output is a list of cases with ``label``."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _collect(self, engine: Any) -> None:
        for case in engine.state.output:
            if "error" in case:
                self.failed.append(case["error"])
            elif "warning" in case:
                self.left_out.append(case["warning"])
            elif case.get("role") == "reference":
                self.reference.append({key: _slices(case, key) for key in _MAPS if key in case})
            else:
                try:
                    self.cases.append(_evaluated(case))
                except ValueError as error:  # say, a mask of another size
                    self.failed.append(f"{case['path']}: {error}")
                else:
                    self.deviations.append(_deviation(case))
                    self.score_kind = case.get("score_kind", "residual")

    def _write(self, engine: Engine) -> None:
        if not self.cases:
            raise UserError(f"{self.output_dir}: none of the test images could be used, so there is nothing to report.")
        shown = self._shown_map()
        if shown == "deviation_map":
            self.cases = [replace(case, **maps) for case, maps in zip(self.cases, self.deviations)]  # type: ignore[arg-type]
        threshold = None
        if self.reference:
            values = np.concatenate([maps[shown].ravel() for maps in self.reference])
            threshold = float(np.quantile(values, 1 - self.reference_share))
        metrics = evaluation_metrics(self.cases, pixel_threshold=threshold, shown_map=shown, score_kind=self.score_kind)
        metrics["num_failed"] = len(self.failed)
        metrics["left_out"] = [f"Left out: {error}" for error in self.failed] + self.left_out
        engine.state.metrics["evaluation"] = metrics
        write_report(self.cases, metrics, self.output_dir, title=self.title, bundle=self.bundle)
        _write_scores(self.cases, self.output_dir / "scores.csv")
        draw_cases(self.cases, self.output_dir / "examples.png", is_deviation=shown == "deviation_map")

    def _shown_map(self) -> Literal["anomaly_map", "deviation_map"]:
        """Which map is shown and measured: one that all have."""
        all_deviate = all(self.deviations) and all("deviation_map" in maps for maps in self.reference)
        return "deviation_map" if all_deviate else "anomaly_map"


def _write_scores(cases: list[EvaluatedCase], path: Path) -> None:
    """A line for each case of the test set; what a bundle that is not calibrated cannot tell is left empty."""
    columns = ("name", "label", "anomaly_score", "p_value", "is_anomalous", "is_ood", "num_findings")
    write_table(
        path,
        columns,
        [
            (case.name, case.label, case.score, case.p_value, case.is_anomalous, case.is_ood, case.num_findings)
            for case in cases
        ],
    )


def _evaluated(case: dict[str, Any]) -> EvaluatedCase:
    if "mask" in case:
        case = case | {"mask": _fitting(case["mask"], case["image"])}
    stacks = {key: _slices(case, key) for key in ("image", "pred", "anomaly_map", "mask") if key in case}
    shown = {key: stack[_highest(case)] for key, stack in stacks.items()}
    is_volume = case["slice_axis"] is not None
    return EvaluatedCase(
        name=case.get("name") or Path(case["path"]).name,
        label=int(case["label"]),
        score=case["anomaly_score"],
        image=shown["image"],
        restored=shown["pred"],
        anomaly_map=shown["anomaly_map"],
        mask=shown["mask"] >= 0.5 if "mask" in shown else None,
        stack_map=stacks["anomaly_map"] if is_volume else None,
        stack_mask=stacks["mask"] >= 0.5 if is_volume and "mask" in stacks else None,
        p_value=case.get("p_value"),
        is_anomalous=case.get("is_anomalous"),
        is_ood=case.get("is_ood"),
        is_trained_on=case.get("is_trained_on", False),
        num_findings=None if case.get("findings") is None else len(case["findings"]),
        findings=_findings(case),
    )


def _fitting(mask: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """A mask in the shape of its image: a radiograph may have a third axis, of one pixel, that its mask has not."""
    sizes = [[side for side in each.shape[1:] if side > 1] for each in (image, mask)]
    if sizes[0] != sizes[1]:  # said before they are shrunk, after which they may have one size
        shown = [" x ".join(map(str, each.shape[1:])) for each in (image, mask)]
        raise ValueError(f"the image has {shown[0]} pixels, but its mask has {shown[1]}.")
    return convert_to_tensor(mask, track_meta=False).reshape(image.shape)


def _deviation(case: dict[str, Any]) -> dict[str, np.ndarray | None]:
    """A case's deviation from healthy images in place of its map; empty where that is not known."""
    if "deviation_map" not in case:
        return {}
    stack = _slices(case, "deviation_map")
    is_volume = case["slice_axis"] is not None
    return {"anomaly_map": stack[_highest(case)], "stack_map": stack if is_volume else None}


def _findings(case: dict[str, Any]) -> np.ndarray | None:
    """Where a case's findings are, of a picture (H, W), of a volume (N, H, W); None where that is not known."""
    if "findings_map" not in case:
        return None
    stack = _slices(case | {"findings_map": case["findings_map"] > 0}, "findings_map") >= 0.5
    return stack if case["slice_axis"] is not None else stack[0]


def _highest(case: dict[str, Any]) -> int:
    """The slice of a volume that scores highest; the only one of a picture."""
    return int(np.argmax(case["slice_scores"])) if case["slice_axis"] is not None else 0


def _slices(case: dict[str, Any], key: str) -> np.ndarray:
    """An image (1, *spatial) of a case as pictures (N, H, W), rows first, not too large: one, or a volume's slices."""
    image = convert_to_tensor(case[key], track_meta=False, dtype=torch.float32)
    if case["slice_axis"] is None:
        slices = image.transpose(1, 2)[None]
    else:
        layout = SliceLayout.of(case["anomaly_map"], case["slice_axis"])
        slices = layout.turn(layout.view(image))
    longest = max(slices.shape[2:])
    if longest > _LONGEST_SIDE:
        slices = resize(slices, [max(1, side * _LONGEST_SIDE // longest) for side in slices.shape[2:]])
    return slices[:, 0].numpy()
