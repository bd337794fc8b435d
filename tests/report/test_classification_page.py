"""The page of a classifier's evaluation, and which cases it shows."""

from __future__ import annotations

import base64
import io
import json
import os
import re

import numpy as np
import pytest
from PIL import Image

from monai_sagan.metrics import classification, classification_metrics
from monai_sagan.report import ClassifiedCase, WeightMap, write_classification_report
from monai_sagan.report.classification_gallery import choose_right, choose_wrong
from monai_sagan.report.weight_map import OVERLAY_OPACITY, weight_pixels

BUNDLE = {"name": "global_attention_classification", "version": "1.2.3", "weights_sha256": "0123456789abcdef" * 4}
CLASSES = ["Hand", "Head", "Chest"]
SPLIT = "Fold 2 of 5: none of these images was used in training."


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """The bootstrap takes most of the time, and tests/metrics holds its tests."""
    monkeypatch.setattr(classification, "RESAMPLES", 30)


def a_case(name: str, label: int, found: int, confidence: float = 0.9, *, num_classes: int = 3) -> ClassifiedCase:
    probabilities = np.full(num_classes, (1 - confidence) / (num_classes - 1))
    probabilities[found] = confidence
    return ClassifiedCase(name, label, probabilities, np.full((6, 8), 100, dtype=np.uint8))


def a_test_set() -> list[ClassifiedCase]:
    """Of each of three classes twelve cases, of which every third is found as the next class."""
    return [
        a_case(f"{CLASSES[label]}-{number:02}", label, (label + (number % 3 == 0)) % 3, 0.5 + 0.04 * number)
        for label in range(3)
        for number in range(12)
    ]


def a_map(shape: tuple[int, ...] = (6, 8)) -> WeightMap:
    weights = np.linspace(0.25, 0.75, int(np.prod(shape))).reshape(shape)
    return WeightMap(weights, np.zeros(shape))


def written(cases, folder, classes=CLASSES, title="A title", **settings):
    metrics = classification_metrics([case.label for case in cases], [case.probabilities for case in cases], classes)
    path = write_classification_report(cases, metrics, folder, title=title, bundle=BUNDLE, **settings)
    return path.read_text("utf-8"), json.loads(path.with_name("metrics.json").read_text("utf-8"))


# Which cases are shown


def test_the_surest_wrong_cases_are_chosen():
    cases = [a_case("c", 0, 1, 0.8), a_case("sure", 1, 0, 0.95), a_case("right", 2, 2, 0.99), a_case("b", 2, 0, 0.8)]
    assert [case.name for case in choose_wrong(cases)] == ["sure", "b", "c"]
    assert [case.name for case in choose_wrong(cases, most=2)] == ["sure", "b"]


def test_of_each_class_the_surest_right_cases_are_chosen():
    cases = a_test_set()
    assert [case.name for case in choose_right(cases, 3, most=6)] == [
        f"{name}-{number}" for name in CLASSES for number in (11, 10)
    ]
    many = [a_case(f"{label:02}-{number}", label, label, num_classes=20) for label in range(20) for number in range(2)]
    assert [case.name for case in choose_right(many, 20)] == [f"{label:02}-0" for label in range(20)]


def test_the_gallery_says_what_was_found_and_what_is_true(tmp_path, read_page):
    page = read_page(written(a_test_set(), tmp_path)[0])
    # Of four wrong cases each, numbers 9, 6, 3 and 0, the same of each class are equally sure.
    assert page.cases["Wrong"][:4] == ["Chest-09", "Hand-09", "Head-09", "Chest-06"]
    assert "12 of 12 cases" in page.text
    assert "Chest-09 Found: Hand , 0.860 True: Chest" in page.text
    assert page.cases["Right"][:4] == ["Hand-11", "Hand-10", "Hand-08", "Hand-07"]
    assert "12 of 24 cases" in page.text


def test_a_page_without_a_wrong_case(tmp_path, read_page):
    page = read_page(written([a_case(str(label), label, label) for label in range(3)], tmp_path)[0])
    assert "Wrong No case." in page.text
    assert page.cases == {"Right": ["0", "1", "2"]}


def test_a_page_without_a_right_case(tmp_path, read_page):
    page = read_page(written([a_case(str(label), label, (label + 1) % 3) for label in range(3)], tmp_path)[0])
    assert "Right" not in page.headings
    assert sorted(page.cases["Wrong"]) == ["0", "1", "2"]


# The page


def test_page_is_one_file(tmp_path, is_one_file):
    written(a_test_set(), tmp_path / "out", weight_map=a_map())
    is_one_file(tmp_path / "out")


def test_page_says_what_was_measured(tmp_path, read_page):
    html, facts = written(a_test_set(), tmp_path, split=SPLIT)
    text = read_page(html).text
    assert (facts["schema_version"], facts["title"], facts["bundle"], facts["split"]) == (1, "A title", BUNDLE, SPLIT)
    for measure in ("accuracy", "macro_auc"):
        value = facts[measure]
        assert f"{value['value']:.3f} (95% interval {value['low']:.3f} to {value['high']:.3f})" in text
    for shown in (SPLIT, "36, of 3 classes", "1.2.3", BUNDLE["weights_sha256"], "For research use only."):
        assert shown in text
    assert html.count("<svg viewBox") == 3  # a curve a class


def test_tables_have_the_counts_and_measures_of_each_class(tmp_path, read_page):
    html, facts = written([*a_test_set(), a_case("more", 0, 0)], tmp_path)
    rows = read_page(html).rows
    start = rows.index(["True", *CLASSES, "All"])
    assert rows[start + 1 : start + 4] == [
        ["Hand", "9", "4", "0", "13"],
        ["Head", "0", "8", "4", "12"],
        ["Chest", "4", "0", "8", "12"],
    ]
    start = rows.index(["Class", "Cases", "Recall", "Precision", "AUC"])
    assert rows[start + 1] == ["Hand", "13", "0.692", "0.692", f"{facts['auc_per_class']['Hand']:.3f}"]


def test_the_shade_of_a_cell_is_its_share_of_the_row(tmp_path):
    html, _ = written([*a_test_set(), *(a_case(f"more-{number}", 0, 0) for number in range(12))], tmp_path)
    # 20 and 4 of 24 hands, of which the full shade is 0.5, with 4 and 8 of 12 of the others.
    assert re.findall(r"--share: ([0-9.]+)", html) == [
        *("0.42", "0.08", "0.00"),
        *("0.00", "0.33", "0.17"),
        *("0.17", "0.00", "0.33"),
    ]


def test_without_attention_there_is_no_map(tmp_path, read_page):
    page = read_page(written(a_test_set(), tmp_path)[0])
    assert "Weight map" not in page.headings
    assert "One weight map" not in page.text
    assert not any("Map" in alternative for alternative in page.alternatives)


def test_a_map_is_shown_with_the_mean_image(tmp_path, read_page):
    page = read_page(written(a_test_set(), tmp_path, weight_map=a_map())[0])
    assert "Weight map" in page.headings
    assert "weights lie between 0.25 and 0.75" in page.text
    assert "slice" not in page.text
    kinds = ("Mean image", "Map over it", "Map alone")
    assert [alt for alt in page.alternatives if alt.startswith(kinds)] == [
        f"{kind} of the test images" for kind in kinds
    ]


def test_the_pictures_of_a_map_are_the_mean_image_the_map_over_it_and_the_map(tmp_path):
    html, _ = written(a_test_set(), tmp_path, weight_map=a_map())
    section = html[html.index("<h2>Weight map") : html.index("<h2>Classes")]
    _, mean, below, over, alone = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(uri))))
        for uri in re.findall(r'src="data:image/png;base64,([^"]+)"', section)
    )
    assert (mean == 128).all()
    assert (below == mean).all()
    assert (over == weight_pixels(a_map().weights, OVERLAY_OPACITY)).all()
    assert (alone == weight_pixels(a_map().weights)).all()


def test_a_map_of_a_volume_is_shown_as_three_slices(tmp_path, read_page):
    page = read_page(written(a_test_set(), tmp_path, weight_map=a_map((4, 6, 8)))[0])
    assert [heading for heading in page.headings if "slice" in heading] == [
        "Axial slice 4 of 4",
        "Coronal slice 6 of 6",
        "Sagittal slice 8 of 8",
    ]
    assert "The three slices meet where the weight is highest." in page.text


def test_a_class_without_a_case(tmp_path, read_page):
    html, facts = written([case for case in a_test_set() if case.label != 2], tmp_path)
    page = read_page(html)
    assert facts["macro_auc"] is None
    assert facts["warnings"][0] in page.text
    assert "Macro AUC not available" in page.text
    assert "Always naming one class gives 0.500" in page.text
    assert ["Chest", "0", "none", "0.000", "none"] in page.rows
    assert ["Chest", "0", "0", "0", "0"] in page.rows
    assert html.count("<svg viewBox") == 2


def test_cases_of_one_class_have_no_curve(tmp_path):
    html, _ = written([a_case("x", 1, 1), a_case("y", 1, 0)], tmp_path)
    assert "<svg viewBox" not in html
    assert "ROC curves" not in html


def test_a_bundle_of_which_little_is_known(tmp_path):
    cases = a_test_set()
    metrics = classification_metrics([case.label for case in cases], [case.probabilities for case in cases], CLASSES)
    path = write_classification_report(cases, metrics, tmp_path, title="x", bundle={})
    assert "unknown name, version unknown" in path.read_text("utf-8")


def test_text_is_escaped(tmp_path, read_page):
    evil = "<script>alert(1)</script>\"'&$x_1$.png"
    cases = [a_case(evil, 0, 0, num_classes=2), a_case("ok", 1, 1, num_classes=2)]
    html, _ = written(cases, tmp_path, classes=[evil, "b"], title=evil, split=evil)
    page = read_page(html)
    assert "script" not in page.tags
    assert page.cases["Right"] == [evil, "ok"]
    assert ["True", evil, "b", "All"] in page.rows
    assert "<script>" not in html


def test_a_name_that_is_not_valid_text(tmp_path):
    html, _ = written([a_case(os.fsdecode(b"caf\xe9.png"), 0, 0)], tmp_path)
    assert "caf\\udce9.png" in html


def test_page_is_the_same_from_run_to_run(tmp_path):
    first, again = (written(a_test_set(), tmp_path / name, weight_map=a_map()) for name in "ab")
    assert first == again


def test_nothing_is_written_of_what_makes_no_sense(tmp_path):
    with pytest.raises(ValueError, match="no case"):
        write_classification_report([], {}, tmp_path / "out", title="", bundle={})
    cases = [a_case("x", 0, 0)]
    metrics = classification_metrics([0], [cases[0].probabilities], CLASSES) | {"balanced_accuracy": float("nan")}
    with pytest.raises(ValueError, match="JSON"):
        write_classification_report(cases, metrics, tmp_path / "out", title="", bundle={})
    assert not (tmp_path / "out").exists()
