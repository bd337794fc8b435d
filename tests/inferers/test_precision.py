"""Large networks compute in bfloat16 where the processor can; small ones never."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_sagan.inferers import RestorationInferer, precision
from monai_sagan.inferers.precision import gains_by_bfloat16

CPU = torch.device("cpu")


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> nn.Conv2d:
    """A network that counts as large, so that none has to be made that is."""
    monkeypatch.setattr(precision, "_LARGE", 9)
    torch.manual_seed(0)
    return nn.Conv2d(1, 1, 3, padding=1, bias=False)


@pytest.fixture(params=["_is_avx512_bf16_supported", "_is_amx_tile_supported"])
def able(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor with one of the two sets of instructions."""
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name == request.param)


@pytest.mark.usefixtures("able")
def test_large_networks_gain(large: nn.Conv2d) -> None:
    assert gains_by_bfloat16(large, CPU)


@pytest.mark.usefixtures("able", "large")
def test_others_do_not() -> None:
    assert not gains_by_bfloat16(nn.Conv2d(1, 1, 1), CPU)
    assert not gains_by_bfloat16(lambda images: images, CPU)


def test_other_processors_do_not(large: nn.Conv2d, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False)
    assert not gains_by_bfloat16(large, CPU)


@pytest.mark.usefixtures("pretended_cuda")
def test_other_devices(large: nn.Conv2d, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    assert gains_by_bfloat16(large, torch.device("cuda"))
    assert not gains_by_bfloat16(nn.Conv2d(1, 1, 1), torch.device("cuda"))
    assert not gains_by_bfloat16(large, torch.device("meta"))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    assert not gains_by_bfloat16(large, torch.device("cuda"))  # before Ampere


@pytest.mark.usefixtures("able")
@pytest.mark.parametrize("amp", [False, True])
def test_the_inferer_follows(large: nn.Conv2d, amp: bool) -> None:
    images = torch.rand((2, 1, 32, 32), generator=torch.Generator().manual_seed(0)) * 2 - 1
    kinds: list[torch.dtype] = []
    large.register_forward_hook(lambda module, inputs, output: kinds.append(output.dtype))
    results = RestorationInferer((32, 32), amp=amp)(images, large)
    assert kinds == [torch.bfloat16 if amp else torch.float32]
    assert results["anomaly_map"].dtype == torch.float32
    with torch.no_grad():
        turned = images.mT  # the network sees rows first
        expected = (large(turned) - turned).abs().mT / 2
    # bfloat16 rounds image, weight and sum by 2 ** -9; nine products of at most 1/3, halved.
    assert float((results["anomaly_map"] - expected).abs().max()) < (0.02 if amp else 1e-5)
