"""What runs the generator fastest on a processor: processor seconds of one thread for an image.

    python benchmarks/backends.py

compares torch as it is, with channels last, compiled and in bfloat16 with ONNX Runtime and OpenVINO (each if it is
installed), for the published and the shipped size and several batches, in turn in one process. Seconds of the
processor, not of the clock, and one thread: runtimes do not wait for each other's threads, and other programs on the
machine hardly matter. Writes benchmarks/results/backends_cpu.json and prints the table in docs/results/backends.md.
"""

from __future__ import annotations

import copy
import statistics
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from importlib.util import find_spec

import torch
from result_files import parse_arguments, write_result
from torch import nn

from monai_sagan.markdown import markdown_table
from monai_sagan.networks import SAGANGenerator

NETWORKS = {"published size": (64, 6), "as it ships": (8, 2)}
PATCHES = (4, 16, 64)
REPEATS = 7

Run = Callable[[torch.Tensor], torch.Tensor]


def main(argv: Sequence[str] | None = None) -> None:
    """Measures, writes and prints."""
    arguments = parse_arguments(ArgumentParser(description=__doc__), argv, is_of_cpu=True)
    torch.set_num_threads(1)
    runs = [run for network, (width, depth) in NETWORKS.items() for run in measure(network, width, depth)]
    write_result("backends", arguments, {"repeats": REPEATS, "runs": runs})
    print(make_table(runs))


def measure(network: str, width: int, depth: int) -> list[dict[str, object]]:
    """One entry for each backend and batch."""
    torch.manual_seed(0)
    generator = SAGANGenerator(base_channels=width, num_res_blocks=depth).eval()
    seconds_load, backends = {}, {}
    for name, make in BACKENDS.items():
        begin = time.process_time()
        backend = make(generator)
        seconds_load[name] = time.process_time() - begin
        if backend is not None:
            backends[name] = backend
    runs = []
    with torch.inference_mode():
        for count in PATCHES:
            images = torch.rand(count // 4, 1, 64, 64) * 2 - 1
            expected = generator(images)
            seconds: dict[str, list[float]] = {name: [] for name in backends}
            first = {name: _seconds(run, images) for name, run in backends.items()}
            for _ in range(REPEATS):
                for name, run in backends.items():
                    seconds[name].append(_seconds(run, images) / len(images))
            runs += [
                {
                    "network": network,
                    "backend": name,
                    "patches": count,
                    "seconds_load": seconds_load[name],
                    "seconds_first": first[name],
                    "seconds_image": seconds[name],
                    "error": float((run(images) - expected).abs().max()),
                }
                for name, run in backends.items()
            ]
    return runs


def _seconds(run: Run, images: torch.Tensor) -> float:
    begin = time.process_time()
    run(images)
    return time.process_time() - begin


def _eager(generator: nn.Module) -> Run:
    return generator


def _channels_last(generator: nn.Module) -> Run:
    network = copy.deepcopy(generator).to(memory_format=torch.channels_last)
    return lambda images: network(images.to(memory_format=torch.channels_last))


def _bfloat16(generator: nn.Module) -> Run:
    def run(images: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return generator(images).float()

    return run


def _compiled(generator: nn.Module) -> Run:
    return torch.compile(copy.deepcopy(generator), dynamic=False)


def _onnx_file(generator: nn.Module, folder: str) -> str:
    path = f"{folder}/net.onnx"
    axes = {"image": {0: "batch"}, "pred": {0: "batch"}}
    names = {"input_names": ["image"], "output_names": ["pred"]}
    torch.onnx.export(generator, (torch.zeros(2, 1, 64, 64),), path, dynamic_axes=axes, verbose=False, **names)
    return path


def _onnx_runtime(generator: nn.Module) -> Run | None:
    if not find_spec("onnxruntime"):
        return None
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        session = onnxruntime.InferenceSession(_onnx_file(generator, folder), options)
    return lambda images: torch.from_numpy(session.run(None, {"image": images.numpy()})[0])


def _openvino(generator: nn.Module, precision: str = "f32") -> Run | None:
    if not find_spec("openvino"):
        return None
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": 1}
    with tempfile.TemporaryDirectory() as folder:
        model = openvino.Core().compile_model(_onnx_file(generator, folder), "CPU", settings)
    request = model.create_infer_request()
    return lambda images: torch.from_numpy(request.infer([images.numpy()])[0].copy())


def _openvino_bfloat16(generator: nn.Module) -> Run | None:
    return _openvino(generator, "bf16")


BACKENDS: dict[str, Callable[[nn.Module], Run | None]] = {
    "torch": _eager,
    "torch, channels last": _channels_last,
    "torch, compiled": _compiled,
    "ONNX Runtime": _onnx_runtime,
    "OpenVINO": _openvino,
    "torch, bfloat16": _bfloat16,
    "OpenVINO, bfloat16": _openvino_bfloat16,
}


def make_table(runs: list[dict[str, object]]) -> str:
    """Medians in milliseconds, as Markdown; seconds until the first result at the largest batch."""
    rows = []
    for network, backend in dict.fromkeys((run["network"], run["backend"]) for run in runs):
        same = [run for run in runs if (run["network"], run["backend"]) == (network, backend)]
        times = [f"{1e3 * statistics.median(run['seconds_image']):.1f}" for run in same]  # type: ignore[type-var]
        ready = same[-1]["seconds_load"] + same[-1]["seconds_first"]  # type: ignore[operator]
        error = max(run["error"] for run in same)  # type: ignore[type-var]
        rows.append([network, backend, *times, f"{ready:.1f}", f"{error:.0e}"])
    counts = [f"{count} patches" for count in PATCHES]
    return markdown_table(["network", "backend", *counts, "ready after (s)", "error"], rows)  # type: ignore[list-item]


if __name__ == "__main__":
    main()
