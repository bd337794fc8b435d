"""The classifier's objective: cross entropy, and the cost of the map that the batch was weighed by."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch.nn import functional as F

from monai_sagan.losses import AttentionClassificationLoss, AttentionSparsityLoss
from monai_sagan.networks import GlobalAttentionClassifier, GlobalSpatialAttention, make_backbone

IMAGES = torch.rand((4, 1, 16, 16), generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(4) % 2


def a_classifier(source: str = "statistics", *, with_attention: bool = True) -> GlobalAttentionClassifier:
    torch.manual_seed(0)
    attention = GlobalSpatialAttention(2, [16, 16], source, num_images=4) if with_attention else None  # type: ignore[arg-type]
    classifier = GlobalAttentionClassifier(make_backbone("resnet10", settings={"widen_factor": 0.1}), attention)
    classifier.gather([(IMAGES, LABELS)])
    return classifier


@pytest.mark.parametrize("source", ["batch", "bank", "statistics"])
def test_the_map_costs_its_share(source: str) -> None:
    classifier = a_classifier(source)
    loss = AttentionClassificationLoss(classifier, sparsity_weight=0.5)
    logits = classifier(IMAGES)
    expected = F.cross_entropy(logits, LABELS) + 0.5 * AttentionSparsityLoss()(classifier.attention.weights_of(IMAGES))
    found = loss(logits, LABELS)
    torch.testing.assert_close(found, expected)
    found.backward()
    assert all(bool(parameter.grad.any()) for parameter in classifier.attention.parameters())


def test_without_weight_or_attention_it_is_cross_entropy() -> None:
    for classifier, weight in ((a_classifier(), 0.0), (a_classifier(with_attention=False), 0.5)):
        loss = AttentionClassificationLoss(classifier, weight)
        logits = classifier(IMAGES)
        torch.testing.assert_close(loss(logits, LABELS), F.cross_entropy(logits, LABELS))


def test_the_map_is_that_of_the_last_batch_in_training() -> None:
    """None where it was computed without gradients, as for a look at it, and none in evaluation."""
    classifier = a_classifier()
    loss = AttentionClassificationLoss(classifier, sparsity_weight=0.5)
    classifier(IMAGES)
    logits = classifier(IMAGES)
    first = loss(logits, LABELS)
    torch.testing.assert_close(loss(logits, LABELS), first)
    plain = F.cross_entropy(logits, LABELS)
    torch.testing.assert_close(loss.eval()(logits, LABELS), first)
    classifier.eval()
    torch.testing.assert_close(loss(logits, LABELS), plain)
    classifier.train()
    with torch.no_grad():
        classifier(IMAGES)
    torch.testing.assert_close(loss(logits, LABELS), plain)
    assert first > loss(logits, LABELS)


def test_the_weights_can_be_taken_between_steps() -> None:
    classifier = a_classifier()
    loss = AttentionClassificationLoss(classifier)
    classifier(IMAGES)
    assert "attention.source.weight_map" in classifier.frozen_state_dict()
    copy = deepcopy(classifier)
    assert copy.attention.last_weights is None
    classifier.freeze()
    logits = classifier(IMAGES)
    torch.testing.assert_close(loss(logits, LABELS), F.cross_entropy(logits, LABELS))
