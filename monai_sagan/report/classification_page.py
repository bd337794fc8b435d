"""Writes the figures and the page of a classifier's evaluation."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from monai_sagan.report.classification_gallery import choose_right, choose_wrong
from monai_sagan.report.classified_case import ClassifiedCase
from monai_sagan.report.figures import class_roc_figure
from monai_sagan.report.output import write_files
from monai_sagan.report.pictures import RAMP, data_uri, grey_pixels
from monai_sagan.report.weight_map import OVERLAY_OPACITY, WeightMap, WeightView, weight_pixels

__all__ = ["write_classification_report"]

_SCHEMA_VERSION = 1


def write_classification_report(
    cases: Sequence[ClassifiedCase],
    metrics: Mapping[str, Any],
    output_dir: str | os.PathLike[str],
    *,
    title: str,
    bundle: Mapping[str, Any],
    split: str | None = None,
    weight_map: WeightMap | None = None,
) -> Path:
    """Writes `metrics.json` for programs and `report.html`, one self-contained page, for people.

    Each file appears whole or not at all; files of these names are replaced.

    Args:
        cases: the test set, at least one case.
        metrics: what `classification_metrics` gave for these cases.
        output_dir: where to write; made if it is not there.
        title: the page's heading.
        bundle: `name`, `version` and `weights_sha256` of what was evaluated; shown as far as they are there. Ready for
            JSON.
        split: a sentence that says which images these are.
        weight_map: that weighs all images; None for a model without attention.

    Returns:
        The path of `report.html`.

    Raises:
        ValueError: if there is no case, or `metrics` or `bundle` hold a number that JSON cannot.
        OSError: if a file cannot be written.
    """
    if not cases:
        raise ValueError("There is no case to report.")
    facts = {"schema_version": _SCHEMA_VERSION, "title": title, "bundle": dict(bundle), "split": split, **metrics}
    contents = {"title": title, "bundle": bundle, "split": split, "metrics": metrics}
    contents |= _class_contents(cases, metrics) | _case_contents(cases, metrics["classes"])
    contents |= _map_contents(weight_map)
    return write_files(output_dir, facts, "classification.html.j2", contents)


def _class_contents(cases: Sequence[ClassifiedCase], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of the classes."""
    labels = np.array([case.label for case in cases])
    probabilities = np.array([case.probabilities for case in cases])
    classes = [
        {
            "name": name,
            "total": metrics["num_per_class"][name],
            "counts": metrics["confusion_matrix"][number],
            "recall": metrics["recall_per_class"][name],
            "precision": metrics["precision_per_class"][name],
            "auc": metrics["auc_per_class"][name],
            # It comes from this package alone and holds nothing that a user wrote.
            "roc": Markup(class_roc_figure(labels == number, probabilities[:, number], number))  # noqa: S704
            if metrics["auc_per_class"][name] is not None
            else None,
        }
        for number, name in enumerate(metrics["classes"])
    ]
    return {"classes": classes, "largest_share": max(metrics["num_per_class"].values()) / metrics["num_cases"]}


def _case_contents(cases: Sequence[ClassifiedCase], names: Sequence[str]) -> dict[str, Any]:
    """What the page shows of single cases."""
    return {
        "wrong": [_card(case, names) for case in choose_wrong(cases)],
        "right": [_card(case, names) for case in choose_right(cases, len(names))],
        "num_wrong": sum(not case.is_right for case in cases),
    }


def _card(case: ClassifiedCase, names: Sequence[str]) -> dict[str, Any]:
    height, width = case.thumbnail.shape
    return {
        "name": case.name,
        "true": names[case.label],
        "found": names[case.found],
        "confidence": case.confidence,
        "height": height,
        "width": width,
        "image": data_uri(case.thumbnail),
    }


def _map_contents(weight_map: WeightMap | None) -> dict[str, Any]:
    """What the page shows of the weight map."""
    if weight_map is None:
        return {"views": []}
    return {
        "views": [_view(view) for view in weight_map.views()],
        "lowest": float(weight_map.weights.min()),
        "highest": float(weight_map.weights.max()),
        "colour_bar": data_uri(weight_pixels(RAMP)),
    }


def _view(view: WeightView) -> dict[str, Any]:
    height, width = view.image.shape
    return {
        "name": view.name,
        "height": height,
        "width": width,
        "image": data_uri(grey_pixels(view.image)),
        "overlay": data_uri(weight_pixels(view.weights, OVERLAY_OPACITY)),
        "map": data_uri(weight_pixels(view.weights)),
    }
