"""Seconds from the command to the map of a head, start-up included, against the published procedure.

    python benchmarks/head_volume.py [--volume FILE.nii.gz]

maps a volume of 160 slices (drawn, unless one is given) by ``monai-sagan predict`` and by published_volume.py, each a
process of its own, in turn, with the same random weights of the published size. Writes
benchmarks/results/head_volume_cpu.json, and prints the table in docs/results/speed_volume.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import describe_machine

HERE = Path(__file__).resolve().parent
SIZE = (256, 256, 160)


def main() -> None:
    """Runs what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volume", type=Path, help="NIfTI, slices along the last axis; one is drawn without.")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights, bundle = make_weights(folder)
        volume = arguments.volume or draw_head(folder / "head.nii.gz")
        runs = []
        for number in range(arguments.repeats):  # in turn, so that a slow minute does not hit one alone
            output = folder / str(number)
            output.mkdir()
            plain = [HERE / "published_volume.py", weights, volume, output / "map.nii.gz"]
            ours = ["-m", "monai_sagan", "predict", bundle, volume, "--output", output, "--progress", "none"]
            ours += ["--device", "cpu"]
            runs.append({"published": time_process(plain), "monai-sagan": time_process(ours)})
    result = {"machine": describe_machine("cpu"), "volume": "given" if arguments.volume else "drawn", "runs": runs}
    path = HERE / "results" / ("head_volume_given_cpu.json" if arguments.volume else "head_volume_cpu.json")
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(make_table(runs))


def make_weights(folder: Path) -> tuple[Path, Path]:
    """Random weights of the published size, and a bundle that has them."""
    import torch
    from published_generator import PublishedGenerator

    from monai_sagan.workflows import import_checkpoint

    torch.manual_seed(0)
    weights = folder / "generator.ckpt"
    torch.save(PublishedGenerator().state_dict(), weights)
    return weights, import_checkpoint(weights, folder / "bundle")


def draw_head(path: Path) -> Path:
    """Writes the phantom of a head, with noise inside and in the air around."""
    import nibabel as nib
    import numpy as np

    from monai_sagan.data import phantom_volume

    voxels, _ = phantom_volume(np.random.default_rng(0), size=SIZE, lesion=True)
    nib.save(nib.Nifti1Image(voxels.transpose(2, 1, 0), np.diag([-0.9, -0.9, 1.0, 1.0])), path)
    return path


def time_process(arguments: list[object]) -> dict[str, float]:
    """Seconds of a process by the clock, and of the processor for it."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, *map(str, arguments)], check=True, capture_output=True, env=environment)  # noqa: S603
    seconds, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": seconds,
        "seconds_processor": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    }


def make_table(runs: list[dict[str, dict[str, float]]]) -> str:
    """Medians, and in brackets least and largest, as Markdown; ratios are of runs that followed each other."""
    lines = ["| | published | monai-sagan | ratio |", "| --- | --- | --- | --- |"]
    for key, title in (("seconds", "seconds, command to map"), ("seconds_processor", "processor seconds")):
        plain, ours = ([run[name][key] for run in runs] for name in ("published", "monai-sagan"))
        ratios = [run["published"][key] / run["monai-sagan"][key] for run in runs]
        lines.append(f"| {title} | {_spread(plain, 1)} | {_spread(ours, 1)} | {_spread(ratios, 2)} |")
    return "\n".join(lines)


def _spread(values: list[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


if __name__ == "__main__":
    main()
