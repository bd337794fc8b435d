"""The benchmark of volumes runs, and what it measures keeps below what the documentation promises."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "volumes.py"
SLICES = 120
VOXELS = 512 * 512 * SLICES

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is measured as Linux tells it")


def test_memory_beside_a_volume(tmp_path: Path) -> None:
    """A few copies of 32-bit numbers: 2.5 of them are 2.5 GiB where the volume has 1000 slices of 512 x 512."""
    draw = f"import volumes, pathlib; volumes.draw_volume(pathlib.Path({str(tmp_path)!r}, '{SLICES}.nii.gz'), {SLICES})"
    subprocess.run([sys.executable, "-c", draw], check=True, cwd=BENCHMARK.parent)
    command = [sys.executable, BENCHMARK, "--one", "as it ships", tmp_path / f"{SLICES}.nii.gz", tmp_path / "output"]
    (tmp_path / "output").mkdir()
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = json.loads(finished.stdout.splitlines()[-1])
    assert (tmp_path / "output" / "maps" / f"{SLICES}_anomaly.nii.gz").is_file()
    # Libraries that are loaded on the way, and a batch of slices, take the same whatever the volume.
    assert figures["gigabytes_beyond"] < 2.5 * VOXELS * 4 / 1024**3 + 0.35
    assert 0 < figures["seconds_network"] < figures["seconds"]
