"""Bundles: found, described, derived, and run as MONAI runs any bundle."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser, load

from monai_sagan import workflows
from monai_sagan.bundle_files import CONTRAST, FAMILIARITY, WEIGHTS
from monai_sagan.bundles import (
    describe_bundle,
    find_bundle,
    require_weights,
    run_bundle,
    shipped_bundles,
    weights_sha256,
)
from monai_sagan.derived_bundle import derive_bundle
from monai_sagan.errors import UserError, explain
from monai_sagan.files import save_tensors
from monai_sagan.networks import SAGANGenerator
from monai_sagan.transforms import ContrastEnsemble

NAME = "sagan_anomaly_detection"


def read(root: Path, config: str) -> dict[str, Any]:
    return json.loads((root / "configs" / f"{config}.json").read_text(encoding="utf-8"))


def files_of(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def generator_of(root: Path) -> SAGANGenerator:
    parser = ConfigParser(ConfigParser.load_config_file(str(root / "configs" / "inference.json")))
    generator = parser.get_parsed_content("network_def")
    assert isinstance(generator, SAGANGenerator)
    return generator


class TestFind:
    def test_by_name(self) -> None:
        assert find_bundle(NAME) == shipped_bundles()[NAME]

    def test_by_folder(self, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert find_bundle(tiny_bundle) == tiny_bundle
        monkeypatch.chdir(tiny_bundle.parent)
        assert find_bundle(tiny_bundle.name) == tiny_bundle

    def test_a_folder_wins_over_a_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        derive_bundle(find_bundle(NAME), tmp_path / NAME, {}, {})
        monkeypatch.chdir(tmp_path)
        assert find_bundle(NAME) == tmp_path / NAME

    def test_neither(self, tmp_path: Path) -> None:
        with pytest.raises(UserError) as caught:
            find_bundle("brain_of_x")
        shipped = ", ".join(shipped_bundles())
        assert NAME in shipped
        assert str(caught.value) == (
            f"brain_of_x: there is no such bundle; give a bundle's folder or one of {shipped}."
        )

    def test_a_folder_that_is_no_bundle(self, tmp_path: Path) -> None:
        with pytest.raises(UserError) as caught:
            find_bundle(tmp_path)
        assert (
            str(caught.value) == f"{tmp_path}: this folder is not a bundle, it has no {Path('configs/metadata.json')}."
        )


class TestDescribe:
    def test_with_weights(self, tiny_bundle: Path) -> None:
        assert describe_bundle(tiny_bundle) == {
            "name": "tiny",
            "version": read(tiny_bundle, "metadata")["version"],
            "weights_sha256": hashlib.sha256((tiny_bundle / WEIGHTS).read_bytes()).hexdigest(),
        }

    def test_weights_that_change(self, tmp_path: Path) -> None:
        (tmp_path / "models").mkdir()
        digests = set()
        for contents in (b"first", b"other"):
            save_tensors({"contents": torch.tensor(list(contents))}, tmp_path / WEIGHTS)
            digests.add(weights_sha256(tmp_path))
            assert weights_sha256(tmp_path) == hashlib.sha256((tmp_path / WEIGHTS).read_bytes()).hexdigest()
        assert len(digests) == 2

    def test_what_is_trained_besides_counts(self, tmp_path: Path) -> None:
        """A calibration of a former training's scores is of other weights, though the generator is the same."""
        digests = set()
        for name, number in ((WEIGHTS, 0), (CONTRAST, 1), (CONTRAST, 2), (FAMILIARITY, 3), (FAMILIARITY, 4)):
            save_tensors({"contents": torch.tensor(number)}, tmp_path / name)
            digests.add(weights_sha256(tmp_path))
        assert len(digests) == 5

    def test_without_weights(self, tmp_path: Path) -> None:
        derive_bundle(find_bundle(NAME), tmp_path / "new", {}, {})
        assert describe_bundle(tmp_path / "new")["weights_sha256"] is None
        with pytest.raises(UserError) as caught:
            require_weights(tmp_path / "new")
        assert str(caught.value) == (
            f"{tmp_path / 'new' / WEIGHTS}: this bundle has no weights; train it ('monai-sagan train') or import some "
            "('monai-sagan import-checkpoint')."
        )

    def test_weights_that_are_there(self, tiny_bundle: Path) -> None:
        assert require_weights(tiny_bundle) == tiny_bundle / WEIGHTS


class TestDerive:
    @pytest.mark.parametrize(
        ("key", "value", "config"),
        [
            ("image_size", [32, 48], "inference"),
            ("base_channels", 4, "inference"),
            ("slice_direction", "axial", "inference"),
            ("intensity_window", [-1000, 400], "inference"),
            ("samples_per_volume", 8, "train"),
            ("intensity_percentiles", [1, 99], "inference"),
            ("inferer#batch_size", 2, "inference"),
            ("learning_rate", 0.1, "train"),
            ("critic_base_channels", 4, "train"),
            ("critic_layers", "$3", "train"),
            # In both: training has its own.
            ("amp", True, "train"),
            ("num_workers", 3, "train"),
            ("train#dataloader#drop_last", False, "train"),
        ],
    )
    def test_a_setting_is_written_where_training_finds_it(
        self, key: str, value: Any, config: str, tmp_path: Path
    ) -> None:
        source = find_bundle(NAME)
        derive_bundle(source, tmp_path / "new", {key: value}, {})
        for name in ("inference", "train", "evaluate", "multi_gpu_train"):
            before, after = (ConfigParser(read(root, name)) for root in (source, tmp_path / "new"))
            if name == config:
                assert before[key] != value
                before[key] = value
            assert after.get() == before.get()

    def test_training_and_inference_agree(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        derive_bundle(find_bundle(NAME), tmp_path / "new", {"base_channels": 6, "image_size": [48, 32]}, {})
        monkeypatch.chdir(tmp_path / "new")  # as MONAI's own command is run
        for name in ("train", "evaluate", "inference"):
            parser = ConfigParser()
            parser.read_config(str(Path("configs") / f"{name}.json"))
            assert parser.get_parsed_content("base_channels") == 6
            assert parser.get_parsed_content("image_size") == [48, 32]

    def test_an_unknown_setting(self, tmp_path: Path) -> None:
        with pytest.raises(UserError) as caught:
            derive_bundle(find_bundle(NAME), tmp_path / "new", {"base_chanels": 4}, {})
        message = str(caught.value)
        assert message.startswith(
            f"base_chanels: the bundle {NAME} has no such setting; did you mean base_channels? It has "
        )
        assert {"base_channels", "image_size", "learning_rate"} <= set(
            message.removesuffix(".").split(" It has ")[1].split(", ")
        )
        assert list(tmp_path.iterdir()) == []

    def test_a_whole_number_may_be_written_in_powers_of_ten(self, tmp_path: Path) -> None:
        derive_bundle(find_bundle(NAME), tmp_path / "new", {"critic_steps": 1e5}, {})
        steps = read(tmp_path / "new", "train")["critic_steps"]
        assert (steps, type(steps)) == (100_000, int)

    def test_a_fraction_can_follow_a_whole_number(self, tmp_path: Path) -> None:
        derive_bundle(find_bundle(NAME), tmp_path / "one", {"identity_weight": 1}, {})
        derive_bundle(tmp_path / "one", tmp_path / "two", {"identity_weight": 0.5}, {})
        assert read(tmp_path / "two", "train")["identity_weight"] == 0.5

    def test_a_word_for_a_number(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"^base_channels: 'many' cannot take the place of 8; give a value like it"):
            derive_bundle(find_bundle(NAME), tmp_path / "new", {"base_channels": "many"}, {})

    @pytest.mark.parametrize("name", ["train", "inference", "metadata"])
    def test_a_damaged_config(self, name: str, tiny_bundle: Path, tmp_path: Path) -> None:
        source = Path(shutil.copytree(tiny_bundle, tmp_path / "source"))
        (source / "configs" / f"{name}.json").write_text('{"a": ')
        with pytest.raises(UserError, match=f"{name}.json: this config is damaged"):
            derive_bundle(source, tmp_path / "target", {}, {})
        assert not (tmp_path / "target").exists()

    def test_metadata(self, tmp_path: Path) -> None:
        derive_bundle(find_bundle(NAME), tmp_path / "new", {"image_size": [48, 32]}, {"data_source": "mine"})
        before, after = read(find_bundle(NAME), "metadata"), read(tmp_path / "new", "metadata")
        formats = after["network_data_format"]
        assert formats["inputs"]["image"]["spatial_shape"] == [48, 32]
        assert formats["outputs"]["pred"]["spatial_shape"] == [48, 32]
        assert after["data_source"] == "mine"
        for key in set(before) - {"network_data_format", "data_source"}:
            assert after[key] == before[key]

    def test_documents(self, tmp_path: Path) -> None:
        """What is told of the weights that ship is not true of others."""
        derive_bundle(
            find_bundle(NAME), tmp_path / "new", {"base_channels": 4}, {"data_source": "my scans", "intended_use": ""}
        )
        for name in ("README.md", "data_license.txt"):
            text = (tmp_path / "new" / "docs" / name).read_text(encoding="utf-8")
            assert "Data source: my scans." in text
            assert "phantom" not in text
        assert "- `base_channels`: 4\n" in (tmp_path / "new" / "docs" / "README.md").read_text(encoding="utf-8")

    def test_neither_weights_nor_results_are_taken_over(self, tiny_bundle: Path, tmp_path: Path) -> None:
        derive_bundle(tiny_bundle, tmp_path / "first", {}, {}, torch.load(tiny_bundle / WEIGHTS, weights_only=True))
        (tmp_path / "first" / "eval").mkdir()
        (tmp_path / "first" / "eval" / "events").write_text("x")
        before = files_of(tmp_path / "first")
        assert before[WEIGHTS.as_posix()] == (tiny_bundle / WEIGHTS).read_bytes()
        derive_bundle(tmp_path / "first", tmp_path / "second", {}, {})
        assert set(before) - set(files_of(tmp_path / "second")) == {WEIGHTS.as_posix(), "eval/events"}
        assert files_of(tmp_path / "first") == before

    def test_nothing_half_made(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(self: Path, *_: Any, **__: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(Path, "write_text", fail)
        with pytest.raises(OSError) as caught:  # noqa: PT011  its text is checked below
            derive_bundle(find_bundle(NAME), tmp_path / "new", {}, {})
        assert explain(caught.value) == (
            f"{tmp_path / 'new'}: the disk is full; free some space or choose another folder."
        )
        assert list(tmp_path.iterdir()) == []

    def test_what_is_there_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "mine").write_text("x")
        with pytest.raises(UserError, match="exists already and is not empty; choose another folder or remove it"):
            derive_bundle(find_bundle(NAME), tmp_path, {}, {})
        assert files_of(tmp_path) == {"mine": b"x"}


def test_pictures_are_scored_by_contrast_together(
    a_picture: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    scores_and_maps = ContrastEnsemble.scores_and_maps

    def count(self: ContrastEnsemble, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(len(pictures))
        return scores_and_maps(self, pictures)

    monkeypatch.setattr(ContrastEnsemble, "scores_and_maps", count)
    paths = [a_picture(f"{side}.png", size=(side, 40)) for side in (40, 50, 60)]
    workflows.predict("sagan_anomaly_detection", paths, tmp_path / "maps", device="cpu", progress="none")
    assert seen == [3]


def test_required_packages_are_those_of_the_package() -> None:
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    needed = set(re.findall(r'^    "([\w-]+)>=[\d.]+",$', project, re.MULTILINE))
    # Every bundle names the first three elsewhere; the others are of commands alone.
    needed -= {"monai", "numpy", "torch", "rich", "typer", "SimpleITK"}
    for bundle in shipped_bundles().values():
        assert set(read(bundle, "metadata")["required_packages_version"]) == needed


@pytest.mark.parametrize("name", ["sagan_anomaly_detection", "reconstruction_anomaly_detection"])
def test_an_evaluation_leaves_out_all_that_the_bundle_knows(name: str) -> None:
    listed = read(find_bundle(name), "evaluate")["datalist"]
    assert "'/trained_on.txt'" in listed
    assert "'/calibrated_with.txt'" in listed


@pytest.mark.parametrize("name", sorted(shipped_bundles()))
def test_loaded_by_monai(name: str) -> None:
    """As docs/how-to/deploy.md has it."""
    root = shipped_bundles()[name]
    config = ConfigParser()
    config.read_config(str(root / "configs" / "inference.json"))
    network = load(name, model=config.get_parsed_content("network_def"), bundle_dir=str(root.parent))
    weights = torch.load(root / WEIGHTS, weights_only=True)
    assert all(torch.equal(network.state_dict()[key], tensor) for key, tensor in weights.items())


def test_an_unknown_config(tiny_bundle: Path) -> None:
    with pytest.raises(UserError, match=r"training\.json: the bundle has no such config"):
        run_bundle(tiny_bundle, "training")


def test_what_only_one_process_can_do(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError) as caught:
        run_bundle(tiny_bundle, "evaluate")
    assert str(caught.value) == (
        "evaluate: the bundle tiny has no configs/multi_gpu_evaluate.json, with which several processes could do it; "
        "start it without torchrun."
    )


def test_threads_take_turns(tiny_bundle: Path, phantom: Path, tmp_path: Path) -> None:
    """The working folder and the log are the whole process's; a server finds them as they were."""
    before = Path.cwd(), logging.root.manager.disable
    images = sorted((phantom / "images").iterdir())[:3]
    with ThreadPoolExecutor(3) as threads:
        runs = [
            threads.submit(workflows.predict, str(tiny_bundle), str(image), str(tmp_path / image.stem), progress="none")
            for image in images
        ]
        assert [run.result()["num_done"] for run in runs] == [1, 1, 1]
    assert (Path.cwd(), logging.root.manager.disable) == before


def test_the_working_folder_is_what_it_was(tiny_bundle: Path, phantom: Path, tmp_path: Path) -> None:
    before = Path.cwd()
    image = next((phantom / "images").iterdir())
    workflows.predict(tiny_bundle, [image], tmp_path, progress="none")
    with pytest.raises(Exception, match="Failed to"):
        run_bundle(tiny_bundle, "inference", datalist="$1/0")
    assert Path.cwd() == before


class TestAsMonaiRunsIt:
    """``python -m monai.bundle run`` from the bundle's folder, as its page says."""

    @pytest.fixture(scope="class")
    def root(self, tiny_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
        root = tmp_path_factory.mktemp("monai") / "bundle"
        derive_bundle(find_bundle(NAME), root, {**tiny_settings, "critic_steps": 2}, {})
        return root

    @staticmethod
    def start(root: Path, *arguments: str | Path, launcher: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        command = [sys.executable, "-W", "ignore", "-m", *launcher, "monai.bundle", "run", *map(str, arguments)]
        return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @staticmethod
    def finish(process: subprocess.Popen[str]) -> str:
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        return output

    @pytest.fixture(scope="class")
    def trained(self, root: Path, phantom: Path) -> Path:
        self.finish(
            self.start(root, "--config_file", "configs/train.json", "--dataset_dir", phantom, "--progress", "none")
        )
        return root

    def test_train(self, trained: Path) -> None:
        generator_of(trained).load_state_dict(torch.load(trained / WEIGHTS, weights_only=True))

    def test_evaluate_and_inference(self, trained: Path, phantom: Path, tmp_path: Path) -> None:
        evaluation = self.start(
            trained,
            *("--config_file", "configs/evaluate.json", "--dataset_dir", phantom, "--output_dir", tmp_path / "page"),
        )
        inference = self.start(
            trained,
            *("--config_file", "configs/inference.json", "--dataset_dir", phantom / "volumes"),
            *("--output_dir", tmp_path / "maps", "--output_ext", ".nrrd"),
        )
        self.finish(evaluation)
        self.finish(inference)
        metrics = json.loads((tmp_path / "page" / "metrics.json").read_text())
        assert (metrics["num_healthy"], metrics["num_anomalous"], metrics["num_failed"]) == (8, 8, 0)
        assert metrics["bundle"] == describe_bundle(trained)
        assert (tmp_path / "page" / "report.html").is_file()
        assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == [
            f"phantom_{name}_anomaly{ending}"
            for name in ("healthy", "lesion")  # the mask shows too little to be mapped
            for ending in (".json", ".nrrd")
        ] + ["results.csv"]

    def test_training_in_two_processes(self, root: Path, phantom: Path, tmp_path: Path) -> None:
        """Gloo stands in for several GPUs: who writes, what is shared, and that the weights are plain ones."""
        derive_bundle(root, tmp_path / "two", {}, {})
        launcher = ("torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m")
        output = self.finish(
            self.start(
                tmp_path / "two",
                *("--config_file", "['configs/train.json','configs/multi_gpu_train.json']"),
                *("--dataset_dir", phantom, "--critic_steps", "4", "--batch_size", "8", "--progress", "json"),
                launcher=launcher,
            )
        )
        # One of the two tells, of the preparation and of the training.
        assert (output.count('"event": "start"'), output.count('"event": "done"')) == (2, 1)

        (events,) = (tmp_path / "two" / "eval").iterdir()  # one of the two writes
        assert events.name.startswith("events.out.tfevents")
        weights = torch.load(tmp_path / "two" / WEIGHTS, weights_only=True)
        generator_of(tmp_path / "two").load_state_dict(weights)
        state = torch.load(tmp_path / "two" / "models" / "training_state.pt", weights_only=True)
        # 24 images in batches of 8, 4 for each of two processes: three steps an epoch, and two epochs for four steps.
        assert state["engine"] == {"iteration": 6, "epoch": 2, "epoch_length": 3, "max_epochs": 2}
        first, second = state["random"]
        assert not torch.equal(first["cpu"], second["cpu"])
        assert not torch.equal(first["transforms"]["pseudo_anomaly"][0], second["transforms"]["pseudo_anomaly"][0])

        image = next((phantom / "images").iterdir())
        counts = workflows.predict(tmp_path / "two", [image], tmp_path / "maps", progress="none")
        assert counts == {"num_done": 1, "num_skipped": 0, "num_failed": 0}


def test_checks_of_the_model_zoo(tiny_bundle: Path, phantom: Path, check_as_the_model_zoo: Callable[..., str]) -> None:
    passed = check_as_the_model_zoo(tiny_bundle, phantom)
    for config in ("train", "inference"):
        assert f"[PASS] instantiate {config}.json+multi_gpu_{config}.json" in passed


@pytest.mark.parametrize("name", shipped_bundles())
def test_what_workers_of_a_data_loader_get_can_be_sent(
    name: str, tmp_path: Path, a_picture: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows and macOS they begin with nothing, and get data set and transforms pickled."""
    root = find_bundle(name)
    monkeypatch.chdir(root)
    parser = ConfigParser(read(root, "inference"))
    parser.update({"bundle_root": str(root), "output_dir": str(tmp_path), "dataset_dir": str(a_picture().parent)})
    loader = parser.get_parsed_content("dataloader")
    dataset, collate = pickle.loads(pickle.dumps((loader.dataset, loader.collate_fn)))  # noqa: S301 - our own
    (case,) = collate([dataset[0]])
    assert torch.equal(case["image"], loader.dataset[0]["image"])
