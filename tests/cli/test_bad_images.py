"""Images and data sets that cannot be used: one sentence that names it, an exit code, and nothing half made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

DAMAGED = "the file is damaged or not an image; copy it again or leave it out."
DISK_IS_FULL = "the disk is full; free some space or choose another folder."
NO_PERMISSION = "there is no permission to use it; change its permissions or choose another folder."


class TestImages:
    def test_a_missing_one(self, predict: Callable, tmp_path: Path) -> None:
        assert predict(tmp_path / "x.png").sentence == f"{tmp_path / 'x.png'}: there is no such file or folder."

    def test_an_empty_folder(self, predict: Callable, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "notes.txt").write_text("x")
        assert predict(tmp_path / "in").sentence.startswith(f"{tmp_path / 'in'}: this folder holds no image (.png, ")

    @pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif", "x.nii.gz", "x.nrrd", "x.dcm", "x.txt"])
    def test_no_image(self, name: str, predict: Callable, tmp_path: Path) -> None:
        (tmp_path / name).write_text("no image")
        assert predict(tmp_path / name).sentence == f"{tmp_path / name}: {DAMAGED}"

    @pytest.mark.parametrize("share", [0.1, 0.9])
    @pytest.mark.parametrize("name", ["x.png", "x.nii.gz", "x.nii"])
    def test_a_truncated_one(
        self, name: str, share: float, predict: Callable, a_picture: Callable, a_volume: Callable
    ) -> None:
        path = a_picture(name) if name.endswith(".png") else a_volume(name)
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
        assert predict(path).sentence == f"{path}: {DAMAGED}"

    @pytest.mark.parametrize("name", ["x.png", "x.nii.gz", "x.dcm", "x.mha"])
    def test_an_empty_file(self, name: str, predict: Callable, tmp_path: Path) -> None:
        (tmp_path / name).touch()
        assert predict(tmp_path / name).sentence == (
            f"{tmp_path / name}: the file is empty; copy it again or leave it out."
        )

    def test_a_link_to_itself(self, predict: Callable, tmp_path: Path) -> None:
        path = tmp_path / "x.png"
        path.symlink_to(path)
        assert predict(path).sentence == (
            f"{path}: this is a symbolic link that leads nowhere; repair it or leave it out."
        )

    def test_a_folder_within_itself(
        self, tiny_bundle: Path, a_picture: Callable, tmp_path: Path, run: Callable, listing: Callable
    ) -> None:
        folder = a_picture("in/a.png").parent
        (folder / "loop").symlink_to(folder)
        assert run("predict", tiny_bundle, folder, "--output", tmp_path / "maps").code == 0
        assert {"a_anomaly.json", "a_anomaly.nii.gz"} <= set(listing(tmp_path / "maps"))

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_pixels_that_are_no_numbers(self, value: float, predict: Callable, a_volume: Callable) -> None:
        voxels = np.random.default_rng(0).random((20, 24, 3), dtype=np.float32)
        voxels[3, 4, 1] = value
        path = a_volume(voxels=voxels)
        assert predict(path).sentence == (
            f"{path}: some pixels are NaN or infinite; replace them or leave the image out."
        )

    def test_a_constant_one(self, predict: Callable, a_volume: Callable) -> None:
        path = a_volume(voxels=np.full((20, 24, 3), 7, dtype=np.int16))
        assert predict(path).sentence == (
            f"{path}: every pixel has the same value, so there is nothing to see; leave the image out."
        )

    def test_nothing_but_background(self, predict: Callable, a_volume: Callable) -> None:
        """A mask of 0 and 1, where 8 bits reach to 255."""
        voxels = np.zeros((20, 24, 3), dtype=np.uint8)
        voxels[5:15, 5:15] = 1
        path = a_volume(voxels=voxels)
        assert predict(path).sentence == (
            f"{path}: no slice shows anything but background; leave the volume out, or check its intensity "
            "range: 8-bit images are assumed to span 0 to 255."
        )

    def test_values_that_are_too_large(self, predict: Callable, a_volume: Callable) -> None:
        voxels = np.random.default_rng(0).random((20, 24, 3))
        voxels[3, 4, 1] = 1e300
        path = a_volume(voxels=voxels)
        assert predict(path).sentence == (
            f"{path}: some values do not fit 32-bit numbers; scale them or leave the image out."
        )

    @pytest.mark.parametrize("size", [(15, 40), (40, 15), (2, 2), (1, 1)])
    def test_a_small_one(self, size: tuple[int, int], predict: Callable, a_picture: Callable) -> None:
        path = a_picture(size=size)
        reason = predict(path).sentence.removeprefix(f"{path}: ")
        if size == (1, 1):
            assert reason.startswith("every pixel has the same value")
        else:
            assert reason == f"the image has only {min(size)} pixels along one side; at least 16 are needed."

    def test_one_that_is_just_large_enough(
        self, tiny_bundle: Path, a_picture: Callable, tmp_path: Path, run: Callable
    ) -> None:
        assert run("predict", tiny_bundle, a_picture(size=(16, 16)), "--output", tmp_path / "maps").code == 0

    def test_one_name_twice(self, predict: Callable, a_picture: Callable) -> None:
        inputs = [a_picture("one/a.png", seed=1), a_picture("two/a.png", seed=2)]
        assert predict(*inputs).sentence == (
            "a.png: two of the images given have this name; give them to two runs with two outputs."
        )


class TestDicom:
    @pytest.fixture
    def series(self, a_series: Callable[..., Path]) -> Path:
        """A folder of eight slices, 3 mm apart, of a patient with a name."""
        voxels = np.random.default_rng(0).integers(0, 4096, (24, 20, 8)).astype("<u2")
        folder = a_series("in/Schädel T1", voxels, np.diag([-1.0, -1.0, 3.0, 1.0]))
        for number, file in enumerate(sorted(folder.iterdir())):
            file.rename(folder / f"{number}.dcm")
        return folder

    @pytest.fixture
    def change(self, series: Path) -> Callable[..., Path]:
        """Changes attributes of a slice; those that are None go."""

        def change(number: int, name: str | None = None, **attributes: Any) -> Path:
            slice_ = pydicom.dcmread(series / f"{number}.dcm")
            for keyword, value in attributes.items():
                delattr(slice_, keyword) if value is None else setattr(slice_, keyword, value)
            path = series / (name or f"{number}.dcm")
            slice_.save_as(path)
            return path

        return change

    @pytest.mark.parametrize("by_folder", [True, False])
    def test_a_series_in_a_folder_with_a_difficult_name(
        self, series: Path, tiny_bundle: Path, tmp_path: Path, run: Callable, listing: Callable, by_folder: bool
    ) -> None:
        given = series if by_folder else series.parent
        outcome = run("predict", tiny_bundle, given, "--output", tmp_path / "Übersicht 1", "--progress", "none")
        assert outcome.code == 0, outcome.err
        results = {"Schädel T1_anomaly.json", "Schädel T1_anomaly.nii.gz"}
        assert results <= set(listing(tmp_path / "Übersicht 1"))

    def test_a_series_cut_short(self, series: Path, predict: Callable) -> None:
        bad = series / "4.dcm"
        bad.write_bytes(bad.read_bytes()[:-100])
        assert predict(series).sentence == f"{bad}: {DAMAGED}"

    def test_a_missing_slice(self, series: Path, predict: Callable) -> None:
        (series / "4.dcm").unlink()
        assert predict(series).sentence == (
            f"{series}: 1 slice is missing between 9.0 and 15.0 mm; copy the series again, or export it whole."
        )

    def test_slices_at_one_position(self, series: Path, change: Callable, predict: Callable) -> None:
        change(4, "echo.dcm")
        assert predict(series).sentence == (
            f"{series}: 1 of the 9 images lie where another one does, perhaps because they are several time points or "
            "echoes; give those of one volume only."
        )

    def test_a_localizer_among_slices(self, series: Path, change: Callable, predict: Callable) -> None:
        change(0, ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
        assert predict(series).sentence.startswith(
            f"{series}: the images lie in different orientations (1 of 8 unlike the others), "
        )

    def test_a_pdf(self, change: Callable, predict: Callable) -> None:
        pdf = change(0, SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1", Rows=None, Columns=None, PixelData=None)
        pdf = pdf.rename(pdf.parents[2] / "letter.dcm")
        assert predict(pdf).sentence == (f"{pdf}: the file holds no image but: Encapsulated PDF Storage; leave it out.")

    def test_a_series_that_is_not_there(self, series: Path, tiny_bundle: Path, output: Path, run: Callable) -> None:
        assert run("predict", tiny_bundle, series, "--output", output, "--series", "9").sentence == (
            f"there is no series 9 in {series}; it holds 3 (CT, 8 images)."
        )


class TestOneBadImageAmongMany:
    @pytest.fixture
    def folder(self, a_picture: Callable, a_volume: Callable) -> Path:
        bad = a_picture("in/b.png")
        bad.write_bytes(bad.read_bytes()[:100])
        for seed, name in enumerate(["in/a.png", "in/c.png"]):
            a_picture(name, seed=seed)
        a_volume("in/d.nii.gz")
        return bad.parent

    def test_predict(self, folder: Path, tiny_bundle: Path, tmp_path: Path, run: Callable, listing: Callable) -> None:
        outcome = run("predict", tiny_bundle, folder, "--output", tmp_path / "maps", "--progress", "none")
        assert outcome.code == 1
        assert outcome.out == f"Results: {tmp_path / 'maps'}\n"
        assert outcome.err.splitlines() == [
            f"Error: {folder / 'b.png'}: {DAMAGED}",
            "Error: 1 of 4 images could not be used.",
        ]
        names = [f"{name}_anomaly{ending}" for name in "acd" for ending in (".json", ".nii.gz")]
        assert sorted(listing(tmp_path / "maps")) == [*names, "results.csv"]

    def test_predict_for_programs(self, folder: Path, tiny_bundle: Path, tmp_path: Path, run: Callable) -> None:
        outcome = run("predict", tiny_bundle, folder, "--output", tmp_path / "maps", "--progress", "json")
        assert outcome.code == 1
        events = outcome.events
        assert [event for event in events if event["event"] == "error"] == [
            {"event": "error", "message": f"{folder / 'b.png'}: {DAMAGED}"}
        ]
        assert events[-1] == {"event": "done", "num_done": 3, "num_skipped": 0, "num_failed": 1}

    def test_evaluate(self, a_data_set: Path, tiny_bundle: Path, tmp_path: Path, run: Callable) -> None:
        bad = a_data_set / "images" / "test_0_0001.png"
        bad.write_bytes(b"x")
        outcome = run("evaluate", tiny_bundle, "--data", a_data_set, "--output", tmp_path / "x", "--progress", "none")
        assert outcome.code == 1
        assert outcome.err.splitlines() == [
            f"Error: {bad}: {DAMAGED}",
            "Error: 1 of the images could not be used; the page names them.",
        ]
        metrics = json.loads((tmp_path / "x" / "metrics.json").read_text())
        assert (metrics["num_healthy"], metrics["num_anomalous"], metrics["num_failed"]) == (7, 8, 1)
        assert f"Left out: {bad}: {DAMAGED}" in metrics["left_out"]

    def test_train(self, a_data_set: Path, train: Callable) -> None:
        """Here it ends the run: training on other images than were listed is nobody's wish."""
        bad = a_data_set / "images" / "healthy_0003.png"
        bad.write_bytes(b"x")
        assert train(data=a_data_set).sentence == f"{bad}: {DAMAGED}"


class TestDataSets:
    @pytest.fixture(params=["train", "evaluate"])
    def use(self, request: pytest.FixtureRequest, train: Callable, evaluate: Callable) -> Callable[[Path], str]:
        """Both commands that take a data set."""
        return lambda data: (train(data=data) if request.param == "train" else evaluate(data)).sentence

    def test_an_empty_folder(self, use: Callable[[Path], str], tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        assert use(tmp_path / "data").startswith(
            f"{tmp_path / 'data' / 'data.json'}: there is no such file; make a data set with "
        )

    def test_no_json(self, use: Callable[[Path], str], a_data_set: Path) -> None:
        (a_data_set / "data.json").write_text("{'train': ")
        assert use(a_data_set).startswith(f"{a_data_set / 'data.json'}: this is no valid JSON (")

    def test_another_layout(self, use: Callable[[Path], str], a_data_set: Path) -> None:
        (a_data_set / "data.json").write_text("{}")
        assert use(a_data_set) in [
            f"{a_data_set / 'data.json'}: '{section}' is missing or no object." for section in ("train", "test")
        ]

    def test_a_missing_file(self, use: Callable[[Path], str], a_data_set: Path) -> None:
        for name in ("healthy_0000.png", "test_0_0000.png"):
            (a_data_set / "images" / name).unlink()
        assert use(a_data_set).startswith(
            f"{a_data_set / 'data.json'}: names files that are not in {a_data_set / 'images'}: "
        )

    def test_no_test_images(self, evaluate: Callable, a_data_set: Path, change_data_json: Callable) -> None:
        change_data_json(a_data_set, lambda content: content.update(test={"0": [], "1": []}))
        assert evaluate(a_data_set).sentence == (
            f"{a_data_set / 'data.json'}: test lists no image, so there is nothing to evaluate."
        )

    def test_no_test_image_that_can_be_used(
        self, evaluate: Callable, a_data_set: Path, change_data_json: Callable
    ) -> None:
        change_data_json(a_data_set, lambda content: content.update(test={"0": ["test_0_0000.png"], "1": []}))
        (a_data_set / "images" / "test_0_0000.png").write_bytes(b"x")
        outcome = evaluate(a_data_set)
        assert outcome.code == 1
        assert "none of the test images could be used" in outcome.err.splitlines()[-1]
