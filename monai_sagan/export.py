"""A bundle's network as one file for other runtimes, checked against the network itself."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch
from monai.bundle import ConfigParser
from monai.networks.utils import convert_to_onnx, convert_to_torchscript, convert_to_trt

from monai_sagan.bundles import WEIGHTS, find_bundle, read_settings, require_weights
from monai_sagan.errors import UserError
from monai_sagan.files import read_tensors, write_whole

__all__ = ["ExportFormat", "export_network"]

ExportFormat = Literal["onnx", "torchscript", "tensorrt"]

# Batches that the file is tried with: free in size, as every one of them must be.
_BATCHES = (1, 3)
# The least, the most usual and the largest batch of a TensorRT engine.
_TENSORRT_BATCHES = (1, 16, 64)
# Other libraries round otherwise and normalisation enlarges that: 1e-5 to 1e-4 of the output was seen. More than this
# is another network.
_LARGEST_ERROR = 1e-3

_Network = Callable[[torch.Tensor], torch.Tensor]


def export_network(bundle: str | Path, output: Path, kind: ExportFormat = "onnx") -> float:
    """Writes the network of a bundle, with its weights, to a file that takes any batch size.

    The file is loaded again and compared with the network on random images; one that differs is not kept. MONAI's
    converters make it.

    Args:
        bundle: a folder or the name of a bundle that ships.
        output: the file.
        kind: ``onnx`` for ONNX Runtime, OpenVINO and others; ``torchscript``; ``tensorrt``, a TorchScript file with an
            engine for the GPU that it is made on.

    Returns:
        The largest difference between what the file and the network give, as a share of the largest output, or of 1
        if that is larger.

    Raises:
        UserError: if the bundle has no weights, a package is missing, or the file differs from the network.
    """
    _require(kind)
    root = find_bundle(bundle)
    network, shape = _load_network(root)
    device = torch.device("cuda" if kind == "tensorrt" else "cpu")
    with write_whole(output) as partial:
        run = _WRITERS[kind](network, shape, partial)
        error = max(_difference(run, network.to(device), shape, count, device) for count in _BATCHES)
        if not error <= _LARGEST_ERROR:  # NaN is no good either
            raise UserError(
                f"{output}: what the {kind} file computes differs from the network by {error:.1e}, so it was not kept; "
                "try another format or another version of its runtime."
            )
    return error


def _load_network(root: Path) -> tuple[torch.nn.Module, list[int]]:
    """A bundle's network in evaluation mode, and the shape (C, *spatial) of what it takes."""
    weights = require_weights(root)
    parser = ConfigParser({**read_settings(root), "bundle_root": str(root)})
    network: torch.nn.Module = parser.get_parsed_content("network_def")
    try:
        network.load_state_dict(read_tensors(weights))
    except (RuntimeError, TypeError) as error:
        raise UserError(f"{root / WEIGHTS}: these weights do not fit the network of the bundle.") from error
    image = ConfigParser.load_config_file(str(root / "configs" / "metadata.json"))["network_data_format"]["inputs"][
        "image"
    ]
    return network.eval(), [image["num_channels"], *image["spatial_shape"]]


def _write_onnx(network: torch.nn.Module, shape: list[int], path: Path) -> _Network:
    import onnxruntime

    model = convert_to_onnx(
        network,
        [torch.zeros(2, *shape)],  # of one image, the exporter takes the batch for a constant
        input_names=["image"],
        output_names=["pred"],
        dynamic_axes={"image": {0: "batch"}, "pred": {0: "batch"}},
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    path.write_bytes(model.SerializeToString())
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(["pred"], {"image": images.numpy()})[0])


def _write_torchscript(network: torch.nn.Module, shape: list[int], path: Path) -> _Network:
    convert_to_torchscript(network, filename_or_obj=str(path))
    return torch.jit.load(str(path))


def _write_tensorrt(network: torch.nn.Module, shape: list[int], path: Path) -> _Network:
    engine = convert_to_trt(network, "fp32", [1, *shape], dynamic_batchsize=_TENSORRT_BATCHES, use_onnx=True)
    torch.jit.save(engine, str(path))
    return torch.jit.load(str(path))


_WRITERS = {"onnx": _write_onnx, "torchscript": _write_torchscript, "tensorrt": _write_tensorrt}


def _difference(run: _Network, network: torch.nn.Module, shape: list[int], count: int, device: torch.device) -> float:
    images = torch.rand(count, *shape, generator=torch.Generator().manual_seed(count)).to(device) * 2 - 1
    with torch.inference_mode():
        expected = network(images)
        return float((run(images) - expected).abs().max() / expected.abs().max().clamp(min=1.0))


def _require(kind: ExportFormat) -> None:
    """Raises a UserError if something that a format needs is missing."""
    if kind == "onnx" and not all(find_spec(name) for name in ("onnx", "onnxruntime", "onnxscript")):
        raise UserError('onnx: this needs packages that are not installed; run: pip install "monai-sagan[onnx]"')
    if kind == "tensorrt" and not (find_spec("torch_tensorrt") and torch.cuda.is_available()):
        raise UserError("tensorrt: this needs an NVIDIA GPU and the package torch_tensorrt; use onnx or torchscript.")
