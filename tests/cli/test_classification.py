"""The commands on the bundle of the classifier."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

NAME = "global_attention_classification"
SETTINGS = ("image_size=[32,32]", "epochs=2", "batch_size=8")


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monai_sagan.metrics.classification.RESAMPLES", 10)


def test_train_evaluate_predict(pictures: Path, tmp_path: Path, run: Callable) -> None:
    bundle, quiet = tmp_path / "bundle", ("--progress", "none")
    trained = run("train", NAME, *SETTINGS, "--data", pictures, "--output", bundle, *quiet)
    assert (trained.code, trained.out, trained.err) == (0, f"Trained bundle: {bundle}\n", "")

    evaluated = run("evaluate", bundle, "--data", pictures, "--output", tmp_path / "page", *quiet)
    assert (evaluated.code, evaluated.err) == (0, "")
    accuracy = json.loads((tmp_path / "page" / "metrics.json").read_text())["accuracy"]["value"]
    for told in ("Accuracy", f"{accuracy:.3f}", "Macro AUC", "4 dark corner, 4 light corner", "report.html"):
        assert told in evaluated.out

    predicted = run("predict", bundle, pictures / "dark corner", "--output", tmp_path / "out", "--progress", "json")
    assert (predicted.code, predicted.err) == (0, "")
    results = [event for event in predicted.events if event["event"] == "result"]
    assert len(results) == 20
    assert {one["name"] for one in results[0]["classes"]} == {"dark corner", "light corner"}
    assert Path(results[0]["anomaly_map"]).is_file()


def test_training_tells_its_loss(pictures: Path, tmp_path: Path, run: Callable) -> None:
    outcome = run(
        *("train", NAME, "image_size=[32,32]", "epochs=3", "batch_size=8", "--data", pictures),
        *("--output", tmp_path / "bundle", "--progress", "json"),
    )
    assert (outcome.code, outcome.err) == (0, "")
    losses = [event["loss"] for event in outcome.events if "loss" in event]
    assert len(losses) == 1  # every tenth of twelve steps
    assert losses[0] > 0
    assert outcome.events[-1] == {"event": "done", "iterations": 12}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("train", NAME), "there is no such folder; give one with a folder for each class, or with labels.csv."),
        (("evaluate", NAME), "there is no such folder; give one with a folder for each class, or with labels.csv."),
        (("compare-attention",), "there is no such folder; give one with a folder for each class, or with labels.csv."),
    ],
)
def test_no_data(arguments: tuple[str, ...], sentence: str, tmp_path: Path, output: Path, run: Callable) -> None:
    outcome = run(*arguments, "--data", tmp_path / "none", "--output", output, "--progress", "none")
    assert outcome.sentence == f"{tmp_path / 'none'}: {sentence}"


def test_a_network_that_there_is_not(pictures: Path, output: Path, run: Callable) -> None:
    outcome = run(
        *("train", NAME, "backbone=resnet7", "--data", pictures, "--output", output, "--progress", "none"),
    )
    assert "resnet7" in outcome.sentence


def test_another_batch_than_trained_with(pictures: Path, output: Path, run: Callable) -> None:
    """With the published source the batch size is part of the model while it trains."""
    outcome = run(
        *("train", NAME, *SETTINGS, "attention=batch", "train#dataloader#drop_last=false", "batch_size=7"),
        *("--data", pictures, "--output", output, "--progress", "none"),
    )
    assert "a batch has 4 images, and this attention was made for 7" in outcome.sentence


def test_compare_attention(pictures: Path, tmp_path: Path, run: Callable) -> None:
    outcome = run(
        *("compare-attention", *SETTINGS, "--data", pictures, "--output", tmp_path / "comparison"),
        *("--backbones", "resnet10", "--seeds", "1", "--progress", "none"),
    )
    assert (outcome.code, outcome.err) == (0, "")
    for told in ("resnet10", "accuracy", "macro AUC", "comparison.md"):
        assert told in outcome.out
    assert (tmp_path / "comparison" / "weight_maps.png").is_file()
