"""What several measurements of one thing amount to, without the libraries that were measured."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from monai_sagan.markdown import markdown_table

__all__ = ["compare", "ratios", "spread", "spread_text", "table_of"]


def ratios(slow: list[float], fast: list[float]) -> list[float]:
    """How many times as fast the second was, turn by turn."""
    return [one / other for one, other in zip(slow, fast, strict=True)]


def spread(values: list[float]) -> dict[str, float]:
    """``median``, ``least`` and ``most``."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def spread_text(found: Mapping[str, float], form: str) -> str:
    """A :func:`spread` in words: the median, and in brackets least and most, each in a form such as ``.1f``."""
    return f"{found['median']:{form}} ({found['least']:{form}} to {found['most']:{form}})"


def compare(what: str, slow: tuple[str, list[float]], fast: tuple[str, list[float]]) -> dict[str, Any]:
    """A row of a result: ``what`` was done, the spread of either's seconds by its name, and that of their ``ratio``."""
    (slow_name, slow_seconds), (fast_name, fast_seconds) = slow, fast
    return {
        "what": what,
        slow_name: spread(slow_seconds),
        fast_name: spread(fast_seconds),
        "ratio": spread(ratios(slow_seconds, fast_seconds)),
    }


def table_of(headings: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of :func:`compare` as Markdown: medians, and in brackets least and most."""
    cells = [[row["what"], *(spread_text(row[key], ".3g") for key in row if key != "what")] for row in rows]
    return markdown_table(headings, cells)
