"""The bundle of the reference methods: trained, resumed, evaluated and used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_sagan import workflows
from monai_sagan.bundle_files import WEIGHTS
from monai_sagan.bundles import find_bundle
from monai_sagan.derived_bundle import derive_bundle
from monai_sagan.errors import causes_of, explain
from monai_sagan.losses import ReconstructionLoss

NAME = "reconstruction_anomaly_detection"
SETTINGS: dict[str, Any] = {
    "image_size": [32, 32],
    "base_channels": 2,
    "latent_size": 16,
    "batch_size": 8,
    "training_steps": 6,
    "checkpoint_interval": 1,
    "calibration_share": 0.0,
}


@pytest.fixture(scope="module")
def make_bundle(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    def make(**settings: Any) -> Path:
        target = tmp_path_factory.mktemp("trained") / "bundle"
        return workflows.train(NAME, phantom, target, overrides={**SETTINGS, **settings}, progress="none")

    return make


def weights(root: Path) -> dict[str, torch.Tensor]:
    return torch.load(root / WEIGHTS, weights_only=True)


@pytest.mark.parametrize("method", ["autoencoder", "variational", "denoising"])
def test_trained_evaluated_and_used(
    method: str, make_bundle: Callable[..., Path], phantom: Path, tmp_path: Path
) -> None:
    root = make_bundle(method=method)
    metrics = workflows.evaluate(root, phantom, tmp_path / "page", progress="none")
    assert (metrics["num_healthy"], metrics["num_anomalous"], metrics["num_failed"]) == (8, 8, 0)
    inputs = [next((phantom / "images").iterdir()), phantom / "volumes" / "phantom_lesion.nii.gz"]
    counts = workflows.predict(root, inputs, tmp_path / "maps", progress="none")
    assert counts == {"num_done": 2, "num_skipped": 0, "num_failed": 0}


def test_it_learns_to_redraw(make_bundle: Callable[..., Path], phantom: Path, tmp_path: Path) -> None:
    """What is left of the difference after some training is less than after none."""
    scores = []
    for number, steps in enumerate((1, 150)):
        root = make_bundle(training_steps=steps, base_channels=4, method="autoencoder")
        workflows.evaluate(root, phantom, tmp_path / str(number), progress="none")
        lines = (tmp_path / str(number) / "scores.csv").read_text().splitlines()[1:]
        scores.append(sum(float(line.split(",")[2]) for line in lines if line.split(",")[1] == "0"))
    assert scores[1] < scores[0] / 2


def test_only_the_denoising_one_has_noise(make_bundle: Callable[..., Path]) -> None:
    """And the seed decides."""
    for method, matters in (("autoencoder", False), ("denoising", True)):
        first, other, again = (make_bundle(method=method, noise_std=std) for std in (0.1, 0.5, 0.1))
        same = all(torch.equal(tensor, weights(other)[name]) for name, tensor in weights(first).items())
        assert same is not matters
        assert all(torch.equal(tensor, weights(again)[name]) for name, tensor in weights(first).items())


def test_it_learns_from_the_healthy_images_alone(make_bundle: Callable[..., Path], phantom: Path) -> None:
    root = make_bundle(calibration_share=0.25)
    assert len((root / "models" / "trained_on.txt").read_text().split()) == 18  # of 24
    calibration = workflows.calibrate(root, phantom, progress="none")
    assert calibration is not None


def test_resumed_it_ends_with_the_same_bits(
    make_bundle: Callable[..., Path], phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**SETTINGS, "method": "denoising", "training_steps": 9}
    expected = make_bundle(**settings)
    forward, steps = ReconstructionLoss.forward, []

    def break_off(self: Any, *arguments: Any) -> torch.Tensor:
        steps.append(1)
        if len(steps) == 5:  # in the second epoch of three steps
            raise RuntimeError("broken off")
        return forward(self, *arguments)

    with monkeypatch.context() as context:
        context.setattr(ReconstructionLoss, "forward", break_off)
        with pytest.raises(RuntimeError):
            workflows.train(NAME, phantom, tmp_path / "bundle", overrides=settings, progress="none")
    workflows.train(NAME, phantom, tmp_path / "bundle", resume=True, progress="none")
    found = weights(tmp_path / "bundle")
    assert all(torch.equal(found[name], tensor) for name, tensor in weights(expected).items())


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"method": "gan"}, "method must be one of autoencoder, variational, denoising, not gan."),
        ({"image_size": [40, 40]}, "image_size must be multiples of 16, not 40x40."),
        ({"noise_coarseness": 0}, "noise_coarseness must be at least 1, not 0."),
        ({"batch_size": 25}, "batch_size: 24 training images do not fill a batch of 25; choose a smaller one."),
    ],
)
def test_bad_settings(setting: dict[str, Any], sentence: str, phantom: Path, tmp_path: Path) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011  its sentence is what the command tells
        workflows.train(NAME, phantom, tmp_path / "b", overrides={**SETTINGS, **setting}, progress="none")
    assert explain(caught.value) == sentence
    assert causes_of(caught.value)
    assert not (tmp_path / "b").exists()


def test_what_ships_is_an_autoencoder_of_the_phantom(phantom: Path, tmp_path: Path) -> None:
    root = find_bundle(NAME)
    metadata = json.loads((root / "configs" / "metadata.json").read_text())
    assert "phantom" in metadata["data_source"]
    metrics = workflows.evaluate(root, phantom, tmp_path, progress="none")
    assert metrics["auc"]["value"] > 0.7  # of 8 and 8 images; an error in reading or scoring gives 0.5


def test_checks_of_the_model_zoo(
    make_bundle: Callable[..., Path], phantom: Path, tmp_path: Path, check_as_the_model_zoo: Callable[..., str]
) -> None:
    trained = make_bundle()
    derive_bundle(find_bundle(NAME), tmp_path / "bundle", SETTINGS, {}, weights(trained))
    shutil.rmtree(tmp_path / "bundle" / "eval", ignore_errors=True)
    passed = check_as_the_model_zoo(tmp_path / "bundle", phantom)
    assert "[PASS] instantiate train.json+multi_gpu_train.json" in passed
