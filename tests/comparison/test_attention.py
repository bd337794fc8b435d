"""The paper's experiment: every training once, in any number of attempts and processes, and a table of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_sagan.comparison import attention as experiment
from monai_sagan.comparison import compare_attention, comparison_table
from monai_sagan.errors import UserError
from monai_sagan.metrics import paired_difference

BACKBONES = ["resnet10", "densenet121"]
SETTINGS: dict[str, Any] = {"image_size": [32, 32], "epochs": 1, "batch_size": 8}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise with a class in its brightness."""
    root = tmp_path_factory.mktemp("labeled")
    for number, name in enumerate(("dark", "light")):
        (root / name).mkdir()
        for index in range(10):
            pixels = np.random.default_rng([number, index]).integers(40 * number, 200 + 40 * number, (32, 32))
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{index}.png")
    return root


def compare(data: Path, output: Path, **arguments: Any) -> Any:
    arguments = {"num_seeds": 2, "overrides": SETTINGS, "progress": "none", **arguments}
    return compare_attention(data, output, arguments.pop("backbones", BACKBONES), **arguments)


@pytest.fixture(scope="module")
def compared(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("comparison") / "output"
    compare(data, output)
    return output


def read(output: Path) -> dict[str, Any]:
    return json.loads((output / "comparison.json").read_text())


class TestWhole:
    def test_every_network_with_and_without_attention(self, compared: Path) -> None:
        comparison = read(compared)
        assert list(comparison["backbones"]) == BACKBONES
        for name in BACKBONES:
            for kind, attention in (("with", "attention"), ("without", "plain")):
                folders = [compared / name / attention / f"seed_{seed}" for seed in range(2)]
                metrics = [json.loads((folder / "evaluation" / "metrics.json").read_text()) for folder in folders]
                found = comparison["backbones"][name]["accuracy"][kind]
                assert found["values"] == [one["accuracy"]["value"] for one in metrics]
                assert found["mean"] == pytest.approx(np.mean(found["values"]))
                assert found["spread"] == pytest.approx(np.std(found["values"], ddof=1))
                config = json.loads((folders[0] / "bundle" / "configs" / "inference.json").read_text())
                assert config["attention"] == ("statistics" if kind == "with" else "none")
                assert config["backbone"] == name

    def test_the_difference_is_corrected_for_what_the_trainings_share(self, compared: Path) -> None:
        for name in BACKBONES:
            found = read(compared)["backbones"][name]["macro_auc"]
            # 16 images to train with, 4 to test with.
            expected = paired_difference(found["with"]["values"], found["without"]["values"], test_to_train=0.25)
            assert found["difference"]["mean"] == pytest.approx(expected.mean)
            assert found["difference"]["p_value"] == pytest.approx(expected.p_value)

    def test_with_and_without_share_division_and_seed(self, compared: Path) -> None:
        def trained_on(attention: str, seed: int) -> str:
            return (compared / "resnet10" / attention / f"seed_{seed}" / "bundle/models/trained_on.txt").read_text()

        assert trained_on("plain", 0) == trained_on("attention", 0)
        assert trained_on("plain", 0) != trained_on("plain", 1)

    def test_the_table_and_the_maps(self, compared: Path) -> None:
        text = (compared / "comparison.md").read_text()
        assert text == comparison_table(read(compared))
        first = text.splitlines()[2]
        accuracy = read(compared)["backbones"]["resnet10"]["accuracy"]
        assert first.startswith(f"| resnet10 | accuracy | {accuracy['without']['mean']:.3f} ± ")
        assert "over 2 divisions of the images into training and test" in text
        with Image.open(compared / "weight_maps.png") as picture:
            assert picture.width > picture.height


class TestInterrupted:
    def test_it_goes_on_where_it_was(
        self, data: Path, compared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: list[Path] = []
        evaluate = experiment.evaluate

        def break_off(bundle: Path, *arguments: Any, **keywords: Any) -> Any:
            calls.append(bundle)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return evaluate(bundle, *arguments, **keywords)

        monkeypatch.setattr(experiment, "evaluate", break_off)
        with pytest.raises(KeyboardInterrupt):
            compare(data, tmp_path)
        assert not (tmp_path / "comparison.json").exists()
        compare(data, tmp_path)
        assert len(calls) == 8 + 1  # the third once more
        assert calls[2] == calls[3]
        assert read(tmp_path) == read(compared)

    def test_finished_it_trains_nothing(self, data: Path, compared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before = read(compared)
        monkeypatch.setattr(experiment, "train", None)
        compare(data, compared)
        assert read(compared) == before

    def test_more_seeds_add_to_it(self, data: Path, tmp_path: Path) -> None:
        compare(data, tmp_path, backbones=["resnet10"], num_seeds=1)
        found = read(tmp_path)["backbones"]["resnet10"]["accuracy"]
        assert found["difference"]["p_value"] is None
        assert found["with"]["spread"] is None
        compare(data, tmp_path, backbones=["resnet10"], num_seeds=2)
        assert read(tmp_path)["backbones"]["resnet10"]["accuracy"]["with"]["values"][:1] == found["with"]["values"]

    def test_other_settings_are_refused(self, data: Path, compared: Path) -> None:
        with pytest.raises(UserError, match="holds a comparison of other data or with other settings; choose another"):
            compare(data, compared, overrides={**SETTINGS, "epochs": 2})


def test_two_processes_share_the_trainings_out(data: Path, compared: Path, tmp_path: Path) -> None:
    """As torchrun starts them; who is done last makes the table."""
    command = [
        *(sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"),
        *("-m", "monai_sagan", "compare-attention", "--data", data, "--output", tmp_path, "--seeds", "2"),
        *("--backbones", ",".join(BACKBONES), "--progress", "json"),
        *(f"{key}={json.dumps(value)}" for key, value in SETTINGS.items()),
    ]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=180)
    assert result.returncode == 0, result.stderr
    assert read(tmp_path) == read(compared)


def test_a_data_set_that_is_divided_already(data: Path, tmp_path: Path) -> None:
    for file in data.rglob("*.png"):
        copy = tmp_path / "data" / ("train" if int(file.stem) < 6 else "test") / file.parent.name / file.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    compare(tmp_path / "data", tmp_path / "output", backbones=["resnet10"])
    found = read(tmp_path / "output")["backbones"]["resnet10"]["macro_auc"]
    plain = paired_difference(found["with"]["values"], found["without"]["values"])
    assert found["difference"]["p_value"] == (plain.p_value and pytest.approx(plain.p_value))
    assert "over 2 seeds of the training" in (tmp_path / "output" / "comparison.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_seeds": 0}, "seeds must be at least 1, not 0"),
        ({"backbones": []}, "backbones must be names of networks, each given once"),
        ({"backbones": ["resnet10", "resnet10"]}, "backbones must be names of networks, each given once"),
        ({"source": "frozen"}, "the attention's source must be one of batch, bank, statistics, not frozen"),
    ],
)
def test_arguments(arguments: dict[str, Any], message: str, data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        compare(data, tmp_path / "output", **arguments)
    assert not (tmp_path / "output").exists()
