"""What is seen in the browser, and what a user changes there."""

from __future__ import annotations

import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import phantoms
import pytest
import scenes
from browsers import wait_until

Views = Callable[..., Any]
CLASSES = [{"name": "healthy", "probability": 0.07}, {"name": "ill", "probability": 0.93}]


@pytest.fixture
def opened(view: Views, phantom: Path) -> Any:
    """The phantom, at the slice where its blob is highest."""
    served = view(phantom, phantom.parent / "maps")
    served.page.locator("#next").click()
    wait_until(lambda: served.slice_text().startswith("Slice 14 of 20"), "the next high slice")
    wait_until(lambda: all(served.colour(name) > 200 for name in served.views()), "the overlay in all views")
    return served


def is_peak_mark(pixels: np.ndarray) -> np.ndarray:
    """Which pixels have the colour of the mark at the peak, a light blue that is none of the map's."""
    red, green, blue = np.moveaxis(pixels, -1, 0)
    return (green > red + 60) & (blue > red + 60)


def test_tells_the_result(view: Views, phantom: Path) -> None:
    page = view(phantom, phantom.parent / "maps" / "head_anomaly.json").page
    assert page.title() == "head.nrrd - monai-sagan"
    assert page.locator("#score").inner_text() == "0.123"
    sentence = page.locator("#sentence").inner_text()
    found, among_healthy = sentence.splitlines()
    assert among_healthy.startswith("More unusual than 98 of 100 healthy images.")
    assert page.locator("#notice").count() == 0
    assert "slice 14 of 20" in found
    assert page.locator(".chart g").count() == 20
    assert page.locator(".chart .high").count() == 1


def test_threshold(opened: Any) -> None:
    before = {name: opened.colour(name) for name in opened.views()}
    opened.press("threshold", "End")
    wait_until(lambda: all(opened.colour(name) < before[name] / 4 for name in before), "less of the map")
    opened.press("threshold", "Home")
    wait_until(lambda: all(opened.colour(name) > 0.9 * before[name] for name in before), "more of the map")


def test_opacity(opened: Any) -> None:
    before = opened.colour("axial")
    opened.press("opacity", "Home")
    wait_until(lambda: opened.colour("axial") < before / 20, "a transparent map")
    opened.press("opacity", "End")
    wait_until(lambda: opened.colour("axial") > before / 2, "an opaque map")
    # Nothing shines through: the colours are the table's own, whose lightest has hardly any of the image's grey.
    wait_until(lambda: opened.pixels("axial").max(axis=(0, 1))[2] >= 150, "the table's lightest colour")


def test_a_click_on_a_score_moves_the_views(opened: Any) -> None:
    before = opened.colour("axial")
    opened.page.locator(".chart g").nth(3).click()
    wait_until(lambda: opened.slice_text().startswith("Slice 4 of 20"), "slice 4")
    wait_until(lambda: opened.colour("axial") < before / 20, "a slice without anything of the blob")


def test_arrow_keys_move_the_views(opened: Any) -> None:
    chart = opened.page.locator("#chart")
    chart.press("ArrowRight")
    wait_until(lambda: opened.slice_text().startswith("Slice 15 of 20"), "the slice after")
    for _ in range(2):
        chart.press("ArrowLeft")
    wait_until(lambda: opened.slice_text().startswith("Slice 13 of 20"), "the slices before")


def test_sliders_have_names(opened: Any) -> None:
    named = opened.page.get_by_role("slider")
    names = [slider.get_attribute("aria-label") for slider in named.all()]
    assert {"Threshold", "Opacity", "Scores of slices"} <= set(names)


def test_the_wheel_moves_a_view_and_the_page_follows(opened: Any) -> None:
    opened.page.locator(".layout-grid-item").first.hover()
    opened.page.mouse.wheel(0, -300)
    wait_until(lambda: not opened.slice_text().startswith("Slice 14"), "another slice")


def test_peak(view: Views, phantom: Path) -> None:
    served = view(phantom, phantom.parent / "maps")
    assert not is_peak_mark(served.pixels("axial")).any()
    served.page.locator("#peak").click()
    wait_until(lambda: served.slice_text().startswith("Slice 14 of 20"), "the peak's slice")
    wait_until(lambda: all(is_peak_mark(served.pixels(name)).any() for name in served.views()), "its mark")


def test_an_out_of_distribution_image(view: Views, tmp_path: Path) -> None:
    reason = "It looks like a colour photograph."
    told = {
        "is_ood": True,
        "ood_reasons": [reason],
        "p_value": None,
        "is_anomalous": None,
    }
    page = view(phantoms.write_picture(tmp_path, **told), tmp_path / "maps").page
    notice = page.locator("#notice").inner_text()
    assert notice.startswith("Do not rely on this result: ")
    assert reason in notice
    assert "rely" not in page.locator("#sentence").inner_text()
    # On amber, white would be hard to read.
    assert page.locator("#notice").evaluate("element => getComputedStyle(element).color") == "rgb(0, 0, 0)"


def test_findings(view: Views, tmp_path: Path) -> None:
    served = view(phantoms.write_findings(tmp_path), tmp_path / "maps")
    page = served.page
    assert "1 finding: it deviates 8.0 standard deviations" in page.locator("#sentence").inner_text()
    assert page.get_by_text("Standard deviations from healthy images", exact=True).count() == 1
    assert not is_peak_mark(served.pixels("axial")).any()
    page.locator("#finding-button").click()
    wait_until(lambda: is_peak_mark(served.pixels("axial")).any(), "the finding's mark")
    assert page.locator("#finding").inner_text() == (
        "Finding 1 of 1: 8.0 standard deviations from healthy images, 9 pixels. "
        "A region that deviates as much is seen in 2.0 % of healthy images."
    )


def test_large_numbers_are_no_powers_of_ten(view: Views, tmp_path: Path) -> None:
    page = view(phantoms.write_findings(tmp_path, factor=200.0), tmp_path / "maps").page
    assert page.get_by_text("160", exact=True).count() == 1  # the highest, at the end of the colours


def test_slices_with_low_p_values_are_high(view: Views, tmp_path: Path) -> None:
    p_values = [None, 0.05, *[0.5] * 17, 0.01]
    voxels, anomaly_map = scenes.phantom()
    volume = phantoms.write_case(tmp_path, voxels, anomaly_map, np.eye(4), slice_p_values=p_values)
    served = view(volume, tmp_path / "maps")
    assert served.page.get_by_text("in orange the high ones: p of 0.05 or less").count() == 1
    assert served.page.locator(".chart .high").count() == 2
    served.page.locator("#next").click()
    wait_until(lambda: served.slice_text().startswith("Slice 20 of 20"), "the next slice with a low p-value")


def test_a_picture_has_one_view(view: Views, tmp_path: Path) -> None:
    served = view(phantoms.write_picture(tmp_path), tmp_path / "maps")
    wait_until(lambda: served.colour("axial") > 200, "the overlay")
    assert served.views() == ("axial",)
    assert not served.page.locator(".slice-slider-gutter").is_visible()
    assert served.page.locator(".chart").count() == 0
    assert served.page.locator("#next").count() == 0
    assert served.page.locator("#peak").count() == 1


def test_a_classifier(view: Views, tmp_path: Path) -> None:
    served = view(phantoms.write_picture(tmp_path, classes=CLASSES, anomaly_score=None), tmp_path / "maps")
    assert served.page.locator(".class").all_inner_texts() == ["ill\n93 %", "healthy\n7.0 %"]
    assert served.page.locator("#score").count() == 0
    assert served.page.get_by_text("Weight for the decision", exact=True).count() == 1
    wait_until(lambda: served.colour("axial") > 200, "the weight map")


def test_a_classifier_without_a_map(view: Views, tmp_path: Path) -> None:
    picture = phantoms.write_picture(tmp_path, classes=CLASSES, anomaly_score=None, peak=None)
    served = view(picture, tmp_path / "maps")
    assert served.page.locator(".class").count() == 2
    assert "There is no weight map" in served.page.locator("#sentence").inner_text()
    for name in ("#threshold", "#opacity", "#peak", "#next"):
        assert served.page.locator(name).count() == 0
    assert served.colour("axial") == 0


def test_is_there_again_after_a_reload(opened: Any) -> None:
    opened.press("opacity", "End")
    opened.page.get_by_text("100 %").wait_for()
    opened.page.reload()
    opened.page.get_by_text("100 %").wait_for()
    wait_until(lambda: opened.slice_text().startswith("Slice 14 of 20"), "the slice that was shown")


def test_without_the_key_nothing_is_told(opened: Any) -> None:
    home = opened.address.split("?")[0]
    for address in (home, f"{home}?secret=wslink-secret"):  # the latter is what trame has if nobody gives it another
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(address)  # noqa: S310 - its own server
        assert refused.value.code == 403
        assert "open the address that the viewer told" in refused.value.read().decode()


def test_ctrl_c_ends_it(view: Views, phantom: Path) -> None:
    served = view(phantom, phantom.parent / "maps")
    assert served.close() == 0
    assert served.line == f"Viewer, until Ctrl-C: {served.address}\n"


def test_a_real_volume(view: Views, tmp_path: Path) -> None:
    library, volumes = os.environ.get("MONAI_SAGAN_PYTHON"), Path(__file__).parents[3] / "shared" / "data" / "flair"
    if library is None:
        pytest.skip("MONAI_SAGAN_PYTHON names no Python with monai-sagan, which makes the map")
    if not volumes.is_dir():
        pytest.skip(f"{volumes} is absent: real images are not part of the repository")
    volume = volumes / "patient12_study1_FLAIR.nii.gz"
    predict = [library, "-m", "monai_sagan", "predict", "sagan_anomaly_detection", volume, "--output", tmp_path]
    subprocess.run([*predict, "--progress", "none"], check=True)
    served = view(volume, tmp_path)
    served.page.locator("#next").click()
    wait_until(lambda: all(served.colour(name) > 200 for name in served.views()), "the overlay in all views")
    before = served.colour("axial")
    served.press("threshold", "End")
    wait_until(lambda: served.colour("axial") < before / 4, "less of the map")
