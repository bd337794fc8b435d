"""A result in plain words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .results import AnomalyResult, Finding, Peak

__all__ = ["Description", "describe", "percent"]

_LOW_P_VALUE = 0.05
_CONTRAST = "contrast"


@dataclass(frozen=True)
class Description:
    """A result in words.

    Attributes:
        notice: what has to be seen before all else, why the result is not to be relied on; empty without such a reason.
        text: what was found, a few sentences.
    """

    notice: str
    text: str


def describe(result: AnomalyResult) -> Description:
    """A result in plain words, for somebody who reads images and not code.

    Args:
        result: of an image or a volume, of a map or a classifier.
    """
    sentences = [
        _describe_classes(result),
        _describe_score(result),
        _describe_slices(result),
        _describe_findings(result),
        _describe_peak(result),
        *_other_warnings(result),
    ]
    return Description(_describe_stranger(result), " ".join(sentence for sentence in sentences if sentence))


def _describe_stranger(result: AnomalyResult) -> str:
    if not result.is_stranger:
        return ""
    judged = (
        "Whether it is unusual was not judged."
        if result.p_value is None
        else "It was judged all the same, as you asked; these numbers promise nothing."
    )
    sentences = [
        "Do not rely on this result: the image is not of the kind that the bundle was made for.",
        *result.stranger_reasons,
        judged,
    ]
    return " ".join(sentences)


def _other_warnings(result: AnomalyResult) -> list[str]:
    """The warnings, but for the one that only repeats why the image is of another kind."""
    reasons = result.stranger_reasons if result.is_stranger else ()
    return [text for text in result.warnings if not reasons or not all(reason in text for reason in reasons)]


def _describe_classes(result: AnomalyResult) -> str:
    if not result.classes:
        return ""
    ranked = sorted(result.classes, key=lambda item: -item.probability)
    told = ", ".join(f"{item.name} {percent(item.probability)}" for item in ranked)
    return f"Most probable is {ranked[0].name} ({told})." if len(ranked) > 1 else f"{told}."


def _describe_score(result: AnomalyResult) -> str:
    if result.anomaly_score is None:
        return ""
    parts = []
    if result.p_value is not None:
        parts.append(_among_healthy(result.p_value))
    parts.append(_beside_threshold(result))
    if result.score_kind == _CONTRAST:
        parts.append(
            "The score was learned from how healthy images differ from unlabelled ones; it is no mean of the map."
        )
    if result.p_value is None and result.is_anomalous is None and not result.is_stranger:
        parts.append(
            "It was not compared with healthy images: the score only means something beside those of other images by "
            "the same bundle."
        )
    return " ".join(parts)


def _among_healthy(p_value: float) -> str:
    """What a p-value says, in whole images, rounded to what is less extraordinary."""
    of = 100
    while p_value * of < 1 and of < 1_000_000:
        of *= 10
    as_unusual = min(of, math.ceil(p_value * of - 1e-6))
    if p_value <= 0.5:
        return f"More unusual than {of - as_unusual} of {of} healthy images (p = {p_value:.2g})."
    return f"Not unusual: {as_unusual} of {of} healthy images are as unusual or more (p = {p_value:.2g})."


def _beside_threshold(result: AnomalyResult) -> str:
    score = f"{result.anomaly_score:.3g}"
    if result.threshold is None:
        return f"Score {score}."
    side = "above" if result.anomaly_score > result.threshold else "not above"
    rate = result.false_positive_rate
    share = "" if rate is None else f"; {_in_hundred(rate)} healthy images lie above it"
    return f"The score, {score}, is {side} the threshold, {result.threshold:.3g}{share}."


def _in_hundred(share: float) -> str:
    """A share as "5 in 100"; small ones in a larger number."""
    of = 100
    while not math.isclose(share * of, round(share * of), abs_tol=1e-6) and of < 1_000_000:
        of *= 10
    return f"{round(share * of)} in {of}"


def _describe_slices(result: AnomalyResult) -> str:
    """How many slices stand out, beside how many would by chance."""
    p_values = [p_value for p_value in result.slice_p_values if p_value is not None]
    low = sum(p_value <= _LOW_P_VALUE for p_value in p_values)
    if not low:
        return ""
    slices = "1 slice has" if low == 1 else f"{low} of {len(p_values)} slices have"
    by_chance = _LOW_P_VALUE * len(p_values)
    return (
        f"{slices} a p-value of {_LOW_P_VALUE:g} or less, each beside its like; by chance it would be {by_chance:.2g}."
    )


def _describe_findings(result: AnomalyResult) -> str:
    findings = result.findings
    if findings is None:
        # A scale that is there without findings rests on too few images to tell where extraordinary begins.
        is_told = result.peak is None or result.peak.deviation is None or result.is_stranger
        return "" if is_told else "Too few healthy images are known to tell which regions stand out."
    if not findings:
        return "No findings: no region deviates more than healthy images do somewhere. That does not rule out a lesion."
    first = findings[0]
    told = f"{first.deviation:.1f} standard deviations from healthy images, {_place_of(first, result)}"
    if len(findings) == 1:
        return f"1 finding: it deviates {told}."
    return f"{len(findings)} findings: the first deviates most, {told}."


def _describe_peak(result: AnomalyResult) -> str:
    peak = result.peak
    if peak is None:
        return "" if result.has_map else "There is no weight map: this bundle was trained without one."
    if result.findings:
        return ""  # the first of them is the peak
    map_name = "weight map" if result.classes else "map"
    if peak.deviation is not None and peak.deviation > 0:
        return f"It deviates most, {peak.deviation:.1f} standard deviations, {_place_of(peak, result)}."
    if peak.value <= 0:
        return f"The {map_name} is zero everywhere."
    if peak.deviation is not None:
        return "It deviates from healthy images nowhere."
    return f"The {map_name} is highest ({peak.value:.2g}) {_place_of(peak, result)}."


def _place_of(peak: Peak | Finding, result: AnomalyResult) -> str:
    """The slice of a volume that was taken apart, and the place; of a picture, column and row."""
    place = f"at {_in_mm(peak.lps_mm)}" if peak.lps_mm else ""
    if result.slice_axis is not None:
        number = peak.voxel[result.slice_axis] + 1
        slices = f"in slice {number} of {len(result.slice_scores)}" if result.slice_scores else f"in slice {number}"
        return f"{slices}, {place}" if place else slices
    if place and len(peak.voxel) == 3:
        return place
    column, row = (*peak.voxel, 0, 0)[:2]
    return f"in column {column + 1}, row {row + 1}"


def _in_mm(lps_mm: Sequence[float]) -> str:
    """As slice views tell a place: the side, and how far."""
    sides = ("LR", "PA", "SI")
    return ", ".join(f"{side[value < 0]} {abs(value):.1f} mm" for side, value in zip(sides, lps_mm))


def percent(share: float) -> str:
    """A share, from 0 to 1, for people to read: almost nothing and almost all are not rounded away."""
    value = 100 * share
    if 0 < value < 0.1:
        return "less than 0.1 %"
    if 99.9 < value < 100:
        return "more than 99.9 %"
    return f"{value:.1f} %" if value < 10 or 99 < value < 100 else f"{value:.0f} %"
