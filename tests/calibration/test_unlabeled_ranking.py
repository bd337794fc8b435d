"""The table of the unlabelled images: the order, the names and the p-values."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_sagan import workflows
from monai_sagan.bundle_files import CONTRAST
from monai_sagan.calibration import UnlabeledRanking
from monai_sagan.files import save_tensors


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def rank(tmp_path: Path) -> Callable[[], list[dict[str, str]]]:
    data = [{"image": str(tmp_path / "images" / name)} for name in ("a.png", "deeper/b.png", "c.png")]
    path = tmp_path / "eval" / "unlabeled_scores.csv"

    def rank() -> list[dict[str, str]]:
        UnlabeledRanking(tmp_path / "contrast.pt", data, tmp_path / "images", path).run()
        return rows_of(path) if path.is_file() else []

    return rank


def test_the_order(rank: Callable, tmp_path: Path) -> None:
    scores = {"healthy": [0.1, 0.2, 0.3], "selection": [0.6], "unlabeled": [0.25, 0.9, 0.05]}
    save_tensors({"out_of_fold": {name: torch.tensor(each) for name, each in scores.items()}}, tmp_path / "contrast.pt")
    rows = rank()
    assert [row["name"] for row in rows] == ["deeper/b.png", "a.png", "c.png"]
    assert [float(row["score"]) for row in rows] == pytest.approx([0.9, 0.25, 0.05])
    # Of four healthy images and the image itself, so many score as high.
    assert [float(row["p_value"]) for row in rows] == pytest.approx([1 / 5, 3 / 5, 5 / 5])


def test_without_contrast_there_is_none(rank: Callable) -> None:
    assert rank() == []


def test_after_a_training(phantom: Path, tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    settings = {**tiny_settings, "contrast_networks": 2, "contrast_steps": 5, "contrast_trees": 10}
    root = workflows.train("sagan_anomaly_detection", phantom, tmp_path / "bundle", overrides=settings, progress="none")
    rows = rows_of(root / "eval" / "unlabeled_scores.csv")
    listed = json.loads((phantom / "data.json").read_text())["train"]["unlabeled"]
    assert {row["name"] for row in rows} == {*listed["0"], *listed["1"]}
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    found = torch.load(root / CONTRAST, weights_only=True)["out_of_fold"]["unlabeled"]
    assert scores == sorted(found.tolist(), reverse=True)
    # In the order of the training, the abnormal list comes first.
    by_name = {row["name"]: float(row["score"]) for row in rows}
    assert [by_name[name] for name in listed["1"] + listed["0"]] == found.tolist()
