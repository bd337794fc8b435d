"""A comparison of methods of anomaly detection as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from monai_sagan.files import write_whole

__all__ = ["draw_areas"]


def draw_areas(comparison: Mapping[str, Any], path: Path) -> None:
    """Draws the AUC of each method with its 95% interval: against the anomaly ratio, or side by side without one.

    Args:
        comparison: as :func:`~monai_sagan.comparison.compare_detection` gives it.
        path: the PNG file to write.
    """
    results = comparison["results"]
    names = list(results[0]["methods"])
    side_by_side = results[0]["anomaly_ratio"] is None
    tested = "{num_healthy} healthy and {num_anomalous} anomalous test images, seeds: {num_seeds}"
    figure = Figure(figsize=(7, 0.9 + 0.5 * len(names) if side_by_side else 4.2), layout="constrained")
    axes = figure.add_subplot(title=tested.format_map(comparison))
    axes.title.set_fontsize("small")
    for place, name in enumerate(names):
        areas = [result["methods"][name]["auc"] for result in results]
        means = [area["mean"] for area in areas]
        margins = [
            [mean - area["low"] for mean, area in zip(means, areas)],
            [area["high"] - mean for mean, area in zip(means, areas)],
        ]
        if side_by_side:
            # Not clipped, so that the end of an interval shows at 1, where the axis ends.
            axes.errorbar(means, [place], xerr=margins, fmt="o", capsize=3, color="C0", clip_on=False)
        else:
            # Side by side by a little, so that intervals do not hide each other.
            shift = 0.01 * (place - (len(names) - 1) / 2)
            ratios = [result["anomaly_ratio"] + shift for result in results]
            axes.errorbar(ratios, means, yerr=margins, fmt="o-", capsize=3, label=name)
    if side_by_side:
        axes.margins(y=0.5 / len(names))
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xlabel("AUC, 95% interval; dotted: guessing")
        axes.axvline(0.5, color="grey", linestyle=":")
        axes.set_xlim(right=1.0)
    else:
        axes.set_xlabel("share of anomalous images in the unlabelled set")
        axes.set_ylabel("AUC, 95% interval; dotted: guessing")
        axes.axhline(0.5, color="grey", linestyle=":")
        axes.legend(fontsize="small")
    with write_whole(path) as partial:
        figure.savefig(partial, dpi=150)
