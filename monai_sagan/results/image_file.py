"""Maps as image files with their geometry."""

from __future__ import annotations

from contextlib import nullcontext
from io import BufferedWriter
from pathlib import Path
from typing import BinaryIO

import nibabel as nib
import numpy as np
import torch
from isal import igzip_threaded
from isal.igzip import IGzipFile
from monai.data import MetaTensor
from monai.data.utils import affine_to_spacing, orientation_ras_lps, to_affine_nd
from monai.utils import convert_to_numpy, convert_to_tensor

from monai_sagan.data.itk_image import import_itk
from monai_sagan.files import not_written

__all__ = ["IMAGE_FORMATS", "write_image"]

# What holds 32-bit floating point numbers and the geometry of an image.
IMAGE_FORMATS = (".nii.gz", ".nii", ".nrrd", ".mha")

_BLOCK = 1024 * 1024  # bytes that a thread compresses at once
_SCANNER = 1  # NIfTI's code for millimetres in the scanner's or the patient's coordinates


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
    values = convert_to_tensor(image, track_meta=False, dtype=dtype)[0]
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    if isinstance(image, MetaTensor):
        affine = to_affine_nd(3, convert_to_numpy(image.affine).astype(np.float64))
    # Files have the first axis fastest; torch reverses axes by all cores, and one copy of a volume is enough.
    voxels = values.permute(*reversed(range(values.dim()))).contiguous().numpy()
    if path.name.endswith((".nii", ".nii.gz")):
        _write_nifti(voxels.T, affine, path)
    else:
        _write_by_itk(voxels, affine, path)


def _write_nifti(voxels: np.ndarray, affine: np.ndarray, path: Path) -> None:
    """Writes voxels, x first and fastest; by nibabel, since ITK says nothing when a file ends too early."""
    header = nib.Nifti1Header()
    header.set_data_dtype(voxels.dtype)
    header.set_data_shape(voxels.shape)
    # Both forms: programs differ in which one they prefer.
    header.set_sform(affine, _SCANNER)
    header.set_qform(affine, _SCANNER)
    header.set_xyzt_units("mm")
    header.set_slope_inter(1, 0)
    header.set_data_offset(header.single_vox_offset)
    is_compressed = path.suffix == ".gz"
    with path.open("wb") as file, _compressed(file, voxels.nbytes) if is_compressed else nullcontext(file) as target:
        header.write_to(target)
        for plane in voxels.T if voxels.ndim > 2 else [voxels.T]:  # a row alone is little to compress
            target.write(plane)


def _compressed(file: BinaryIO, size: int) -> IGzipFile | BufferedWriter:
    """An eighth of zlib's time, and for volumes half of that: while a slice is written, others are compressed.

    No name and no time are put into it, so that equal maps are equal files.

    Args:
        file: gets what is compressed.
        size: bytes that will be written, about.
    """
    if size <= _BLOCK:  # threads take longer to start than a picture to be compressed
        return IGzipFile("", "wb", 1, file, mtime=0)
    return igzip_threaded.open(file, "wb", compresslevel=1, threads=2, block_size=_BLOCK)


def _write_by_itk(voxels: np.ndarray, affine: np.ndarray, path: Path) -> None:
    """Writes voxels, x last."""
    itk = import_itk()
    lps = orientation_ras_lps(to_affine_nd(voxels.ndim, affine))
    spacing = affine_to_spacing(lps, r=voxels.ndim)
    picture = itk.image_view_from_array(voxels)
    picture.SetSpacing(spacing.tolist())
    picture.SetOrigin(lps[:-1, -1].tolist())
    picture.SetDirection(itk.matrix_from_array(lps[:-1, :-1] / spacing))
    try:
        itk.imwrite(picture, str(path), compression=True)
    except RuntimeError as error:
        raise not_written(path) from error
