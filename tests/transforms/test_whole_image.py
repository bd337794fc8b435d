"""Whole images on a network's grid and back, whichever way their voxels lie in the file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Flip, Orientation

from monai_sagan.transforms import WholeImage, WholeImaged, resize

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def a_volume(shape: tuple[int, int, int] = (12, 10, 8)) -> MetaTensor:
    generator = torch.Generator().manual_seed(0)
    return MetaTensor(torch.rand((1, *shape), generator=generator), affine=LPS @ np.diag([1.0, 2.0, 3.0, 1.0]))


def test_a_picture_has_rows_first() -> None:
    picture = torch.rand(1, 20, 10)
    torch.testing.assert_close(WholeImage([10, 20])(picture), picture.transpose(1, 2))
    torch.testing.assert_close(WholeImage([5, 8])(picture), resize(picture.transpose(1, 2)[None], [5, 8])[0])


def test_a_volume_has_head_front_and_right_first() -> None:
    volume = a_volume()
    # In LPS, x runs to the left of the patient, y to the back, z to the head: as the network has it.
    torch.testing.assert_close(WholeImage([8, 10, 12])(volume), volume.as_tensor().permute(0, 3, 2, 1))


@pytest.mark.parametrize("codes", ["RAS", "LPI", "SPL", "IAR"])
@pytest.mark.parametrize("size", [[8, 10, 12], [4, 6, 5]])
def test_any_order_of_the_voxels_gives_the_same(codes: str, size: list[int]) -> None:
    volume = a_volume()
    turned = Orientation(codes, labels=None)(volume)
    expected = WholeImage(size)(volume)
    torch.testing.assert_close(WholeImage(size)(turned), expected)
    weights = torch.rand(1, *size, generator=torch.Generator().manual_seed(1))
    back = MetaTensor(WholeImage(size).inverse(weights, volume), affine=volume.affine)
    torch.testing.assert_close(
        WholeImage(size).inverse(weights, turned), Orientation(codes, labels=None)(back).as_tensor()
    )


def test_a_map_comes_back_to_the_images_own_grid() -> None:
    for image, size in ((torch.rand(1, 20, 10), [10, 20]), (a_volume(), [8, 10, 12])):
        whole = WholeImage(size)
        torch.testing.assert_close(whole.inverse(whole(image), image), torch.as_tensor(image))
    weights = torch.rand(1, 5, 8)
    torch.testing.assert_close(
        WholeImage([5, 8]).inverse(weights, torch.rand(1, 20, 10)), resize(weights[None], [10, 20])[0].transpose(1, 2)
    )


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_volume_of_one_slice_is_a_picture(axis: int) -> None:
    shape = [9, 7, 8]
    shape[axis] = 1
    volume = a_volume(tuple(shape))  # type: ignore[arg-type]
    flipped = Flip(spatial_axis=(axis + 1) % 3)(volume)
    seen = WholeImage([6, 5])(volume)
    assert seen.shape == (1, 6, 5)
    torch.testing.assert_close(WholeImage([6, 5])(flipped), seen)
    weights = torch.rand(1, 6, 5, generator=torch.Generator().manual_seed(1))
    back = WholeImage([6, 5]).inverse(weights, volume)
    assert back.shape == volume.shape
    torch.testing.assert_close(WholeImage([6, 5]).inverse(weights, flipped), back.flip(1 + (axis + 1) % 3))


def test_a_volume_is_averaged_along_each_axis_when_it_shrinks() -> None:
    volume = torch.zeros(1, 1, 8, 8, 8)
    volume[..., 4, 4, 4] = 1.0
    small = resize(volume, [4, 4, 4])
    # The sum of the weights is what one of eight voxels is worth, wherever it lies.
    torch.testing.assert_close(small.sum(), torch.tensor(1 / 8))
    slanted = torch.arange(8.0).view(1, 1, 8, 1, 1).expand(1, 1, 8, 8, 8)
    assert float(resize(slanted, [4, 4, 4]).mean()) == pytest.approx(3.5)
    torch.testing.assert_close(resize(volume, [8, 8, 8]), volume)


def test_what_does_not_suit_the_network() -> None:
    with pytest.raises(ValueError, match="a volume of 8 slices does not suit a network that takes one picture; give"):
        WholeImage([8, 8])(a_volume())
    with pytest.raises(ValueError, match="an image with 2 axes does not suit a network that works in 3D"):
        WholeImage([8, 8, 8])(torch.rand(1, 8, 8))


def test_dictionary_form() -> None:
    picture = torch.rand(1, 20, 10)
    result = WholeImaged("image", [5, 8])({"image": picture, "name": "a"})
    torch.testing.assert_close(result["image"], WholeImage([5, 8])(picture))
    assert result["name"] == "a"
