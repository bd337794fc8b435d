"""A bundle's network as one file for other runtimes, checked against the network itself."""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch
from monai.bundle import ConfigParser
from monai.networks.utils import convert_to_onnx, convert_to_torchscript, convert_to_trt

from monai_sagan.bundle_files import METADATA, WEIGHTS
from monai_sagan.bundles import find_bundle, read_config, read_settings, require_weights
from monai_sagan.errors import UserError
from monai_sagan.files import read_tensors, write_whole

__all__ = ["ExportFormat", "export_network"]

ExportFormat = Literal["onnx", "torchscript", "tensorrt"]

# Batches that the file is tried with: free in size, as every one of them must be.
_BATCHES = (1, 3)
# The least, the most usual and the largest batch of a TensorRT engine.
_TENSORRT_BATCHES = (1, 16, 64)
# Other libraries round otherwise and normalisation enlarges that: 2e-5 of the output was seen. TensorRT computes with
# the 10 bits of TF32 where the others have 23. More than this is another network.
_LARGEST_ERRORS = {"onnx": 1e-3, "torchscript": 1e-3, "tensorrt": 5e-2}

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
        UserError: if ``output`` is a folder, the bundle has no weights, a package is missing, or the file differs from
            the network.
    """
    if output.is_dir():
        raise UserError(f"{output}: this is a folder; give the name of the file to write.")
    _require(kind)
    network, shape = _load_network(find_bundle(bundle))
    images = [torch.rand(count, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1 for count in _BATCHES]
    with write_whole(output) as partial, torch.inference_mode():
        expected = [network(batch) for batch in images]
        run = _WRITERS[kind](network, shape, partial)
        errors = [_difference(run(batch), result) for batch, result in zip(images, expected)]
        if not all(error <= _LARGEST_ERRORS[kind] for error in errors):  # NaN is no good either
            raise UserError(
                f"{output}: what the {kind} file computes differs from the network by {max(errors):.1e}, so it was not "
                "kept; try another format or another version of its runtime."
            )
    return max(errors)


def _load_network(root: Path) -> tuple[torch.nn.Module, list[int]]:
    """A bundle's network in evaluation mode, and the shape (C, *spatial) of what it takes."""
    weights = require_weights(root)
    parser = ConfigParser({**read_settings(root), "bundle_root": str(root)})
    network: torch.nn.Module = parser.get_parsed_content("network_def")
    try:
        network.load_state_dict(read_tensors(weights))
    except (RuntimeError, TypeError) as error:
        raise UserError(f"{root / WEIGHTS}: these weights do not fit the network of the bundle.") from error
    image = read_config(root, METADATA.stem)["network_data_format"]["inputs"]["image"]
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
    _save_script(convert_to_torchscript(network), path)
    return _load_script(path)


def _write_tensorrt(network: torch.nn.Module, shape: list[int], path: Path) -> _Network:
    engine = convert_to_trt(network, "fp32", [1, *shape], dynamic_batchsize=_TENSORRT_BATCHES, use_onnx=True)
    _save_script(engine, path)
    loaded = _load_script(path)
    return lambda images: loaded(images.cuda()).cpu()


def _save_script(script: torch.jit.ScriptModule, path: Path) -> None:
    """Writes a script; torch itself ends the process where a disk is full."""
    buffer = io.BytesIO()
    torch.jit.save(script, buffer)
    path.write_bytes(buffer.getbuffer())


def _load_script(path: Path) -> torch.jit.ScriptModule:
    with path.open("rb") as file:  # of a name, torch takes the letters beyond ASCII for others on Windows
        return torch.jit.load(file)


_WRITERS = {"onnx": _write_onnx, "torchscript": _write_torchscript, "tensorrt": _write_tensorrt}


def _difference(result: torch.Tensor, expected: torch.Tensor) -> float:
    return float((result - expected).abs().max() / expected.abs().max().clamp(min=1.0))


def _require(kind: ExportFormat) -> None:
    """Raises a UserError if something that a format needs is missing."""
    if kind == "onnx" and not all(find_spec(name) for name in ("onnx", "onnxruntime", "onnxscript")):
        raise UserError('onnx: this needs packages that are not installed; run: pip install "monai-sagan[onnx]"')
    if kind == "tensorrt" and not (find_spec("torch_tensorrt") and torch.cuda.is_available()):
        raise UserError("tensorrt: this needs an NVIDIA GPU and the package torch_tensorrt; use onnx or torchscript.")
