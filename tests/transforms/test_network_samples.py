"""From an image of any size to what a network is trained with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_sagan.errors import SettingError
from monai_sagan.transforms import NetworkSamples, NetworkSamplesd, resize


def an_image(*shape: int) -> torch.Tensor:
    return torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))


def a_volume_of_slices(count: int = 40, shown: slice = slice(5, 35)) -> MetaTensor:
    """Slice k has the value k / 100 where something is shown."""
    volume = torch.full((1, 10, 12, count), -1.0)
    volume[..., shown] = torch.arange(count)[shown] / 100
    return MetaTensor(volume, affine=torch.diag(torch.tensor([-1.0, -1.0, 3.0, 1.0])))


class TestPictures:
    def test_axes_are_reversed(self) -> None:
        """x first, as files are read, to rows first."""
        image = torch.zeros(1, 6, 4)
        image[0, 5, 1] = 1
        assert NetworkSamples((4, 6))(image)[0, 0, 1, 5] == 1

    def test_a_picture_is_one_sample_even_if_it_is_black(self) -> None:
        assert NetworkSamples((8, 8))(torch.full((1, 20, 24), -1.0)).shape == (1, 1, 8, 8)

    def test_result_is_a_plain_tensor_of_32_bits(self) -> None:
        samples = NetworkSamples((8, 8))(MetaTensor(torch.arange(400, dtype=torch.int16).reshape(1, 20, 20)))
        assert type(samples) is torch.Tensor
        assert samples.dtype == torch.float32


class TestSlices:
    def test_a_volume_of_one_slice_is_a_picture(self) -> None:
        image = an_image(20, 24)
        assert torch.equal(NetworkSamples((8, 8))(image[..., None]), NetworkSamples((8, 8))(image))

    def test_evenly_over_what_shows_something(self) -> None:
        samples = NetworkSamples((10, 12), per_volume=6)(a_volume_of_slices())
        assert samples.shape == (6, 1, 10, 12)
        # Thirty slices in six equal parts, the middle of each.
        assert (samples.mean((1, 2, 3)) * 100).tolist() == pytest.approx([7, 12, 17, 22, 27, 32], abs=1e-4)

    def test_never_more_than_there_are(self) -> None:
        samples = NetworkSamples((10, 12), per_volume=100)(a_volume_of_slices())
        assert (samples.mean((1, 2, 3)) * 100).tolist() == pytest.approx(list(range(5, 35)), abs=1e-4)

    def test_slices_are_resized_as_pictures_are(self) -> None:
        volume = an_image(20, 24, 3)
        samples = NetworkSamples((8, 16))(volume)
        assert torch.equal(samples[1], resize(volume[..., 1].transpose(1, 2)[None], (8, 16))[0])

    @pytest.mark.parametrize(("direction", "size"), [("axial", (12, 10)), ("coronal", (3, 10)), ("sagittal", (3, 12))])
    def test_along_a_direction(self, direction: str, size: tuple[int, int]) -> None:
        volume = MetaTensor(an_image(10, 12, 3), affine=torch.diag(torch.tensor([-1.0, -1.0, 3.0, 1.0])))
        samples = NetworkSamples(size, slice_direction=direction, per_volume=100)(volume)
        values = np.sort(samples.numpy().ravel())
        assert np.array_equal(values, np.sort(volume.numpy().ravel()))  # at its own size: only turned

    def test_nothing_but_background(self) -> None:
        with pytest.raises(ValueError, match="the volume shows nothing but background; leave it out"):
            NetworkSamples((8, 8))(torch.full((1, 20, 24, 5), -0.95))


class TestPatches:
    def test_are_parts_of_the_volume_slices_first(self) -> None:
        volume = an_image(9, 10, 11)
        patches = NetworkSamples((4, 6, 8), per_volume=1000)(volume)
        assert patches.shape[1:] == (1, 4, 6, 8)
        upright = volume[0].permute(2, 1, 0)
        places = upright.unfold(0, 4, 1).unfold(1, 6, 1).unfold(2, 8, 1).reshape(-1, 4, 6, 8)
        for patch in patches:
            assert (places == patch[0]).flatten(1).all(dim=1).any()
        # They cover it: half a patch from one to the next, and the last one at the border.
        assert len(patches) == 5 * 3 * 2
        assert len(np.unique(patches)) == volume.numel()

    def test_only_where_something_is_shown(self) -> None:
        volume = torch.full((1, 40, 8, 8), -1.0)
        volume[:, 30:] = 0.3
        patches = NetworkSamples((8, 8, 8), per_volume=100)(volume)
        assert len(patches) == 3  # of those at 0, 4, ..., 32 the ones at 24, 28 and 32
        assert all((patch > 0).any() for patch in patches)

    def test_a_volume_that_is_smaller_is_filled_up_with_background(self) -> None:
        patches = NetworkSamples((8, 8, 8))(torch.full((1, 8, 8, 4), 0.5))
        assert patches.shape == (1, 1, 8, 8, 8)
        assert (patches[0, 0] == 0.5).all(dim=(1, 2)).sum() == 4
        assert (patches[0, 0] == -1.0).all(dim=(1, 2)).sum() == 4


@pytest.mark.parametrize(
    ("shape", "size", "message"),
    [
        ((1, 8), (8, 8), "An image with 1 axes does not suit a network that works in 2D"),
        ((1, 8, 8, 8, 2), (8, 8), "An image with 4 axes does not suit a network that works in 2D"),
        ((1, 8, 8), (8, 8, 8), "An image with 2 axes does not suit a network that works in 3D"),
        ((1, 8, 8, 8, 2), (8, 8, 8), "An image with 4 axes does not suit a network that works in 3D"),
    ],
)
def test_wrong_number_of_axes(shape: tuple[int, ...], size: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NetworkSamples(size)(torch.zeros(shape))


def test_no_samples_cannot_be_asked_for() -> None:
    with pytest.raises(SettingError, match="samples_per_volume must be at least 1, not 0"):
        NetworkSamples((8, 8), per_volume=0)


def test_dictionary_form() -> None:
    image = an_image(20, 24)
    data = {"image": image, "other": image}
    prepared = NetworkSamplesd("image", (8, 16))(data)
    assert torch.equal(prepared["image"], NetworkSamples((8, 16))(image))
    assert prepared["other"] is image
    assert data["image"] is image
    assert NetworkSamplesd("image", (8, 8), allow_missing_keys=True)({}) == {}
    with pytest.raises(KeyError):
        NetworkSamplesd("image", (8, 8))({})
