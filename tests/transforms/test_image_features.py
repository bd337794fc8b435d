"""Classical features of pictures."""

import pytest
import torch

from monai_sagan.transforms import image_features


def test_shapes_do_not_depend_on_the_picture() -> None:
    for size in ((64, 64), (32, 48), (100, 70)):
        found = image_features(torch.rand(3, 1, *size) * 2 - 1)
        assert {key: tuple(value.shape) for key, value in found.items()} == {
            "brightness": (3, 256),
            "edges": (3, 576),
            "histogram": (3, 32),
        }
        assert all(bool(value.isfinite().all()) for value in found.values())


def test_brightness_says_how_bright_a_block_is() -> None:
    image = torch.full((1, 1, 64, 64), -1.0)
    image[..., :4, 8:12] = 1.0
    brightness = image_features(image)["brightness"].reshape(16, 16)
    assert brightness[0, 2] == 1
    assert brightness.sum() == 1


def test_edges_say_how_strong_they_are_and_how_they_lie() -> None:
    across = torch.linspace(-1, 1, 64).expand(1, 1, 64, 64)  # grows along a row
    found = image_features(across)["edges"].reshape(9, 8, 8)[:, 3, 3]
    assert found[0] > 0
    assert found[1:].abs().max() < 1e-3
    down = image_features(across.transpose(2, 3))["edges"].reshape(9, 8, 8)[:, 3, 3]
    torch.testing.assert_close(down[4], down[5])  # a right angle lies between the fifth and the sixth of nine
    assert down[[0, 1, 2, 7, 8]].abs().max() < 1e-3


def test_edges_do_not_depend_on_brightness_and_contrast() -> None:
    image = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0)) - 0.5
    torch.testing.assert_close(
        image_features(image)["edges"], image_features(image * 0.7 + 0.2)["edges"], rtol=0.01, atol=1e-3
    )


def test_the_squared_histogram_counts_every_pixel_once() -> None:
    image = torch.tensor([-1.0, 1.0]).repeat_interleave(2048).reshape(1, 1, 64, 64)
    squared = image_features(image)["histogram"][0] ** 2
    torch.testing.assert_close(squared[[0, 31]], torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(squared.sum(), torch.tensor(1.0))


def test_other_shapes_are_refused_in_words() -> None:
    with pytest.raises(ValueError, match="at least 16 pixels"):
        image_features(torch.zeros(1, 1, 8, 64))
    with pytest.raises(ValueError, match=r"\(1, 3, 64, 64\)"):
        image_features(torch.zeros(1, 3, 64, 64))
