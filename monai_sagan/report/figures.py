"""The charts of a report, as SVG that is part of the page.

Colours are the page's CSS variables, so that a chart follows a light or a dark scheme, and text is text in the page's
own font.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike
from sklearn.metrics import precision_recall_curve, roc_curve

__all__ = ["class_roc_figure", "precision_recall_figure", "roc_figure", "score_histogram"]

# matplotlib knows no CSS variables: it draws in these colours, which nothing else has, and they are replaced.
_INK, _MUTED, _HEALTHY, _ANOMALOUS = "#010101", "#010102", "#010103", "#010104"
_CSS = {_INK: "var(--ink)", _MUTED: "var(--muted)", _HEALTHY: "var(--healthy)", _ANOMALOUS: "var(--anomalous)"}

_STYLE: Any = {
    "svg.fonttype": "none",
    "text.usetex": False,
    "axes.edgecolor": _MUTED,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "font.size": 10,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
}
_SIZE = (4.2, 3.4)  # inches; text is then of the page's size when a chart is as wide as a phone,
_SMALL_SIZE = (2.1, 1.9)  # or as half of one
_BINS = 20


def roc_figure(labels: Sequence[int], scores: Sequence[float]) -> str:
    """Draws the ROC curve.

    Args:
        labels: 0 for healthy, 1 for anomalous; both are present.
        scores: one a label.

    Returns:
        An `<svg>` element.
    """

    def draw(figure: Figure) -> None:
        axes = _unit_axes(figure, "Healthy marked (false positive rate)", "Anomalous found (true positive rate)")
        axes.text(0.66, 0.6, "guessing", color=_MUTED, fontsize=9, va="top")
        _plot_roc(axes, labels, scores)

    return _svg(draw, "roc", "ROC curve: share of anomalous cases found, by share of healthy cases marked")


def class_roc_figure(is_class: ArrayLike, probabilities: ArrayLike, number: int) -> str:
    """Draws the ROC curve of one class of several against the rest, small.

    Args:
        is_class: whether an image is of the class; some are, and some are not.
        probabilities: of the class, one an image.
        number: of the class, another one for every class of a page.

    Returns:
        An `<svg>` element.
    """

    def draw(figure: Figure) -> None:
        axes = _unit_axes(figure, "Others marked", "Class found")
        axes.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        _plot_roc(axes, is_class, probabilities)

    return _svg(draw, f"roc-{number}", "ROC curve: share of the class found, by share of others marked", _SMALL_SIZE)


def precision_recall_figure(labels: Sequence[int], scores: Sequence[float]) -> str:
    """Draws the precision-recall curve.

    Args:
        labels: 0 for healthy, 1 for anomalous; both are present.
        scores: one a label.

    Returns:
        An `<svg>` element.
    """
    precision, recall, _ = precision_recall_curve(labels, scores)
    guessing = float(np.mean(labels))

    def draw(figure: Figure) -> None:
        axes = _unit_axes(figure, "Anomalous found (recall)", "Marked that are anomalous (precision)")
        axes.axhline(guessing, color=_MUTED, linestyle="--", linewidth=1)
        # Above the line where there is no room below it.
        above = guessing < 0.15
        axes.annotate(
            "guessing",
            (0.02, guessing),
            xytext=(0, 3 if above else -3),
            textcoords="offset points",
            va="bottom" if above else "top",
            color=_MUTED,
            fontsize=9,
        )
        # Average precision is the area under steps, so steps are drawn.
        axes.plot(recall, precision, color=_ANOMALOUS, linewidth=2, drawstyle="steps-post")

    return _svg(draw, "precision-recall", "Precision-recall curve: share of marked cases that are anomalous, by recall")


def score_histogram(labels: Sequence[int], scores: Sequence[float]) -> str:
    """Draws how the scores of each class that is present are spread, one class above the other on a common axis.

    Args:
        labels: 0 for healthy, 1 for anomalous.
        scores: one a label.

    Returns:
        An `<svg>` element.
    """
    truth, values = np.asarray(labels), np.asarray(scores, dtype=float)
    # Scores that are (almost) the same still need bins of some width.
    low, high = values.min(), values.max()
    edges = np.linspace(low, max(high, low + 1e-6 * abs(low), low + 1e-12), _BINS + 1)

    def draw(figure: Figure) -> None:
        present = np.unique(truth)
        panels = figure.subplots(present.size, 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for axes, label in zip(panels, present, strict=True):
            group = values[truth == label]
            name, colour = ("Anomalous", _ANOMALOUS) if label else ("Healthy", _HEALTHY)
            # Shares, not counts, so that classes of different sizes compare.
            axes.hist(group, bins=edges, weights=np.full(group.size, 1.0 / group.size), color=colour)
            axes.set_title(f"{name}, n = {group.size}", loc="left", color=colour, fontsize=10, fontweight="bold")
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        figure.supylabel("Share of the class", fontsize=10)
        panels[-1].set_xlabel("Anomaly score")
        panels[-1].xaxis.set_major_locator(MaxNLocator(5))

    return _svg(draw, "histogram", "Histogram of the anomaly scores, one for each class")


def _plot_roc(axes: Axes, labels: ArrayLike, scores: ArrayLike) -> None:
    """Draws an ROC curve, and that of guessing."""
    false_positive_rate, true_positive_rate, _ = roc_curve(labels, scores)
    axes.plot([0, 1], [0, 1], color=_MUTED, linestyle="--", linewidth=1)
    axes.plot(false_positive_rate, true_positive_rate, color=_ANOMALOUS, linewidth=2)


def _unit_axes(figure: Figure, xlabel: str, ylabel: str) -> Axes:
    """Axes from 0 to 1, with room for a line that runs along a border."""
    axes = figure.subplots()
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), xlabel=xlabel, ylabel=ylabel)
    return axes


def _svg(draw: Callable[[Figure], None], name: str, description: str, size: tuple[float, float] = _SIZE) -> str:
    """Draws a figure and makes its SVG fit to stand within a page.

    Args:
        draw: draws on an empty figure.
        name: of the figure, another one for every figure of a page.
        description: what it shows, for those who do not see it.
        size: width and height in inches.

    Returns:
        An `<svg>` element.
    """
    buffer = io.StringIO()
    # The name as salt keeps ids of several figures in one page apart, and the same from run to run.
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=no_metadata)

    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'<svg[^>]*(viewBox="[^"]*")[^>]*>', rf'<svg \1 role="img" aria-label="{description}">', svg, count=1)
    # A style sheet within an SVG would hold for the whole page; ids of groups, which nothing refers to, would be
    # there once a figure.
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"font-family: [^;\"]*;?", "", svg)
    for colour, variable in _CSS.items():
        svg = svg.replace(colour, variable)
    return svg
