"""A comparison of networks with and without global attention as a table for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai_sagan.comparison.cells import difference_and_interval, mean_and_spread
from monai_sagan.markdown import markdown_table

__all__ = ["comparison_rows", "comparison_table"]

_HEADINGS = ("network", "measure", "without attention", "with attention", "difference (95% interval)", "p")
_NAMES = {"accuracy": "accuracy", "macro_auc": "macro AUC"}


def comparison_table(comparison: Mapping[str, Any]) -> str:
    """A comparison in Markdown.

    Args:
        comparison: as :func:`~monai_sagan.comparison.compare_attention` gives it.

    Returns:
        A table, and how it is to be read.
    """
    table = markdown_table(_HEADINGS, comparison_rows(comparison))
    return f"{table}\n\n{_explanation(comparison)}\n"


def comparison_rows(comparison: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The rows of the table: network, measure, without and with attention, difference, p-value."""
    return [
        (
            name,
            _NAMES[measure],
            mean_and_spread(found["without"]),
            mean_and_spread(found["with"]),
            difference_and_interval(found["difference"]),
            "" if found["difference"]["p_value"] is None else f"{found['difference']['p_value']:.3f}",
        )
        for name, summary in comparison["backbones"].items()
        for measure, found in summary.items()
    ]


def _explanation(comparison: Mapping[str, Any]) -> str:
    count = comparison["num_seeds"]
    if not comparison["is_divided_anew"]:
        return f"Mean and standard deviation over {count} seeds of the training; paired t-test, not corrected for many."
    return (
        f"Mean and standard deviation over {count} divisions of the images into training and test; paired t-test, "
        "corrected for what the trainings share (Nadeau and Bengio, 2003), not for the number of tests."
    )
