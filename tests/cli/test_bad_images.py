"""Images and data sets that cannot be used: one sentence that names it, an exit code, and nothing half made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
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

    def test_an_empty_file(self, predict: Callable, tmp_path: Path) -> None:
        (tmp_path / "x.png").touch()
        assert predict(tmp_path / "x.png").sentence == (
            f"{tmp_path / 'x.png'}: the file is empty; copy it again or leave it out."
        )

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

    @pytest.mark.parametrize("size", [(15, 40), (40, 15), (1, 1)])
    def test_a_small_one(self, size: tuple[int, int], predict: Callable, a_picture: Callable) -> None:
        path = a_picture(size=size)
        reason = predict(path).sentence.removeprefix(f"{path}: ")
        if size == (1, 1):
            assert reason.startswith("every pixel has the same value")
        else:
            assert reason == "the image has only 15 pixels along one side; at least 16 are needed."

    def test_one_that_is_just_large_enough(
        self, tiny_bundle: Path, a_picture: Callable, tmp_path: Path, run: Callable
    ) -> None:
        assert run("predict", tiny_bundle, a_picture(size=(16, 16)), "--output", tmp_path / "maps").code == 0

    def test_one_name_twice(self, predict: Callable, a_picture: Callable) -> None:
        inputs = [a_picture("one/a.png", seed=1), a_picture("two/a.png", seed=2)]
        assert predict(*inputs).sentence == (
            "a.png: two of the images given have this name; give them to two runs with two outputs."
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
        assert sorted(listing(tmp_path / "maps")) == names

    def test_predict_for_programs(self, folder: Path, tiny_bundle: Path, tmp_path: Path, run: Callable) -> None:
        outcome = run("predict", tiny_bundle, folder, "--output", tmp_path / "maps", "--progress", "json")
        assert outcome.code == 1
        events = outcome.events
        assert [event for event in events if event["event"] == "error"] == [
            {"event": "error", "message": f"{folder / 'b.png'}: {DAMAGED}"}
        ]
        assert events[-1] == {"event": "done", "num_done": 3, "num_failed": 1}

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
        assert f"Left out: {bad}: {DAMAGED}" in metrics["warnings"]

    def test_train(self, a_data_set: Path, train: Callable) -> None:
        """Here it ends the run: training on other images than were listed is nobody's wish."""
        bad = a_data_set / "images" / "healthy_0003.png"
        bad.write_bytes(b"x")
        assert train(data=a_data_set).sentence == f"{bad}: {DAMAGED}"

    def test_train_with_a_volume_among_pictures(
        self, a_data_set: Path, train: Callable, a_volume: Callable, change_data_json: Callable
    ) -> None:
        path = a_volume("data/images/volume.nii.gz")
        change_data_json(a_data_set, lambda content: content["train"]["0"].__setitem__(0, path.name))
        assert train(data=a_data_set).sentence == (
            f"{path}: An image with 3 axes does not suit a network that works in 2D."
        )


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
