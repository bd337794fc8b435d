"""Maps in standard deviations from healthy images, and what stands out in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy import ndimage
from scipy.stats import binom

from monai_sagan.calibration import (
    Calibration,
    DeviationMapd,
    MapOfHealthy,
    PixelScale,
    fit_pixel_scale,
    write_calibration,
)
from monai_sagan.calibration.conformal import conformal_threshold
from monai_sagan.calibration.deviation import deviation_map
from monai_sagan.calibration.findings import find_regions, leave_out_surroundings
from monai_sagan.calibration.grid_maps import GridMaps

SIZE = [32, 32]


def healthy_maps(count: int, seed: int = 0) -> list[MapOfHealthy]:
    """Noise that is ten times as strong in the right half."""
    random = torch.Generator().manual_seed(seed)
    strength = torch.ones(32)
    strength[16:] = 10.0
    return [
        MapOfHealthy((1 + 0.1 * torch.randn(1, 1, *SIZE, generator=random)) * strength, torch.zeros(1))
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def scale() -> PixelScale:
    found = fit_pixel_scale(healthy_maps(200), num_places=1)
    assert found is not None
    return found


class TestScale:
    def test_it_is_that_of_each_pixel(self, scale: PixelScale) -> None:
        # Of 200 draws a mean is known to 7% of the spread, and a spread to 5%; four times that holds for 1024 pixels.
        torch.testing.assert_close(scale.mean[0, 0, :, :16], torch.ones(32, 16), rtol=0, atol=0.03)
        torch.testing.assert_close(scale.mean[0, 0, :, 16:], torch.full((32, 16), 10.0), rtol=0, atol=0.3)
        mean_spread = (0.1 + 1.0) / 2
        torch.testing.assert_close(
            scale.spread[0, 0, :, 16:], torch.full((32, 16), 1 + mean_spread / 2), rtol=0.2, atol=0
        )

    def test_a_change_counts_for_more_where_healthy_images_change_less(self, scale: PixelScale) -> None:
        change = torch.zeros(1, *SIZE)
        change[0, 5, 5] = change[0, 5, 25] = 1.0
        found = scale.deviations(scale.mean + change[None], torch.zeros(1))
        assert found[0, 5, 5] > 2 * found[0, 5, 25] > 0

    def test_each_part_of_a_body_has_its_own(self) -> None:
        places = torch.linspace(0, 1, 4)
        random = torch.Generator().manual_seed(0)
        volumes = [
            MapOfHealthy(torch.rand(4, 1, *SIZE, generator=random) + torch.arange(4.0)[:, None, None, None], places)
            for _ in range(40)
        ]
        scale = fit_pixel_scale(volumes, num_places=4)
        assert scale is not None
        # A mean of 40 even draws is known to 0.046.
        torch.testing.assert_close(scale.mean.mean(dim=(1, 2, 3)), torch.arange(4.0) + 0.5, rtol=0, atol=0.02)
        # Parts that no slice fell into take the nearest one's.
        wide = fit_pixel_scale(volumes, num_places=7)
        assert wide is not None
        assert bool(wide.mean.isfinite().all())
        torch.testing.assert_close(wide.mean[1], wide.mean[0])

    def test_what_stands_out_twice_counts_for_more(self) -> None:
        """Two kinds of maps, the second a thousand times as large."""
        random = torch.Generator().manual_seed(0)
        sizes = torch.tensor([1.0, 1000.0])[:, None, None]
        healthy = [MapOfHealthy(torch.randn(1, 2, *SIZE, generator=random) * sizes, torch.zeros(1)) for _ in range(50)]
        scale = fit_pixel_scale(healthy, num_places=1)
        assert scale is not None
        wanted = torch.zeros(2, *SIZE)  # standard deviations of each kind
        wanted[:, 3, 3], wanted[0, 3, 9], wanted[1, 9, 3], wanted[:, 9, 9] = 8.0, 15.0, 15.0, torch.tensor([2.0, -5.0])
        found = scale.deviations(scale.mean + wanted * scale.spread, torch.zeros(1))[0]
        torch.testing.assert_close(found[3, 3], torch.tensor(8.0))
        torch.testing.assert_close(found[[3, 9], [9, 3]], torch.full((2,), 2 / (1 / 16 + 1) - 1))
        torch.testing.assert_close(found[9, 9], torch.tensor(2 / (1 / 3 + 1) - 1))
        assert found.count_nonzero() == 4

    def test_other_kinds_of_maps(self, scale: PixelScale) -> None:
        with pytest.raises(ValueError, match="the scale is of 1 kinds of maps, not of 2"):
            scale.deviations(torch.zeros(1, 2, *SIZE), torch.zeros(1))

    def test_too_few(self) -> None:
        assert fit_pixel_scale(healthy_maps(2), num_places=1) is None
        assert fit_pixel_scale(healthy_maps(3), num_places=1) is not None

    def test_a_network_that_changes_nothing(self) -> None:
        nothing = [MapOfHealthy(torch.zeros(1, 1, *SIZE), torch.zeros(1))] * 5
        scale = fit_pixel_scale(nothing, num_places=1)
        assert scale is not None
        assert scale.deviations(torch.zeros(1, 1, *SIZE), torch.zeros(1)).abs().max() == 0


class TestPromise:
    def test_few_healthy_images_have_a_finding(self) -> None:
        """Of new ones, which were in nothing that the scale was made of."""
        count, new = 59, 400
        inside = 0
        for seed in range(10):
            scale = fit_pixel_scale(healthy_maps(count, seed), num_places=1)
            assert scale is not None
            threshold = conformal_threshold(scale.peaks, 0.05)
            others = healthy_maps(new, seed + 1000)
            found = sum(float(scale.deviations(it.maps, it.places).max()) > threshold for it in others)
            # The threshold's own rate lies within 0.75% to 13.5% in 98 of 100 cases (beta distribution of 3 and 57).
            inside += binom.ppf(0.01, new, 0.0075) <= found <= binom.ppf(0.99, new, 0.135)
        assert inside >= 9


class TestRegions:
    def test_what_stands_out(self) -> None:
        deviation = np.zeros((20, 30))
        deviation[2:5, 3:6], deviation[3, 4] = 9.0, 50.0
        deviation[10:12, 10:12], deviation[10, 10] = 40.0, 41.0
        deviation[15, 20] = 8.0  # no higher than healthy images are somewhere
        labels, findings = find_regions(deviation, deviation > 8, [1.0] * 39 + [45.0])
        assert [(it["label"], it["voxel"], it["deviation"], it["num_voxels"]) for it in findings] == [
            (1, [3, 4], 50.0, 9),
            (2, [10, 10], 41.0, 4),
        ]
        assert [it["p_value"] for it in findings] == [1 / 41, 2 / 41]
        assert (labels[2:5, 3:6] == 1).all()
        assert (labels[10:12, 10:12] == 2).all()
        assert np.count_nonzero(labels) == 13
        assert labels.dtype == np.int16

    def test_regions_within_regions(self) -> None:
        """Of noise in three dimensions: each voxel above the threshold is of one finding, of its own region."""
        deviation = np.random.default_rng(0).random((12, 16, 20))
        labels, findings = find_regions(deviation, deviation > 0.9, [0.9])
        regions, count = ndimage.label(deviation > 0.9, np.ones((3, 3, 3)))
        assert len(findings) == count > 10
        for number, voxel in enumerate(ndimage.maximum_position(deviation, regions, range(1, count + 1)), start=1):
            (finding,) = [it for it in findings if it["voxel"] == list(voxel)]
            assert np.array_equal(labels == finding["label"], regions == number)
            assert (finding["deviation"], finding["num_voxels"]) == (deviation[voxel], (regions == number).sum())
        assert [it["deviation"] for it in findings] == sorted((it["deviation"] for it in findings), reverse=True)

    def test_as_many_as_have_a_number(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("monai_sagan.calibration.findings._MOST_FINDINGS", 2)
        deviation = np.zeros((5, 9))
        deviation[2, 1:9:2] = (6.0, 9.0, 7.0, 8.0)
        labels, findings = find_regions(deviation, deviation > 3, [1.0])
        assert [it["voxel"] for it in findings] == [[2, 3], [2, 7]]
        assert labels[2].tolist() == [0, 0, 0, 1, 0, 0, 0, 2, 0]

    def test_nothing(self) -> None:
        labels, findings = find_regions(np.zeros((20, 30)), np.zeros((20, 30), bool), [1.0])
        assert findings == []
        assert not labels.any()


class TestSurroundings:
    def test_are_no_part_of_a_finding(self) -> None:
        deviation = np.zeros((40, 60))
        deviation[5:14, 5:16], deviation[8:12, 8:12], deviation[9, 9] = 4.0, 9.0, 10.0
        deviation[16:17, 8:12] = 4.4  # apart, but within 6 rows of what is twice as high
        deviation[30:33, 30:33] = 4.0  # far away
        stands_out = deviation > 3
        leave_out_surroundings(deviation, stands_out, None)
        assert stands_out[8:12, 8:12].all()
        assert stands_out[30:33, 30:33].all()
        assert np.count_nonzero(stands_out) == 16 + 9

    @pytest.mark.parametrize("slice_axis", [0, 1, 2])
    def test_are_in_the_slice(self, slice_axis: int) -> None:
        deviation = np.zeros((3, 20, 20))
        deviation[0, 3, 3], deviation[0, 3, 5], deviation[1, 3, 3] = 10.0, 4.0, 4.0
        deviation = np.moveaxis(deviation, 0, slice_axis)
        stands_out = deviation > 3
        leave_out_surroundings(deviation, stands_out, slice_axis)
        assert np.argwhere(np.moveaxis(stands_out, slice_axis, 0)).tolist() == [[0, 3, 3], [1, 3, 3]]


class TestGrid:
    def test_a_change_stays_in_its_place(self, scale: PixelScale) -> None:
        """Through the network's grid and back, of a picture of another shape, x first."""
        picture = torch.zeros(1, 90, 60)
        picture[0, 10:16, 40:46] = 30.0
        found = deviation_map(GridMaps(picture, SIZE, None), scale)
        assert found.shape == picture.shape
        column, row = np.unravel_index(int(found.argmax()), found.shape[1:])
        # A pixel of the grid is about 3 by 2 pixels here.
        assert abs(int(column) - 12.5) <= 3
        assert abs(int(row) - 42.5) <= 2
        assert found.min() == 0

    @pytest.mark.parametrize("flip", [1.0, -1.0])
    def test_slices_are_where_they_lie_in_the_body(self, flip: float) -> None:
        """Whichever way the file has them; what is background is left out."""
        volume = torch.zeros(1, 24, 24, 6)
        volume[..., 1:5] = torch.tensor([1.0, 2.0, 3.0, 4.0])
        grid = GridMaps(MetaTensor(volume, affine=torch.diag(torch.tensor([1.0, 1.0, flip, 1.0]))), SIZE, 2)
        assert grid.shown == [1, 2, 3, 4]
        places = torch.tensor([0, 1 / 3, 2 / 3, 1])
        torch.testing.assert_close(grid.places, places if flip > 0 else 1 - places)
        ((first, *_),) = grid.batches()
        # Smoothing loses what would come from beyond the edge; the middle has it all.
        torch.testing.assert_close(grid.take([first])[0, 0, 12, 12], torch.tensor(1.0), rtol=1e-3, atol=0)

    def test_what_contrast_says_goes_with_its_slice(self) -> None:
        volume = torch.zeros(1, 24, 24, 6)
        volume[..., [1, 2, 4]] = 1.0
        contrast_map = torch.arange(6.0)[:, None, None, None].expand(6, 1, *SIZE)
        grid = GridMaps(MetaTensor(volume), SIZE, 2, contrast_map)
        taken = torch.cat([grid.take(batch) for batch in grid.batches()])
        assert taken.shape == (3, 2, *SIZE)
        assert taken[:, 1, 0, 0].tolist() == [1.0, 2.0, 4.0]

    def test_a_volume_without_anything(self, scale: PixelScale) -> None:
        volume = MetaTensor(torch.zeros(1, 24, 24, 6))
        assert deviation_map(GridMaps(volume, SIZE, 2), scale).abs().max() == 0


FLAT = PixelScale(torch.zeros(1, 1, *SIZE), torch.ones(1, 1, *SIZE), (*[1.0] * 18, 4.0))


@pytest.mark.parametrize("signs", [(1.0, 1.0, 1.0), (-1.0, 1.0, 1.0), (1.0, -1.0, 1.0), (-1.0, -1.0, -1.0)])
def test_a_change_in_a_volume_stays_in_its_place(signs: tuple[float, float, float]) -> None:
    volume = torch.zeros(1, 40, 48, 5)
    volume[0, 8:12, 30:34, 2] = 30.0
    grid = GridMaps(MetaTensor(volume, affine=torch.diag(torch.tensor([*signs, 1.0]))), SIZE, 2)
    highest = deviation_map(grid, FLAT)[0].argmax()
    x, y, z = (int(place) for place in torch.unravel_index(highest, (40, 48, 5)))
    assert z == 2
    assert (x, y) == (pytest.approx(9.5, abs=2), pytest.approx(31.5, abs=2))


def test_maps_are_smoothed_before_they_are_compared() -> None:
    picture = torch.zeros(1, *SIZE)
    picture[0, 16, 16] = 1.0
    taken = GridMaps(picture, SIZE, None).take([0])[0, 0]
    torch.testing.assert_close(taken.sum(), torch.tensor(1.0), rtol=0.02, atol=0)
    assert taken[16, 16] < 0.4  # of a normal distribution with a deviation of 0.96 pixels, 0.16
    assert taken[16, 17] > 0.05


def test_the_spread_is_that_of_a_sample() -> None:
    maps = torch.tensor([0.0, 1.0, 2.0])[:, None, None, None, None].expand(3, 1, 1, *SIZE)
    scale = fit_pixel_scale([MapOfHealthy(each, torch.zeros(1)) for each in maps], 1)
    assert scale is not None
    torch.testing.assert_close(scale.spread, torch.full_like(scale.spread, 1.5))  # 1, and half of the mean spread


def test_a_part_of_the_body_with_a_single_slice_has_its_neighbours_scale() -> None:
    random = torch.Generator().manual_seed(0)
    usual = [MapOfHealthy(torch.rand(2, 1, *SIZE, generator=random), torch.tensor([0.0, 1.0])) for _ in range(5)]
    odd = MapOfHealthy(torch.full((3, 1, *SIZE), 9.0), torch.tensor([0.0, 0.5, 1.0]))
    scale = fit_pixel_scale([*usual, odd], 3)
    assert scale is not None
    assert bool(scale.spread.isfinite().all())
    torch.testing.assert_close(scale.mean[1], scale.mean[0])


def test_what_is_as_high_as_the_threshold_is_no_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    known = Calibration("w", "acquisition", 0.05, image_scores=(0.1,) * 19, image_scale=FLAT)
    write_calibration(tmp_path, known)
    monkeypatch.setattr("monai_sagan.calibration.deviation.deviation_map", lambda *_: torch.full((1, *SIZE), 4.0))
    case = {"anomaly_map": torch.full((1, *SIZE), 4.0), "slice_axis": None, "slice_scores": []}
    found = DeviationMapd("anomaly_map", tmp_path, "w", SIZE, "acquisition")(case)
    assert (found["finding_threshold"], found["findings"]) == (4.0, [])
