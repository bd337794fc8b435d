"""Functions that are recorded for a GPU, as far as that can be seen without one."""

from __future__ import annotations

from typing import Any

import torch

from monai_sagan.inferers import RestorationInferer
from monai_sagan.inferers.recorded_function import RecordedFunction
from monai_sagan.networks import SAGANGenerator


def test_a_recording_is_of_the_device_of_its_inputs(pretended_cuda: list[Any]) -> None:
    devices: list[Any] = []

    def double(x: torch.Tensor) -> torch.Tensor:
        devices.append(list(pretended_cuda))
        return 2 * x

    recorded = RecordedFunction(double)
    for size in (2, 3, 2):
        assert torch.equal(recorded(torch.ones(size)), torch.full((size,), 2.0))
    assert devices == [[torch.device("cpu")]] * 4  # once before each recording, and once in it


def test_nothing_that_is_recorded_was_kept_by_autocast(pretended_cuda: list[Any]) -> None:
    torch.manual_seed(0)
    network = SAGANGenerator(base_channels=8, num_res_blocks=1).eval()
    keeps: list[bool] = []
    network.stem.register_forward_hook(lambda *_: keeps.append(torch.is_autocast_cache_enabled()))
    inferer = RestorationInferer((64, 64))
    inferer.prepare(network, amp=True)(torch.zeros(1, 1, 64, 64))
    assert keeps
    assert not any(keeps)
