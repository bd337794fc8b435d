"""The weight map: its slices, its colours and its picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from monai.data import MetaTensor
from PIL import Image

from monai_sagan.report import WeightMap
from monai_sagan.report.weight_map import draw_weight_map, weight_pixels
from monai_sagan.transforms import WholeImage


def a_volume_map(peak: tuple[int, int, int] = (5, 1, 6)) -> WeightMap:
    """(slices, rows, columns) = (6, 7, 8); the map is 1 at the peak, and the image a number of its own everywhere."""
    weights = np.zeros((6, 7, 8))
    weights[peak] = 1.0
    return WeightMap(weights, np.arange(6 * 7 * 8, dtype=float).reshape(6, 7, 8) / 200 - 1)


def test_a_picture_has_one_view():
    weights, image = np.zeros((4, 5)), np.ones((4, 5))
    (view,) = WeightMap(weights, image).views()
    assert view.name == ""
    assert view.weights is weights
    assert view.image is image


def test_the_slices_of_a_volume_meet_at_the_peak():
    volume = a_volume_map()
    views = volume.views()
    assert [view.name for view in views] == ["axial slice 6 of 6", "coronal slice 2 of 7", "sagittal slice 7 of 8"]
    assert [view.weights.shape for view in views] == [(7, 8), (6, 8), (6, 7)]
    # Head on top: slice 5 of 6 is the uppermost row of the last two.
    assert [np.argwhere(view.weights == 1.0).tolist() for view in views] == [[[1, 6]], [[0, 6]], [[0, 1]]]
    assert all(view.image[view.weights == 1.0] == volume.image[5, 1, 6] for view in views)


def test_the_slices_of_a_volume_are_turned_as_in_radiology():
    """Of a volume whose voxels run towards right, front and feet, with a spot at the head, front and left."""
    spot = torch.zeros(1, 8, 8, 8)
    spot[0, 1, 6, 2] = 1.0  # little to the right, far to the front, little towards the feet
    volume = MetaTensor(spot, affine=torch.diag(torch.tensor([1.0, 1.0, -1.0, 1.0])))
    upright = WholeImage([8, 8, 8])(volume)[0].numpy()
    axial, coronal, sagittal = WeightMap(upright, upright).views()
    places = [np.unravel_index(view.weights.argmax(), view.weights.shape) for view in (axial, coronal, sagittal)]
    # Rows and columns: front and left; head and left; head and front.
    assert [(int(row), int(column)) for row, column in places] == [(1, 6), (2, 6), (2, 1)]


def test_of_equal_weights_the_one_nearest_to_the_middle_is_the_peak():
    assert WeightMap(np.full((5, 7, 9), 0.5), np.zeros((5, 7, 9))).peak == (2, 3, 4)
    weights = np.zeros((9, 9))
    weights[0, 0] = weights[5, 3] = 0.7
    assert WeightMap(weights, weights).peak == (5, 3)


@pytest.mark.parametrize(
    ("weights", "image"), [((4, 5), (5, 4)), ((4, 5), (1, 4, 5)), ((4,), (4,)), ((1, 1, 4, 5), (1, 1, 4, 5))]
)
def test_a_map_that_fits_no_image_is_refused(weights, image):
    with pytest.raises(ValueError, match="of one size"):
        WeightMap(np.zeros(weights), np.zeros(image))


def test_a_weight_has_one_colour_whatever_else_is_shown():
    low, high = weight_pixels(np.array([[0.2, 0.6]])), weight_pixels(np.array([[0.6, 1.0]]))
    assert (low[0, 1] == high[0, 0]).all()
    assert (low[..., 3] == 255).all()
    # Brighter for more, also without colour; weights of red, green and blue as in Rec. 709.
    brightness = weight_pixels(np.linspace(0, 1, 11)[np.newaxis])[0, :, :3] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(brightness) > 0).all()
    assert (weight_pixels(np.array([[0.3]]), 0.5)[..., 3] == 128).all()


def drawn(path: Path, weight_map: WeightMap) -> np.ndarray:
    draw_weight_map(weight_map.views(), path)
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_the_picture_shows_map_and_image(tmp_path):
    weights, image = np.zeros((10, 10)), np.full((10, 10), -1.0)
    weights[:, 5:] = 1.0
    image[5:] = 1.0
    pixels = drawn(tmp_path / "map.png", WeightMap(weights, image))
    # The view is 2.4 inches at 300 dots, 0.1 inches from the border: the middles of its quarters.
    quarters = {
        (row, column): pixels[30 + 180 + 360 * row, 30 + 180 + 360 * column] for row in (0, 1) for column in (0, 1)
    }
    for (row, column), colour in quarters.items():
        expected = (weight_pixels(np.array([[float(column)]]))[0, 0, :3] + 255.0 * row) / 2
        assert np.abs(colour - expected).max() <= 2  # opacity and colours are whole numbers of 255
    # Beyond it is the bar: the colour of 1 on top, that of 0 below.
    bar = pixels[30:750, 30 + 720 + 30 + 18]
    for place, weight in ((5, 1.0), (-6, 0.0)):
        assert np.abs(bar[place] - weight_pixels(np.array([[weight]]))[0, 0, :3]).max() <= 8


def test_the_picture_of_a_volume_has_three_views(tmp_path):
    picture, volume = np.zeros((7, 8)), a_volume_map()
    assert (
        drawn(tmp_path / "3d.png", volume).shape[1]
        > 2 * drawn(tmp_path / "2d.png", WeightMap(picture, picture)).shape[1]
    )


def test_the_picture_is_the_same_from_run_to_run(tmp_path):
    for name in ("a.png", "b.png"):
        draw_weight_map(a_volume_map().views(), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_no_half_picture_is_left(tmp_path, monkeypatch):
    def fail(self, path, **kwargs):
        Path(path).write_bytes(b"half a picture")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="No space left"):
        draw_weight_map(a_volume_map().views(), tmp_path / "map.png")
    assert list(tmp_path.iterdir()) == []
