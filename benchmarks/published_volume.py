"""The map of a volume by the published procedure, written out plainly, to compare with.

    python benchmarks/published_volume.py WEIGHTS VOLUME MAP

As the authors test, one image at a time passes the generator in training mode and in 32 bits: 64 x 64 pixels, scaled
to [-1, 1]. Nothing is imported that this does not need, and nothing computed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from PIL import Image
from published_generator import PublishedGenerator

_SIZE = (64, 64)


def map_volume(weights: Path, volume: Path, output: Path) -> None:
    """Writes the map of a volume, half of what restoring its slices changes.

    Args:
        weights: of the generator, 64 channels and six residual blocks, under the published names.
        volume: NIfTI; slices are stacked along its last axis.
        output: the map's file, NIfTI.
    """
    generator = PublishedGenerator()
    generator.load_state_dict(torch.load(weights, weights_only=True))
    generator.train()
    source = nib.load(volume)
    voxels = np.asarray(source.dataobj, dtype=np.float32)
    voxels = (voxels - voxels.min()) / (voxels.max() - voxels.min()) * 2 - 1
    result = np.empty_like(voxels)
    for number in range(voxels.shape[-1]):
        image = Image.fromarray(voxels[..., number])
        small = torch.from_numpy(np.array(image.resize(_SIZE, Image.Resampling.BILINEAR)))[None, None]
        with torch.no_grad():
            difference = (small - generator(small)).abs()[0, 0] / 2
        result[..., number] = np.asarray(Image.fromarray(difference.numpy()).resize(image.size))
    nib.save(nib.Nifti1Image(result, source.affine), output)


if __name__ == "__main__":
    map_volume(*(Path(argument) for argument in sys.argv[1:4]))
