"""Bundles that were trained on labelled pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monai_sagan import workflows

NAME = "global_attention_classification"
SETTINGS: dict[str, Any] = {"image_size": [32, 32], "epochs": 4, "batch_size": 8, "checkpoint_interval": 1}


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
