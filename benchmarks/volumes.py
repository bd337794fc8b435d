"""Seconds and memory that a volume needs, from its file to its map, and what part of the time the network takes.

    python benchmarks/volumes.py

draws volumes like a CT of the trunk (512 x 512 pixels a slice, 16 bits, NIfTI), maps each as ``monai-sagan predict``
does, in a process of its own, and writes benchmarks/results/volumes_DEVICE.json with the machine it comes from. The
table in docs/results/volumes.md is what it prints.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from result_files import parse_arguments, write_result
from spreads import spread, spread_text

from monai_sagan.markdown import markdown_table

SIDE = 512
# Width and depth of the generator: as published, and as the bundle ships.
NETWORKS = {"published size": (64, 6), "as it ships": (8, 2)}


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what the arguments say."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, nargs="+", default=[64, 256, 1000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", nargs=3, metavar=("NETWORK", "VOLUME", "OUTPUT"), help=SUPPRESS)
    arguments = parse_arguments(parser, argv)
    if arguments.one:
        print(json.dumps(measure(*arguments.one, arguments.device)))
        return
    with tempfile.TemporaryDirectory() as folder:
        volumes = {count: draw_volume(Path(folder) / f"{count}.nii.gz", count) for count in arguments.slices}
        runs = [
            {"network": network, "slices": count} | run_once(network, volume, arguments.device)
            for _ in range(arguments.repeats)  # all of them in turn, so that a slow minute does not hit one alone
            for network in NETWORKS
            for count, volume in volumes.items()
        ]
    write_result("volumes", arguments, {"side": SIDE, "runs": runs})
    print(make_table(runs))


def draw_volume(path: Path, count: int) -> Path:
    """Writes a volume like a CT: a body with lungs in air, with noise; its slices repeat after 64."""
    import nibabel as nib
    import numpy as np

    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    slices = []
    for number in range(min(count, 64)):
        lung = 0.12 + 0.03 * np.sin(number / 10)
        body = (x / 0.42) ** 2 + (y / 0.3) ** 2 < 1
        lungs = ((np.abs(x) - 0.2) / lung) ** 2 + (y / 0.2) ** 2 < 1
        values = np.where(lungs, -800, np.where(body, 50, -1000)) + rng.normal(0, 15, x.shape)
        slices.append(values.clip(-1024, 3000).astype(np.int16))
    voxels = np.stack([slices[number % 64].T for number in range(count)], -1)
    nib.save(nib.Nifti1Image(voxels, np.diag([-0.8, -0.8, 1.0, 1.0])), path)
    return path


def run_once(network: str, volume: Path, device: str) -> dict[str, float]:
    """Maps a volume in a process of its own."""
    with tempfile.TemporaryDirectory() as output:
        command = [sys.executable, __file__, "--device", device, "--one", network, str(volume), output]
        finished = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    return json.loads(finished.stdout.splitlines()[-1])


def measure(network: str, volume: str, output: str, device: str) -> dict[str, float]:
    """Maps a volume in this process, and measures.

    Returns:
        ``seconds``, from the volume's file to its map's; ``seconds_network``, of these within the network's forward
        pass; ``seconds_start``, before, until everything was imported; ``gigabytes``, the most memory that the process
        had; ``gigabytes_beyond``, the same without the voxels of the volume and what the process had before;
        ``gigabytes_gpu``, the most that tensors took on the GPU.
    """
    begin = time.perf_counter()
    import torch

    from monai_sagan import workflows
    from monai_sagan.bundles import find_bundle
    from monai_sagan.derived_bundle import derive_bundle
    from monai_sagan.networks import SAGANGenerator

    width, depth = NETWORKS[network]
    torch.manual_seed(0)
    weights = SAGANGenerator(base_channels=width, num_res_blocks=depth).state_dict()
    bundle = Path(output) / "bundle"
    settings = {"base_channels": width, "num_res_blocks": depth, "intensity_window": [-1000, 400]}
    derive_bundle(find_bundle("sagan_anomaly_detection"), bundle, settings, {}, weights)
    within = 0.0
    forward = SAGANGenerator.forward

    def timed(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal within
        _wait(torch, device)
        entered = time.perf_counter()
        result = forward(self, *args, **kwargs)
        _wait(torch, device)
        within += time.perf_counter() - entered
        return result

    SAGANGenerator.forward = timed  # type: ignore[method-assign]
    start = time.perf_counter() - begin
    before = gigabytes_now()
    begin = time.perf_counter()
    workflows.predict(bundle, [Path(volume)], Path(output) / "maps", device=device, progress="none")
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    voxels = int(Path(volume).name.split(".")[0]) * SIDE * SIDE * 2 / 1024**3
    return {
        "seconds": seconds,
        "seconds_network": within,
        "seconds_start": start,
        "gigabytes": peak,
        "gigabytes_beyond": peak - before - voxels,
        "gigabytes_gpu": torch.cuda.max_memory_allocated() / 1024**3 if device.startswith("cuda") else 0.0,
    }


def _wait(torch: Any, device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def gigabytes_now() -> float:
    """Memory of this process (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024**3


def make_table(runs: list[dict[str, Any]]) -> str:
    """Medians of the repeats, and in brackets the least and the largest, as Markdown; of memory the largest."""
    headings = ["network", "slices", "seconds", "network", "network, start counted", "memory beyond (GB)", "GPU (GB)"]
    rows = []
    for network, count in dict.fromkeys((run["network"], run["slices"]) for run in runs):
        same = [run for run in runs if (run["network"], run["slices"]) == (network, count)]
        share = statistics.median(run["seconds_network"] / run["seconds"] for run in same)
        whole = statistics.median(run["seconds_network"] / (run["seconds"] + run["seconds_start"]) for run in same)
        beyond, gpu = (max(run[key] for run in same) for key in ("gigabytes_beyond", "gigabytes_gpu"))
        seconds = spread_text(spread([run["seconds"] for run in same]), ".1f")
        rows.append([network, str(count), seconds, f"{share:.0%}", f"{whole:.0%}", f"{beyond:.2f}", f"{gpu:.2f}"])
    start = spread_text(spread([run["seconds_start"] for run in runs]), ".1f")
    return f"{markdown_table(headings, rows)}\n\nStart of the program: {start} seconds."


if __name__ == "__main__":
    main()
