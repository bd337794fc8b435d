"""What a plain ``pip install`` of the wheel gives, outside of the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel, built from this checkout, was installed into."""
    pytest.importorskip("hatchling", reason="building a wheel needs hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, REPOSITORY], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "site", wheel], check=True)
    return folder / "site"


def test_the_shipped_bundle_predicts(installed: Path, a_picture: Callable[..., Path], tmp_path: Path) -> None:
    picture = a_picture(size=(80, 70))
    code = "import monai_sagan, sys; print(monai_sagan.__file__, file=sys.stderr)"
    code += "; from monai_sagan.cli import main; main()"
    outcome = subprocess.run(
        [sys.executable, "-c", code, "predict", "sagan_anomaly_detection", picture, "--output", tmp_path / "maps"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert str(installed) in outcome.stderr.splitlines()[0]
    result = json.loads(next((tmp_path / "maps").glob("*_anomaly.json")).read_text())
    assert result["bundle"]["name"] == "sagan_anomaly_detection"
    assert len(list((tmp_path / "maps").glob("*_anomaly.nii.gz"))) == 1


def test_the_viewer_has_what_it_shares_with_the_slicer_module(installed: Path, tmp_path: Path) -> None:
    shared = REPOSITORY / "slicer_extension" / "AnomalyMap" / "AnomalyMapLib"
    carried = installed / "monai_sagan" / "viewer" / "AnomalyMapLib"
    assert {path.name for path in carried.glob("*.py")} == {path.name for path in shared.glob("*.py")}
    outcome = subprocess.run(
        [sys.executable, "-c", "from monai_sagan.viewer.AnomalyMapLib import results; print(results.__file__)"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(outcome.stdout.strip()) == carried / "results.py"


def test_a_bundle_is_complete_and_holds_nothing_that_was_made_by_running_it(installed: Path) -> None:
    bundle = installed / "monai_sagan" / "shipped_bundles" / "sagan_anomaly_detection"
    files = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    names = ("metadata", "train", "multi_gpu_train", "calibrate", "evaluate", "inference", "multi_gpu_inference")
    configs = {f"configs/{name}.json" for name in names}
    others = {"LICENSE", "configs/logging.conf", "docs/README.md", "docs/data_license.txt"}
    weights = {f"models/{name}.pt" for name in ("model", "contrast", "familiarity")}
    known = {"selection.json", "calibrated_with.txt", "calibration.json", "calibration_maps.pt"}
    assert files == configs | others | weights | {f"models/{name}" for name in known}
