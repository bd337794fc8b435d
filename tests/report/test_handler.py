"""The handler: from an evaluator's cases to figures, page and picture."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine

from monai_sagan.errors import UserError
from monai_sagan.report import EvaluationReport, overview

FILES = ["examples.png", "metrics.json", "report.html", "scores.csv"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The picture takes most of the time, and has its tests elsewhere."""
    monkeypatch.setattr(overview, "_DOTS_PER_INCH", 20)


def a_case(name: str, label: int, score: float = 0.5, *, size: tuple[int, ...] = (24, 20), **more: Any):
    """A case as the evaluator gives it: (1, *size), x first; the map is 0.4 in an anomalous case's upper left."""
    image = torch.zeros(1, *size)
    anomaly_map = torch.zeros(1, *size)
    case = {
        "path": f"folder/{name}.png",
        "label": label,
        "role": "test",
        "anomaly_score": score,
        "slice_axis": None,
        "slice_scores": [],
        "image": image,
        "pred": image - 0.1,
        "anomaly_map": anomaly_map,
    }
    if label:
        anomaly_map[:, :4, :3] = 0.4
        case["mask"] = (anomaly_map > 0).float()
    return case | more


def a_reference(anomaly_map: torch.Tensor):
    axis = 2 if anomaly_map.dim() == 4 else None
    return a_case("reference", 0, role="reference", anomaly_map=anomaly_map, slice_axis=axis)


def a_volume(name: str, label: int, highest: int):
    """A volume (x, y, z) = (24, 20, 9) whose slice number `highest` is unlike the others and scores highest."""
    size = (24, 20, 9)
    case = a_case(name, label, 0.9, size=size, slice_axis=2, slice_scores=[0.1] * 9)
    case["slice_scores"][highest] = 0.9
    plane = torch.linspace(-1, 1, 24 * 20).reshape(24, 20)
    case["image"][0, :, :, highest] = plane
    return case, plane


def report_on(cases: list[dict[str, Any]], folder, **settings: Any) -> tuple[EvaluationReport, dict[str, Any]]:
    """Runs an evaluator over batches of two cases; returns the handler and the metrics."""
    engine = Engine(lambda engine, batch: batch)
    handler = EvaluationReport(folder, "A title", {"name": "bundle", "version": "1.2.3"}, **settings)
    handler.attach(engine)
    engine.run([cases[start : start + 2] for start in range(0, len(cases), 2)])
    return handler, engine.state.metrics["evaluation"]


def test_figures_page_and_picture_are_written(tmp_path):
    cases = [a_case("h1", 0, 0.1), a_case("h2", 0, 0.3), a_case("a1", 1, 0.2), a_case("a2", 1, 0.4)]
    _, metrics = report_on(cases, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
    written = json.loads((tmp_path / "out" / "metrics.json").read_text("utf-8"))
    assert written["auc"] == metrics["auc"]
    assert metrics["auc"]["value"] == 0.75
    assert metrics["num_failed"] == 0
    assert metrics["pixel_average_precision"] == 1.0
    assert "a1.png" in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_one_class_is_reported_too(tmp_path):
    _, metrics = report_on([a_case("h1", 0, 0.1), a_case("h2", 0, 0.3)], tmp_path)
    assert metrics["auc"] is None
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES


def test_the_scores_of_all_cases_but_the_reference(tmp_path):
    cases = [
        a_case("h1", 0, 0.1, p_value=0.5, is_anomalous=False) | {"name": "a/h1.png"},
        a_case("a1", 1, 1 / 3),
        a_reference(torch.zeros(1, 24, 20)),
    ]
    report_on(cases, tmp_path)
    assert (tmp_path / "scores.csv").read_text("utf-8").splitlines() == [
        "name,label,anomaly_score,p_value,is_anomalous,is_ood,num_findings",
        "a/h1.png,0,0.1,0.5,False,,",
        "a1.png,1,0.3333333333333333,,,,",
    ]


def a_calibrated_case(name: str, label: int, **more: Any) -> dict[str, Any]:
    """A case whose deviation is highest where its map is 0: at the lower right, in the lesion of anomalous ones."""
    deviation = torch.zeros(1, 24, 20)
    case = a_case(name, label, deviation_map=deviation, is_ood=False, findings=[{"label": 1}] * label)
    if label:
        deviation[:, -3:, -2:] = 5.0
        case["mask"] = (deviation > 0).float()
    return case | more


def test_the_deviation_from_healthy_images_is_shown_and_measured(tmp_path):
    cases = [a_calibrated_case("h1", 0), a_calibrated_case("a1", 1)]
    reference = a_calibrated_case("reference", 0, role="reference")
    _, metrics = report_on([*cases, reference], tmp_path)
    assert metrics["map"] == "deviation_map"
    assert metrics["pixel_average_precision"] == metrics["dice"] == metrics["peak_inside_share"]["value"] == 1.0
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "standard deviations and more" in page
    assert [metrics["with_findings"][kind]["value"] for kind in ("healthy", "anomalous")] == [0.0, 1.0]
    assert (tmp_path / "scores.csv").read_text("utf-8").splitlines()[2] == "a1.png,1,0.5,,,False,1"


def test_how_well_findings_cover_lesions(tmp_path):
    """Over the cases whose findings are known: those of one that was not judged are not."""
    found = torch.zeros(1, 24, 20, dtype=torch.int16)
    found[:, -3:, -4:-2], found[:, -3:, -2:] = 1, 2  # the lesion, and as much beside it
    cases = [
        a_calibrated_case("h1", 0, findings_map=torch.zeros_like(found)),
        a_calibrated_case("a1", 1, findings_map=found),
        a_calibrated_case("a2", 1, findings_map=torch.zeros_like(found)),
        a_calibrated_case("a3", 1, findings=None, is_ood=True),
    ]
    _, metrics = report_on(cases, tmp_path / "judged")
    assert metrics["findings_dice"] == pytest.approx((2 / 3 + 0) / 2)
    assert "Dice of the findings" in (tmp_path / "judged" / "report.html").read_text("utf-8")
    _, metrics = report_on([cases[0], cases[3]], tmp_path / "not")
    assert metrics["findings_dice"] is None
    assert "Dice of the findings" not in (tmp_path / "not" / "report.html").read_text("utf-8")


def test_findings_of_another_size_are_refused(tmp_path):
    case = a_calibrated_case("a1", 1, findings_map=torch.zeros(1, 24, 19, dtype=torch.int16))
    _, metrics = report_on([case, a_calibrated_case("h1", 0)], tmp_path)
    assert metrics["num_failed"] == 1
    assert "findings of case 'a1.png' have the shape (19, 24), but the map has (20, 24)" in metrics["left_out"][-1]


def test_findings_of_a_volume_are_measured_in_all_slices(tmp_path):
    case, _ = a_volume("a1", 1, 4)
    lesion = torch.zeros(1, 24, 20, 9)
    lesion[:, :4, :3, 3:6] = 1
    found = lesion.clone().short()
    found[..., 3] = 0
    more = {"mask": lesion, "findings_map": found, "findings": [{"label": 1}]}
    _, metrics = report_on([case | more, a_volume("h1", 0, 4)[0]], tmp_path)
    assert metrics["findings_dice"] == pytest.approx(2 * 24 / (24 + 36))


def test_one_case_without_it_and_the_maps_are_compared_as_they_are(tmp_path):
    for missing in (a_case("a2", 1), a_reference(torch.zeros(1, 24, 20))):
        _, metrics = report_on([a_calibrated_case("h1", 0), a_calibrated_case("a1", 1), missing], tmp_path)
        assert metrics["map"] == "anomaly_map"
        assert "standard deviations" not in (tmp_path / "report.html").read_text("utf-8")


def test_out_of_distribution_images_are_marked(tmp_path):
    cases = [a_calibrated_case("h1", 0, is_ood=True, findings=None), a_calibrated_case("a1", 1)]
    _, metrics = report_on(cases, tmp_path)
    assert [metrics["out_of_distribution"][kind]["value"] for kind in ("healthy", "anomalous")] == [1.0, 0.0]
    page = (tmp_path / "report.html").read_text("utf-8")
    assert page.count("<strong>unlike the training images</strong>") == 1
    assert "are flagged" in page


def test_test_images_that_look_the_same_as_training_images_are_named(tmp_path):
    _, metrics = report_on([a_case("h1", 0, is_trained_on=True), a_case("a1", 1)], tmp_path)
    said = "1 of 2 test images look the same as images that the bundle was trained on, so that the figures are too good"
    (warning,) = [warning for warning in metrics["warnings"] if warning.startswith(said)]
    assert warning == f"{said}: h1.png; take them out of the test set."
    assert said in (tmp_path / "report.html").read_text("utf-8")


def test_what_is_left_out_is_said(tmp_path):
    warning = "a2.png: left out, since the bundle was trained on this image or calibrated with it."
    _, metrics = report_on([a_case("h1", 0), a_case("a1", 1), {"path": "a2.png", "warning": warning}], tmp_path)
    assert (metrics["num_anomalous"], metrics["num_failed"]) == (1, 0)
    assert metrics["left_out"] == [warning]
    assert warning in (tmp_path / "report.html").read_text("utf-8")


def test_the_share_of_peaks_inside_the_lesion(tmp_path):
    cases = [a_case("h1", 0), a_case("a1", 1), a_case("a2", 1), a_case("a3", 1)]
    cases[3]["anomaly_map"][0, 20, 10] = 0.9  # outside
    _, metrics = report_on(cases, tmp_path)
    assert metrics["peak_inside_share"]["value"] == pytest.approx(2 / 3)
    # The exact interval of two in three.
    assert metrics["peak_inside_share"]["low"] == pytest.approx(0.0943, abs=1e-4)
    assert metrics["peak_inside_share"]["high"] == pytest.approx(0.9916, abs=1e-4)


def test_the_threshold_comes_from_reference_cases_alone(tmp_path):
    generator = torch.Generator().manual_seed(0)
    maps = [torch.rand(1, 24, 20, generator=generator) / 2 for _ in range(3)]
    references = [a_reference(each) for each in maps]
    values = torch.stack(maps).numpy().ravel()
    for number, factor in enumerate((1.0, 5.0)):  # whatever the test set is like
        tests = [a_case("h1", 0), a_case("a1", 1)]
        tests[1]["anomaly_map"] *= factor
        handler, metrics = report_on([*tests, *references], tmp_path / str(number), reference_share=0.05)
        assert metrics["pixel_threshold"] == pytest.approx(np.quantile(values, 0.95))
        assert (metrics["num_healthy"], metrics["num_anomalous"]) == (1, 1)
        assert [case.name for case in handler.cases] == ["h1.png", "a1.png"]


def test_without_reference_cases_there_is_no_threshold(tmp_path):
    _, metrics = report_on([a_case("h1", 0), a_case("a1", 1)], tmp_path)
    assert metrics["dice"] is None
    assert metrics["pixel_threshold"] is None


def test_failed_cases_are_counted_and_named(tmp_path):
    failed = [{"path": f"{name}.png", "error": f"{name}.png: the file is empty."} for name in ("bad", "worse")]
    _, metrics = report_on([a_case("h1", 0), failed[0], a_case("a1", 1), failed[1]], tmp_path)
    assert metrics["num_failed"] == 2
    assert (metrics["num_healthy"], metrics["num_anomalous"]) == (1, 1)
    assert metrics["left_out"] == [
        "Left out: bad.png: the file is empty.",
        "Left out: worse.png: the file is empty.",
    ]
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "Left out: worse.png: the file is empty." in page


# The last two are as large as their image once both are shrunk, and have too few slices.
@pytest.mark.parametrize(
    ("size", "mask_size"),
    [((24, 20), (20, 24)), ((600, 600), (700, 700)), ((24, 20, 9), (24, 20, 3)), ((24, 20, 9), (24, 20))],
)
def test_a_mask_of_another_size_fails_its_case(tmp_path, size, mask_size):
    wrong = a_case("wrong", 1, size=size, mask=torch.zeros(1, *mask_size))
    if len(size) == 3:
        wrong |= {"slice_axis": 2, "slice_scores": [0.1] * 8 + [0.9]}
    handler, metrics = report_on([a_case("h1", 0), wrong, a_case("a1", 1)], tmp_path)
    image, mask = (" x ".join(map(str, each)) for each in (size, mask_size))
    assert metrics["num_failed"] == 1
    assert handler.failed == [f"folder/wrong.png: the image has {image} pixels, but its mask has {mask}."]
    assert [case.name for case in handler.cases] == ["h1.png", "a1.png"]


def test_a_radiograph_has_an_axis_more_than_its_mask(tmp_path):
    mask = torch.zeros(1, 24, 20)
    mask[:, :4, :3] = 1
    radiograph = a_case("radiograph", 1, size=(24, 20, 1), mask=mask, slice_axis=2, slice_scores=[0.5])
    handler, metrics = report_on([a_case("h1", 0), radiograph], tmp_path)
    assert (metrics["num_failed"], handler.cases[1].mask.sum()) == (0, 12)


def test_a_healthy_image_with_a_lesion_fails(tmp_path):
    handler, _ = report_on([a_case("h1", 0, mask=torch.ones(1, 24, 20)), a_case("a1", 1)], tmp_path)
    assert handler.failed == ["folder/h1.png: Case 'h1.png' is labelled healthy, but its mask marks a lesion."]


def test_a_volume_shows_its_highest_slice(tmp_path):
    volume, plane = a_volume("volume", 1, highest=6)
    handler, _ = report_on([volume, a_case("h1", 0)], tmp_path)
    shown = handler.cases[0]
    assert shown.image.shape == (20, 24)
    assert np.array_equal(shown.image, plane.T.numpy())
    assert shown.restored.shape == shown.anomaly_map.shape == shown.mask.shape == (20, 24)


def test_pictures_are_rows_first(tmp_path):
    handler, _ = report_on([a_case("a1", 1), a_case("h1", 0)], tmp_path)
    rows, columns = np.nonzero(handler.cases[0].mask)
    assert (rows.max(), columns.max()) == (2, 3)


def test_large_pictures_are_shrunk(tmp_path):
    large = a_case("large", 1, size=(600, 300))
    large["anomaly_map"][:] = 0.25
    handler, _ = report_on([large, a_case("small", 0, size=(256, 100))], tmp_path)
    shown, small = handler.cases
    assert shown.image.shape == shown.restored.shape == shown.mask.shape == (128, 256)
    assert shown.anomaly_map.shape == (128, 256)
    assert np.allclose(shown.anomaly_map, 0.25, atol=1e-6)
    assert shown.mask.dtype == bool
    assert small.image.shape == (100, 256)


@pytest.mark.parametrize(
    "cases", [[{"path": "bad.png", "error": "bad.png: damaged."}], [a_reference(torch.ones(1, 9, 9))]]
)
def test_nothing_usable_is_said_in_a_sentence(tmp_path, cases):
    with pytest.raises(UserError, match="none of the test images could be used"):
        report_on(cases, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_all_slices_of_a_volume_count_for_the_pixel_measures(tmp_path):
    """Also those that do not score highest, which are shown: the lesion is found in two of nine slices."""
    case, _ = a_volume("v", 1, highest=6)
    case["mask"] = torch.zeros(1, 24, 20, 9)
    case["mask"][0, 3:9, 4:8, 5:8] = 1
    case["anomaly_map"].zero_()
    case["anomaly_map"][0, 3:9, 4:8, 6:8] = 0.5
    case["anomaly_map"][0, 3:9, 4:8, 0] = 0.4
    healthy, _ = a_volume("h", 0, highest=2)
    handler, metrics = report_on([case, healthy, a_reference(torch.full((1, 24, 20, 9), 0.2))], tmp_path)
    # What lies above 0.2 is 24 pixels in each of three slices, two of them among the lesion's three.
    assert metrics["dice"] == pytest.approx(2 * 48 / (72 + 72))
    assert metrics["lesion_pixel_share"] == pytest.approx(72 / (2 * 24 * 20 * 9))
    assert handler.cases[0].image.shape == (20, 24)
