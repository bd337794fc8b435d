"""What the commands measured, as tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["show_classification", "show_comparison", "show_detection"]


def show_detection(metrics: Mapping[str, Any], title: str | None = None) -> None:
    """Shows how well anomalies were found.

    Args:
        metrics: as an evaluation gives them.
        title: above the table.
    """
    table = Table(show_header=False, title=title, title_justify="left")
    for name, key in (("AUC", "auc"), ("Average precision", "average_precision")):
        value = metrics[key]
        if value is not None:
            table.add_row(name, _with_interval(value))
    pixels = (("Pixel average precision", "pixel_average_precision"), ("Dice", "dice"))
    for name, key in (*pixels, ("Dice of the findings", "findings_dice")):
        if metrics[key] is not None:
            table.add_row(name, f"{metrics[key]:.3f}")
    if metrics["peak_inside_share"] is not None:
        table.add_row("Peaks inside the lesion", _with_interval(metrics["peak_inside_share"]))
    if metrics["at_threshold"] is not None:
        names = (("False positives", "false_positive_rate"), ("Sensitivity", "sensitivity"))
        for name, value in ((name, metrics["at_threshold"][key]) for name, key in names):
            if value is not None:
                table.add_row(f"{name} at the threshold", _with_interval(value))
    for what, key in (("with a finding", "with_findings"), ("out of distribution", "out_of_distribution")):
        for kind, value in (metrics[key] or {}).items():
            if value is not None:
                table.add_row(f"{kind.capitalize()} cases {what}", _with_interval(value))
    table.add_row("Test cases", f"{metrics['num_healthy']} healthy, {metrics['num_anomalous']} anomalous")
    Console().print(table)


def show_classification(metrics: Mapping[str, Any]) -> None:
    """Shows how well a classifier did.

    Args:
        metrics: as an evaluation of a classifier gives them.
    """
    table = Table(show_header=False)
    table.add_row("Accuracy", _with_interval(metrics["accuracy"]))
    if metrics["macro_auc"] is not None:
        table.add_row("Macro AUC", _with_interval(metrics["macro_auc"]))
    counts = ", ".join(f"{count} {name}" for name, count in metrics["num_per_class"].items())
    table.add_row("Test cases", counts)
    Console().print(table)


def show_comparison(headings: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """Shows a comparison.

    Args:
        headings: of the columns that are shown.
        rows: of each row, the texts of these columns, and of others that are left out.
        title: above the table.
    """
    table = Table(*headings, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row[: len(headings)])
    Console().print(table)


def _with_interval(value: Mapping[str, float]) -> str:
    return f"{value['value']:.3f}  (95% interval {value['low']:.3f} to {value['high']:.3f})"
