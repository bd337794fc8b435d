"""The classifier: with and without attention, weighing images or a layer, frozen and exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from monai.networks.utils import convert_to_onnx, convert_to_torchscript
from torch.nn import functional as F

from monai_sagan.errors import SettingError
from monai_sagan.networks import GlobalAttentionClassifier, GlobalSpatialAttention, make_backbone

SIZE = {2: [32, 24], 3: [16, 16, 8]}
# What 32 bits leave after the sums of a small network.
SAME = 1e-6
SHAPES = pytest.mark.parametrize(("dims", "layer"), [(2, None), (2, "layer2"), (2, "layer1.0.conv1"), (3, "layer1")])


def some_images(dims: int, count: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.rand((count, 1, *SIZE[dims]), generator=generator) * 2 - 1, torch.arange(count) % 2


def a_classifier(dims: int = 2, layer: str | None = None, source: Any = "statistics", seed: int = 0) -> Any:
    torch.manual_seed(seed)
    attention = GlobalSpatialAttention(dims, SIZE[dims], source, num_images=4)
    classifier = GlobalAttentionClassifier(make_backbone("resnet10", dims), attention, layer)
    classifier.gather([some_images(dims)])
    return classifier.eval()


def test_without_attention_it_is_exactly_the_network() -> None:
    torch.manual_seed(0)
    backbone = make_backbone("resnet10").eval()
    classifier = GlobalAttentionClassifier(backbone).eval()
    images, _ = some_images(2)
    assert torch.equal(classifier(images), backbone(images))
    assert classifier.weight_map is None
    classifier.gather([])
    classifier.freeze()
    assert torch.equal(classifier(images), backbone(images))


def test_an_image_is_weighed() -> None:
    classifier = a_classifier()
    images, _ = some_images(2)
    expected = classifier.backbone(images * classifier.weight_map)
    torch.testing.assert_close(classifier(images), expected, atol=SAME, rtol=0)


def test_a_layer_is_weighed() -> None:
    classifier = a_classifier(layer="layer1")
    images, _ = some_images(2)
    backbone = classifier.backbone
    features = backbone.maxpool(backbone.act(backbone.bn1(backbone.conv1(images))))
    features = backbone.layer1(features)
    factor = 32 // features.shape[2]
    features = features * F.avg_pool2d(classifier.weight_map, factor)
    features = backbone.layer4(backbone.layer3(backbone.layer2(features)))
    expected = backbone.fc(features.mean((2, 3)))
    torch.testing.assert_close(classifier(images), expected, atol=SAME, rtol=0)


@SHAPES
class TestFrozen:
    def test_equals_unfrozen(self, dims: int, layer: str | None) -> None:
        classifier = a_classifier(dims, layer)
        images, _ = some_images(dims)
        before = classifier(images)
        classifier.freeze()
        torch.testing.assert_close(classifier(images), before, atol=SAME, rtol=0)
        torch.testing.assert_close(classifier(images[:1]), before[:1], atol=SAME, rtol=0)
        classifier.freeze()  # once more changes nothing
        torch.testing.assert_close(classifier(images), before, atol=SAME, rtol=0)

    def test_its_weights_make_another_one_frozen(self, dims: int, layer: str | None) -> None:
        frozen, other = a_classifier(dims, layer), a_classifier(dims, layer, seed=1)
        frozen.freeze()
        other.load_state_dict(frozen.state_dict())
        images, _ = some_images(dims)
        assert torch.equal(other(images), frozen(images))
        assert torch.equal(other.weight_map, frozen.weight_map)

    def test_one_that_was_never_trained_takes_its_weights(self, dims: int, layer: str | None) -> None:
        trained = a_classifier(dims, layer)
        attention = GlobalSpatialAttention(dims, SIZE[dims], "frozen")
        assert bool((attention.weight_map == 1).all())
        fresh = GlobalAttentionClassifier(make_backbone("resnet10", dims), attention, layer).eval()
        images, _ = some_images(dims)
        torch.testing.assert_close(fresh(images), GlobalAttentionClassifier(fresh.backbone).eval()(images))
        fresh.load_state_dict(trained.frozen_state_dict())
        torch.testing.assert_close(fresh(images), trained(images), atol=SAME, rtol=0)
        assert not trained.attention.is_frozen

    def test_torchscript(self, dims: int, layer: str | None) -> None:
        classifier = a_classifier(dims, layer)
        images, _ = some_images(dims)
        before = classifier(images)
        classifier.freeze()
        script = convert_to_torchscript(classifier)
        torch.testing.assert_close(script(images), before, atol=SAME, rtol=0)
        torch.testing.assert_close(script(images[:1]), before[:1], atol=SAME, rtol=0)

    def test_onnx(self, dims: int, layer: str | None, tmp_path: Path) -> None:
        onnxruntime = pytest.importorskip("onnxruntime")
        classifier = a_classifier(dims, layer)
        images, _ = some_images(dims)
        before = classifier(images)
        classifier.freeze()
        path = tmp_path / "classifier.onnx"
        convert_to_onnx(
            classifier,
            inputs=[images],
            filename=str(path),
            input_names=["image"],
            output_names=["pred"],
            dynamic_axes={"image": {0: "batch"}, "pred": {0: "batch"}},
        )
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        for count in (4, 1):
            (found,) = session.run(None, {"image": images[:count].numpy()})
            torch.testing.assert_close(torch.from_numpy(found), before[:count].detach(), atol=SAME, rtol=0)


def test_weights_of_a_training_go_on_in_another() -> None:
    one, other = a_classifier(layer="layer1", source="bank"), a_classifier(layer="layer1", source="bank", seed=1)
    other.load_state_dict(one.state_dict())
    images, _ = some_images(2)
    assert torch.equal(other(images), one(images))
    assert not other.attention.is_frozen


def test_the_map_is_learned_through_a_layer() -> None:
    classifier = a_classifier(layer="layer2").train()
    images, labels = some_images(2)
    F.cross_entropy(classifier(images), labels).backward()
    assert all(bool(parameter.grad.any()) for parameter in classifier.attention.parameters())


def test_freezing_leaves_the_networks_statistics_alone() -> None:
    classifier = a_classifier(layer="layer1").train()
    before = {name: value.clone() for name, value in classifier.backbone.named_buffers()}
    classifier.freeze()
    after = dict(classifier.backbone.named_buffers())
    assert all(torch.equal(after[name.replace("layer1.", "layer1.layer.")], value) for name, value in before.items())
    assert classifier.training
    assert classifier.backbone.training


def test_errors() -> None:
    backbone = make_backbone("resnet10")
    attention = GlobalSpatialAttention(2, SIZE[2])
    with pytest.raises(SettingError, match=r"^attention_layer layer9: the network has no such layer.*layer1"):
        GlobalAttentionClassifier(backbone, attention, "layer9")
    with pytest.raises(SettingError, match="there is no attention that could weigh it"):
        GlobalAttentionClassifier(backbone, None, "layer1")
