"""``monai-sagan calibrate``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "mine"))


def test_it_tells_what_it_rests_on(bundle: Path, phantom: Path, run: Callable) -> None:
    outcome = run("calibrate", bundle, "--data", phantom, "--progress", "none")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("Calibrated with 24 healthy pictures: no p-value is below 0.04. Threshold 0.")
    again = run("calibrate", bundle, "--data", phantom, "--progress", "none", "--false-positive-rate", "0.01")
    assert "too few for a threshold with 1% false positives, which needs 99" in again.out


def test_json(bundle: Path, phantom: Path, run: Callable) -> None:
    outcome = run("calibrate", bundle, "--data", phantom, "--progress", "json")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.events[-1] == {"event": "done", "num_done": 24, "num_skipped": 0, "num_failed": 0}


@pytest.mark.parametrize(
    ("rate", "sentence"),
    [("1.5", "false_positive_rate must lie between 0 and 1, not 1.5."), ("0", "false_positive_rate must lie")],
)
def test_a_rate_out_of_range(rate: str, sentence: str, bundle: Path, phantom: Path, run: Callable) -> None:
    outcome = run("calibrate", bundle, "--data", phantom, "--progress", "none", "--false-positive-rate", rate)
    assert outcome.sentence.startswith(sentence)


def test_a_bundle_that_cannot_be_written_to(
    bundle: Path, phantom: Path, run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_allowed(path: Path, mode: int) -> bool:  # an administrator, as whom tests may run, may write anywhere
        return not (mode == os.W_OK and Path(path) == bundle / "models")

    monkeypatch.setattr("monai_sagan.workflows.os.access", is_allowed)
    outcome = run("calibrate", bundle, "--data", phantom, "--progress", "none")
    assert outcome.sentence == f"{bundle}: this bundle cannot be written to; copy its folder, and calibrate the copy."


def test_no_data(bundle: Path, tmp_path: Path, run: Callable) -> None:
    outcome = run("calibrate", bundle, "--data", tmp_path / "none", "--progress", "none")
    assert outcome.sentence.startswith(f"{tmp_path / 'none' / 'data.json'}: there is no such file; make a data set")


def test_a_classifier_has_no_calibration(pictures: Path, tmp_path: Path, run: Callable) -> None:
    outcome = run("calibrate", "global_attention_classification", "--data", pictures, "--progress", "none")
    assert "ships with the package" in outcome.sentence
