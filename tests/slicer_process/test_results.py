"""A result as its JSON says it, and in words."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from AnomalyMapLib import results
from AnomalyMapLib.description import Description, describe, describe_finding, percent, size_in_words
from AnomalyMapLib.results import (
    JSON_ENDING,
    MAP_ENDINGS,
    AnomalyResult,
    BundleOfResult,
    ClassProbability,
    Finding,
    Peak,
    ResultError,
    read_result,
    result_from_dict,
    result_to_json,
)

from monai_sagan import result_files
from monai_sagan.results import IMAGE_FORMATS, RESULT_SCHEMA_VERSION
from monai_sagan.transforms.anomaly import HIGHEST_SHARE


def a_volume(**changes: Any) -> dict[str, Any]:
    """A result as ``predict`` writes it for a volume."""
    return {
        "schema_version": RESULT_SCHEMA_VERSION,
        "input": "input.nrrd",
        "anomaly_score": 0.0432,
        "p_value": None,
        "threshold": None,
        "is_anomalous": None,
        "slice_axis": 2,
        "slice_scores": [0.01, 0.05, 0],
        "peak": {"voxel": [5, 17, 1], "lps_mm": [-12.04, 30.5, -45], "value": 0.75},
        "warnings": [],
        "input_fingerprint": "ab",
        "bundle": {"name": "tiny", "version": "1.2.3", "weights_sha256": None},
        "settings": {"map_threshold": 0.3, "slice_direction": "axial"},
        **changes,
    }


def a_classification(**changes: Any) -> dict[str, Any]:
    """A result as a classifier writes it for a picture."""
    classes = [{"name": "normal", "probability": 0.0721}, {"name": "pneumonia", "probability": 0.9279}]
    peak = {"voxel": [4, 9], "lps_mm": [4, 9, 0], "value": 1}
    return a_volume(anomaly_score=None, slice_axis=None, slice_scores=[], peak=peak, classes=classes, **changes)


def a_calibrated_volume(**changes: Any) -> dict[str, Any]:
    """A result of a calibrated bundle with two findings."""
    place = {"voxel": [5, 17, 1], "lps_mm": [-12.04, 30.5, -45]}
    more = {"num_voxels": 120, "p_value": 0.02}
    findings = [{"label": 1, **place, "deviation": 7.3, **more}, {"label": 2, **place, "deviation": 4.0, **more}]
    peak = {**place, "value": 0.75, "deviation": 7.3}
    return a_volume(p_value=0.02, score_kind="residual", is_ood=False, findings=findings, peak=peak, **changes)


class TestContract:
    """The extension cannot import the package; what both know has to be the same."""

    def test_endings(self) -> None:
        assert JSON_ENDING == result_files.JSON_ENDING
        assert set(MAP_ENDINGS) == set(IMAGE_FORMATS)

    def test_the_schema(self) -> None:
        written = json.loads(result_to_json(result_from_dict(a_volume())))
        assert written["schema_version"] == RESULT_SCHEMA_VERSION

    def test_the_highest_slices(self) -> None:
        source = (Path(results.__file__).parent / "slice_scores.py").read_text(encoding="utf-8")
        assert f"_HIGHEST_SHARE = {HIGHEST_SHARE} " in source


class TestReading:
    def test_a_volume(self) -> None:
        assert result_from_dict(a_volume(), Path("map.nrrd")) == AnomalyResult(
            anomaly_map=Path("map.nrrd"),
            input="input.nrrd",
            anomaly_score=0.0432,
            p_value=None,
            threshold=None,
            is_anomalous=None,
            slice_axis=2,
            slice_scores=(0.01, 0.05, 0.0),
            peak=Peak((5, 17, 1), (-12.04, 30.5, -45.0), 0.75),
            classes=(),
            bundle=BundleOfResult("tiny", "1.2.3"),
            warnings=(),
            map_threshold=0.3,
        )

    def test_a_classifier(self) -> None:
        result = result_from_dict(a_classification())
        assert result.anomaly_score is None
        assert result.classes == (ClassProbability("normal", 0.0721), ClassProbability("pneumonia", 0.9279))
        assert result.ranked_classes == result.classes[::-1]

    def test_what_the_event_has_besides(self) -> None:
        event = a_volume(event="result", anomaly_map="/maps/input_anomaly.nrrd", new_field={"a": 1})
        assert result_from_dict(event).anomaly_map == Path("/maps/input_anomaly.nrrd")
        assert result_from_dict(event, Path("other.nrrd")).anomaly_map == Path("other.nrrd")

    def test_findings(self) -> None:
        result = result_from_dict(a_calibrated_volume())
        assert result.findings[0] == Finding(1, (5, 17, 1), (-12.04, 30.5, -45.0), 7.3, 120, 0.02)
        assert result_from_dict(a_volume(findings=[])).findings == ()

    def test_a_later_2_x(self) -> None:
        assert result_from_dict(a_volume(schema_version="2.17")).input == "input.nrrd"

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            (
                {"schema_version": "3.0"},
                "The result has schema version 3.0, and this extension reads 2.x; install versions of the extension "
                "and of monai-sagan that belong together.",
            ),
            ({"schema_version": None}, "The result has no schema_version."),
            ({"input": None}, "The result has no input."),
            ({"bundle": None}, "The result has no bundle."),
            ({"bundle": {"name": "tiny"}}, "The result has no version."),
            ({"bundle": "tiny"}, "The result's bundle should be an object, not 'tiny'."),
            ({"anomaly_score": "0.5"}, "The result's anomaly_score should be a finite number, not '0.5'."),
            ({"anomaly_score": True}, "The result's anomaly_score should be a finite number, not 'True'."),
            ({"anomaly_score": float("inf")}, "The result's anomaly_score should be a finite number, not 'inf'."),
            ({"slice_scores": 0.5}, "The result's slice_scores should be a list, not '0.5'."),
            ({"slice_scores": [float("nan")]}, "The result's slice_scores should be a finite number, not 'nan'."),
            ({"slice_axis": -1}, "The result's slice_axis should be a whole number, 0 or more, not '-1'."),
            ({"slice_axis": 3}, "The result's slice_axis is 3, but its peak has 3 axes."),
            ({"is_anomalous": 1}, "The result's is_anomalous should be true or false, not '1'."),
            ({"peak": {"voxel": [1.5, 2, 3], "value": 1}}, "The result's voxel should be a whole number, 0 or more, "),
            ({"peak": {"voxel": [1, 2, 3]}}, "The result has no value."),
            (
                {"peak": {"voxel": [1, 2, 3], "lps_mm": [1, 2], "value": 1}},
                "The result's lps_mm should be three numbers, not '[1, 2]'.",
            ),
            ({"warnings": "careful"}, "The result's warnings should be a list, not 'careful'."),
            ({"classes": [["normal", 0.5]]}, "The result's classes should be an object, not "),
            ({"classes": [{"name": "normal"}]}, "The result has no probability."),
            ({"findings": [{"label": 1, "voxel": [1, 2]}]}, "The result has no deviation."),
            ({"findings": 3}, "The result's findings should be a list, not '3'."),
            (
                {"slice_p_values": [0.1]},
                "The result has 3 slice_scores, but 1 slice_p_values.",
            ),
            ({"settings": []}, "The result's settings should be an object, not '[]'."),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, changes: dict[str, Any], sentence: str) -> None:
        with pytest.raises(ResultError) as caught:
            result_from_dict(a_volume(**changes))
        assert str(caught.value).startswith(sentence)

    def test_a_number_too_large_to_be_one(self) -> None:
        with pytest.raises(ResultError, match=r"^The result's anomaly_score should be a finite number, not '1000"):
            result_from_dict(json.loads(json.dumps(a_volume(anomaly_score=10**400))))


class TestFile:
    @pytest.mark.parametrize("ending", [".nrrd", ".nii.gz", ".nii", ".mha"])
    def test_with_the_map_beside_it(self, tmp_path: Path, ending: str) -> None:
        path = tmp_path / "a[1].b_anomaly.json"
        path.write_text(json.dumps(a_volume()), encoding="utf-8")
        (tmp_path / "a1.b_anomaly.nrrd").touch()
        assert read_result(path).anomaly_map is None
        (tmp_path / f"a[1].b_anomaly{ending}").touch()
        assert read_result(path) == result_from_dict(a_volume(), tmp_path / f"a[1].b_anomaly{ending}")

    def test_with_all_maps_beside_it(self, tmp_path: Path) -> None:
        path = tmp_path / "a_anomaly.json"
        for kind in ("anomaly", "deviation", "findings"):
            (tmp_path / f"a_{kind}.nrrd").touch()
        path.write_text(json.dumps(a_calibrated_volume()), encoding="utf-8")
        result = read_result(path)
        assert (result.shown_map, result.findings_map) == (tmp_path / "a_deviation.nrrd", tmp_path / "a_findings.nrrd")
        path.write_text(json.dumps(a_volume()), encoding="utf-8")  # and they are of an earlier run
        assert read_result(path).shown_map == tmp_path / "a_anomaly.nrrd"
        assert read_result(path).findings_map is None

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            (b"{", "this file is damaged or no JSON; choose one that ends in _anomaly.json."),
            (b"\xff\xfe", "this file is damaged or no JSON; choose one that ends in _anomaly.json."),
            (b"[" * 100_000, "this file is damaged or no JSON; choose one that ends in _anomaly.json."),
            (b"[]", "this file holds no result; choose one that ends in _anomaly.json."),
            (b"{}", "The result has no schema_version."),
        ],
    )
    def test_what_is_no_result(self, tmp_path: Path, content: bytes, sentence: str) -> None:
        path = tmp_path / "x.json"
        path.write_bytes(content)
        with pytest.raises(ResultError) as caught:
            read_result(path)
        assert str(caught.value) == f"{path}: {sentence}"

    def test_no_such_file(self, tmp_path: Path) -> None:
        with pytest.raises(ResultError, match=r"x\.json: No such file or directory; choose a file that ends in "):
            read_result(tmp_path / "x.json")


@pytest.mark.parametrize("values", [a_volume(), a_calibrated_volume(), a_classification(warnings=["Blurred."])])
def test_what_a_scene_keeps_is_the_same_but_for_the_file(values: dict[str, Any]) -> None:
    names = {name: f"/home/doe/{name}.nrrd" for name in ("anomaly_map", "deviation_map", "findings_map")}
    result = result_from_dict({**values, **names})
    assert result.findings_map == Path(names["findings_map"])
    kept = result_to_json(result)
    assert result_from_dict(json.loads(kept)) == replace(result, **dict.fromkeys(names))
    assert "doe" not in kept


class TestDescription:
    def test_a_volume(self) -> None:
        assert describe(result_from_dict(a_volume())) == Description(
            "",
            "The map is highest (0.75) in slice 2 of 3, at R 12.0 mm, P 30.5 mm, I 45.0 mm.\n"
            "It was not compared with healthy images: the score only means something beside those of other images by "
            "the same bundle.",
        )

    def test_a_calibrated_bundle(self) -> None:
        result = result_from_dict(a_volume(p_value=0.02, threshold=0.04, is_anomalous=True, peak=None))
        assert describe(result).text == (
            "More unusual than 98 of 100 healthy images. The score is above the threshold, 0.04."
        )
        told = replace(result, anomaly_score=0.01, false_positive_rate=0.05)
        assert describe(told).text.endswith(
            "The score is not above the threshold, 0.04; 5 in 100 healthy images lie above it."
        )

    @pytest.mark.parametrize(
        ("p_value", "words"),
        [
            (1 / 41, "More unusual than 97 of 100 healthy images."),
            (0.0025, "More unusual than 997 of 1000 healthy images."),
            (0.5, "More unusual than 50 of 100 healthy images."),
            (0.7, "Not unusual: 70 of 100 healthy images are as unusual or more."),
            (1.0, "Not unusual: 100 of 100 healthy images are as unusual or more."),
        ],
    )
    def test_a_p_value_in_images(self, p_value: float, words: str) -> None:
        assert describe(result_from_dict(a_volume(p_value=p_value, peak=None))).text == words

    @pytest.mark.parametrize(("rate", "words"), [(0.05, "5 in 100"), (0.1, "10 in 100"), (0.025, "25 in 1000")])
    def test_a_rate(self, rate: float, words: str) -> None:
        result = result_from_dict(a_volume(p_value=0.2, threshold=0.1, is_anomalous=False, false_positive_rate=rate))
        assert f"; {words} healthy images lie above it." in describe(result).text

    def test_a_learned_score(self) -> None:
        assert "it is not the average of the map" in describe(result_from_dict(a_volume(score_kind="contrast"))).text
        assert "learned" not in describe(result_from_dict(a_volume(score_kind="residual"))).text

    def test_findings(self) -> None:
        result = result_from_dict(a_calibrated_volume())
        assert describe(result, voxel_ml=0.03).text.splitlines() == [
            "2 findings: the first deviates most, 7.3 standard deviations from healthy images, 3.6 ml, in slice 2 of "
            "3, at R 12.0 mm, P 30.5 mm, I 45.0 mm.",
            "More unusual than 98 of 100 healthy images.",
        ]
        assert "1 finding: it deviates 7.3" in describe(replace(result, findings=result.findings[:1])).text
        none = describe(replace(result, findings=())).text
        assert "No findings: no region deviates more than those of healthy images do." in none
        assert "That does not rule out a lesion." in none
        assert "It deviates most, 7.3 standard deviations, in slice 2 of 3" in none
        assert "Too few healthy images" in describe(replace(result, findings=None)).text

    def test_a_finding(self) -> None:
        result = result_from_dict(a_calibrated_volume())
        assert describe_finding(result, result.findings[1], voxel_ml=0.03) == (
            "Finding 2 of 2: 4.0 standard deviations from healthy images, 3.6 ml. A region that deviates as much is "
            "seen in 2.0 % of healthy images."
        )

    def test_no_figure_is_told_twice(self) -> None:
        """Score, p-value and probabilities stand beside the words."""
        told = describe(result_from_dict(a_calibrated_volume(threshold=0.04))).text
        assert not {"0.0432", "0.02"} & set(re.findall(r"[\d.]+\d", told))
        assert "%" not in describe(result_from_dict(a_classification())).text

    def test_an_out_of_distribution_image_comes_first(self) -> None:
        reason = "It looks like a colour photograph."
        warning = f"Do not rely on this result; its p-value is withheld. {reason}"
        values = a_volume(is_ood=True, ood_reasons=[reason], warnings=[warning, "Blurred."])
        said = describe(result_from_dict(values))
        assert said.notice == (
            "Do not rely on this result: the image is not of the kind that the bundle was made for. "
            f"{reason} Whether it is unusual was not judged."
        )
        assert reason not in said.text
        assert "compared" not in said.text
        assert said.text.endswith("Blurred.")
        judged = describe(result_from_dict({**values, "p_value": 0.5}))
        assert judged.notice.endswith("as you asked; these numbers promise nothing.")

    def test_who_is_in_distribution_is_told_nothing(self) -> None:
        for told in (False, None):
            assert describe(result_from_dict(a_volume(is_ood=told))).notice == ""

    def test_slices_that_stand_out(self) -> None:
        result = result_from_dict(
            a_volume(p_value=0.06, peak=None, slice_scores=[0, 0.1, 0.2, 0.1], slice_p_values=[None, 0.03, 0.05, 0.5])
        )
        assert result.slice_p_values == (None, 0.03, 0.05, 0.5)
        assert describe(result).text.endswith(
            "2 of 3 slices have a p-value of 0.05 or less, compared with slices of healthy images at the same height; "
            "by chance, about 0.15 would."
        )
        assert "1 slice has a p-value" in describe(replace(result, slice_p_values=(None, 0.03, 0.2, 0.5))).text
        assert "slice" not in describe(replace(result, slice_p_values=(None, 0.3, 0.2, 0.5))).text

    def test_a_classifier(self) -> None:
        assert describe(result_from_dict(a_classification())).text == (
            "Most probable is pneumonia.\nThe weight map is highest (1) in column 5, row 10."
        )

    def test_a_classifier_of_volumes(self) -> None:
        peak = {"voxel": [5, 17, 1], "lps_mm": [-12.04, 30.5, -45], "value": 1}
        text = describe(
            replace(result_from_dict(a_classification()), peak=result_from_dict(a_volume(peak=peak)).peak)
        ).text
        assert text.endswith("The weight map is highest (1) at R 12.0 mm, P 30.5 mm, I 45.0 mm.")

    def test_a_classifier_without_a_map(self) -> None:
        result = replace(result_from_dict(a_classification()), peak=None)
        assert describe(result).text == (
            "Most probable is pneumonia.\nThere is no weight map: this bundle was trained without one."
        )

    def test_warnings_come_last(self) -> None:
        warnings = ["The image is unlike those that the bundle was made for."]
        assert describe(result_from_dict(a_volume(warnings=warnings))).text.endswith(warnings[0])

    def test_a_map_of_zeros(self) -> None:
        peak = {"voxel": [0, 0, 0], "lps_mm": None, "value": 0}
        assert describe(result_from_dict(a_volume(peak=peak))).text.startswith("The map is zero everywhere.")


def test_only_a_classifier_may_have_no_map() -> None:
    result = result_from_dict(a_classification())
    assert result.has_map
    assert not replace(result, peak=None).has_map
    assert replace(result, peak=None, classes=()).has_map


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0, "0.0 %"),
        (1e-5, "less than 0.1 %"),
        (0.0721, "7.2 %"),
        (0.125, "12 %"),
        (0.9279, "93 %"),
        (0.9983, "99.8 %"),
        (1 - 1e-5, "more than 99.9 %"),
        (1, "100 %"),
    ],
)
def test_a_share_in_words(share: float, words: str) -> None:
    assert percent(share) == words


@pytest.mark.parametrize(
    ("num_voxels", "voxel_ml", "words"),
    [
        (1, None, "1 pixel"),
        (1234, None, "1,234 pixels"),
        (9, 0.0054, "0.049 ml"),
        (200, 0.01, "2.0 ml"),
        (1_300_000, 0.001, "1,300.0 ml"),
    ],
)
def test_a_size_in_words(num_voxels: int, voxel_ml: float | None, words: str) -> None:
    assert size_in_words(num_voxels, voxel_ml) == words
