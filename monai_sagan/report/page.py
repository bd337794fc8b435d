"""Writes an evaluation's figures and page."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from monai_sagan.report.case import EvaluatedCase
from monai_sagan.report.figures import precision_recall_figure, roc_figure, score_histogram
from monai_sagan.report.gallery import choose_gallery
from monai_sagan.report.output import write_files
from monai_sagan.report.pictures import RAMP, data_uri, grey_pixels, map_pixels, map_scale, outline_path

__all__ = ["write_report"]

_SCHEMA_VERSION = 1


def write_report(
    cases: Sequence[EvaluatedCase],
    metrics: Mapping[str, Any],
    output_dir: str | os.PathLike[str],
    *,
    title: str,
    bundle: Mapping[str, Any],
) -> Path:
    """Writes `metrics.json` for programs and `report.html`, one self-contained page, for people.

    Each file appears whole or not at all; files of these names are replaced.

    Args:
        cases: the test set, at least one case.
        metrics: what `evaluation_metrics` gave for these cases.
        output_dir: where to write; made if it is not there.
        title: the page's heading.
        bundle: `name`, `version` and `weights_sha256` of what was evaluated; shown as far as they are there. Ready for
            JSON.

    Returns:
        The path of `report.html`.

    Raises:
        ValueError: if there is no case, or `metrics` or `bundle` hold a number that JSON cannot.
        OSError: if a file cannot be written.
    """
    if not cases:
        raise ValueError("There is no case to report.")
    facts = {"schema_version": _SCHEMA_VERSION, "title": title, "bundle": dict(bundle), **metrics}
    return write_files(output_dir, facts, "page.html.j2", _contents(cases, metrics, title, bundle))


def _contents(
    cases: Sequence[EvaluatedCase], metrics: Mapping[str, Any], title: str, bundle: Mapping[str, Any]
) -> dict[str, Any]:
    """What the page shows."""
    labels = [case.label for case in cases]
    scores = [case.score for case in cases]
    both_classes = 0 < sum(labels) < len(labels)
    chosen = choose_gallery(cases)
    scale = map_scale([case.anomaly_map for group in chosen for case in group.cases])
    ranks = {id(case): rank for rank, case in enumerate(sorted(cases, key=lambda case: -case.score), start=1)}
    groups = [
        {"group": group, "cards": [_card(case, ranks[id(case)], scale) for case in group.cases]} for group in chosen
    ]
    return {
        "title": title,
        "metrics": metrics,
        "bundle": bundle,
        "num_cases": len(cases),
        # These come from this package alone and hold nothing that a user wrote.
        "roc": Markup(roc_figure(labels, scores)) if both_classes else None,  # noqa: S704
        "precision_recall": Markup(precision_recall_figure(labels, scores)) if both_classes else None,  # noqa: S704
        "histogram": Markup(score_histogram(labels, scores)),  # noqa: S704
        "colour_bar": data_uri(map_pixels(RAMP, 1.0)),
        "scale": scale,
        "groups": groups,
        "outlined": any(case.has_lesion for case in cases),
    }


def _card(case: EvaluatedCase, rank: int, scale: float) -> dict[str, Any]:
    """What the page shows of one case."""
    height, width = case.image.shape
    return {
        "name": case.name,
        "label": "Anomalous" if case.label else "Healthy",
        "score": case.score,
        "p_value": case.p_value,
        "is_ood": case.is_ood,
        "rank": rank,
        "height": height,
        "width": width,
        "image": data_uri(grey_pixels(case.image)),
        "restored": data_uri(grey_pixels(case.restored)),
        "map": data_uri(map_pixels(case.anomaly_map, scale)),
        "outline": outline_path(case.mask) if case.mask is not None and case.has_lesion else None,
    }
