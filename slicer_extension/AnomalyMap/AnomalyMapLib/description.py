"""A result in plain words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .results import LOW_P_VALUE, AnomalyResult, Finding, Peak

__all__ = ["Description", "describe", "describe_finding", "percent", "size_in_words"]

_CONTRAST = "contrast"


@dataclass(frozen=True)
class Description:
    """A result in words.

    Attributes:
        notice: what has to be seen before all else, why the result is not to be relied on; empty without such a reason.
        text: what was found, a line for each thing that is said.
    """

    notice: str
    text: str


def describe(result: AnomalyResult, voxel_ml: float | None = None) -> Description:
    """A result in plain words, for somebody who reads images and not code.

    Scores, p-values and probabilities are not among them: whoever shows the words shows these figures beside them.

    Args:
        result: of an image or a volume, of a map or a classifier.
        voxel_ml: how large a voxel is; None for a picture.
    """
    lines = [
        _describe_classes(result),
        _describe_findings(result, voxel_ml),
        _describe_score(result),
        _describe_slices(result),
        _describe_learning(result),
        *_other_warnings(result),
    ]
    return Description(_describe_out_of_distribution(result), "\n".join(line for line in lines if line))


def describe_finding(result: AnomalyResult, finding: Finding, voxel_ml: float | None = None) -> str:
    """One of a result's findings in plain words.

    Args:
        result: the result.
        finding: one of its findings.
        voxel_ml: how large a voxel is; None for a picture.
    """
    findings = result.findings or ()
    return (
        f"Finding {findings.index(finding) + 1} of {len(findings)}: {_how_far(finding, voxel_ml)}. "
        f"A region that deviates as much is seen in {percent(finding.p_value)} of healthy images."
    )


def size_in_words(num_voxels: int, voxel_ml: float | None) -> str:
    """How large a region is: in ml; of a picture, whose pixels have no depth, in pixels."""
    if voxel_ml is None:
        return f"{num_voxels:,} pixel{'s' if num_voxels != 1 else ''}"
    ml = num_voxels * voxel_ml
    return f"{ml:,.1f} ml" if ml >= 1 else f"{ml:.2g} ml"


def _describe_out_of_distribution(result: AnomalyResult) -> str:
    if not result.is_ood:
        return ""
    judged = (
        "Whether it is unusual was not judged."
        if result.p_value is None
        else "It was judged all the same, as you asked; these numbers promise nothing."
    )
    sentences = [
        "Do not rely on this result: the image is not of the kind that the bundle was made for.",
        *result.ood_reasons,
        judged,
    ]
    return " ".join(sentences)


def _other_warnings(result: AnomalyResult) -> list[str]:
    """The warnings, but for the one that only repeats why the image is of another kind."""
    reasons = result.ood_reasons if result.is_ood else ()
    return [text for text in result.warnings if not reasons or not all(reason in text for reason in reasons)]


def _describe_classes(result: AnomalyResult) -> str:
    return f"Most probable is {result.ranked_classes[0].name}." if result.classes else ""


def _describe_score(result: AnomalyResult) -> str:
    """What the score says beside those of healthy images."""
    if result.anomaly_score is None:
        return ""
    told = [
        "" if result.p_value is None else _among_healthy(result.p_value),
        ""
        if result.threshold is None
        else _beside_threshold(result.anomaly_score, result.threshold, result.false_positive_rate),
    ]
    if not any(told) and not result.is_ood:
        return (
            "It was not compared with healthy images: the score only means something beside those of other images by "
            "the same bundle."
        )
    return _joined(told)


def _among_healthy(p_value: float) -> str:
    """What a p-value says, in whole images, rounded to what is less extraordinary."""
    of = 100
    while p_value * of < 1 and of < 1_000_000:
        of *= 10
    as_unusual = min(of, math.ceil(p_value * of - 1e-6))
    if p_value <= 0.5:
        return f"More unusual than {of - as_unusual} of {of} healthy images."
    return f"Not unusual: {as_unusual} of {of} healthy images are as unusual or more."


def _beside_threshold(score: float, threshold: float, rate: float | None) -> str:
    side = "above" if score > threshold else "not above"
    share = "" if rate is None else f"; {_in_hundred(rate)} healthy images lie above it"
    return f"The score is {side} the threshold, {threshold:.3g}{share}."


def _in_hundred(share: float) -> str:
    """A share as "5 in 100"; small ones in a larger number."""
    of = 100
    while not math.isclose(share * of, round(share * of), abs_tol=1e-6) and of < 1_000_000:
        of *= 10
    return f"{round(share * of)} in {of}"


def _describe_slices(result: AnomalyResult) -> str:
    """How many slices stand out, beside how many would by chance."""
    p_values = [p_value for p_value in result.slice_p_values if p_value is not None]
    low = sum(p_value <= LOW_P_VALUE for p_value in p_values)
    if not low:
        return ""
    slices = "1 slice has" if low == 1 else f"{low} of {len(p_values)} slices have"
    return (
        f"{slices} a p-value of {LOW_P_VALUE:g} or less, compared with slices of healthy images at the same height; "
        f"by chance, about {LOW_P_VALUE * len(p_values):.2g} would."
    )


def _describe_learning(result: AnomalyResult) -> str:
    if result.score_kind != _CONTRAST:
        return ""
    return (
        "The score was learned from how healthy images differ from unlabelled ones; it is not the average of the map."
    )


def _describe_findings(result: AnomalyResult, voxel_ml: float | None) -> str:
    """The findings, and without any the place that deviates most."""
    findings = result.findings
    if findings is None:
        # A scale that is there without findings rests on too few images to tell where extraordinary begins.
        is_told = result.peak is None or result.peak.deviation is None or result.is_ood
        told = "" if is_told else "Too few healthy images are known to tell which regions stand out."
        return _joined([told, _describe_peak(result)])
    if not findings:
        told = "No findings: no region deviates more than those of healthy images do. That does not rule out a lesion."
        return _joined([told, _describe_peak(result)])
    first = f"{_how_far(findings[0], voxel_ml)}, {_place_of(findings[0], result)}"
    if len(findings) == 1:
        return f"1 finding: it deviates {first}."
    return f"{len(findings)} findings: the first deviates most, {first}."


def _how_far(finding: Finding, voxel_ml: float | None) -> str:
    size = size_in_words(finding.num_voxels, voxel_ml)
    return f"{finding.deviation:.1f} standard deviations from healthy images, {size}"


def _describe_peak(result: AnomalyResult) -> str:
    peak = result.peak
    if peak is None:
        return "" if result.has_map else "There is no weight map: this bundle was trained without one."
    map_name = "weight map" if result.classes else "map"
    if peak.deviation is not None and peak.deviation > 0:
        return f"It deviates most, {peak.deviation:.1f} standard deviations, {_place_of(peak, result)}."
    if peak.value <= 0:
        return f"The {map_name} is zero everywhere."
    if peak.deviation is not None:
        return "It deviates from healthy images nowhere."
    return f"The {map_name} is highest ({peak.value:.2g}) {_place_of(peak, result)}."


def _joined(sentences: Sequence[str]) -> str:
    return " ".join(sentence for sentence in sentences if sentence)


def _place_of(peak: Peak | Finding, result: AnomalyResult) -> str:
    """The slice of a volume, and the place; of a picture, column and row."""
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
