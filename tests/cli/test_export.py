"""``monai-sagan export``: the file computes what the bundle's network does, or is not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser

from monai_sagan import export
from monai_sagan.bundle_files import WEIGHTS
from monai_sagan.bundles import find_bundle, read_settings
from monai_sagan.derived_bundle import derive_bundle
from monai_sagan.files import save_tensors
from monai_sagan.networks import SAGANGenerator

SHIPPED = "sagan_anomaly_detection"


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand((5, 1, 64, 64), generator=torch.Generator().manual_seed(7)) * 2 - 1


@pytest.fixture(scope="module")
def expected(images: torch.Tensor) -> torch.Tensor:
    network = SAGANGenerator(base_channels=8, num_res_blocks=2).eval()
    network.load_state_dict(torch.load(export.find_bundle(SHIPPED) / WEIGHTS, weights_only=True))
    with torch.no_grad():
        return network(images)


def told_error(out: str) -> float:
    """The number in the one line that a user reads."""
    (line,) = out.splitlines()
    return float(line.split("differs from the network by ")[1].split()[0])


def test_onnx(run: Callable, images: torch.Tensor, expected: torch.Tensor, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    outcome = run("export", SHIPPED, "--output", tmp_path / "net.onnx")
    assert outcome.code == 0, outcome.err
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    (restored,) = session.run(["pred"], {"image": images.numpy()})
    # Another library's convolutions round otherwise, and normalisation enlarges that.
    assert (torch.from_numpy(restored) - expected).abs().max() < 1e-4
    assert told_error(outcome.out) < 1e-4
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def test_torchscript(run: Callable, images: torch.Tensor, expected: torch.Tensor, tmp_path: Path) -> None:
    outcome = run("export", SHIPPED, "--output", tmp_path / "net.ts", "--format", "torchscript")
    assert outcome.code == 0, outcome.err
    with torch.no_grad():
        # The same operations; fusing some of them may round otherwise.
        assert (torch.jit.load(tmp_path / "net.ts")(images) - expected).abs().max() < 1e-5
    assert told_error(outcome.out) < 1e-5


def test_torchscript_is_not_read_by_name(run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By which torch finds nothing on Windows in the folder of a user called Müller."""
    real = torch.jit.load

    def load(file: Any) -> torch.jit.ScriptModule:
        assert not isinstance(file, (str, Path))
        return real(file)

    monkeypatch.setattr(torch.jit, "load", load)
    assert run("export", SHIPPED, "--output", tmp_path / "net.ts", "--format", "torchscript").code == 0


def test_torchscript_of_a_variational_autoencoder(run: Callable, tmp_path: Path) -> None:
    """Its network gives more in training than in evaluation."""
    bundle = tmp_path / "variational"
    derive_bundle(find_bundle("reconstruction_anomaly_detection"), bundle, {"method": "variational"}, {})
    network = ConfigParser({**read_settings(bundle), "bundle_root": str(bundle)}).get_parsed_content("network_def")
    save_tensors(network.state_dict(), bundle / WEIGHTS)
    outcome = run("export", bundle, "--output", tmp_path / "net.ts", "--format", "torchscript")
    assert outcome.code == 0, outcome.err
    assert told_error(outcome.out) < 1e-5


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is missing where there is no GPU")
def test_tensorrt_needs_a_gpu(run: Callable, tmp_path: Path) -> None:
    outcome = run("export", SHIPPED, "--output", tmp_path / "net.ts", "--format", "tensorrt")
    assert "NVIDIA GPU" in outcome.sentence
    assert not any(tmp_path.iterdir())


def test_onnx_needs_its_extra(run: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(export, "find_spec", lambda name: None)
    outcome = run("export", SHIPPED, "--output", tmp_path / "net.onnx")
    assert 'pip install "monai-sagan[onnx]"' in outcome.sentence


def test_a_folder_is_no_file(run: Callable, tmp_path: Path) -> None:
    sentence = run("export", SHIPPED, "--output", tmp_path).sentence
    assert sentence == f"{tmp_path}: this is a folder; give the name of the file to write."


@pytest.mark.parametrize("change", [0.01, float("nan")])
def test_a_file_that_differs_is_not_kept(
    run: Callable, monkeypatch: pytest.MonkeyPatch, change: float, tmp_path: Path
) -> None:
    def write(network: torch.nn.Module, shape: list[int], path: Path) -> object:
        path.write_text("something else")
        return lambda images: network(images) + change

    monkeypatch.setitem(export._WRITERS, "torchscript", write)
    outcome = run("export", SHIPPED, "--output", tmp_path / "net.ts", "--format", "torchscript")
    assert "differs from the network" in outcome.sentence
    assert not any(tmp_path.iterdir())
