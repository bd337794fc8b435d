"""Seconds from the command to the map of a head, start-up included, against the published procedure.

    python benchmarks/head_volume.py [--volume FILE.nii.gz]

maps a volume of 160 slices (drawn, unless one is given) by ``monai-sagan predict``, as it is and kept to 32 bits, and
by published_volume.py, each a process of its own, in turn, with the same random weights of the published size. Writes
benchmarks/results/head_volume_cpu.json, and prints the table in docs/results/speed_volume.md.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from result_files import parse_arguments, write_result
from spreads import spread, spread_text

from monai_sagan.markdown import markdown_table

HERE = Path(__file__).resolve().parent
SIZE = (256, 256, 160)
PUBLISHED = "published"


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what the arguments say."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--volume", type=Path, help="NIfTI, slices along the last axis; one is drawn without.")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parse_arguments(parser, argv, is_of_cpu=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        weights, bundles = make_weights(folder)
        volume = arguments.volume or draw_head(folder / "head.nii.gz")
        runs = []
        for number in range(arguments.repeats):  # in turn, so that a slow minute does not hit one alone
            output = folder / str(number)
            output.mkdir()
            run = {PUBLISHED: time_process([HERE / "published_volume.py", weights, volume, output / "map.nii.gz"])}
            for name, bundle in bundles.items():
                ours = ["-m", "monai_sagan", "predict", bundle, volume, "--output", output / bundle.name]
                run[name] = time_process([*ours, "--progress", "none", "--device", "cpu"])
            runs.append(run)
    write_result("head_volume", arguments, {"runs": runs})
    print(make_table(runs))


def make_weights(folder: Path) -> tuple[Path, dict[str, Path]]:
    """Random weights of the published size, and bundles that have them: as they are made, and kept to 32 bits."""
    import torch
    from published_generator import PublishedGenerator

    from monai_sagan.workflows import import_checkpoint

    torch.manual_seed(0)
    weights = folder / "generator.ckpt"
    torch.save(PublishedGenerator().state_dict(), weights)
    bundle, exact = (import_checkpoint(weights, folder / name) for name in ("bundle", "exact"))
    config = exact / "configs" / "inference.json"
    config.write_text(json.dumps(json.loads(config.read_text(encoding="utf-8")) | {"amp": False}), encoding="utf-8")
    return weights, {"monai-sagan": bundle, "monai-sagan, 32 bits": exact}


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
    rows = []
    for name in runs[0]:
        row = [name]
        for key in ("seconds", "seconds_processor"):
            ratios = [run[PUBLISHED][key] / run[name][key] for run in runs]
            seconds = spread_text(spread([run[name][key] for run in runs]), ".1f")
            row += [seconds, "1" if name == PUBLISHED else spread_text(spread(ratios), ".2f")]
        rows.append(row)
    return markdown_table(["", "seconds, command to map", "ratio", "processor seconds", "ratio"], rows)


if __name__ == "__main__":
    main()
