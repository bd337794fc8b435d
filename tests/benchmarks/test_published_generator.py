"""What is compared with is the published procedure: the generator in plain torch, and its map of a volume."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from monai_sagan.networks import SAGANGenerator

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_the_generator_computes_what_ours_does(monkeypatch: pytest.MonkeyPatch) -> None:
    from published_generator import PublishedGenerator

    torch.manual_seed(0)
    published = PublishedGenerator(width=8, depth=2).train()
    ours = SAGANGenerator(base_channels=8, num_res_blocks=2).eval()
    ours.load_published_state_dict(published.state_dict())
    images = torch.rand((2, 1, 64, 64), generator=torch.Generator().manual_seed(1)) * 2 - 1
    monkeypatch.setattr(torch, "rand_like", torch.ones_like)  # no pixel is passed through
    with torch.no_grad():
        # The same operations in another order of joining; normalisation enlarges what rounding loses.
        assert float((published(images) - ours(images)).abs().max()) < 1e-5


def test_a_share_of_the_pixels_is_passed_through() -> None:
    from published_generator import PublishedGenerator

    torch.manual_seed(0)
    published = PublishedGenerator(width=2, depth=1).train()
    images = torch.rand((8, 1, 64, 64), generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        passed = torch.isclose(published(images), torch.tanh(2 * images), rtol=0.0, atol=1e-6)
    # There the change is the input itself. 5% of 32768 pixels, with a standard deviation of 0.12%.
    assert float(passed.float().mean()) == pytest.approx(0.05, abs=0.006)


def test_the_map_of_a_volume(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import published_volume
    from published_generator import PublishedGenerator

    small = PublishedGenerator(width=2, depth=1)
    torch.save(small.state_dict(), tmp_path / "weights.ckpt")
    monkeypatch.setattr(published_volume, "PublishedGenerator", lambda: small)
    affine = np.diag([-0.9, -0.8, 2.0, 1.0])
    voxels = np.random.default_rng(0).integers(0, 1000, (40, 50, 3)).astype(np.int16)
    nib.save(nib.Nifti1Image(voxels, affine), tmp_path / "volume.nii.gz")
    published_volume.map_volume(tmp_path / "weights.ckpt", tmp_path / "volume.nii.gz", tmp_path / "map.nii.gz")
    result = nib.load(tmp_path / "map.nii.gz")
    assert result.shape == voxels.shape
    assert np.allclose(result.affine, affine)
    # Pillow enlarges by cubic curves, which swing over by a little.
    assert -0.1 < result.get_fdata().min() < result.get_fdata().max() < 1.1
