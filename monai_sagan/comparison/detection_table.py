"""A comparison of methods of anomaly detection as tables for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from monai_sagan.comparison.cells import difference_and_interval, mean_and_spread
from monai_sagan.markdown import markdown_table

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
        parts.append(markdown_table(HEADINGS, detection_rows(result["methods"])) + "\n")
    return "\n".join([*parts, _explanation(comparison), ""])


def detection_rows(methods: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The rows of a table, one a method, in the order of ``HEADINGS``; empty where there is nothing to tell."""
    return [
        (
            name,
            mean_and_spread(found["auc"]),
            f"{found['auc']['low']:.3f} to {found['auc']['high']:.3f}",
            _if_told(difference_and_interval, found["difference"]),
            _if_told(_p_value, found["difference"]),
            _if_told(mean_and_spread, found["pixel_average_precision"]),
            _if_told(mean_and_spread, found["peak_inside_share"]),
            _if_told(_mean, found["seconds"]),
            _if_told(_mean, found["images_per_second"]),
            _if_told(_mean, found["peak_gpu_memory_mib"] or found["peak_memory_mib"]),
        )
        for name, found in methods.items()
    ]


def _if_told(text: Callable[[Mapping[str, Any]], str], found: Mapping[str, Any] | None) -> str:
    return "" if found is None else text(found)


def _mean(found: Mapping[str, Any]) -> str:
    return f"{found['mean']:.0f}"


def _p_value(found: Mapping[str, Any]) -> str:
    if found["p_value"] is None:
        return ""
    return "< 0.0001" if found["p_value"] < 1e-4 else f"{found['p_value']:.4f}"


def _explanation(comparison: Mapping[str, Any]) -> str:
    first, count = next(iter(comparison["results"][0]["methods"])), comparison["num_seeds"]
    seeds = "one seed" if count == 1 else f"{count} seeds"
    spread = "" if count == 1 else " ± standard deviation over the seeds"
    chance = (
        "the choice of the test images, but not the chance in training, which takes several seeds"
        if count == 1
        else "both the choice of the test images and the chance in training (the spread over the seeds)"
    )
    return (
        f"{comparison['num_healthy']} healthy and {comparison['num_anomalous']} anomalous test images of "
        f"{comparison['data']}, {seeds}, {comparison['minutes']:g} minutes of training steps for each method. AUC: "
        f"mean{spread}. Intervals cover {chance}: Newcombe's of an AUC, DeLong's of a difference. Difference: AUC of "
        f"{first} less that of the method, on the same test images; p of no difference, two-sided, not corrected for "
        "the number of methods. Pixel AP and peaks inside (the share of outlined cases whose map is highest inside the "
        "lesion) only where lesions are outlined and the method has a map. Training in seconds, with reading and "
        "preparing the images; memory of the process, or of the GPU."
    )
