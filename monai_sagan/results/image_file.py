"""Maps as image files with their geometry."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor
from monai.data.utils import affine_to_spacing, orientation_ras_lps, to_affine_nd
from monai.utils import convert_to_numpy, convert_to_tensor

from monai_sagan.files import not_written

__all__ = ["IMAGE_FORMATS", "write_image"]

# What holds 32-bit floating point numbers and the geometry of an image.
IMAGE_FORMATS = (".nii.gz", ".nii", ".nrrd", ".mha")

_NIFTI_HEADER = 352  # bytes before the voxels


def write_image(image: torch.Tensor, path: Path, dtype: torch.dtype | None = torch.float32) -> None:
    """Writes an image with its geometry, in the format that the name says.

    Args:
        image: (1, *spatial), x first, a MetaTensor for its affine; other tensors get ITK's default, 1 mm and no
            rotation.
        path: the file, with one of :data:`IMAGE_FORMATS` as ending.
        dtype: type of its pixels; None for the image's own.

    Raises:
        OSError: if it cannot be written.
    """
    import itk  # takes seconds, and is needed here only

    dims = image.dim() - 1
    values = convert_to_numpy(convert_to_tensor(image, track_meta=False, dtype=dtype))[0]
    # A view of the voxels, in whose order they were read: a volume is not copied.
    voxels = np.ascontiguousarray(values.T)
    picture = itk.image_view_from_array(voxels)
    if isinstance(image, MetaTensor):
        affine = orientation_ras_lps(to_affine_nd(dims, convert_to_numpy(image.affine).astype(np.float64)))
        spacing = affine_to_spacing(affine, r=dims)
        picture.SetSpacing(spacing.tolist())
        picture.SetOrigin(affine[:dims, dims].tolist())
        picture.SetDirection(itk.matrix_from_array(affine[:dims, :dims] / spacing))
    try:
        itk.imwrite(picture, str(path), compression=True)
        _check_nifti(path, voxels.nbytes)
    except (EOFError, RuntimeError) as error:
        raise not_written(path) from error


def _check_nifti(path: Path, num_bytes: int) -> None:
    """ITK says nothing when a NIfTI file ends too early.

    Raises:
        EOFError: if it does.
    """
    if path.name.endswith(".nii"):
        length = path.stat().st_size
    elif path.name.endswith(".nii.gz"):
        with path.open("rb") as file:
            file.seek(-4, 2)  # gzip ends with the length of what it holds
            length, num_bytes = int.from_bytes(file.read(), "little"), num_bytes % 2**32
    else:
        return
    if length != (_NIFTI_HEADER + num_bytes) % 2**32:
        raise EOFError(f"{path} holds {length} bytes.")
