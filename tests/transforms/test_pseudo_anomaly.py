"""Squares of another healthy image: where, how wide, how strong, and that the same is repeated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged

from monai_sagan.data import CaseReader
from monai_sagan.transforms import RandPseudoAnomaly, RandPseudoAnomalyd

SIZES = pytest.mark.parametrize("size", [(64, 64), (40, 72), (24, 20, 30)], ids=str)


def two_images(size: tuple[int, ...], channels: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """A healthy image below zero, and a source above: what was blended in can be told."""
    generator = torch.Generator().manual_seed(0)
    image, source = torch.rand((2, channels, *size), generator=generator)
    return image - 1.5, source + 0.5


def chosen(size: tuple[int, ...], count: int, **arguments: object) -> RandPseudoAnomaly:
    """Choices for many images, made once."""
    transform = RandPseudoAnomaly(**arguments)  # type: ignore[arg-type]
    transform.set_random_state(0)
    transform.randomize(size, count)
    return transform


def placed(center: tuple[int, ...], half_width: int, alpha: float) -> RandPseudoAnomaly:
    """One choice, made by hand."""
    transform = RandPseudoAnomaly()
    transform.centers = np.array([center])
    transform.half_widths = np.array([half_width])
    transform.alphas = np.array([alpha])
    return transform


class TestChoices:
    @pytest.mark.parametrize(
        ("size", "narrowest", "widest"),
        [
            ((64, 64), 3, 12),  # round(3.2), round(12.8) - 1
            ((40, 72), 4, 13),  # the width, 72: round(3.6), round(14.4) - 1
            ((72, 40), 2, 7),  # round(2.0), round(8.0) - 1
            ((24, 20, 30), 1, 3),  # the second axis of three
        ],
        ids=str,
    )
    def test_half_widths_are_those_published(self, size: tuple[int, ...], narrowest: int, widest: int) -> None:
        # Twelve numbers at most: each is missed by a thousand draws once in 1e35 seeds.
        half_widths = chosen(size, 1000).half_widths
        assert sorted(set(half_widths.tolist())) == list(range(narrowest, widest + 1))

    @SIZES
    def test_centers_lie_in_the_middle_60_percent_and_everywhere_in_it(self, size: tuple[int, ...]) -> None:
        centers = chosen(size, 2000).centers
        assert centers.shape == (2000, len(size))
        for axis, side in enumerate(size):
            # Published: offset = 0.2 side, then a whole number from offset to offset + 0.6 side, cut to whole numbers.
            # Some 43 numbers at most: one is missed by 2000 draws once in 1e18 seeds.
            expected = range(int(0.2 * side), int(0.2 * side + 0.6 * side))
            assert sorted(set(centers[:, axis].tolist())) == list(expected)

    def test_axes_are_chosen_apart(self) -> None:
        centers = chosen((64, 64), 2000).centers
        # Uncorrelated numbers correlate by 1 / sqrt(2000) = 0.022; five times that once in two million seeds.
        assert abs(np.corrcoef(centers.T)[0, 1]) < 0.11

    def test_alphas_are_uniform(self) -> None:
        alphas = np.sort(chosen((64, 64), 2000).alphas)
        # Kolmogorov and Smirnov: a distance of 1.95 / sqrt(n) is exceeded once in a thousand seeds.
        assert np.abs(alphas - (np.arange(2000) + 0.5) / 2000).max() < 1.95 / 2000**0.5

    def test_own_ranges(self) -> None:
        transform = chosen((100, 100), 500, half_width=(0.1, 0.14), core=0.1)
        assert set(transform.half_widths.tolist()) == {10, 11, 12, 13}
        assert transform.centers.min() >= 45
        assert transform.centers.max() <= 54

    def test_smallest_image(self) -> None:
        transform = chosen((1, 1), 3)
        assert transform.centers.tolist() == [[0, 0]] * 3

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"half_width": (0.0, 0.2)}, "half_width"),
            ({"half_width": (0.3, 0.2)}, "half_width"),
            ({"half_width": (0.3, 1.2)}, "half_width"),
            ({"core": 0.0}, "core"),
            ({"core": 1.1}, "core"),
        ],
        ids=str,
    )
    def test_arguments_out_of_range(self, arguments: dict, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            RandPseudoAnomaly(**arguments)


class TestBlend:
    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize(
        ("size", "center", "half_width"), [((30, 20), (12, 9), 4), ((16, 20, 12), (8, 10, 6), 3)], ids=str
    )
    def test_changes_a_square_and_nothing_else(
        self, size: tuple[int, ...], center: tuple[int, ...], half_width: int, channels: int
    ) -> None:
        image, source = two_images(size, channels)
        blended = placed(center, half_width, 0.25)(image, source, randomize=False)
        inside = (slice(None), *(slice(c - half_width, c + half_width) for c in center))
        expected = image.clone()
        expected[inside] = 0.75 * image[inside] + 0.25 * source[inside]
        outside = torch.ones(image.shape, dtype=torch.bool)
        outside[inside] = False
        assert torch.equal(blended[outside], image[outside])
        assert float((blended - expected).abs().max()) < 1e-6  # 32-bit rounding

    @pytest.mark.parametrize(
        ("center", "changed"),
        [
            ((1, 2), (slice(0, 6), slice(0, 7))),
            ((29, 10), (slice(24, 30), slice(5, 15))),
            ((0, 19), (slice(0, 5), slice(14, 20))),
        ],
        ids=str,
    )
    def test_is_clipped_at_borders(self, center: tuple[int, int], changed: tuple[slice, slice]) -> None:
        image, source = two_images((30, 20))
        blended = placed(center, 5, 1.0)(image, source, randomize=False)
        expected = image.clone()
        expected[0][changed] = source[0][changed]
        assert torch.equal(blended, expected)

    @pytest.mark.parametrize(("alpha", "which"), [(0.0, 0), (1.0, 1)])
    def test_alpha_is_the_share_of_the_source(self, alpha: float, which: int) -> None:
        images = two_images((30, 20))
        blended = placed((15, 10), 4, alpha)(*images, randomize=False)
        assert torch.equal(blended[0, 11:19, 6:14], images[which][0, 11:19, 6:14])

    @SIZES
    def test_a_batch_equals_one_by_one(self, size: tuple[int, ...]) -> None:
        generator = torch.Generator().manual_seed(0)
        images, sources = torch.rand((2, 5, 2, *size), generator=generator)
        transform = chosen(size, 5)
        together = transform.blend(images, sources)
        alone = RandPseudoAnomaly().set_random_state(0)
        for number in range(5):
            assert torch.equal(alone(images[number], sources[number]), together[number])
        assert not torch.equal(together, images)

    def test_each_image_of_a_batch_has_a_square_of_its_own(self) -> None:
        image, source = two_images((64, 64))
        blended = chosen((64, 64), 2).blend(image.expand(2, 1, 64, 64), source.expand(2, 1, 64, 64))
        assert not torch.equal(blended[0], blended[1])

    def test_the_number_of_random_draws_does_not_depend_on_the_batch(self) -> None:
        many, few = RandPseudoAnomaly().set_random_state(0), RandPseudoAnomaly().set_random_state(0)
        many.randomize((64, 64), 6)
        for part in (slice(0, 2), slice(2, 6)):
            few.randomize((64, 64), part.stop - part.start)
            assert np.array_equal(few.centers, many.centers[part])
            assert np.array_equal(few.half_widths, many.half_widths[part])
            assert np.array_equal(few.alphas, many.alphas[part])


class TestRepeating:
    @SIZES
    def test_same_state_same_anomaly_other_state_other_anomaly(self, size: tuple[int, ...]) -> None:
        images = two_images(size)
        first, same, other = (RandPseudoAnomaly().set_random_state(seed)(*images) for seed in (3, 3, 4))
        assert torch.equal(first, same)
        assert not torch.equal(first, other)

    def test_each_call_chooses_anew(self) -> None:
        transform = RandPseudoAnomaly().set_random_state(0)
        images = two_images((64, 64))
        assert not torch.equal(transform(*images), transform(*images))

    def test_without_randomize_the_last_choice_is_repeated(self) -> None:
        transform = RandPseudoAnomaly().set_random_state(0)
        images = two_images((64, 64))
        first = transform(*images)
        assert torch.equal(transform(*images, randomize=False), first)
        assert torch.equal(transform(*images, randomize=False), first)
        assert not torch.equal(transform(*images), first)

    def test_global_random_state_plays_no_part(self) -> None:
        transform = RandPseudoAnomaly()
        images = two_images((64, 64))
        results = []
        for seed in (1, 2):
            np.random.seed(seed)
            torch.manual_seed(seed)
            results.append(transform.set_random_state(0)(*images))
        assert torch.equal(*results)


class TestKinds:
    def test_numpy_in_numpy_out(self) -> None:
        image, source = two_images((30, 20))
        expected = RandPseudoAnomaly().set_random_state(0)(image, source)
        blended = RandPseudoAnomaly().set_random_state(0)(image.numpy(), source.numpy())
        assert isinstance(blended, np.ndarray)
        assert np.array_equal(blended, expected.numpy())

    def test_metadata_stays(self) -> None:
        image, source = two_images((30, 20))
        given = MetaTensor(image, affine=torch.diag(torch.tensor([2.0, 3.0, 1.0])), meta={"note": "kept"})
        blended = RandPseudoAnomaly().set_random_state(0)(given, MetaTensor(source))
        assert isinstance(blended, MetaTensor)
        assert torch.equal(blended.affine, given.affine)
        assert blended.meta["note"] == "kept"

    def test_arguments_are_not_changed(self) -> None:
        image, source = two_images((64, 64))
        before = image.clone(), source.clone()
        RandPseudoAnomaly().set_random_state(0)(image, source)
        assert torch.equal(image, before[0])
        assert torch.equal(source, before[1])


class TestDictionaryForm:
    def test_equals_the_array_form(self) -> None:
        image, source = two_images((64, 64))
        data = {"image": image, "other": source}
        result = RandPseudoAnomalyd("image", "other").set_random_state(5)(data)
        assert torch.equal(result["image"], RandPseudoAnomaly().set_random_state(5)(image, source))
        assert result["other"] is source
        assert data["image"] is image

    def test_all_keys_get_the_same_square(self) -> None:
        image, source = two_images((64, 64))
        transform = RandPseudoAnomalyd(("image", "twin"), "other").set_random_state(0)
        result = transform({"image": image, "twin": image.clone(), "other": source})
        assert torch.equal(result["image"], result["twin"])
        assert not torch.equal(result["image"], image)

    def test_arguments_are_passed_on(self) -> None:
        transform = RandPseudoAnomalyd("image", "other", half_width=(0.3, 0.4), core=0.2)
        assert transform.pseudo_anomaly.half_width == (0.3, 0.4)
        assert transform.pseudo_anomaly.core == 0.2

    def test_missing_keys(self) -> None:
        image, source = two_images((64, 64))
        data = {"twin": image, "other": source}
        result = RandPseudoAnomalyd(("image", "twin"), "other", allow_missing_keys=True).set_random_state(0)(data)
        assert not torch.equal(result["twin"], image)
        nothing = RandPseudoAnomalyd("image", "other", allow_missing_keys=True)({"label": 1})
        assert nothing == {"label": 1}
        with pytest.raises(KeyError):
            RandPseudoAnomalyd("image", "other")(data)

    def test_in_a_pipeline_from_files(self, a_picture: Callable[..., Path]) -> None:
        names = {
            "image": str(a_picture("a.png", size=(60, 50), seed=1)),
            "other": str(a_picture("b.png", size=(60, 50), seed=2)),
        }
        load = [LoadImaged(("image", "other"), reader=CaseReader()), EnsureChannelFirstd(("image", "other"))]
        plain = Compose(load)(names)

        def run(seed: int) -> MetaTensor:
            pipeline = Compose([*load, RandPseudoAnomalyd("image", "other")])
            return pipeline.set_random_state(seed)(names)["image"]

        blended = run(0)
        assert isinstance(blended, MetaTensor)
        assert torch.equal(blended.affine, plain["image"].affine)
        assert blended.meta["filename_or_obj"] == names["image"]
        assert torch.equal(run(0), blended)
        assert not torch.equal(run(1), blended)
        # A square of 12 pixels' half width at most in 60 x 50 pixels, not half of the picture.
        changed = (blended != plain["image"]).float().mean()
        assert 0 < float(changed) < 0.25
