"""The demo, made short; .ci/run runs it in full and looks at its AUC."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from monai_sagan import demo
from monai_sagan.data import write_phantom, write_phantom_volumes

MADE = (
    "bundle/models/model.pt",
    "evaluation/metrics.json",
    "evaluation/report.html",
    "evaluation/examples.png",
    "evaluation_volumes/report.html",
    "volume/phantom_lesion_anomaly.nii.gz",
    "volume/phantom_lesion_anomaly.json",
    "volume/phantom_lesion_deviation.nii.gz",
    "volume.png",
)


@pytest.fixture
def a_short_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_NUM_HEALTHY", 25)  # a fifth and a tenth of which are set aside
    few = partial(write_phantom, num_unlabeled=16, num_test=6)
    monkeypatch.setattr(demo, "write_phantom", few)
    monkeypatch.setattr(demo, "_NUM_HEALTHY_VOLUMES", 3)
    few_volumes = partial(write_phantom_volumes, num_unlabeled=2, num_test=3, size=(32, 32, 8))
    monkeypatch.setattr(demo, "write_phantom_volumes", few_volumes)
    short = {"critic_steps": 2, "base_channels": 2, "num_res_blocks": 0, "critic_base_channels": 2}
    short |= {"contrast_networks": 2, "contrast_steps": 2, "contrast_trees": 5}
    monkeypatch.setattr(demo, "DEMO_SETTINGS", demo.DEMO_SETTINGS | short)


def test_it_makes_everything_and_may_be_run_again(a_short_demo: None, tmp_path: Path) -> None:
    metrics = demo.run_demo(tmp_path, device="cpu", progress="none")
    assert {name for name in MADE if (tmp_path / name).stat().st_size > 0} == set(MADE)
    assert (metrics["num_healthy"], metrics["num_anomalous"], metrics["num_outlined"]) == (6, 6, 6)
    of_volumes = metrics["volumes"]
    result = json.loads((tmp_path / "volume" / "phantom_lesion_anomaly.json").read_text())
    assert result["p_value"] in (0.25, 0.5, 0.75, 1.0)  # of three healthy volumes
    assert (of_volumes["num_healthy"], of_volumes["num_anomalous"], of_volumes["num_outlined"]) == (3, 3, 3)

    weights = (tmp_path / "bundle" / "models" / "model.pt").read_bytes()
    again = demo.run_demo(tmp_path, device="cpu", progress="none")
    assert again == metrics
    assert (tmp_path / "bundle" / "models" / "model.pt").read_bytes() == weights
    assert json.loads((tmp_path / "evaluation" / "metrics.json").read_text())["auc"] == metrics["auc"]
