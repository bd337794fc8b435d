"""A result, as its JSON says it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from .i18n import tr as _

__all__ = [
    "JSON_ENDING",
    "LOW_P_VALUE",
    "MAP_ENDINGS",
    "AnomalyResult",
    "BundleOfResult",
    "ClassProbability",
    "Finding",
    "Peak",
    "ResultError",
    "read_result",
    "result_from_dict",
    "result_to_json",
]

# Of the files of a result: what follows NAME, and what follows NAME_anomaly where it is a map.
JSON_ENDING = "_anomaly.json"
MAP_ENDINGS = (".nrrd", ".nii.gz", ".nii", ".mha")

# From where on down a slice is said to stand out among those of healthy images.
LOW_P_VALUE = 0.05

_SCHEMA = "2"
_MINOR_VERSION = 0
_T = TypeVar("_T")


class ResultError(ValueError):
    """A result that cannot be used; the sentence says why."""


@dataclass(frozen=True)
class Peak:
    """Where an image deviates most from healthy ones; where that is not known, where its map is highest.

    Attributes:
        voxel: index in the order of the file's axes.
        lps_mm: the place in millimetres (left, posterior, superior); None without geometry.
        value: the map there.
        deviation: in standard deviations from healthy images; None where that is not known.
    """

    voxel: tuple[int, ...]
    lps_mm: tuple[float, float, float] | None
    value: float
    deviation: float | None = None


@dataclass(frozen=True)
class Finding:
    """A region that deviates more than healthy images do anywhere.

    Attributes:
        label: its number in the map of findings, from 1.
        voxel: where it deviates most, index in the order of the file's axes.
        lps_mm: the same in millimetres (left, posterior, superior); None without geometry.
        deviation: there, in standard deviations from healthy images.
        num_voxels: how large it is.
        p_value: the share of healthy images that deviate as much anywhere.
    """

    label: int
    voxel: tuple[int, ...]
    lps_mm: tuple[float, float, float] | None
    deviation: float
    num_voxels: int
    p_value: float


@dataclass(frozen=True)
class ClassProbability:
    """How probable a classifier holds a class, from 0 to 1."""

    name: str
    probability: float


@dataclass(frozen=True)
class BundleOfResult:
    """The bundle that made a result."""

    name: str
    version: str


@dataclass(frozen=True)
class AnomalyResult:
    """What is said of one image; docs/reference/results.md has the meaning of each field.

    Attributes:
        anomaly_map: the map's file, of a classifier the weight map's; None if there is none any more.
        input: name of the file that was read.
        anomaly_score: None for a classifier.
        p_value, threshold, is_anomalous: None unless the bundle is calibrated.
        slice_axis: array axis along which a volume was cut into slices; None for a 2D image.
        slice_scores: one a slice, in the order of the axis.
        peak: None where the result has none.
        classes: of a classifier, as it names them.
        bundle: what made it.
        warnings: sentences.
        map_threshold: from where on the map counts as anomalous, as it was asked for.
        slice_p_values: one a slice, None for background; empty unless the bundle is calibrated with volumes.
        score_kind: what the score is, "residual" (the mean of the map) or "contrast" (learned from how healthy images
            differ from unlabelled ones); None for a classifier, and where it is not told.
        false_positive_rate: the share of healthy images above the threshold, and with any finding; None if not told.
        findings: the most extraordinary one first; None where it cannot be told.
        finding_threshold: standard deviations from healthy images above which a place is a finding; None likewise.
        is_ood: whether the image is of another kind than those that the bundle was made for; None where it cannot
            be told.
        ood_reasons: why, in sentences.
        deviation_map: file of the map in standard deviations from healthy images; None without one.
        findings_map: file of the findings, voxels with their labels; None without one.
    """

    anomaly_map: Path | None
    input: str
    anomaly_score: float | None
    p_value: float | None
    threshold: float | None
    is_anomalous: bool | None
    slice_axis: int | None
    slice_scores: tuple[float, ...]
    peak: Peak | None
    classes: tuple[ClassProbability, ...]
    bundle: BundleOfResult
    warnings: tuple[str, ...]
    map_threshold: float | None
    slice_p_values: tuple[float | None, ...] = ()
    score_kind: str | None = None
    false_positive_rate: float | None = None
    findings: tuple[Finding, ...] | None = None
    finding_threshold: float | None = None
    is_ood: bool | None = None
    ood_reasons: tuple[str, ...] = ()
    deviation_map: Path | None = None
    findings_map: Path | None = None

    @property
    def has_map(self) -> bool:
        """Whether a map belongs to it: a classifier that was trained without attention has none, and so no peak."""
        return self.peak is not None or not self.classes

    @property
    def shown_map(self) -> Path | None:
        """The map to look at: the one in standard deviations from healthy images, where there is one."""
        return self.deviation_map or self.anomaly_map

    @property
    def ranked_classes(self) -> tuple[ClassProbability, ...]:
        """The classes, the most probable one first."""
        return tuple(sorted(self.classes, key=lambda item: -item.probability))


def result_from_dict(values: Mapping[str, Any], anomaly_map: Path | None = None) -> AnomalyResult:
    """A result from its JSON, or from the event ``result``. Fields that are not known are ignored.

    Args:
        values: the JSON's content.
        anomaly_map: the map's file; without it, the one that ``values`` name, if any.

    Raises:
        ResultError: if it is of another schema, or a field is missing or has a value that makes no sense.
    """
    version = _field(values, "schema_version", _word)
    if version.split(".")[0] != _SCHEMA:
        raise ResultError(
            _(
                "The result has schema version {version}, and this extension reads {known}.x; install versions of the "
                "extension and of monai-sagan that belong together."
            ).format(version=version, known=_SCHEMA)
        )
    slice_axis = _optional(values, "slice_axis", _index)
    peak = _optional(values, "peak", _peak)
    if slice_axis is not None and peak is not None and slice_axis >= len(peak.voxel):
        raise ResultError(
            _("The result's slice_axis is {axis}, but its peak has {count} axes.").format(
                axis=slice_axis, count=len(peak.voxel)
            )
        )
    slice_scores = _optional(values, "slice_scores", _numbers) or ()
    slice_p_values = _optional(values, "slice_p_values", _numbers_or_none) or ()
    if slice_p_values and len(slice_p_values) != len(slice_scores):
        raise ResultError(
            _("The result has {scores} slice_scores, but {p_values} slice_p_values.").format(
                scores=len(slice_scores), p_values=len(slice_p_values)
            )
        )
    return AnomalyResult(
        anomaly_map=anomaly_map or _optional(values, "anomaly_map", _path),
        input=_field(values, "input", _word),
        anomaly_score=_optional(values, "anomaly_score", _number),
        p_value=_optional(values, "p_value", _number),
        threshold=_optional(values, "threshold", _number),
        is_anomalous=_optional(values, "is_anomalous", _switch),
        slice_axis=slice_axis,
        slice_scores=slice_scores,
        peak=peak,
        classes=_optional(values, "classes", _classes) or (),
        bundle=_field(values, "bundle", _bundle),
        warnings=_optional(values, "warnings", _sentences) or (),
        map_threshold=_optional(_optional(values, "settings", _mapping) or {}, "map_threshold", _number),
        slice_p_values=slice_p_values,
        score_kind=_optional(values, "score_kind", _word),
        false_positive_rate=_optional(values, "false_positive_rate", _number),
        findings=_optional(values, "findings", _findings),
        finding_threshold=_optional(values, "finding_threshold", _number),
        is_ood=_optional(values, "is_ood", _switch),
        ood_reasons=_optional(values, "ood_reasons", _sentences) or (),
        deviation_map=_optional(values, "deviation_map", _path),
        findings_map=_optional(values, "findings_map", _path),
    )


def read_result(path: Path) -> AnomalyResult:
    """A result from ``NAME_anomaly.json``, with the maps that lie beside it.

    Args:
        path: the JSON file.

    Raises:
        ResultError: if there is no such file, it cannot be read, or is no result; the sentence names the file.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultError(
            _("{path}: {reason}; choose a file that ends in {ending}.").format(
                path=path, reason=error.strerror, ending=JSON_ENDING
            )
        ) from error
    except (ValueError, RecursionError) as error:
        raise ResultError(
            _("{path}: this file is damaged or no JSON; choose one that ends in {ending}.").format(
                path=path, ending=JSON_ENDING
            )
        ) from error
    if not isinstance(values, dict):
        raise ResultError(
            _("{path}: this file holds no result; choose one that ends in {ending}.").format(
                path=path, ending=JSON_ENDING
            )
        )
    try:
        result = result_from_dict(values)
    except ResultError as error:
        raise ResultError(f"{path}: {error}") from error
    # Only what the result speaks of: others may lie there from an earlier run.
    has_deviation = result.peak is not None and result.peak.deviation is not None
    return replace(
        result,
        anomaly_map=_beside(path, "anomaly"),
        deviation_map=_beside(path, "deviation") if has_deviation else None,
        findings_map=_beside(path, "findings") if result.findings else None,
    )


def _beside(path: Path, kind: str) -> Path | None:
    """The map of a kind that lies beside a result's JSON."""
    name = path.name.removesuffix(".json").removesuffix("_anomaly")
    files = (path.with_name(f"{name}_{kind}{ending}") for ending in MAP_ENDINGS)
    return next((file for file in files if file.is_file()), None)


def result_to_json(result: AnomalyResult) -> str:
    """The JSON from which :func:`result_from_dict` makes the same result, but for the files of its maps.

    It is kept in scenes, which are passed on: maps are nodes there, and a path may tell who the patient is.

    Args:
        result: what to keep.

    Returns:
        One line.
    """
    values = asdict(result)
    for name in ("anomaly_map", "deviation_map", "findings_map"):
        del values[name]
    values["settings"] = {"map_threshold": values.pop("map_threshold")}
    values["schema_version"] = f"{_SCHEMA}.{_MINOR_VERSION}"
    return json.dumps(values)


# What a field may be. Each takes the field's name for what it says, and its value.


def _field(values: Mapping[str, Any], name: str, kind: Callable[[str, Any], _T]) -> _T:
    if values.get(name) is None:
        raise ResultError(_("The result has no {name}.").format(name=name))
    return kind(name, values[name])


def _optional(values: Mapping[str, Any], name: str, kind: Callable[[str, Any], _T]) -> _T | None:
    return None if values.get(name) is None else kind(name, values[name])


def _word(name: str, value: Any) -> str:
    return _of_type(name, value, str, _("text"))


def _path(name: str, value: Any) -> Path:
    return Path(_word(name, value))


def _switch(name: str, value: Any) -> bool:
    return _of_type(name, value, bool, _("true or false"))


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    return _of_type(name, value, Mapping, _("an object"))


def _items(name: str, value: Any) -> Sequence[Any]:
    return _of_type(name, value, (list, tuple), _("a list"))


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= sys.float_info.max:
        raise _unlike(name, value, _("a finite number"))
    return float(value)


def _index(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _unlike(name, value, _("a whole number, 0 or more"))
    return value


def _numbers(name: str, value: Any) -> tuple[float, ...]:
    return tuple(_number(name, item) for item in _items(name, value))


def _numbers_or_none(name: str, value: Any) -> tuple[float | None, ...]:
    return tuple(None if item is None else _number(name, item) for item in _items(name, value))


def _sentences(name: str, value: Any) -> tuple[str, ...]:
    return tuple(_word(name, item) for item in _items(name, value))


def _place_in_mm(name: str, value: Any) -> tuple[float, float, float]:
    numbers = _numbers(name, value)
    if len(numbers) != 3:
        raise _unlike(name, value, _("three numbers"))
    return cast(tuple[float, float, float], numbers)


def _peak(name: str, value: Any) -> Peak:
    peak = _mapping(name, value)
    return Peak(
        tuple(_index("voxel", item) for item in _field(peak, "voxel", _items)),
        _optional(peak, "lps_mm", _place_in_mm),
        _field(peak, "value", _number),
        _optional(peak, "deviation", _number),
    )


def _findings(name: str, value: Any) -> tuple[Finding, ...]:
    return tuple(_finding(_mapping(name, item)) for item in _items(name, value))


def _finding(values: Mapping[str, Any]) -> Finding:
    return Finding(
        label=_field(values, "label", _index),
        voxel=tuple(_index("voxel", item) for item in _field(values, "voxel", _items)),
        lps_mm=_optional(values, "lps_mm", _place_in_mm),
        deviation=_field(values, "deviation", _number),
        num_voxels=_field(values, "num_voxels", _index),
        p_value=_field(values, "p_value", _number),
    )


def _classes(name: str, value: Any) -> tuple[ClassProbability, ...]:
    classes = [_mapping(name, item) for item in _items(name, value)]
    return tuple(
        ClassProbability(_field(item, "name", _word), _field(item, "probability", _number)) for item in classes
    )


def _bundle(name: str, value: Any) -> BundleOfResult:
    bundle = _mapping(name, value)
    return BundleOfResult(_field(bundle, "name", _word), _field(bundle, "version", _word))


def _of_type(name: str, value: Any, kind: Any, words: str) -> Any:
    if not isinstance(value, kind):
        raise _unlike(name, value, words)
    return value


def _unlike(name: str, value: Any, words: str) -> ResultError:
    return ResultError(
        _("The result's {name} should be {kind}, not {value}.").format(
            name=name, kind=words, value=repr(str(value)[:50])
        )
    )
