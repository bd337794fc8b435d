"""The training images reach the attention before the first step, as they were prepared."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from ignite.engine import Engine

from monai_sagan.data import LabeledDataset
from monai_sagan.errors import UserError
from monai_sagan.handlers import AttentionGatherer
from monai_sagan.networks import GlobalAttentionClassifier, GlobalSpatialAttention, PixelStatistics, make_backbone


@pytest.fixture
def dataset() -> LabeledDataset:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((12, 1, 8, 8), generator=generator)
    data = [{"image": str(index), "label": index % 2} for index in range(12)]
    return LabeledDataset(data, lambda case: {"image": images[int(case["image"])]}, augment=torch.zeros_like)


def gathered(dataset: LabeledDataset, source: Any, **arguments: Any) -> GlobalSpatialAttention:
    attention = GlobalSpatialAttention(2, [8, 8], source, **arguments)
    classifier = GlobalAttentionClassifier(make_backbone("resnet10", settings={"widen_factor": 0.1}), attention)
    engine = Engine(lambda engine, batch: None)
    AttentionGatherer(classifier, dataset, batch_size=5).attach(engine)
    engine.run([0])
    return attention


def statistics(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    found = PixelStatistics(2, (1, 8, 8))
    found.update(images, labels)
    return found.features()


def test_statistics(dataset: LabeledDataset) -> None:
    attention = gathered(dataset, "statistics")
    torch.testing.assert_close(attention.source.features, statistics(dataset.images, dataset.labels))


def test_bank(dataset: LabeledDataset) -> None:
    attention = gathered(dataset, "bank", num_images=4)
    assert torch.equal(attention.source.features, dataset.images[[0, 2, 1, 3], 0])


def test_each_process_gathers_its_share_of_statistics(dataset: LabeledDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("RANK", "1")
    attention = gathered(dataset, "statistics")
    torch.testing.assert_close(attention.source.features, statistics(dataset.images[1::3], dataset.labels[1::3]))
    bank = gathered(dataset, "bank", num_images=4)
    assert torch.equal(bank.source.features, dataset.images[[0, 2, 1, 3], 0])


def test_too_few_images(dataset: LabeledDataset) -> None:
    with pytest.raises(
        UserError, match=r"^attention: the bank needs 7 images of each class, and there are 6 of class 0"
    ):
        gathered(dataset, "bank", num_images=14)
