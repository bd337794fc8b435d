"""The bundle of the classifier: trained, resumed, evaluated and used."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from monai_sagan import workflows
from monai_sagan.bundle_files import WEIGHTS
from monai_sagan.bundles import find_bundle
from monai_sagan.derived_bundle import derive_bundle
from monai_sagan.errors import UserError, causes_of, explain
from monai_sagan.losses import AttentionClassificationLoss
from monai_sagan.networks import GlobalAttentionClassifier

NAME = "global_attention_classification"
CLASSES = ["dark corner", "light corner"]
STATE = Path("models") / "training_state.pt"


def load(path: Path) -> Any:
    return torch.load(path, weights_only=True)


def assert_same_weights(root: Path, expected: Path) -> None:
    found, wanted = load(root / WEIGHTS), load(expected / WEIGHTS)
    assert list(found) == list(wanted)
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())


def setting(root: Path, config: str, key: str) -> Any:
    return json.loads((root / "configs" / f"{config}.json").read_text()).get(key)


class TestTrain:
    def test_the_bundle_knows_its_classes(self, trained: Path) -> None:
        assert setting(trained, "inference", "classes") == CLASSES
        output = setting(trained, "metadata", "network_data_format")["outputs"]["pred"]
        assert output["channel_def"] == {"0": "dark corner", "1": "light corner"}
        assert output["num_channels"] == 2

    def test_its_weights_are_frozen_and_make_the_network_of_its_config(self, trained: Path) -> None:
        parser = ConfigParser(ConfigParser.load_config_file(str(trained / "configs" / "inference.json")))
        network = parser.get_parsed_content("network_def")
        assert isinstance(network, GlobalAttentionClassifier)
        network.load_state_dict(load(trained / WEIGHTS))
        assert network.attention.is_frozen
        assert float(network.weight_map.max()) < 1.0  # not that of a network that was never trained

    def test_a_fifth_is_kept_out_and_nothing_told_of_the_rest(self, trained: Path) -> None:
        digests = (trained / "models" / "trained_on.txt").read_text().split()
        assert len(set(digests)) == 32
        assert all(len(digest) == 64 for digest in digests)

    @pytest.mark.parametrize(
        "settings",
        [
            {"attention": "none"},
            {"attention": "batch"},
            {"attention": "bank", "bank_images_per_class": 4},
            {"attention_layer": "layer2"},
            {"backbone": "densenet121", "backbone_settings": {"block_config": [1, 1, 1, 1], "init_features": 8}},
            {"num_folds": 1},
        ],
        ids=lambda settings: " ".join(settings),
    )
    def test_settings(
        self, settings: dict[str, Any], make_bundle: Callable[..., Path], pictures: Path, tmp_path: Path
    ) -> None:
        root = make_bundle(tmp_path / "bundle", epochs=1, **settings)
        for key, value in settings.items():
            assert value in (setting(root, "inference", key), setting(root, "train", key))
        workflows.predict(root, [pictures / CLASSES[0] / "00.png"], tmp_path / "out", progress="none")
        assert (tmp_path / "out" / "00_anomaly.nii.gz").exists() is (settings.get("attention") != "none")

    def test_volumes(self, tmp_path: Path) -> None:
        for number, name in enumerate("ab"):
            for index in range(6):
                voxels = np.random.default_rng([number, index]).normal(size=(20, 18, 16)) + 2 * number
                voxels[0, 0, 0] = 9.0  # one value for all, so that each is not scaled by itself alone
                (tmp_path / "volumes" / name).mkdir(parents=True, exist_ok=True)
                nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "volumes" / name / f"{index}.nii.gz")
        settings = {"image_size": [16, 16, 16], "epochs": 1, "batch_size": 4, "num_folds": 3}
        root = workflows.train(NAME, tmp_path / "volumes", tmp_path / "bundle", overrides=settings, progress="none")
        metrics = workflows.evaluate(root, tmp_path / "volumes", tmp_path / "page", progress="none")
        assert metrics["num_per_class"] == {"a": 2, "b": 2}
        workflows.predict(root, [tmp_path / "volumes" / "a" / "0.nii.gz"], tmp_path / "out", progress="none")
        weights = nib.load(tmp_path / "out" / "0_anomaly.nii.gz")
        assert weights.shape == (20, 18, 16)

    def test_resumed_it_ends_with_the_same_bits(
        self, make_bundle: Callable[..., Path], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = make_bundle(tmp_path / "whole")
        forward, steps = AttentionClassificationLoss.forward, []

        def break_off(self: Any, *arguments: Any) -> torch.Tensor:
            steps.append(1)
            if len(steps) == 2 * 4 + 2:  # in the third epoch of four steps
                raise RuntimeError("broken off")
            return forward(self, *arguments)

        with monkeypatch.context() as context:
            context.setattr(AttentionClassificationLoss, "forward", break_off)
            with pytest.raises(RuntimeError) as caught:
                make_bundle(tmp_path / "broken off")
        assert str(causes_of(caught.value)[-1]) == "broken off"
        assert load(tmp_path / "broken off" / STATE)["engine"]["epoch"] == 2
        workflows.train(NAME, pictures, tmp_path / "broken off", resume=True, progress="none")
        assert_same_weights(tmp_path / "broken off", expected)

    def test_another_seed_gives_another_one(self, make_bundle: Callable[..., Path], tmp_path: Path) -> None:
        """The comparison above can fail."""
        one, other = make_bundle(tmp_path / "1", epochs=1), make_bundle(tmp_path / "2", epochs=1, seed=1)
        with pytest.raises(AssertionError):
            assert_same_weights(one, other)


class TestEvaluate:
    def test_what_was_not_trained_on(self, trained: Path, pictures: Path, tmp_path: Path) -> None:
        metrics = workflows.evaluate(trained, pictures, tmp_path / "page", progress="none")
        assert metrics["num_per_class"] == {"dark corner": 4, "light corner": 4}
        assert metrics["accuracy"]["value"] == 1.0
        page = (tmp_path / "page" / "report.html").read_text()
        assert "8 images that the bundle was not trained on" in page
        with np.load(tmp_path / "page" / "weight_map.npz") as file:
            assert file["weights"].shape == file["image"].shape == (32, 32)

    def test_a_class_that_the_bundle_does_not_know(self, trained: Path, pictures: Path, tmp_path: Path) -> None:
        shutil.copytree(pictures, tmp_path / "more")
        shutil.copytree(pictures / CLASSES[0], tmp_path / "more" / "no corner")
        with pytest.raises(Exception) as caught:  # noqa: PT011  MONAI wraps what a config raises
            workflows.evaluate(trained, tmp_path / "more", tmp_path / "page", progress="none")
        assert explain(caught.value).startswith(
            "the data set has a class no corner, and the bundle knows dark corner, light corner"
        )
        assert not (tmp_path / "page").exists()


class TestPredict:
    def test_classes_and_the_map_on_the_images_grid(self, trained: Path, pictures: Path, tmp_path: Path) -> None:
        image = pictures / CLASSES[1] / "19.png"
        workflows.predict(trained, [image], tmp_path, progress="none")
        result = json.loads((tmp_path / "19_anomaly.json").read_text())
        assert [one["name"] for one in result["classes"]] == ["light corner", "dark corner"]
        assert sum(one["probability"] for one in result["classes"]) == pytest.approx(1.0, abs=1e-6)
        assert (result["anomaly_score"], result["slice_axis"], result["slice_scores"]) == (None, None, [])
        weights = nib.load(tmp_path / "19_anomaly.nii.gz").get_fdata()
        assert weights.shape == (40, 36)
        assert (weights[result["peak"]["voxel"][0], result["peak"]["voxel"][1]]) == pytest.approx(weights.max())
        (row,) = csv.DictReader((tmp_path / "results.csv").open())
        assert (row["class"], row["error"]) == ("light corner", "")
        assert float(row["class_probability"]) == result["classes"][0]["probability"]

    def test_the_map_is_the_same_for_all(self, trained: Path, pictures: Path, tmp_path: Path) -> None:
        workflows.predict(trained, [pictures / CLASSES[0]], tmp_path, progress="none")
        first, *others = (nib.load(path).get_fdata() for path in tmp_path.glob("*.nii.gz"))
        assert len(others) == 19
        assert all(np.array_equal(first, other) for other in others)

    def test_run_again_finished_cases_are_left(self, trained: Path, pictures: Path, tmp_path: Path) -> None:
        for counts in ({"num_done": 20, "num_skipped": 0}, {"num_done": 0, "num_skipped": 20}):
            found = workflows.predict(trained, [pictures / CLASSES[0]], tmp_path, progress="none")
            assert found == {**counts, "num_failed": 0}

    def test_without_attention_there_is_no_map(
        self, make_bundle: Callable[..., Path], pictures: Path, tmp_path: Path
    ) -> None:
        root = make_bundle(tmp_path / "bundle", attention="none", epochs=1)
        for counts in ({"num_done": 1, "num_skipped": 0}, {"num_done": 0, "num_skipped": 1}):
            found = workflows.predict(root, [pictures / CLASSES[0] / "00.png"], tmp_path / "out", progress="none")
            assert found == {**counts, "num_failed": 0}
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["00_anomaly.json", "results.csv"]
        assert json.loads((tmp_path / "out" / "00_anomaly.json").read_text())["peak"] is None

    @pytest.mark.parametrize("asked", [{"save_restored": True}, {"slice_direction": "axial"}, {"save_dicom": True}])
    def test_what_it_does_not_give_is_said(
        self, asked: dict[str, Any], trained: Path, pictures: Path, tmp_path: Path
    ) -> None:
        (name,) = asked
        with pytest.raises(UserError, match=f"^the bundle bundle has no setting '{name}'; leave the option out.$"):
            workflows.predict(trained, [pictures], tmp_path / "out", progress="none", **asked)

    def test_a_volume_is_refused_by_a_network_for_pictures(self, trained: Path, tmp_path: Path) -> None:
        volume = np.random.default_rng(0).normal(size=(20, 18, 16))
        nib.save(nib.Nifti1Image(volume, np.eye(4)), tmp_path / "head.nii.gz")
        counts = workflows.predict(trained, [tmp_path / "head.nii.gz"], tmp_path / "out", progress="none")
        assert counts["num_failed"] == 1


class TestBadInput:
    def train(self, data: Path, tmp_path: Path, **settings: Any) -> str:
        """The sentence that a training ends with; nothing is left of it."""
        with pytest.raises(Exception) as caught:  # noqa: PT011  MONAI wraps what a config raises
            workflows.train(NAME, data, tmp_path / "bundle", overrides={"epochs": 1, **settings}, progress="none")
        assert any(isinstance(cause, UserError) for cause in causes_of(caught.value))
        assert not (tmp_path / "bundle").exists()
        return explain(caught.value)

    def test_one_class(self, pictures: Path, tmp_path: Path) -> None:
        shutil.copytree(pictures / CLASSES[0], tmp_path / "data" / "one")
        assert "two classes or more are needed, and there is only one" in self.train(tmp_path / "data", tmp_path)

    def test_a_class_with_one_image(self, pictures: Path, tmp_path: Path) -> None:
        shutil.copytree(pictures, tmp_path / "data")
        (tmp_path / "data" / "rare").mkdir()
        shutil.copy(pictures / CLASSES[0] / "00.png", tmp_path / "data" / "rare")
        assert self.train(tmp_path / "data", tmp_path).startswith("the class rare has 1 image, which cannot be divided")

    def test_a_table_that_names_missing_files(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "labels.csv").write_text("file,label\na.png,x\nb.png,y\n")
        assert "names files that are not in" in self.train(tmp_path / "data", tmp_path)

    def test_a_damaged_image(self, pictures: Path, tmp_path: Path) -> None:
        shutil.copytree(pictures, tmp_path / "data")
        bad = tmp_path / "data" / CLASSES[0] / "bad.png"
        bad.write_bytes(b"no picture")
        assert str(bad) in self.train(tmp_path / "data", tmp_path, num_folds=1)

    def test_fewer_images_than_a_batch(self, pictures: Path, tmp_path: Path) -> None:
        message = self.train(pictures, tmp_path, batch_size=64)
        assert message.startswith("batch_size: 32 training images do not fill a batch of 64")

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"backbone": "resnet11"}, "resnet11"),
            ({"attention": "everything"}, "the source everything is unknown; choose one of batch, bank, statistics"),
            ({"attention_layer": "layer9"}, "attention_layer layer9: the network has no such layer"),
            ({"fold": 7}, "fold must be from 0 to 4, not 7"),
            ({"attention": "bank", "bank_images_per_class": 17}, "the bank needs 17 images of each class, and there"),
            (
                {"epoch": 3},
                "epoch: the bundle global_attention_classification has no such setting; did you mean epochs?",
            ),
        ],
    )
    def test_settings(self, settings: dict[str, Any], message: str, pictures: Path, tmp_path: Path) -> None:
        assert message in self.train(pictures, tmp_path, **{"batch_size": 8, **settings})


def test_each_worker_and_each_epoch_moves_images_anew(
    trained: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained)
    parser = ConfigParser(ConfigParser.load_config_file("configs/train.json"))
    parser.update({"dataset_dir": str(pictures), "num_workers": 2, "batch_size": 4, "augmented_share": 1.0})
    dataset = parser.get_parsed_content("train#dataset")
    dataset.images = dataset.images[:1].expand_as(dataset.images)  # all alike until they are moved
    loader = parser.get_parsed_content("train#dataloader")
    first, second = ([batch["image"] for batch in loader] for _ in range(2))
    for one, other in ((first[0], first[1]), (first[0], second[0]), (first[0][0], first[0][1])):
        assert not torch.equal(one, other)


class TestAsMonaiRunsIt:
    """``python -m monai.bundle run`` from the bundle's folder, as its page says."""

    @staticmethod
    def run(root: Path, *arguments: str | Path, launcher: tuple[str, ...] = ()) -> str:
        command = [sys.executable, "-W", "ignore", "-m", *launcher, "monai.bundle", "run", *map(str, arguments)]
        result = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=180)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def test_in_two_processes(self, trained: Path, pictures: Path, tmp_path: Path) -> None:
        """Gloo stands in for several GPUs: both see the same statistics, and one writes."""
        root = tmp_path / "two"
        derive_bundle(trained, root, {"batch_size": 4, "epochs": 2, "augmented_share": 0.0}, {})
        launcher = ("torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m")
        output = self.run(
            root,
            *("--config_file", "['configs/train.json','configs/multi_gpu_train.json']"),
            *("--dataset_dir", pictures, "--progress", "json"),
            launcher=launcher,
        )
        assert (output.count('"event": "start"'), output.count('"event": "done"')) == (2, 1)
        state, alone = load(root / STATE), load(trained / STATE)
        torch.testing.assert_close(
            state["classifier"]["attention.source.features"],
            alone["classifier"]["attention.source.features"],
            atol=1e-5,
            rtol=0,
        )
        assert len(state["random"]) == 2
        self.run(
            root,
            *("--config_file", "configs/inference.json", "--dataset_dir", pictures / CLASSES[0]),
            *("--output_dir", tmp_path / "out"),
        )
        assert len(list((tmp_path / "out").glob("*.json"))) == 20


def test_checks_of_the_model_zoo(trained: Path, pictures: Path, check_as_the_model_zoo: Callable[..., str]) -> None:
    passed = check_as_the_model_zoo(trained, pictures)
    assert "[PASS] instantiate train.json+multi_gpu_train.json" in passed


def test_the_bundle_that_ships_knows_the_phantom(phantom: Path, tmp_path: Path) -> None:
    metrics = workflows.evaluate(find_bundle(NAME), phantom, tmp_path, progress="none")
    assert metrics["num_per_class"] == {"anomalous": 8, "healthy": 8}
    assert metrics["accuracy"]["value"] >= 0.8


def test_mednist(shared: Path, tmp_path: Path) -> None:
    """Six kinds of real images, 250 each, by a small ResNet within a minute."""
    data = shared / "data" / "mednist"
    root = workflows.train(NAME, data, tmp_path / "bundle", overrides={"epochs": 4}, progress="none")
    metrics = workflows.evaluate(root, data, tmp_path / "page", progress="none")
    assert metrics["num_cases"] == 300
    assert metrics["accuracy"]["value"] > 0.97
