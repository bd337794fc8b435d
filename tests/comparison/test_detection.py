"""Methods side by side: every training once, at one budget, and tables that say what was found."""

from __future__ import annotations

import csv
import errno
import importlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from monai_sagan.bundle_files import WEIGHTS
from monai_sagan.bundles import find_bundle
from monai_sagan.comparison import METHODS, budget, compare_detection, detection, detection_table
from monai_sagan.comparison.budget import plan_steps
from monai_sagan.comparison.child import run_child
from monai_sagan.comparison.mixtures import make_mixtures
from monai_sagan.data import load_training_set
from monai_sagan.derived_bundle import derive_bundle
from monai_sagan.errors import UserError
from monai_sagan.metrics import delong_difference, image_auc

SETTINGS: dict[str, Any] = {
    "image_size": [32, 32],
    "base_channels": 2,
    "num_res_blocks": 1,
    "latent_size": 8,
    "critic_base_channels": 2,
    "batch_size": 8,
}
NAMES = ["classifier", "autoencoder", "sagan-published"]


@pytest.fixture(scope="module")
def here() -> Any:
    """Trainings in this process, and steps of a second: a process of its own takes as long to start as all else."""
    main = importlib.import_module("monai_sagan.comparison.__main__")

    def run_here(bundle: str, data: Path, folder: Path, settings: dict, *, device: str, **_: Any) -> None:
        main.run(
            {
                "bundle": bundle,
                "data": str(data),
                "output": str(folder / "bundle"),
                "evaluation": str(folder / "evaluation"),
                "measured": str(folder / "measured.json"),
                "settings": json.loads(json.dumps(settings)),
                "device": device,
                "progress": "none",
            }
        )

    with pytest.MonkeyPatch.context() as context:
        context.setattr(detection, "run_child", run_here)
        context.setattr(detection, "seconds_per_step", lambda method, *_: {p.setting: 1.0 for p in method.parts})
        yield context


def compare(data: Path, output: Path, methods: list[str] = NAMES, **arguments: Any) -> Any:
    arguments = {"num_seeds": 2, "minutes": 0.1, "overrides": SETTINGS, "progress": "none", **arguments}
    return compare_detection(data, output, methods, **arguments)


@pytest.fixture(scope="module")
def compared(here: Any, phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("comparison") / "output"
    compare(phantom, output)
    return output


def read(output: Path, name: str = "comparison") -> dict[str, Any]:
    return json.loads((output / f"{name}.json").read_text())


def scores_of(output: Path, method: str, seed: int) -> tuple[list[int], list[float]]:
    path = output / "trainings" / method / f"seed_{seed}" / "evaluation" / "scores.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [int(row["label"]) for row in rows], [float(row["anomaly_score"]) for row in rows]


class TestWhole:
    def test_areas_and_differences_are_those_of_the_scores(self, compared: Path) -> None:
        ((result),) = read(compared)["results"]
        assert result["anomaly_ratio"] is None
        assert list(result["methods"]) == NAMES
        labels = scores_of(compared, NAMES[0], 0)[0]
        first = np.array([scores_of(compared, NAMES[0], seed)[1] for seed in range(2)])
        for name in NAMES:
            found, scores = result["methods"][name], np.array([scores_of(compared, name, seed)[1] for seed in range(2)])
            assert found["auc"]["values"] == [image_auc(labels, one).value for one in scores]
            assert found["auc"]["mean"] == pytest.approx(np.mean(found["auc"]["values"]))
            assert found["auc"]["low"] == image_auc(labels, scores).low
            if name == NAMES[0]:
                assert found["difference"] is None
            else:
                expected = delong_difference(labels, first, scores)
                assert found["difference"]["mean"] == expected.mean
                assert found["difference"]["p_value"] == expected.p_value

    def test_the_budget_says_how_many_steps(self, compared: Path) -> None:
        assert read(compared, "budget")["methods"] == {
            "classifier": {"seconds_per_step": {"contrast_steps": 1.0}, "steps": {"contrast_steps": 6}},
            "autoencoder": {"seconds_per_step": {"training_steps": 1.0}, "steps": {"training_steps": 6}},
            "sagan-published": {"seconds_per_step": {"critic_steps": 1.0}, "steps": {"critic_steps": 6}},
        }
        trained = json.loads((compared / "trainings/autoencoder/seed_1/bundle/configs/train.json").read_text())
        assert (trained["training_steps"], trained["seed"], trained["calibration_share"]) == (6, 1, 0.0)

    def test_what_each_costs_and_shows(self, compared: Path) -> None:
        methods = read(compared)["results"][0]["methods"]
        for found in methods.values():
            assert all(seconds > 0 for seconds in found["seconds"]["values"])
            assert found["peak_memory_mib"]["mean"] > 100  # torch alone is more
            assert found["images_per_second"]["mean"] > 1
        # Nobody means the map of a generator that was hardly trained.
        assert methods["classifier"]["pixel_average_precision"] is None
        assert 0 < methods["autoencoder"]["pixel_average_precision"]["mean"] < 1
        assert 0 <= methods["autoencoder"]["peak_inside_share"]["mean"] <= 1

    def test_the_table_and_the_picture(self, compared: Path) -> None:
        text = (compared / "comparison.md").read_text()
        assert text == detection_table(read(compared))
        lines = text.splitlines()
        assert lines[2].startswith("| classifier | 0.")
        assert "8 healthy and 8 anomalous test images of data, 2 seeds, 0.1 minutes" in text
        assert "both the choice of the test images" in text
        with Image.open(compared / "comparison.png") as picture:
            assert picture.width > picture.height

    def test_all_learn_from_the_same_images(self, compared: Path) -> None:
        def trained_on(name: str) -> set[str]:
            path = compared / "trainings" / name / "seed_0" / "bundle" / "models" / "trained_on.txt"
            return set(path.read_text().split())

        assert trained_on("classifier") == trained_on("sagan-published")
        assert trained_on("autoencoder") < trained_on("classifier")  # the healthy ones

    def test_the_classifier_scores_by_one_network(self, compared: Path) -> None:
        root = compared / "trainings" / "classifier" / "seed_0" / "bundle"
        content = torch.load(root / "models" / "contrast.pt", weights_only=True)
        assert (content["networks"], content["trees"]) == (1, 0)
        assert sum(name.endswith("conv.weight") for name in content["state"]) == 8
        scores = scores_of(compared, "classifier", 0)[1]
        assert all(0 < score < 1 for score in scores)

    def test_as_published(self, compared: Path) -> None:
        root = compared / "trainings" / "sagan-published" / "seed_0" / "bundle"
        config = json.loads((root / "configs" / "train.json").read_text())
        assert [config[f"{kind}_weight"] for kind in ("adversarial", "identity", "restoration")] == [1, 1, 1]
        assert config["learning_rate"] == 5e-5
        assert json.loads((root / "configs" / "inference.json").read_text())["score"] == "residual"
        assert not (root / "models" / "contrast.pt").exists()


class TestInterrupted:
    def test_it_goes_on_where_it_was(
        self, here: Any, phantom: Path, compared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: list[Path] = []
        run = detection.run_child

        def break_off(bundle: str, data: Path, folder: Path, *arguments: Any, **keywords: Any) -> None:
            calls.append(folder)
            if len(calls) == 2:
                (folder / "bundle" / "configs").mkdir(parents=True)  # something half made
                raise KeyboardInterrupt
            run(bundle, data, folder, *arguments, **keywords)

        monkeypatch.setattr(detection, "run_child", break_off)
        with pytest.raises(KeyboardInterrupt):
            compare(phantom, tmp_path)
        assert not (tmp_path / "comparison.json").exists()
        monkeypatch.setattr(detection, "seconds_per_step", None)  # the budget stays
        compare(phantom, tmp_path)
        assert len(calls) == 6 + 1  # the second once more
        assert calls[1] == calls[2]
        for name in NAMES:
            again, before = (read(output)["results"][0]["methods"][name]["auc"] for output in (tmp_path, compared))
            assert again == before  # the same seeds give the same scores

    def test_finished_it_trains_nothing(self, phantom: Path, compared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before = read(compared)
        monkeypatch.setattr(detection, "run_child", None)
        compare(phantom, compared)
        assert read(compared) == before

    @pytest.mark.parametrize("change", [{"minutes": 0.2}, {"overrides": {**SETTINGS, "batch_size": 4}}])
    def test_other_settings_are_refused(self, change: dict[str, Any], phantom: Path, compared: Path) -> None:
        with pytest.raises(UserError, match="holds a comparison of other data or with other settings"):
            compare(phantom, compared, **change)

    def test_processes_share_the_trainings_out(
        self, here: Any, phantom: Path, compared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(detection, "first_alone", lambda work: work())
        for rank, is_last in ((1, False), (0, True)):
            monkeypatch.setenv("RANK", str(rank))
            monkeypatch.setenv("WORLD_SIZE", "2")
            assert (compare(phantom, tmp_path) is not None) is is_last
        for name in NAMES:
            of_two, of_one = (read(output)["results"][0]["methods"][name] for output in (tmp_path, compared))
            assert of_two["auc"] == of_one["auc"]


class TestAnomalyRatios:
    @pytest.fixture(scope="class")
    def output(self, here: Any, phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
        output = tmp_path_factory.mktemp("ratios")
        names = ["autoencoder", "classifier"]
        compare(phantom, output, names, num_seeds=1, anomaly_ratios=[0, 0.5, 1], minutes=0.02)
        return output

    def test_as_many_images_at_every_ratio(self, output: Path, phantom: Path) -> None:
        train = json.loads((phantom / "data.json").read_text())["train"]
        sizes = set()
        for ratio in (0, 0.5, 1):
            mixture = json.loads((output / "data" / f"ratio_{ratio:g}" / "data.json").read_text())["train"]["unlabeled"]
            num_abnormal = sum(name in train["unlabeled"]["1"] for name in mixture)
            sizes.add(len(mixture))
            assert num_abnormal == int(ratio * len(mixture))
        assert sizes == {min(len(train["0"]), *(len(names) for names in train["unlabeled"].values()))}

    def test_a_table_for_each(self, output: Path) -> None:
        assert [result["anomaly_ratio"] for result in read(output)["results"]] == [0, 0.5, 1]
        text = (output / "comparison.md").read_text()
        assert [line for line in text.splitlines() if line.startswith("Anomaly ratio")] == [
            "Anomaly ratio 0:",
            "Anomaly ratio 0.5:",
            "Anomaly ratio 1:",
        ]

    def test_what_learns_from_healthy_images_is_trained_once(self, output: Path) -> None:
        assert [path.name for path in (output / "trainings" / "autoencoder").iterdir()] == ["seed_0"]
        folders = sorted(path.name for path in (output / "trainings" / "classifier").iterdir())
        assert folders == ["ratio_0", "ratio_0.5", "ratio_1"]
        values = [result["methods"]["autoencoder"]["auc"]["values"] for result in read(output)["results"]]
        assert values[0] == values[1] == values[2]

    def test_without_links_to_folders(self, phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Which Windows keeps for administrators; several names for one file are everybody's."""

        def refuse(*_: Any, **__: Any) -> None:
            raise OSError(errno.EPERM, "A required privilege is not held by the client")

        monkeypatch.setattr(Path, "symlink_to", refuse)
        made = make_mixtures(phantom, tmp_path, [0.5])[0.5]
        images = {path.name: path.stat().st_ino for path in (phantom / "images").iterdir()}
        assert {path.name: path.stat().st_ino for path in (made / "images").iterdir()} == images
        assert load_training_set(made)["unlabeled"]

        monkeypatch.setattr(os, "link", refuse)
        with pytest.raises(UserError, match="choose an --output on the disk of"):
            make_mixtures(phantom, tmp_path / "other", [0.5])

    def test_where_nobody_knows_the_labels(self, phantom: Path, tmp_path: Path) -> None:
        data = Path(shutil.copytree(phantom, tmp_path / "data"))
        content = json.loads((data / "data.json").read_text())
        unlabeled = content["train"]["unlabeled"]
        content["train"]["unlabeled"] = unlabeled["0"] + unlabeled["1"]
        (data / "data.json").write_text(json.dumps(content))
        with pytest.raises(UserError, match="need to know which of the unlabelled images are healthy"):
            compare(data, tmp_path / "output", anomaly_ratios=[0.5])
        assert not (tmp_path / "output" / "settings.json").exists()  # so that it can be started without ratios

    @pytest.mark.parametrize("ratios", [[0.5, 1.2], [0.5, 0.5]])
    def test_bad_ratios(self, ratios: list[float], phantom: Path, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"anomaly ratios must lie in \[0, 1\], each given once"):
            compare(phantom, tmp_path / "output", anomaly_ratios=ratios)
        assert not (tmp_path / "output").exists()


class TestBudget:
    def test_a_part_is_never_longer_than_the_bundle_has_it(self) -> None:
        """Half the time for contrast at most, and the generator has the rest."""
        seconds = {"contrast_steps": 0.1, "critic_steps": 0.5}
        default = json.loads((find_bundle("sagan_anomaly_detection") / "configs" / "train.json").read_text())[
            "contrast_steps"
        ]
        assert plan_steps(METHODS["sagan"], seconds, 1.0) == {"contrast_steps": 300, "critic_steps": 60}
        left = 3600 - 0.1 * default
        assert plan_steps(METHODS["sagan"], seconds, 60.0) == {
            "contrast_steps": default,
            "critic_steps": int(left / 0.5),
        }

    def test_one_step_at_least(self) -> None:
        assert plan_steps(METHODS["denoising"], {"training_steps": 9.0}, 0.01) == {"training_steps": 1}

    def test_a_step_is_measured_without_what_comes_once(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """A training that reads for 100 seconds, is slow at first, makes ten steps in 2 seconds, and then writes."""
        times = iter([100.0, 130.0, 132.0, 134.0, 144.0, 144.0, 200.0, 210.0])
        monkeypatch.setattr(budget.time, "perf_counter", lambda: next(times))
        (tmp_path / "configs").mkdir()

        def told(bundle: str, data: Path, folder: Path, settings: dict, *, listen: Callable, **_: Any) -> None:
            (folder / "bundle" / "configs").mkdir(parents=True)
            (folder / "bundle" / "configs" / "train.json").write_text('{"contrast_networks": 5}')
            listen({"event": "start", "task": "Preparing images"})
            listen({"event": "progress", "done": 1})
            listen({"event": "start", "task": "Training"})
            for done in (10, 20, 30, 34, 34):
                listen({"event": "progress", "done": done})
            listen({"event": "start", "task": "Contrast"})
            for done in (10, 60):
                listen({"event": "progress", "done": done})

        monkeypatch.setattr(budget, "run_child", told)
        seconds = budget.seconds_per_step(METHODS["sagan"], tmp_path, tmp_path / "probe", {}, "cpu")
        assert seconds == pytest.approx({"critic_steps": 0.2, "contrast_steps": 5 * 10 / 50})
        assert not (tmp_path / "probe").exists()


class TestProcesses:
    """The trainings as they are truly run."""

    def test_a_training_is_measured(self, phantom: Path, tmp_path: Path) -> None:
        events: list[dict[str, Any]] = []
        settings = METHODS["autoencoder"].all_settings({"image_size": [32, 32], "base_channels": 2, "batch_size": 8})
        settings["training_steps"] = 20
        bundle = METHODS["autoencoder"].bundle
        run_child(bundle, phantom, tmp_path, settings, device="cpu", listen=events.append)
        assert (tmp_path / "bundle" / WEIGHTS).is_file()
        assert [event["task"] for event in events if event["event"] == "start"] == ["Preparing images", "Training"]
        measured = json.loads((tmp_path / "measured.json").read_text())
        assert measured["seconds"] > 0
        assert measured["peak_gpu_memory_mib"] is None
        assert 100 < measured["peak_memory_mib"] < 4000

    def test_a_users_mistake_comes_as_a_sentence(self, phantom: Path, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"^image_size must be multiples of 16, not 40x40\.$"):
            run_child(METHODS["denoising"].bundle, phantom, tmp_path, {"image_size": [40, 40]}, device="cpu")


@pytest.mark.parametrize("name", METHODS)
def test_every_method_makes_a_bundle(name: str, tmp_path: Path) -> None:
    method = METHODS[name]
    settings = method.all_settings({}) | plan_steps(method, {part.setting: 1.0 for part in method.parts}, 1.0)
    derive_bundle(find_bundle(method.bundle), tmp_path / "bundle", settings, {})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_seeds": 0}, "seeds must be at least 1, not 0"),
        ({"minutes": 0.0}, r"minutes must be above 0, not 0\.0"),
        ({"methods": []}, "methods must be among sagan, "),
        ({"methods": ["sagan", "sagan"]}, "each given once, not sagan, sagan"),
        ({"methods": ["magic"]}, "each given once, not magic"),
        ({"overrides": {"seed": 3}}, "seed: the comparison sets this itself"),
        ({"overrides": {"critic_steps": 3}}, "critic_steps: the comparison sets this itself"),
        ({"overrides": {"colour": 3}}, "colour: none of the methods' bundles has such a setting"),
    ],
)
def test_arguments(arguments: dict[str, Any], message: str, phantom: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        compare(phantom, tmp_path / "output", **arguments)
    assert not (tmp_path / "output").exists()


def test_a_test_set_of_one_kind(phantom: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(phantom, tmp_path / "data"))
    content = json.loads((data / "data.json").read_text())
    content["test"]["1"] = content["test"]["1"][:1]
    (data / "data.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="test must list 2 healthy and 2 anomalous images at least"):
        compare(data, tmp_path / "output")
