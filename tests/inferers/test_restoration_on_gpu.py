"""What the inferer does on a GPU gives what it gives on a CPU."""

from __future__ import annotations

import copy

import pytest
import torch

from monai_sagan.inferers import RestorationInferer
from monai_sagan.inferers.precision import gains_by_bfloat16
from monai_sagan.networks import SAGANGenerator, to_device

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture
def network() -> SAGANGenerator:
    torch.manual_seed(0)
    return SAGANGenerator(base_channels=8, num_res_blocks=1).eval()


def images(*shape: int) -> torch.Tensor:
    """Noise, in the middle of nothing."""
    values = torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
    values[..., : shape[-1] // 4] = -1
    return values


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("shape", [(7, 1, 64, 64), (1, 1, 40, 72, 9)], ids=["pictures", "a volume"])
def test_maps_are_those_of_a_cpu(network: SAGANGenerator, shape: tuple[int, ...], compile: bool) -> None:  # noqa: A002
    settings = {"image_size": (64, 64), "batch_size": 4, "background": -0.9}
    expected = RestorationInferer(**settings)(images(*shape), network)
    on_gpu = to_device(copy.deepcopy(network), torch.device("cuda"))
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        inferer = RestorationInferer(**settings, amp=False, compile=compile)
        found = inferer(images(*shape), on_gpu)
        again = inferer(images(*shape), on_gpu)
    for key, tensor in expected.items():
        assert found[key].device.type == "cpu"
        torch.testing.assert_close(found[key], tensor, rtol=0, atol=1e-4)
        torch.testing.assert_close(again[key], found[key], rtol=0, atol=1e-6)


def test_reduced_precision_is_near() -> None:
    torch.manual_seed(0)
    network = SAGANGenerator(base_channels=48, num_res_blocks=2).eval()
    assert gains_by_bfloat16(network, torch.device("cuda"))
    expected = RestorationInferer((64, 64), amp=False)(images(8, 1, 64, 64), network)["anomaly_map"].mean((1, 2, 3))
    on_gpu = to_device(network, torch.device("cuda"))
    found = RestorationInferer((64, 64))(images(8, 1, 64, 64), on_gpu)["anomaly_map"].mean((1, 2, 3))
    torch.testing.assert_close(found, expected, rtol=0.01, atol=0)
    assert not torch.equal(found, expected)


def test_weights_that_change_in_their_place_are_followed(network: SAGANGenerator) -> None:
    on_gpu = to_device(copy.deepcopy(network), torch.device("cuda"))
    inferer = RestorationInferer((64, 64), amp=False)
    before = inferer(images(2, 1, 64, 64), on_gpu)["pred"]
    torch.manual_seed(5)
    other = SAGANGenerator(base_channels=8, num_res_blocks=1).eval()
    on_gpu.load_state_dict(other.state_dict())
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        after = inferer(images(2, 1, 64, 64), on_gpu)["pred"]
    assert (after - before).abs().max() > 0.01
    torch.testing.assert_close(
        after, RestorationInferer((64, 64))(images(2, 1, 64, 64), other)["pred"], rtol=0, atol=1e-2
    )
