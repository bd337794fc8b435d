"""``monai-sagan predict`` on folders of cases: what is done is skipped, nothing is lost, and a table tells all."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_sagan.bundle_files import WEIGHTS


@pytest.fixture
def images(a_picture: Callable[..., Path]) -> Path:
    for seed, name in enumerate(["in/a.png", "in/b.png", "in/deeper/a.png"]):
        a_picture(name, seed=seed)
    return a_picture("in/a.png").parent


@pytest.fixture
def predict(tiny_bundle: Path, images: Path, tmp_path: Path, run: Callable) -> Callable[..., Any]:
    def predict(*options: str | Path, bundle: Path = tiny_bundle, source: Path = images) -> Any:
        return run("predict", bundle, source, "--output", tmp_path / "maps", "--progress", "none", *options)

    return predict


def a_table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*_anomaly.*")}


class TestSkipping:
    def test_what_is_done(self, predict: Callable, images: Path, tmp_path: Path, a_picture: Callable) -> None:
        assert predict().out == f"Results: {tmp_path / 'maps'}\n"
        before = times(tmp_path / "maps")
        a_picture("in/c.png", seed=7)
        outcome = predict()
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out == f"Results: {tmp_path / 'maps'} (3 were there already)\n"
        after = times(tmp_path / "maps")
        assert {name: after[name] for name in before} == before
        assert set(after) - set(before) == {"c_anomaly.json", "c_anomaly.nii.gz"}

    def test_programs_read_of_it_as_of_the_others(self, predict: Callable) -> None:
        first, second = (predict("--progress", "json").events for _ in range(2))
        results = [[event for event in events if event["event"] == "result"] for events in (first, second)]
        assert results[0] == results[1]
        assert second[-1] == {"event": "done", "num_done": 0, "num_skipped": 3, "num_failed": 0}

    def test_what_is_to_be_made_again(self, predict: Callable, tmp_path: Path) -> None:
        predict()
        before = times(tmp_path / "maps")
        assert predict("--overwrite").out == f"Results: {tmp_path / 'maps'}\n"
        after = times(tmp_path / "maps")
        assert all(after[name] > before[name] for name in before)

    def test_what_is_not_complete(self, predict: Callable, tmp_path: Path) -> None:
        predict()
        (tmp_path / "maps" / "b_anomaly.nii.gz").unlink()
        assert "(2 were there already)" in predict().out
        assert (tmp_path / "maps" / "b_anomaly.nii.gz").is_file()
        assert "already" not in predict("--save-restored").out  # which was not written yet
        assert "(3 were there already)" in predict("--save-restored").out


class TestNothingIsLost:
    LOST = (
        "is there already, but of another image, or of another version of it; add --overwrite to replace it, or choose "
        "another --output."
    )

    def test_another_image_of_the_same_name(
        self, predict: Callable, images: Path, tmp_path: Path, listing: Callable
    ) -> None:
        predict()
        before = listing(tmp_path / "maps")
        other = tmp_path / "other"
        other.mkdir()
        shutil.copyfile(images / "b.png", other / "a.png")
        outcome = predict(source=other)
        assert outcome.sentence == f"{other / 'a.png'}: its result a_anomaly.json {self.LOST}"
        assert listing(tmp_path / "maps") == before

    def test_an_image_that_changed(self, predict: Callable, images: Path) -> None:
        predict()
        os.utime(images / "b.png", ns=(1, 1))
        outcome = predict()
        assert outcome.code == 1
        assert outcome.err.splitlines() == [
            f"Error: {images / 'b.png'}: its result b_anomaly.json {self.LOST}",
            "Error: 1 of 3 images could not be used.",
        ]

    def test_another_bundle(self, predict: Callable, tiny_bundle: Path, tmp_path: Path) -> None:
        predict()
        other = Path(shutil.copytree(tiny_bundle, tmp_path / "other"))
        assert "(3 were there already)" in predict(bundle=other).out  # it only has another name
        weights = torch.load(other / WEIGHTS, weights_only=True)
        torch.save({name: tensor + 0.01 for name, tensor in weights.items()}, other / WEIGHTS)
        outcome = predict(bundle=other)
        assert outcome.code == 1
        assert "but of another bundle, or of another version, training or calibration of it; add" in outcome.err
        assert predict("--overwrite", bundle=other).code == 0

    def test_another_setting(self, predict: Callable) -> None:
        predict()
        assert "but made with other settings; add --overwrite" in predict("--slice-direction", "axial").err
        assert predict("--slice-direction", "axial", "--overwrite").code == 0

    def test_something_else_of_that_name(self, predict: Callable, tmp_path: Path) -> None:
        (tmp_path / "maps").mkdir()
        (tmp_path / "maps" / "b_anomaly.json").write_text("mine")
        assert "but damaged; add --overwrite" in predict().err
        assert (tmp_path / "maps" / "b_anomaly.json").read_text() == "mine"


def test_whoever_reads_may_go_away(tiny_bundle: Path, images: Path, tmp_path: Path) -> None:
    """As ``head`` does; no traceback is left on the terminal."""
    command = [sys.executable, "-m", "monai_sagan", "predict", tiny_bundle, images, "--output", tmp_path / "maps"]
    process = subprocess.Popen([*command, "--progress", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    _, told = process.communicate(timeout=120)
    assert (told, process.returncode) == (b"", 128 + signal.SIGPIPE)


class TestTable:
    def test_a_line_a_case(self, predict: Callable, tmp_path: Path, images: Path, a_volume: Callable) -> None:
        a_volume("in/v.nii.gz", size=(20, 24, 6))
        (images / "bad.png").write_bytes(b"x")
        assert predict().code == 1
        table = a_table(tmp_path / "maps" / "results.csv")
        assert [line["name"] for line in table] == ["a", "b", "bad", "deeper/a", "v"]
        for line in table:
            if line["name"] == "bad":
                assert line["error"].startswith("bad.png: the file is damaged")
                assert line["anomaly_score"] == ""
                continue
            result = json.loads((tmp_path / "maps" / f"{line['name']}_anomaly.json").read_text())
            assert line["input"] == result["input"]
            assert float(line["anomaly_score"]) == result["anomaly_score"]
            assert [int(index) for index in line["peak_voxel"].split()] == result["peak"]["voxel"]
            place = [float(line[f"peak_{axis}_mm"]) for axis in ("left", "posterior", "superior")]
            assert place == result["peak"]["lps_mm"]
            assert line["error"] == ""
        scores = json.loads((tmp_path / "maps" / "v_anomaly.json").read_text())["slice_scores"]
        assert int(table[-1]["highest_slice"]) == scores.index(max(scores))
        assert table[0]["highest_slice"] == ""

    def test_lines_of_earlier_runs_stay(self, predict: Callable, tmp_path: Path, a_picture: Callable) -> None:
        predict()
        before = a_table(tmp_path / "maps" / "results.csv")
        other = a_picture("other/z.png", seed=5)
        predict(source=other)
        after = a_table(tmp_path / "maps" / "results.csv")
        assert [line["name"] for line in after] == ["a", "b", "deeper/a", "z"]
        assert after[:3] == before
        predict()  # all of them skipped
        assert a_table(tmp_path / "maps" / "results.csv") == after

    def test_an_error_that_is_mended_goes(self, predict: Callable, tmp_path: Path, images: Path) -> None:
        good = (images / "b.png").read_bytes()
        (images / "b.png").write_bytes(b"x")
        predict()
        assert a_table(tmp_path / "maps" / "results.csv")[1]["error"]
        (images / "b.png").write_bytes(good)
        predict()
        assert not any(line["error"] for line in a_table(tmp_path / "maps" / "results.csv"))

    def test_names_that_are_no_text(self, predict: Callable, tmp_path: Path, images: Path) -> None:
        """As archives that were packed on another system leave them."""
        shutil.copyfile(images / "a.png", os.fsencode(images) + b"/\xfcbel.png")
        assert predict().code == 0
        assert [line["name"] for line in a_table(tmp_path / "maps" / "results.csv")][-1] == "\\udcfcbel"

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1"])
    def test_a_table_that_a_spreadsheet_saved(
        self, predict: Callable, tmp_path: Path, images: Path, a_picture: Callable, encoding: str
    ) -> None:
        (images / "b.png").rename(images / "über.png")
        predict()
        table = tmp_path / "maps" / "results.csv"
        table.write_text(table.read_text(encoding="utf-8"), encoding=encoding)
        assert predict(source=a_picture("other/z.png", seed=5)).code == 0
        assert [line["name"][-4:] for line in a_table(table)] == [
            "a",
            "er/a",
            "z",
            "über" if encoding[0] == "u" else "�ber",
        ]

    def test_a_table_of_something_else(self, predict: Callable, tmp_path: Path, listing: Callable) -> None:
        (tmp_path / "maps").mkdir()
        (tmp_path / "maps" / "results.csv").write_text("name;score\na;1\n")
        before = listing(tmp_path / "maps")
        outcome = predict()
        assert outcome.sentence == (
            f"{tmp_path / 'maps' / 'results.csv'}: this is no table with a column 'name'; move it away, or save it as "
            "CSV again."
        )
        assert listing(tmp_path / "maps") == before


class TestNames:
    @pytest.mark.parametrize(
        "name", ["$open('run', 'w')", "$1+1", "$HOME", "@x", "@device", "%device", "a@##b", "-a", "%"]
    )
    def test_a_name_is_no_program(self, name: str, predict: Callable, images: Path, tmp_path: Path) -> None:
        """MONAI runs what begins so in a config."""
        shutil.copyfile(images / "a.png", images / f"{name}.png")
        before = sorted(tmp_path.rglob("run"))
        assert predict().code == 0
        assert (tmp_path / "maps" / f"{name}_anomaly.json").is_file()
        assert sorted(tmp_path.rglob("run")) == before

    def test_one_that_is_too_long_fails_alone(self, predict: Callable, images: Path, tmp_path: Path) -> None:
        name = "b" * 240
        shutil.copyfile(images / "a.png", images / f"{name}.png")
        outcome = predict()
        assert outcome.err.splitlines() == [
            f"Error: {images / name}.png: the name is too long for its results; rename the file.",
            "Error: 1 of 4 images could not be used.",
        ]
        assert len(list((tmp_path / "maps").rglob("*_anomaly.json"))) == 3
        assert not list((tmp_path / "maps").rglob(".partial*"))


def test_results_among_the_images_are_no_images(tiny_bundle: Path, images: Path, run: Callable, phantom: Path) -> None:
    """All that a calibrated bundle writes."""
    bundle = Path(shutil.copytree(tiny_bundle, images.parent / "bundle"))
    assert run("calibrate", bundle, "--data", phantom).code == 0
    command = ("predict", bundle, images, "--output", images / "maps", "--save-restored", "--judge-ood")
    assert run(*command).code == 0
    kinds = {path.name.split(".")[0].rsplit("_", 1)[1] for path in (images / "maps").rglob("*.nii.gz")}
    assert kinds == {"anomaly", "deviation", "findings", "restored"}
    assert "(3 were there already)" in run(*command).out
