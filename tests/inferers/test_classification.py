"""Probabilities and the map of weights, for images of any size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Orientation
from torch import nn

from monai_sagan.inferers import ClassificationInferer
from monai_sagan.networks import GlobalAttentionClassifier, GlobalSpatialAttention, make_backbone
from monai_sagan.transforms import WholeImage


class Means(nn.Module):
    """Logits that anyone can compute: the mean of the image, and its opposite."""

    def __init__(self, weight_map: torch.Tensor | None = None) -> None:
        super().__init__()
        self.weight_map = weight_map

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        means = images.flatten(1).mean(1)
        return torch.stack([means, -means], dim=1)


def some_images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_probabilities_and_the_map_on_the_images_grid() -> None:
    images = some_images(3, 1, 20, 12)
    weights = torch.rand(1, 1, 6, 8, generator=torch.Generator().manual_seed(1))
    found = ClassificationInferer([6, 8])(images, Means(weights))
    seen = torch.stack([WholeImage([6, 8])(image) for image in images])
    expected = torch.sigmoid(2 * seen.flatten(1).mean(1))
    torch.testing.assert_close(found["probabilities"], torch.stack([expected, 1 - expected], dim=1))
    assert found["anomaly_map"].shape == (3, 1, 20, 12)
    for one in found["anomaly_map"]:
        torch.testing.assert_close(one, WholeImage([6, 8]).inverse(weights[0], images[0]))


def test_in_the_precision_of_the_network() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 2))
    expected = ClassificationInferer([6, 8])(some_images(1, 1, 20, 12), network)["probabilities"]
    found = ClassificationInferer([6, 8])(some_images(1, 1, 20, 12), network.double())["probabilities"]
    torch.testing.assert_close(found, expected)


def test_without_attention_there_is_no_map() -> None:
    assert set(ClassificationInferer([6, 8])(some_images(1, 1, 20, 12), Means())) == {"probabilities"}


def test_a_volume_is_the_same_however_its_voxels_lie() -> None:
    affine = np.diag([-1.0, -2.0, 3.0, 1.0])
    volume = MetaTensor(some_images(1, 12, 10, 8), affine=affine)
    turned = Orientation("SAR", labels=None)(volume)
    torch.manual_seed(0)
    attention = GlobalSpatialAttention(3, [8, 10, 12])
    network = GlobalAttentionClassifier(make_backbone("resnet10", 3), attention).eval()
    network.gather([(some_images(2, 1, 8, 10, 12), torch.tensor([0, 1]))])
    inferer = ClassificationInferer([8, 10, 12])
    one, other = (
        inferer(MetaTensor(image.as_tensor()[None], affine=image.affine), network) for image in (volume, turned)
    )
    torch.testing.assert_close(one["probabilities"], other["probabilities"])
    back = Orientation("SAR", labels=None)(MetaTensor(one["anomaly_map"][0], affine=affine))
    torch.testing.assert_close(other["anomaly_map"][0].as_tensor(), back.as_tensor())
    np.testing.assert_allclose(other["anomaly_map"].affine, turned.affine)


@pytest.mark.parametrize(
    ("shape", "size", "message"),
    [((1, 1, 9, 9, 5), [8, 8], "a volume of 5 slices"), ((1, 1, 9, 9), [8, 8, 8], "with 2 axes .* in 3D")],
)
def test_what_does_not_suit_the_network(shape: Any, size: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClassificationInferer(size)(some_images(*shape), Means())
