"""The global map: where it comes from, that it finds the region that matters, and that it can be frozen."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional as F

from monai_sagan.errors import SettingError
from monai_sagan.losses import AttentionSparsityLoss
from monai_sagan.networks import GlobalAttentionClassifier, GlobalSpatialAttention, PixelStatistics

SOURCES = ("batch", "bank", "statistics")
BATCH = 32
# What 32 bits leave of a value of about 1 after a few hundred sums.
SAME = 1e-6


def labeled_images(
    dims: int, count: int, seed: int, *, has_region: bool = True
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noise that changes with each image, (N, 1, 16, ...), and a brighter block of 4 pixels, which alone carries the
    class."""
    generator = torch.Generator().manual_seed(seed)
    size = [16] * dims
    images = (torch.randn((count, 1, *size), generator=generator) * 0.4 - 0.3).clamp(-1, 1)
    labels = torch.arange(count) % 2
    region = torch.zeros(size, dtype=torch.bool)
    region[tuple(slice(4, 8) for _ in size)] = True
    if has_region:
        noise = torch.randn((count, 1, *size), generator=generator) * 0.3
        told = 0.4 + 0.25 * (labels * 2 - 1).view(-1, 1, *[1] * dims)
        images = torch.where(region, (told + noise).clamp(-1, 1), images)
    return images, labels, region


def small_network(dims: int) -> nn.Sequential:
    conv = nn.Conv2d if dims == 2 else nn.Conv3d
    return nn.Sequential(
        conv(1, 8, 3, 2, 1), nn.ReLU(), conv(8, 16, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 4**dims, 2)
    )


def a_classifier(dims: int, source: Any, seed: int = 0, **arguments: Any) -> GlobalAttentionClassifier:
    torch.manual_seed(seed)
    attention = GlobalSpatialAttention(dims, [16] * dims, source, num_images=BATCH, **arguments)
    return GlobalAttentionClassifier(small_network(dims), attention)


def trained(
    classifier: GlobalAttentionClassifier, images: torch.Tensor, labels: torch.Tensor, epochs: int = 20
) -> GlobalAttentionClassifier:
    """As the bundle trains: cross entropy, and a little for what the map costs."""
    optimizer = torch.optim.Adam(classifier.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    classifier.gather([(images, labels)])
    for _ in range(epochs):
        for chosen in torch.randperm(len(images), generator=generator).split(BATCH):
            weights = classifier.attention.weights_of(images[chosen])
            logits = classifier.backbone(images[chosen] * weights)
            loss = F.cross_entropy(logits, labels[chosen]) + 0.03 * AttentionSparsityLoss()(weights)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    classifier.freeze()
    return classifier.eval()


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("dims", [2, 3])
class TestWhatTheMapSays:
    def test_the_region_that_carries_the_class(self, dims: int, source: str) -> None:
        images, labels, region = labeled_images(dims, 256, seed=1)
        classifier = trained(a_classifier(dims, source), images, labels)
        new_images, new_labels, _ = labeled_images(dims, 256, seed=2)
        accuracy = (classifier(new_images).argmax(1) == new_labels).float().mean()
        weights = classifier.weight_map[0, 0]
        assert accuracy >= 0.95
        assert roc_auc_score(region.flatten(), weights.flatten()) >= 0.95
        assert weights[region].mean() > 2 * weights[~region].mean()

    def test_nothing_where_no_region_does(self, dims: int, source: str) -> None:
        images, labels, region = labeled_images(dims, 256, seed=1, has_region=False)
        classifier = trained(a_classifier(dims, source), images, labels)
        new_images, new_labels, _ = labeled_images(dims, 256, seed=2, has_region=False)
        accuracy = float((classifier(new_images).argmax(1) == new_labels).float().mean())
        # 256 guesses: 0.5 with a spread of 0.03, four times which is left on both sides.
        assert accuracy == pytest.approx(0.5, abs=0.125)
        # The same block as above; of its 16 or 64 pixels among 256 or 4096, chance gives 0.5 with a spread of 0.075
        # or less, as neighbours hang together a little more.
        assert roc_auc_score(region.flatten(), classifier.weight_map.flatten()) == pytest.approx(0.5, abs=0.25)


def plain_map(attention: GlobalSpatialAttention, features: torch.Tensor) -> torch.Tensor:
    """The pixel classifier written out, for 2D features (F, H, W)."""
    (first_weight, first_bias), (last_weight, last_bias) = (
        (layer.weight, layer.bias) for layer in attention.modules() if isinstance(layer, nn.Conv2d)
    )
    padded = F.pad(features[None], (1, 1, 1, 1), mode="replicate")
    hidden = F.relu(F.conv2d(padded, first_weight, first_bias))
    return torch.sigmoid((hidden * last_weight[0][None]).sum(1, keepdim=True) + last_bias)


class TestSources:
    def test_batch_is_a_plain_computation(self) -> None:
        torch.manual_seed(0)
        attention = GlobalSpatialAttention(2, [16, 16], "batch", num_images=BATCH)
        images, _, _ = labeled_images(2, BATCH, seed=3)
        expected = plain_map(attention, images[:, 0])
        torch.testing.assert_close(attention(images), images * expected, atol=SAME, rtol=0)
        torch.testing.assert_close(attention.weight_map, expected.detach(), atol=SAME, rtol=0)

    def test_bank_holds_the_first_images_of_each_class(self) -> None:
        torch.manual_seed(0)
        attention = GlobalSpatialAttention(2, [16, 16], "bank", num_images=6)
        images, labels, _ = labeled_images(2, 20, seed=3)
        attention.gather([(images[:7], labels[:7]), (images[7:], labels[7:])])
        bank = torch.cat([images[0:6:2], images[1:6:2]])[:, 0]
        torch.testing.assert_close(attention.weight_map, plain_map(attention, bank).detach(), atol=SAME, rtol=0)

    def test_statistics_are_those_of_all_images(self) -> None:
        attention = GlobalSpatialAttention(2, [16, 16], "statistics")
        images, labels, _ = labeled_images(2, 20, seed=3)
        attention.gather([(images[:7], labels[:7]), (images[7:], labels[7:])])
        statistics = PixelStatistics(2, (1, 16, 16))
        statistics.update(images, labels)
        torch.testing.assert_close(attention.source.features, statistics.features(), atol=SAME, rtol=0)

    @pytest.mark.parametrize("source", ["bank", "statistics"])
    @pytest.mark.parametrize("dims", [2, 3])
    def test_an_image_alone_and_among_others(self, dims: int, source: str) -> None:
        images, labels, _ = labeled_images(dims, BATCH, seed=4)
        classifier = a_classifier(dims, source).eval()
        classifier.gather([(images, labels)])
        together = classifier(images)
        alone = torch.cat([classifier(image[None]) for image in images])
        torch.testing.assert_close(alone, together, atol=SAME, rtol=0)

    def test_several_channels(self) -> None:
        for source in SOURCES:
            attention = GlobalSpatialAttention(2, [8, 6], source, in_channels=3, num_images=4)
            images = torch.rand(4, 3, 8, 6)
            attention.gather([(images, torch.arange(4) % 2)])
            assert attention(images).shape == images.shape
            assert attention.weight_map.shape == (1, 1, 8, 6)

    def test_the_map_is_learned_with_the_network(self) -> None:
        images, labels, _ = labeled_images(2, BATCH, seed=4)
        for source in SOURCES:
            classifier = a_classifier(2, source)
            classifier.gather([(images, labels)])
            F.cross_entropy(classifier(images), labels).backward()
            gradients = [parameter.grad for parameter in classifier.attention.parameters()]
            assert all(gradient is not None and bool(gradient.any()) for gradient in gradients)


class TestFreeze:
    @pytest.mark.parametrize("source", SOURCES)
    @pytest.mark.parametrize("dims", [2, 3])
    def test_frozen_equals_unfrozen(self, dims: int, source: str) -> None:
        images, labels, _ = labeled_images(dims, BATCH, seed=4)
        classifier = a_classifier(dims, source)
        classifier.gather([(images, labels)])
        classifier(images)  # of which the frozen map is, where it is the batch's
        before = classifier.eval()(images)
        classifier.freeze()
        torch.testing.assert_close(classifier(images), before, atol=SAME, rtol=0)
        torch.testing.assert_close(classifier(images[:3]), before[:3], atol=SAME, rtol=0)
        assert not list(classifier.attention.parameters())

    @pytest.mark.parametrize("source", SOURCES)
    def test_weights_of_a_frozen_one_freeze(self, source: str) -> None:
        images, labels, _ = labeled_images(2, BATCH, seed=4)
        frozen = trained(a_classifier(2, source), images, labels, epochs=1)
        fresh = a_classifier(2, source, seed=1).eval()
        fresh.load_state_dict(frozen.state_dict())
        assert fresh.attention.is_frozen
        assert torch.equal(fresh(images), frozen(images))

    def test_a_frozen_map_of_another_size_is_refused(self) -> None:
        larger = GlobalSpatialAttention(2, (24, 32), "frozen")
        with pytest.raises(RuntimeError, match=r"size mismatch for source\.weight_map"):
            GlobalSpatialAttention(2, (32, 32), "frozen").load_state_dict(larger.state_dict())

    def test_weights_of_one_that_is_not_frozen_do_not(self) -> None:
        images, labels, _ = labeled_images(2, BATCH, seed=4)
        for source in SOURCES:
            one, other = a_classifier(2, source), a_classifier(2, source, seed=1)
            one.gather([(images, labels)])
            one(images)
            other.load_state_dict(one.state_dict())
            assert not other.attention.is_frozen
            assert torch.equal(other.weight_map, one.weight_map)


class TestErrors:
    def test_another_batch_size(self) -> None:
        attention = GlobalSpatialAttention(2, [16, 16], "batch", num_images=BATCH)
        with pytest.raises(ValueError, match=r"^a batch has 31 images, and this attention was made for 32: .*freeze"):
            attention(torch.zeros(31, 1, 16, 16))

    def test_another_size(self) -> None:
        for source in SOURCES:
            attention = GlobalSpatialAttention(2, [16, 16], source)
            with pytest.raises(ValueError, match=r"shape \[1, 16, 15\], .* made for \[1, 16, 16\]; resize images"):
                attention(torch.zeros(32, 1, 16, 15))

    def test_nothing_gathered(self) -> None:
        for source in ("bank", "statistics"):
            attention = GlobalSpatialAttention(2, [16, 16], source)
            for use in (lambda a: a(torch.zeros(1, 1, 16, 16)), lambda a: a.weight_map, lambda a: a.freeze()):
                with pytest.raises(RuntimeError, match="no features yet; gather"):
                    use(attention)

    def test_too_few_images_for_the_bank(self) -> None:
        attention = GlobalSpatialAttention(2, [16, 16], "bank", num_images=8)
        images, _, _ = labeled_images(2, 10, seed=0)
        with pytest.raises(ValueError, match="needs 4 images of each class, and there are 3 of class 1"):
            attention.gather([(images, torch.tensor([0] * 7 + [1] * 3))])

    @pytest.mark.parametrize("source", ["bank", "statistics"])
    @pytest.mark.parametrize("label", [-1, 2])
    def test_no_such_class(self, source: str, label: int) -> None:
        attention = GlobalSpatialAttention(2, [16, 16], source, num_images=4)
        with pytest.raises(ValueError, match=f"there is no class {label}; there are 2, counted from 0"):
            attention.gather([(torch.rand(3, 1, 16, 16), torch.tensor([0, 1, label]))])

    def test_images_of_another_size_for_the_bank(self) -> None:
        attention = GlobalSpatialAttention(2, [16, 16], "bank", num_images=4)
        with pytest.raises(ValueError, match=r"an image has the shape \[1, 16, 8\], and not \[1, 16, 16\]"):
            attention.gather([(torch.rand(3, 1, 16, 8), torch.tensor([0, 1, 1]))])

    def test_a_frozen_map_takes_no_images(self) -> None:
        attention = GlobalSpatialAttention(2, [16, 16], "batch")
        attention.freeze()
        with pytest.raises(ValueError, match="the map is frozen"):
            attention.gather([])

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"spatial_dims": 1}, "spatial_dims must be 2 or 3, not 1"),
            ({"image_size": [16]}, "image_size must be 2 positive numbers"),
            ({"image_size": [16, 0]}, "image_size must be 2 positive numbers"),
            ({"source": "images"}, "the source images is unknown; choose one of batch, bank, statistics"),
            ({"num_classes": 0}, "num_classes must be at least 1"),
            ({"num_images": 0}, "num_images must be at least 1"),
            ({"source": "bank", "num_images": 32, "num_classes": 3}, "choose a multiple of 3"),
        ],
    )
    def test_arguments(self, arguments: dict[str, Any], message: str) -> None:
        with pytest.raises(SettingError, match=message):
            GlobalSpatialAttention(**{"spatial_dims": 2, "image_size": [16, 16], **arguments})
