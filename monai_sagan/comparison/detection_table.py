"""A comparison of methods of anomaly detection as tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["HEADINGS", "detection_rows", "detection_table"]

HEADINGS = (
    "method",
    "AUC",
    "95% interval",
    "difference (95% interval)",
    "p",
    "pixel AP",
    "peaks inside",
    "training s",
    "images/s",
    "memory MiB",
)


def detection_table(comparison: Mapping[str, Any]) -> str:
    """A comparison in Markdown.

    Args:
        comparison: as :func:`~monai_sagan.comparison.compare_detection` gives it.

    Returns:
        A table for each anomaly ratio, and how they are to be read.
    """
    parts = []
    for result in comparison["results"]:
        if result["anomaly_ratio"] is not None:
            parts.append(f"Anomaly ratio {result['anomaly_ratio']:g}:\n")
        rows = [HEADINGS, tuple("---" for _ in HEADINGS), *detection_rows(result["methods"])]
        parts.append("\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n")
    return "\n".join([*parts, _explanation(comparison), ""])


def detection_rows(methods: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The rows of a table, one a method, in the order of ``HEADINGS``; empty where there is nothing to tell."""
    return [
        (
            name,
            _mean_and_spread(found["auc"], ".3f"),
            f"{found['auc']['low']:.3f} to {found['auc']['high']:.3f}",
            *_difference(found["difference"]),
            _mean_and_spread(found["pixel_average_precision"], ".3f"),
            _mean_and_spread(found["peak_inside_share"], ".3f"),
            _mean(found["seconds"]),
            _mean(found["images_per_second"]),
            _mean(found["peak_gpu_memory_mib"] or found["peak_memory_mib"]),
        )
        for name, found in methods.items()
    ]


def _mean_and_spread(found: Mapping[str, Any] | None, form: str) -> str:
    if found is None:
        return ""
    spread = "" if found["spread"] is None else f" ± {found['spread']:{form}}"
    return f"{found['mean']:{form}}{spread}"


def _mean(found: Mapping[str, Any] | None) -> str:
    return "" if found is None else f"{found['mean']:.0f}"


def _difference(found: Mapping[str, Any] | None) -> tuple[str, str]:
    if found is None:
        return "", ""
    if found["low"] is None:
        return f"{found['mean']:+.3f}", ""
    interval = f"{found['mean']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f})"
    return interval, "< 0.0001" if found["p_value"] < 1e-4 else f"{found['p_value']:.4f}"


def _explanation(comparison: Mapping[str, Any]) -> str:
    first, count = next(iter(comparison["results"][0]["methods"])), comparison["num_seeds"]
    seeds = "one seed" if count == 1 else f"{count} seeds"
    spread = "" if count == 1 else " ± standard deviation over the seeds"
    chance = (
        "the choice of the test images (DeLong), but not the chance in training, which takes several seeds"
        if count == 1
        else "both the choice of the test images (DeLong, on the mean over the seeds) and the chance in training (the "
        "spread over the seeds)"
    )
    return (
        f"{comparison['num_healthy']} healthy and {comparison['num_anomalous']} anomalous test images of "
        f"{comparison['data']}, {seeds}, {comparison['minutes']:g} minutes of training steps for each method. AUC: "
        f"mean{spread}. Intervals cover {chance}. Difference: AUC of {first} less that of the method, on the same "
        "test images; p of no difference, two-sided, not corrected for the number of methods. Pixel AP and peaks "
        "inside (the share of outlined cases whose map is highest inside the lesion) only where lesions are "
        "outlined and the method has a map. Training in seconds, with reading and preparing the images; memory of the "
        "process, or of the GPU."
    )
