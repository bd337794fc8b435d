"""What is said of images of something else than what a bundle was made for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_sagan.bundle_files import TRAINED_ON
from monai_sagan.calibration import Calibration, CompareWithHealthyd, write_calibration
from monai_sagan.data import write_trained_on

WEIGHTS = "0" * 64
TWO_SLICES = {"slice_axis": 2, "slice_scores": [0.5, 0.5], "anomaly_map": torch.zeros(1, 8, 8, 2)}


@pytest.fixture
def compare(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """What is added to a picture that scores 0.5, by a bundle that knows 40 healthy ones."""

    def compare(case: dict[str, Any], judge_ood: bool = False, **known: Any) -> dict[str, Any]:
        scores = tuple(number / 40 for number in range(40))
        calibration = Calibration(
            WEIGHTS, "axial", 0.05, **{"image_scores": scores, "image_ood_scores": scores, **known}
        )
        write_calibration(tmp_path, calibration)
        transform = CompareWithHealthyd("anomaly_map", tmp_path, WEIGHTS, "axial", judge_ood)
        a_picture = {"anomaly_map": torch.zeros(1, 8, 8), "slice_axis": None, "slice_scores": [], "anomaly_score": 0.5}
        found = {"findings": [{"label": 1}], "finding_threshold": 4.0, "findings_map": torch.ones(1, 8, 8)}
        return transform(a_picture | found | case)

    return compare


def test_an_image_like_those_of_the_training(compare: Callable) -> None:
    found = compare({"ood_score": 0.5, "mismatches": []})
    assert (found["is_ood"], found["ood_p_value"], found["ood_reasons"]) == (False, 21 / 41, [])
    assert found["p_value"] == 21 / 41
    assert found["warnings"] == []
    assert found["findings"] == [{"label": 1}]


def test_an_out_of_distribution_image_has_no_p_value(compare: Callable) -> None:
    found = compare({"ood_score": 5.0, "mismatches": []})
    assert (found["is_ood"], found["ood_p_value"]) == (True, 1 / 41)
    assert found["p_value"] is found["threshold"] is found["is_anomalous"] is found["findings"] is None
    assert found["finding_threshold"] is None
    assert "findings_map" not in found
    assert found["anomaly_score"] == 0.5
    (reason,) = found["ood_reasons"]
    assert reason == "It looks unlike the images that the bundle was made for, more so than 98% of them."
    assert found["warnings"] == [f"Do not rely on this result; its p-value is withheld. {reason}"]


def test_but_for_those_who_ask(compare: Callable) -> None:
    found = compare({"ood_score": 5.0, "mismatches": []}, judge_ood=True)
    assert (found["is_ood"], found["p_value"]) == (True, 21 / 41)
    assert found["findings"] == [{"label": 1}]
    assert found["warnings"][0].startswith("Do not rely on this result; its p-value was requested all the same")


def test_a_plain_fact_needs_no_calibration(compare: Callable) -> None:
    sentence = "This is CT; the bundle was made for MR."
    found = compare({"ood_score": None, "mismatches": [sentence]}, image_ood_scores=())
    assert (found["is_ood"], found["ood_p_value"]) == (True, None)
    assert found["ood_reasons"] == [sentence]
    assert found["p_value"] is None


@pytest.mark.parametrize(
    "case", [{}, {"ood_score": None, "mismatches": []}, {"ood_score": 5.0, "mismatches": [], **TWO_SLICES}]
)
def test_where_it_cannot_be_told(compare: Callable, case: dict[str, Any]) -> None:
    """Without what recognises other kinds of images, and for a volume where only pictures were calibrated with."""
    found = compare(case, **({} if "slice_axis" in case else {"image_ood_scores": ()}))
    assert (found["is_ood"], found["ood_p_value"], found["ood_reasons"]) == (None, None, [])


def test_nothing_is_told_by_too_few_healthy_images(compare: Callable) -> None:
    """With 18 of them no p-value is low enough to flag anything; so none is said to be of the kind either."""
    for count, told in ((18, (None, None)), (19, (True, 1 / 20))):
        scores = tuple(number / count for number in range(count))
        found = compare({"ood_score": 5.0, "mismatches": []}, image_ood_scores=scores)
        assert (found["is_ood"], found["ood_p_value"]) == told


def test_a_volume_of_one_slice_is_compared_with_pictures(compare: Callable) -> None:
    radiograph = {"slice_axis": 2, "slice_scores": [0.5], "anomaly_map": torch.zeros(1, 8, 8, 1)}
    found = compare(radiograph | {"ood_score": 5.0, "mismatches": []}, judge_ood=True)
    assert (found["is_ood"], found["p_value"], found["slice_p_values"]) == (True, 21 / 41, [])


def test_an_image_that_was_trained_on_has_no_p_value(compare: Callable, tmp_path: Path) -> None:
    known, other = tmp_path / "known.png", tmp_path / "other.png"
    known.write_bytes(b"known")
    other.write_bytes(b"other")
    (tmp_path / "models").mkdir(exist_ok=True)
    write_trained_on(tmp_path / TRAINED_ON, [{"image": str(known)}])
    found = compare({"files": [str(known)]})
    assert found["p_value"] is found["threshold"] is found["is_anomalous"] is found["findings"] is None
    assert "findings_map" not in found
    assert found["warnings"] == [
        "The bundle was trained on this image or a copy of it, so its score does not compare with those of other "
        "images; its p-value is withheld."
    ]
    assert compare({"files": [str(other)], "is_trained_on": True})["warnings"] == found["warnings"]
    found = compare({"files": [str(other)]})
    assert (found["p_value"], found["warnings"]) == (21 / 41, [])


def test_scores_of_another_kind_are_not_compared(compare: Callable) -> None:
    found = compare({"score_kind": "contrast", "ood_score": 0.5, "mismatches": []})
    assert found["p_value"] is None
    assert found["warnings"] == [
        "The bundle was calibrated with scores of another kind (residual, now contrast), so there is no p-value, and "
        "no findings; "
        "calibrate it again."
    ]
    assert compare({"score_kind": "contrast"}, score_kind="contrast")["p_value"] == 21 / 41
