"""What a bundle's pictures look like, and what looks otherwise."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from scipy.stats import betabinom
from sklearn.datasets import load_sample_images

from monai_sagan.bundle_files import FAMILIARITY
from monai_sagan.calibration import conformal_p_value
from monai_sagan.data import phantom_image
from monai_sagan.familiarity import (
    FamiliarityFitting,
    ImageFacts,
    Likeness,
    harmless_changes,
    picture_features,
    read_familiarity,
)
from monai_sagan.familiarity.features import FEATURES
from monai_sagan.transforms import resize

_CALIBRATED_WITH = 59
_TESTED = 100
_SIDE = 64


def _heads(count: int, seed: int, *, lesions: bool = False) -> torch.Tensor:
    images = [np.empty((0, _SIDE, _SIDE))] + [
        phantom_image(np.random.default_rng([seed, number]), size=(_SIDE, _SIDE), lesion=lesions and number % 2 == 0)[
            0
        ][None]
        for number in range(count)
    ]
    return torch.from_numpy(np.concatenate(images)[:, None].astype(np.float32)) / 127.5 - 1


@pytest.fixture(scope="module")
def likeness(tmp_path_factory: pytest.TempPathFactory) -> Likeness:
    """Learnt from 120 healthy heads and 60 unlabelled ones, every other with a lesion."""
    data = {"healthy": _heads(120, 0), "selection": _heads(0, 0), "unlabeled": _heads(60, 4, lesions=True)}
    dataset = SimpleNamespace(**data, counts={kind: [1] * len(heads) for kind, heads in data.items()})
    recorder = SimpleNamespace(seen=[ImageFacts(False, None, _SIDE)])
    root = tmp_path_factory.mktemp("bundle")
    FamiliarityFitting(cast(Any, dataset), cast(Any, recorder), root / FAMILIARITY).run()
    familiarity = read_familiarity(root)
    assert familiarity is not None
    assert familiarity.likeness is not None
    return familiarity.likeness


@pytest.fixture(scope="module")
def share_flagged(likeness: Likeness) -> Callable[[torch.Tensor], float]:
    """Of pictures, which share has a p-value of at most 0.05 among heads that were set aside."""
    healthy = likeness.ood_score(_heads(_CALIBRATED_WITH, 1)).tolist()

    def share(pictures: torch.Tensor) -> float:
        scores = likeness.ood_score(pictures).tolist()
        return float(np.mean([conformal_p_value(one, healthy) <= 0.05 for one in scores]))

    return share


@pytest.fixture(scope="module")
def heads() -> torch.Tensor:
    return _heads(_TESTED, 2)


def test_false_alarms_are_as_many_as_was_asked_for(share_flagged: Callable, heads: torch.Tensor) -> None:
    # Three of 60 places lie at 0.05 or below, so the rate is drawn from a beta distribution (3, 57), or is less where
    # what is ordinary has the same score.
    assert share_flagged(heads) * _TESTED <= betabinom(_TESTED, 3, _CALIBRATED_WITH + 1 - 3).ppf(0.999)


def _shuffled(pictures: torch.Tensor, blocks: int) -> torch.Tensor:
    """Each picture cut into blocks a side, in an order of its own."""
    generator = torch.Generator().manual_seed(0)
    side = pictures.shape[-1] // blocks
    parts = pictures.reshape(-1, blocks, side, blocks, side).transpose(2, 3).flatten(1, 2)
    mixed = torch.stack([some[torch.randperm(blocks**2, generator=generator)] for some in parts])
    return mixed.reshape(-1, blocks, blocks, side, side).transpose(2, 3).reshape(pictures.shape)


def _photographs() -> torch.Tensor:
    """Parts of photographs, in grey."""
    grey = [torch.from_numpy(photo.mean(axis=2)).float() / 127.5 - 1 for photo in load_sample_images().images]
    parts = torch.stack([photo[:384, :640] for photo in grey]).unfold(1, 96, 96).unfold(2, 96, 96)
    return parts.reshape(-1, 1, 96, 96)


@pytest.mark.parametrize(
    "change",
    [
        lambda heads: -heads,
        lambda heads: _shuffled(heads, _SIDE),
        lambda heads: _shuffled(heads, 8),
        lambda heads: torch.rand(heads.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1,
        lambda heads: torch.zeros_like(heads),
        lambda heads: _photographs(),
    ],
    ids=["inverted", "pixels shuffled", "blocks shuffled", "noise", "plain grey", "photographs"],
)
def test_out_of_distribution_images_are_flagged(change: Callable, share_flagged: Callable, heads: torch.Tensor) -> None:
    assert share_flagged(change(heads)) >= 0.95


def test_a_lesion_is_in_distribution(share_flagged: Callable) -> None:
    # The bundle has seen some: about as many are flagged as of healthy heads, and twice as many at most.
    assert share_flagged(_heads(_TESTED, 3, lesions=True)) <= 0.15


def test_what_is_harmless_is_in_distribution(share_flagged: Callable, heads: torch.Tensor) -> None:
    assert share_flagged(harmless_changes(heads, torch.Generator().manual_seed(5))) <= 0.15
    assert share_flagged(heads.roll((1, -1), dims=(2, 3))) <= 0.15
    assert share_flagged(resize(heads, (128, 128))) <= 0.15


def test_it_is_the_same_alone_and_in_a_batch(likeness: Likeness, heads: torch.Tensor) -> None:
    together = likeness.ood_score(heads[:5])
    torch.testing.assert_close(torch.cat([likeness.ood_score(head[None]) for head in heads[:5]]), together)


def test_the_state_is_all_there_is(likeness: Likeness, heads: torch.Tensor) -> None:
    again = Likeness(likeness.state())
    assert torch.equal(again.ood_score(heads), likeness.ood_score(heads))


def test_one_picture_is_enough_to_know_others(heads: torch.Tensor) -> None:
    assert Likeness.fit(heads[:1]).ood_score(heads).isfinite().all()


def test_there_must_be_one(heads: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="no picture"):
        Likeness.fit(heads[:0])


def _texture(pictures: torch.Tensor) -> torch.Tensor:
    return picture_features(pictures)[:, -FEATURES["texture"] :]


def test_texture_tells_fine_detail_from_coarse_and_not_where(heads: torch.Tensor) -> None:
    columns = torch.arange(_SIDE) / _SIDE * 2 * torch.pi
    coarse, fine = (_texture((waves * columns).cos().expand(1, 1, _SIDE, _SIDE)) for waves in (2, 12))
    # Each scale's shares are roots, so they have the length 1; of 1.73 in all, most are in other bins.
    torch.testing.assert_close(coarse.norm(), torch.tensor(3.0).sqrt())
    assert (coarse - fine).norm() > 1
    # The root of a rounding error of 1e-7.
    for moved in (heads.flip(3), heads.transpose(2, 3)):
        torch.testing.assert_close(_texture(moved), _texture(heads), atol=5e-4, rtol=0)


def test_texture_does_not_change_with_exposure(heads: torch.Tensor) -> None:
    # What is added to the standard deviation, 0.01 beside some 0.3, moves roots by 0.006; exposure itself would by 0.2.
    torch.testing.assert_close(_texture(heads * 0.8 - 0.1), _texture(heads), atol=0.02, rtol=0)


def test_harmless_changes_are_drawn_from_the_seed_and_stay_in_range(heads: torch.Tensor) -> None:
    once, again, other = (harmless_changes(heads, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert once.shape == heads.shape
    assert once.min() >= -1
    assert once.max() <= 1
