"""A training set that is kept in 8 bits and given batch by batch."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, default_collate

from monai_sagan.data import HealthyUnlabeledDataset, OnDeviceDataset, collate_pairs, keep_on_device


@pytest.fixture
def pairs() -> HealthyUnlabeledDataset:
    values = torch.rand(5 + 3, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    data = [{"image": image[None]} for image in values]
    return HealthyUnlabeledDataset({"healthy": data[:5], "unlabeled": data[5:]}, lambda case: case)


def loader(dataset: torch.utils.data.Dataset) -> DataLoader:
    order = torch.Generator().manual_seed(1)
    return DataLoader(dataset, batch_size=2, shuffle=True, generator=order, collate_fn=collate_pairs, drop_last=True)


def test_its_batches_are_those_of_the_pairs_to_half_a_grey_level(pairs: HealthyUnlabeledDataset) -> None:
    kept = OnDeviceDataset(pairs, torch.device("cpu"))
    batches = list(loader(kept))
    assert len(batches) == 2
    for batch, expected in zip(batches, loader(pairs), strict=True):
        assert set(batch) == set(expected) == {"image", "unlabeled"}
        for key in batch:
            assert batch[key].dtype == torch.float32
            torch.testing.assert_close(batch[key], expected[key], rtol=0, atol=1 / 255 + 1e-6)


def test_whole_grey_levels_stay_as_they_are() -> None:
    levels = torch.arange(256, dtype=torch.float32).reshape(1, 1, 16, 16) / 127.5 - 1
    data = [{"image": levels}]
    kept = OnDeviceDataset(
        HealthyUnlabeledDataset({"healthy": data, "unlabeled": data}, lambda case: case), torch.device("cpu")
    )
    torch.testing.assert_close(kept[0]["image"], levels[0], rtol=0, atol=1e-6)


def test_single_pairs(pairs: HealthyUnlabeledDataset) -> None:
    kept = OnDeviceDataset(pairs, torch.device("cpu"))
    assert len(kept) == len(pairs) == 5
    for key, expected in pairs[-1].items():
        torch.testing.assert_close(kept[-1][key], expected, rtol=0, atol=1 / 255 + 1e-6)
    with pytest.raises(IndexError, match="none has number 5"):
        kept[5]


def test_elsewhere_than_on_a_gpu_the_set_stays_as_it_is(pairs: HealthyUnlabeledDataset) -> None:
    assert keep_on_device(pairs, torch.device("cpu")) is pairs


def test_a_gpu_keeps_what_fits(pairs: HealthyUnlabeledDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OnDeviceDataset, "__init__", lambda self, dataset, device: None)
    size = 5 * 16 + 3 * 16  # bytes
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (4 * size, 100 * size))
    assert isinstance(keep_on_device(pairs, torch.device("cuda:0")), OnDeviceDataset)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (4 * size - 4, 100 * size))
    assert keep_on_device(pairs, torch.device("cuda:0")) is pairs


def test_single_items_are_put_together(pairs: HealthyUnlabeledDataset) -> None:
    items = [pairs[0], pairs[1]]
    for key, value in default_collate(items).items():
        torch.testing.assert_close(collate_pairs(items)[key], value)
