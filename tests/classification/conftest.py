"""Labelled pictures that a small network learns in a moment, and bundles that have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_sagan import workflows

NAME = "global_attention_classification"
CLASSES = ["dark corner", "light corner"]
SETTINGS: dict[str, Any] = {"image_size": [32, 32], "epochs": 4, "batch_size": 8, "checkpoint_interval": 1}


def write_pictures(root: Path, count: int = 20, size: tuple[int, int] = (40, 36)) -> Path:
    """A folder a class: noise that changes with each picture, and an upper left corner that tells the class."""
    for number, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for index in range(count):
            generator = np.random.default_rng([number, index])
            pixels = generator.integers(60, 190, (size[1], size[0]))
            pixels[:12, :12] += 60 * (2 * number - 1)
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{index:02}.png")
    return root


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder a class; nobody writes to it."""
    return write_pictures(tmp_path_factory.mktemp("labeled") / "pictures")


@pytest.fixture(scope="session")
def make_bundle(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Trains a bundle on the pictures."""

    def make(output: Path | None = None, **settings: Any) -> Path:
        target = output or tmp_path_factory.mktemp("trained") / "bundle"
        return workflows.train(NAME, pictures, target, overrides={**SETTINGS, **settings}, progress="none")

    return make


@pytest.fixture(scope="session")
def trained(make_bundle: Callable[..., Path]) -> Path:
    """A bundle that was trained on four fifths of the pictures; nobody writes to it."""
    return make_bundle(epochs=20)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals need a second or two; tests/metrics sees to them."""
    monkeypatch.setattr("monai_sagan.metrics.classification.RESAMPLES", 10)
