from __future__ import annotations

import base64
import io
import json
import os
import re

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score

from monai_sagan.report import EvaluatedCase, evaluation_metrics, write_report
from monai_sagan.report.figures import score_histogram
from monai_sagan.report.gallery import choose_gallery
from monai_sagan.report.pictures import RAMP, data_uri, grey_pixels, map_pixels, map_scale, outline_path

BUNDLE = {"name": "sagan_anomaly_detection", "version": "1.2.3", "weights_sha256": "0123456789abcdef" * 4}
SIZE = (6, 8)


def a_case(name: str, label: int, score: float, *, lesion: bool = False, mask: np.ndarray | None = None):
    image = np.zeros(SIZE, dtype=np.float32)
    if lesion:
        mask = np.zeros(SIZE, dtype=bool)
        mask[1:3, 2:5] = True
        image[mask] = 0.8
    restored = np.zeros(SIZE, dtype=np.float32)
    return EvaluatedCase(name, label, score, image, restored, np.abs(image - restored) / 2, mask)


def a_test_set(healthy: int = 12, anomalous: int = 12, *, lesion: bool = True) -> list[EvaluatedCase]:
    """Healthy cases score 0, 1, 2, ..., anomalous ones 5.5, 6.5, ..., so that the two overlap."""
    cases = [a_case(f"healthy-{number:02}", 0, float(number)) for number in range(healthy)]
    return cases + [a_case(f"anomalous-{number:02}", 1, number + 5.5, lesion=lesion) for number in range(anomalous)]


def written(cases, tmp_path, threshold: float | None = 0.1, title: str = "A title") -> tuple[str, dict]:
    metrics = evaluation_metrics(cases, pixel_threshold=threshold)
    path = write_report(cases, metrics, tmp_path / "out", title=title, bundle=BUNDLE)
    return path.read_text("utf-8"), json.loads(path.with_name("metrics.json").read_text("utf-8"))


def decoded(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,")))))


# The figures


def test_metrics_are_those_of_scikit_learn():
    cases = a_test_set()
    metrics = evaluation_metrics(cases, pixel_threshold=0.1)
    labels, scores = [case.label for case in cases], [case.score for case in cases]
    assert (metrics["num_healthy"], metrics["num_anomalous"], metrics["num_outlined"]) == (12, 12, 12)
    assert metrics["auc"]["value"] == roc_auc_score(labels, scores)
    assert metrics["average_precision"]["value"] == average_precision_score(labels, scores)
    assert metrics["auc"]["low"] < metrics["auc"]["value"] < metrics["auc"]["high"]
    assert metrics["confidence"] == 0.95
    assert metrics["pixel_average_precision"] == 1.0
    assert metrics["lesion_pixel_share"] == pytest.approx(12 * 6 / (24 * 48))
    assert (metrics["dice"], metrics["pixel_threshold"]) == (1.0, 0.1)
    assert metrics["warnings"] == []
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_metrics_without_a_threshold_have_no_dice():
    metrics = evaluation_metrics(a_test_set(), pixel_threshold=None)
    assert metrics["pixel_average_precision"] == 1.0
    assert metrics["dice"] is None
    assert metrics["pixel_threshold"] is None


def test_metrics_without_masks_measure_no_pixels():
    metrics = evaluation_metrics(a_test_set(lesion=False), pixel_threshold=0.1)
    for name in ("pixel_average_precision", "lesion_pixel_share", "dice", "pixel_threshold"):
        assert metrics[name] is None
    assert metrics["num_outlined"] == 0
    assert metrics["warnings"] == []


@pytest.mark.parametrize(("healthy", "anomalous", "missing"), [(3, 0, "no anomalous case"), (0, 3, "no healthy case")])
def test_metrics_of_one_class(healthy, anomalous, missing):
    metrics = evaluation_metrics(a_test_set(healthy, anomalous), pixel_threshold=0.1)
    assert metrics["auc"] is None
    assert metrics["average_precision"] is None
    assert [missing in warning for warning in metrics["warnings"]] == [True]


def test_healthy_pixels_count_and_cases_without_outline_do_not():
    lesion, unmarked = a_case("a", 1, 2.0, lesion=True), a_case("b", 1, 1.5)
    false_alarm = EvaluatedCase("c", 0, 1.0, lesion.image, lesion.restored, lesion.anomaly_map)
    metrics = evaluation_metrics([lesion, unmarked, false_alarm], pixel_threshold=0.1)
    assert metrics["pixel_average_precision"] == 0.5
    assert metrics["lesion_pixel_share"] == 6 / 96
    assert metrics["num_outlined"] == 1
    assert any("1 of 2 anomalous cases have no lesion mask" in warning for warning in metrics["warnings"])


def test_perfect_separation_is_not_sold_as_certainty():
    metrics = evaluation_metrics([a_case("a", 0, 0.0), a_case("b", 1, 1.0)], pixel_threshold=None)
    for name in ("auc", "average_precision"):
        assert metrics[name]["value"] == metrics[name]["high"] == 1.0
        assert metrics[name]["low"] < 0.5


def test_no_case_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no case"):
        evaluation_metrics([], pixel_threshold=None)
    with pytest.raises(ValueError, match="no case"):
        write_report([], {}, tmp_path, title="", bundle={})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"label": 2}, "label"),
        ({"score": float("nan")}, "score"),
        ({"image": np.zeros((1, *SIZE))}, r"\(H, W\)"),
        ({"restored": np.zeros((8, 6))}, "restored of case 'x' has the shape"),
        ({"anomaly_map": np.full(SIZE, -0.1)}, "negative"),
        ({"anomaly_map": np.full(SIZE, np.inf)}, "not finite"),
        ({"mask": np.ones((2, 2), dtype=bool)}, "mask of case 'x' has the shape"),
        ({"mask": np.ones(SIZE, dtype=bool)}, "labelled healthy"),
    ],
)
def test_a_case_that_makes_no_sense_is_refused(changed, message):
    arrays = {name: np.zeros(SIZE) for name in ("image", "restored", "anomaly_map")}
    with pytest.raises(ValueError, match=message):
        EvaluatedCase(**{"name": "x", "label": 0, "score": 1.0, **arrays, **changed})


# The gallery


def test_gallery_shows_both_ends_of_each_class(tmp_path, read_page):
    page = read_page(written(a_test_set(), tmp_path)[0])
    assert page.cases == {
        "Anomalous, scored highest": [f"anomalous-{number:02}" for number in (11, 10, 9, 8, 7, 6)],
        "Anomalous, scored lowest": [f"anomalous-{number:02}" for number in (0, 1, 2, 3, 4, 5)],
        "Healthy, scored highest": [f"healthy-{number:02}" for number in (11, 10, 9, 8, 7, 6)],
        "Healthy, scored lowest": [f"healthy-{number:02}" for number in (0, 1, 2, 3, 4, 5)],
    }
    assert "score 16.5, rank 1 of 24" in page.text
    assert "6 of 12 cases" in page.text


def test_gallery_shows_no_case_twice():
    groups = choose_gallery(a_test_set(3, 1))
    assert [(group.heading, [case.name for case in group.cases]) for group in groups] == [
        ("Anomalous, scored highest", ["anomalous-00"]),
        ("Healthy, scored highest", ["healthy-02", "healthy-01"]),
        ("Healthy, scored lowest", ["healthy-00"]),
    ]


def test_gallery_of_equal_scores_goes_by_name():
    cases = [a_case(name, 0, 1.0) for name in "dacb"]
    assert [[case.name for case in group.cases] for group in choose_gallery(cases)] == [["a", "b"], ["d", "c"]]


# The pictures


def test_grey_levels():
    values = np.array([[-1.0, 0.0, 1.0], [-2.0, -0.5, 2.0]])
    assert decoded(data_uri(grey_pixels(values))).tolist() == [[0, 128, 255], [0, 64, 255]]


def test_map_is_transparent_at_zero_and_strongest_from_the_scale_on():
    colours = decoded(data_uri(map_pixels(np.array([[0.0, 0.1, 0.2, 0.4]]), scale=0.2)))
    alpha = colours[0, :, 3].astype(int)
    assert alpha[0] == 0
    assert 0 < alpha[1] < alpha[2]
    assert (colours[0, 2] == colours[0, 3]).all()
    bar = decoded(data_uri(map_pixels(RAMP, 1.0)))
    assert (bar[0, -1] == colours[0, 2]).all()


def test_one_scale_for_all_maps():
    weak, strong, empty = (
        case.anomaly_map for case in (a_case("a", 1, 1.0), a_case("b", 1, 1.0, lesion=True), a_case("c", 0, 0.0))
    )
    assert map_scale([empty]) == 1.0
    assert map_scale([strong]) == pytest.approx(0.4)
    assert map_scale([weak, strong]) == pytest.approx(0.9 * 0.4)


def test_one_odd_map_does_not_decide_the_scale():
    maps = [a_case(str(number), 1, 1.0, lesion=True).anomaly_map for number in range(19)]
    assert map_scale([*maps, np.full(SIZE, 1.0)]) == pytest.approx(0.4)


def test_large_pictures_are_made_smaller():
    assert decoded(data_uri(grey_pixels(np.zeros((600, 1200))))).shape == (256, 512)


def test_outline_goes_around_the_lesion():
    mask = np.zeros((3, 4), dtype=bool)
    mask[1, 2] = True
    assert sorted(re.findall("M[^M]+", outline_path(mask))) == ["M2 1h1", "M2 1v1", "M2 2h1", "M3 1v1"]
    assert outline_path(np.zeros((3, 4), dtype=bool)) == ""
    # A lesion that fills the image is outlined along the image's border.
    assert outline_path(np.ones((3, 4), dtype=bool)).count("M") == 14


def test_histogram_of_equal_scores():
    assert "n = 3" in score_histogram([0, 0, 0], [0.25, 0.25, 0.25])
    assert "n = 2" in score_histogram([1, 1, 0], [0.0, 0.0, np.nextafter(0.0, 1.0)])


# The page


def test_page_is_one_file(tmp_path, is_one_file):
    written(a_test_set(), tmp_path)
    is_one_file(tmp_path / "out")


def test_page_says_what_was_measured(tmp_path, read_page):
    html, facts = written(a_test_set(), tmp_path)
    text = read_page(html).text
    assert facts["schema_version"] == 1
    assert facts["title"] == "A title"
    assert facts["bundle"] == BUNDLE
    auc = facts["auc"]
    assert f"{auc['value']:.3f} (95% interval {auc['low']:.3f} to {auc['high']:.3f})" in text
    assert "12 healthy, 12 anomalous" in text
    assert "1.2.3" in text
    assert BUNDLE["weights_sha256"] in text
    assert "1.000 for pixels above 0.1, a threshold from other cases" in text
    assert "For research use only." in text
    assert "anomaly score. A model that works" in text
    assert html.count("<svg viewBox") == 3 + 12  # three charts, and an outline for every anomalous case shown


def test_page_is_the_same_from_run_to_run(tmp_path):
    assert written(a_test_set(), tmp_path / "a") == written(a_test_set(), tmp_path / "b")


def test_page_of_one_class(tmp_path, read_page):
    html, facts = written(a_test_set(4, 0), tmp_path)
    text = read_page(html).text
    assert facts["auc"] is None
    assert facts["warnings"][0] in text
    assert "ROC curve" not in text
    assert "Healthy, scored highest" in text
    assert "Anomalous, scored" not in text


def test_page_says_why_there_is_no_dice(tmp_path):
    assert "not available: no threshold was given" in written(a_test_set(), tmp_path, threshold=None)[0]
    assert "not available: no lesion is outlined" in written(a_test_set(lesion=False), tmp_path)[0]


def test_a_bundle_of_which_little_is_known(tmp_path):
    cases = a_test_set()
    path = write_report(
        cases, evaluation_metrics(cases, pixel_threshold=None), tmp_path, title="x", bundle={"version": None}
    )
    assert "unknown name, version unknown" in path.read_text("utf-8")


def test_text_is_escaped(tmp_path, read_page):
    evil = "<script>alert(1)</script>\"'&.png"
    html, _ = written([a_case(evil, 0, 1.0), a_case("ok", 1, 2.0)], tmp_path, title=evil)
    page = read_page(html)
    assert "script" not in page.tags
    assert page.cases["Healthy, scored highest"] == [evil]
    assert "<script>" not in html


def test_a_name_that_is_not_valid_text(tmp_path):
    html, _ = written([a_case(os.fsdecode(b"caf\xe9.png"), 0, 1.0)], tmp_path)
    assert "caf\\udce9.png" in html


def test_nothing_half_written_is_left(tmp_path, monkeypatch):
    def fail(source, target):
        raise OSError("disk full")

    cases = a_test_set(2, 2)
    metrics = evaluation_metrics(cases, pixel_threshold=None)
    (tmp_path / "report.html").write_text("the former one")
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_report(cases, metrics, tmp_path, title="x", bundle=BUNDLE)
    assert os.listdir(tmp_path) == ["report.html"]
    assert (tmp_path / "report.html").read_text() == "the former one"


def test_nothing_is_written_when_metrics_do_not_fit_json(tmp_path):
    cases = a_test_set(2, 2)
    metrics = evaluation_metrics(cases, pixel_threshold=None) | {"dice": float("nan")}
    with pytest.raises(ValueError, match="JSON"):
        write_report(cases, metrics, tmp_path / "out", title="x", bundle=BUNDLE)
    assert not (tmp_path / "out").exists()


def test_files_are_replaced(tmp_path):
    written(a_test_set(), tmp_path, title="first")
    html, facts = written(a_test_set(), tmp_path, title="second")
    assert "second" in html
    assert "first" not in html.split("</head>")[0]
    assert facts["title"] == "second"
