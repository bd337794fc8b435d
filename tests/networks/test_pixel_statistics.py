"""Pixel statistics: what a plain look at all images at once gives, in any order and from any number of processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from monai_sagan.errors import SettingError
from monai_sagan.networks import PixelStatistics

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
# Sums in 64 bits differ by their order in the 16th digit, and the square root of such a difference in the 8th.
EXACT = 1e-5


def some_images(count: int, shape: tuple[int, ...] = (1, 5, 4)) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of three classes, whose values reach the ends of the range, and one pixel that is the same in all."""
    generator = torch.Generator().manual_seed(count)
    images = (torch.randn((count, *shape), generator=generator) * 0.5).clamp(-1, 1)
    images.flatten(1)[:, 0] = -1.0
    return images, torch.arange(count) % 3


def computed_at_once(images: torch.Tensor, labels: torch.Tensor, levels: int = 64) -> np.ndarray:
    """What PixelStatistics promises, by numpy: quantiles of images whose level's values are spread evenly."""
    features = []
    for label in range(3):
        values = images[labels == label].double().numpy()
        count = len(values)
        features += [values.mean(0), values.std(0)]
        places = np.clip(np.floor((values + 1) / 2 * levels), 0, levels - 1).astype(int)
        edges = np.arange(levels + 1) / levels * 2 - 1
        for quantile in QUANTILES:
            result = np.empty(values.shape[1:])
            for pixel in np.ndindex(result.shape):
                shares = np.cumsum([0, *np.bincount(places[(slice(None), *pixel)], minlength=levels)]) / count
                first = int(np.argmax(shares >= quantile))
                result[pixel] = np.interp(quantile, shares[first - 1 : first + 1], edges[first - 1 : first + 1])
            features.append(result)
    return np.concatenate(features)


def gathered(images: torch.Tensor, labels: torch.Tensor, batch_size: int = 7) -> torch.Tensor:
    statistics = PixelStatistics(3, images.shape[1:])
    for start in range(0, len(images), batch_size):
        statistics.update(images[start : start + batch_size], labels[start : start + batch_size])
    return statistics.features()


@pytest.mark.parametrize("shape", [(1, 5, 4), (2, 3, 4), (1, 3, 2, 4)], ids=["2D", "two channels", "3D"])
def test_equals_a_computation_over_all_images(shape: tuple[int, ...]) -> None:
    images, labels = some_images(50, shape)
    features = gathered(images, labels)
    assert features.shape == (3 * shape[0] * 7, *shape[1:])
    np.testing.assert_allclose(features.numpy(), computed_at_once(images, labels), atol=EXACT, rtol=0)


def test_any_order_and_any_batches_give_the_same() -> None:
    images, labels = some_images(60)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        gathered(images[order], labels[order], batch_size=13), gathered(images, labels), atol=EXACT, rtol=0
    )


def test_a_quantile_is_within_a_level_of_the_exact_one() -> None:
    images, labels = some_images(3000)
    features = gathered(images, labels).reshape(3, 7, 5, 4)
    for label in range(3):
        exact = np.quantile(images[labels == label, 0].numpy(), QUANTILES, axis=0, method="inverted_cdf")
        assert np.abs(features[label, 2:].numpy() - exact).max() <= 2 / 64 + 1e-6


def test_memory_does_not_grow() -> None:
    statistics = PixelStatistics(3, (1, 5, 4))
    before = [tensor.numel() for tensor in vars(statistics).values() if isinstance(tensor, torch.Tensor)]
    for _ in range(5):
        statistics.update(*some_images(100))
    after = [tensor.numel() for tensor in vars(statistics).values() if isinstance(tensor, torch.Tensor)]
    assert after == before
    assert statistics.counts.sum() == 500


def _count_share(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    images, labels = some_images(50)
    statistics = PixelStatistics(3, images.shape[1:])
    statistics.update(images[rank::2], labels[rank::2])
    statistics.gather_processes(torch.device("cpu"))
    torch.save(statistics.features(), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_give_the_same_as_one(tmp_path: Path) -> None:
    mp.spawn(_count_share, (str(tmp_path),), nprocs=2)
    expected = gathered(*some_images(50))
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(found, expected, atol=EXACT, rtol=0)


def test_a_class_without_images_is_named() -> None:
    images, labels = some_images(9)
    statistics = PixelStatistics(4, images.shape[1:])
    statistics.update(images, labels)
    with pytest.raises(ValueError, match=r"^there is no image of class 3; every class needs at least one.$"):
        statistics.features()


def test_an_image_of_another_size_is_refused() -> None:
    statistics = PixelStatistics(3, (1, 5, 4))
    with pytest.raises(ValueError, match=r"the shape \(1, 5, 5\), and \(1, 5, 4\) is expected; resize"):
        statistics.update(torch.zeros(1, 1, 5, 5), torch.tensor([0]))
    with pytest.raises(ValueError, match="there is no class 3; there are 3"):
        statistics.update(torch.zeros(1, 1, 5, 4), torch.tensor([3]))


@pytest.mark.parametrize(
    "arguments", [{"num_classes": 0}, {"levels": 1}, {"quantiles": (0.5, 1.0)}, {"value_range": (1.0, -1.0)}]
)
def test_arguments_out_of_range(arguments: dict[str, object]) -> None:
    with pytest.raises(SettingError, match=next(iter(arguments))):
        PixelStatistics(**{"num_classes": 2, "image_shape": (1, 4, 4), **arguments})  # type: ignore[arg-type]
