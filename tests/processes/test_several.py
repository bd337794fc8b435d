"""Two processes do what one does: trainings and archives, also when one of them is killed."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from on_several import IMAGES, NAME, gradients
from PIL import Image

from monai_sagan import workflows
from monai_sagan.bundle_files import WEIGHTS

STATE = Path("models") / "training_state.pt"
EPOCHS = 4  # of three steps: 24 images in batches of 8
CASES = 200
# The images that a killed run left make other batches, in which numbers are summed in another order: roundings of 6e-8,
# which normalisation enlarges to 1e-5 at most (see the generator's own tests).
ROUNDING = {"rel": 1e-4, "abs": 1e-5}
KILLED_AFTER = 40  # of the 100 or so that the second process has; half way through a batch of 16


def on_two_processes(what: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).with_name("on_several.py")
    torchrun = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    return subprocess.run([*torchrun, script, what, json.dumps(arguments)], capture_output=True, text=True, timeout=180)


def ends_when_one_is_killed(what: str, output: Path, *arguments: Any) -> subprocess.CompletedProcess[str]:
    ended = on_two_processes(what, *arguments)
    assert time.time() - float((output / "killed.txt").read_text(encoding="utf-8")) < 60
    assert ended.returncode == 1, ended.stderr
    assert "(SIGKILL)" in ended.stderr
    return ended


@pytest.fixture(scope="module")
def settings(tiny_settings: dict[str, Any]) -> dict[str, Any]:
    return {**tiny_settings, "critic_steps": 3 * EPOCHS, "checkpoint_interval": 1}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small pictures, and a file that is none."""
    root = tmp_path_factory.mktemp("archive")
    for number in range(CASES):
        pixels = np.random.default_rng(number).integers(0, 256, (64, 64), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{number:03}.png")
    (root / "damaged.png").write_bytes(b"not an image")
    return root


@pytest.fixture(scope="module")
def trained(phantom: Path, settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes made: `whole`, a training; `killed`, one that broke off in its third epoch; gradients."""
    output = tmp_path_factory.mktemp("trained")
    ends_when_one_is_killed("train_and_die", output, str(phantom), str(output), settings, 3)
    return output


@pytest.fixture(scope="module")
def gone_on(
    trained: Path, phantom: Path, tiny_bundle: Path, archive: Path
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """What was printed, and results of an archive of which the second process was killed."""
    checkpoint = torch.load(trained / "killed" / STATE, weights_only=True)["engine"]
    assert (checkpoint["epoch"], checkpoint["epoch_length"]) == (2, 3)
    workflows.predict(trained / "killed", [archive / "000.png"], trained / "maps", progress="none")  # it can be used

    training = ["train", NAME, "--data", phantom, "--output", trained / "killed", "--resume", "--progress", "json"]
    predicting = ["predict", tiny_bundle, archive, "--output", trained / "archive"]
    both = [[str(part) for part in command] for command in (training, predicting)]
    ended = ends_when_one_is_killed("resume_and_die", trained, *both, str(trained), KILLED_AFTER)
    return ended, trained / "archive"


def test_gradients_are_those_of_one_process_with_the_joined_batch(
    trained: Path, phantom: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    of_two = torch.load(trained / "gradients.pt", weights_only=True)
    of_one = gradients(str(phantom), str(tmp_path / "bundle"), settings)
    for kind, images in of_one["images"].items():  # each process prepared half of them
        assert torch.equal(of_two["images"][kind], images)
    for network in ("generator", "critic"):
        largest = max(gradient.abs().max() for gradient in of_one[network].values())
        assert largest > 0
        assert of_two[network].keys() == of_one[network].keys()
        for name, gradient in of_one[network].items():
            assert (of_two[network][name] - gradient).abs().max() <= 1e-5 * largest, (network, name)


def test_a_training_that_was_killed_goes_on_bit_for_bit(trained: Path, gone_on: Any) -> None:
    whole, killed = (torch.load(trained / name / STATE, weights_only=True) for name in ("whole", "killed"))
    assert killed["engine"] == whole["engine"] == {"iteration": 12, "epoch": 4, "epoch_length": 3, "max_epochs": 4}
    for kind in ("generator", "critic"):
        assert all(torch.equal(killed[kind][name], tensor) for name, tensor in whole[kind].items())
    weights = [torch.load(trained / name / WEIGHTS, weights_only=True) for name in ("whole", "killed")]
    assert all(torch.equal(weights[1][name], tensor) for name, tensor in weights[0].items())


def test_one_process_tells_how_far_a_training_is(gone_on: Any) -> None:
    events = events_in(gone_on[0].stdout)
    starts = [(event["task"], event["total"]) for event in events if event["event"] == "start"]
    assert starts == [
        ("Preparing images", IMAGES),
        ("Training", 3 * EPOCHS),
    ]  # of IMAGES healthy and as many unlabelled
    assert [event for event in events if event["event"] == "done"] == [{"event": "done", "iterations": 12}]


def test_an_archive_goes_on_and_is_as_one_process_makes_it(
    gone_on: Any, phantom: Path, archive: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    broken_off = gone_on[1]
    made = {path: path.stat().st_mtime_ns for path in broken_off.glob("*_anomaly.json")}
    assert KILLED_AFTER <= len(made) < CASES
    assert not (broken_off / "results.csv").exists()

    badly = ["train", NAME, "--data", str(phantom), "--output", str(tmp_path / "bundle"), "batch_size=7"]
    again = ["predict", str(tiny_bundle), str(archive), "--output", str(broken_off), "--progress", "json"]
    for_one = ["predict", str(tiny_bundle), str(archive / "000.png"), "--output", str(tmp_path / "alone")]
    ended = on_two_processes("commands", badly, again, for_one)
    assert ended.returncode == 0, ended.stderr
    # The batch, which cannot be shared out; an image that is none; an image for two processes.
    assert [line for line in ended.stdout.splitlines() if "exit code" in line] == [f"exit code {n}" for n in (1, 1, 0)]
    assert ended.stderr.count("batch_size 7: 2 processes cannot share it out evenly; give a multiple of 2.") == 1
    assert not (tmp_path / "bundle").exists()
    assert "000_anomaly.json" in names_in(tmp_path / "alone")
    assert all(path.stat().st_mtime_ns == time for path, time in made.items())  # nothing was made twice

    events = events_in(ended.stdout)
    kinds = Counter(event["event"] for event in events)
    assert (kinds["start"], kinds["result"], kinds["error"], kinds["done"]) == (1, CASES, 1, 1)
    assert events[0]["total"] == CASES + 1
    done = [event["done"] for event in events if event["event"] == "progress"]
    assert done == list(range(1, CASES + 2))
    skipped = {"num_done": CASES - len(made), "num_skipped": len(made), "num_failed": 1}
    assert events[-1] == {"event": "done", **skipped}

    workflows.predict(tiny_bundle, [archive], tmp_path / "one", progress="none")
    assert names_in(broken_off) == names_in(tmp_path / "one")
    for name in names_in(broken_off):
        if name.endswith(".nii.gz"):
            found, expected = (nib.load(folder / name).get_fdata() for folder in (broken_off, tmp_path / "one"))
            assert found == pytest.approx(expected, **ROUNDING), name
        elif name.endswith(".json"):
            found, expected = (json.loads((folder / name).read_text()) for folder in (broken_off, tmp_path / "one"))
            assert_alike(found, expected)
    rows, expected_rows = (
        list(csv.DictReader((folder / "results.csv").open())) for folder in (broken_off, tmp_path / "one")
    )
    assert [row["name"] for row in rows] == [*(f"{number:03}" for number in range(CASES)), "damaged"]
    assert_alike(rows, expected_rows)


def assert_alike(found: Any, expected: Any) -> None:
    """The same in JSON or in a table, but for the rounding of numbers that are not whole."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        found, expected = list(found.values()), list(expected.values())
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected):
            assert_alike(one, other)
    elif found != expected:
        assert float(found) == pytest.approx(float(expected), **ROUNDING)
        assert not float(expected).is_integer()


def events_in(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def names_in(folder: Path) -> list[str]:
    """But those of files that a killed process was writing."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
