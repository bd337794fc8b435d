"""Reading NIfTI by nibabel, voxel by voxel as the file has it.

ITK, which reads the other formats, would do so too, but silently makes zero what is NaN or missing at the file's end,
and takes the spacing from another part of the header than the directions: its geometry may be another than the one
that the header's sform states, which comes first in the standard and in nibabel.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import BinaryIO

import nibabel as nib
import numpy as np
from isal import igzip
from numpy.lib.recfunctions import structured_to_unstructured

from monai_sagan.data.geometry import LPS_TO_RAS
from monai_sagan.errors import ImageError

__all__ = ["read_nifti"]

_MILLIMETRES = {1: 1000.0, 3: 0.001}  # metres and micrometres; everything else is taken for millimetres
_FLAT = 1e-6  # millimetres a voxel
_CHUNK = 2**24  # bytes
_SLICES_AT_ONCE = 16
_MAX_COMPRESSION = 1032  # bytes for which one of a gzip file can stand


def read_nifti(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads a file of NIfTI-1 or NIfTI-2, compressed or not.

    Args:
        path: the file.

    Returns:
        The voxels, x first, scaled as the header says, colours on an axis of their own at the end; and the affine from
        voxels to millimetres, RAS: the sform, or the qform where there is none, or ITK's default where there is
        neither. (3, 3) for two dimensions.

    Raises:
        ImageError: if it is of a kind that cannot be used: several volumes, complex numbers.
        Exception: of many kinds, if it is damaged.
    """
    with path.open("rb") as raw:
        is_compressed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        file = igzip.GzipFile(fileobj=raw, mode="rb") if is_compressed else raw
        header = _read_header(file.read(nib.Nifti2Header.sizeof_hdr))
        shape = _shape(header, path)
        num_bytes = math.prod(shape) * _voxel_type(header, path).itemsize
        if num_bytes > path.stat().st_size * (_MAX_COMPRESSION if is_compressed else 1):
            raise EOFError("Voxels are missing.")  # before memory is filled for them
        header.check_fix(logging.Logger("unheard", logging.CRITICAL))  # it logs what it repairs
        voxels = _read_voxels(file, header, shape)
        while is_compressed and file.read(_CHUNK):
            pass  # the checksum comes last
    affine = _affine(header)
    voxels = structured_to_unstructured(voxels) if voxels.dtype.names else _scaled(voxels, header)
    return _in_two_dimensions(voxels, affine) if len(shape) == 2 else (voxels, affine)


def _read_header(content: bytes) -> nib.Nifti1Header:
    """What a file begins with, whatever is wrong with it."""
    for kind in (nib.Nifti1Header, nib.Nifti2Header):
        header = kind(content[: kind.sizeof_hdr], check=False)
        if header["magic"] == kind.single_magic:
            return header
    raise ValueError("This is no NIfTI file.")


def _shape(header: nib.Nifti1Header, path: Path) -> tuple[int, ...]:
    shape = header.get_data_shape()
    if not 2 <= header["dim"][0] <= 7 or min(shape) < 1:
        raise ValueError("The header's sizes are impossible.")
    num_volumes = math.prod(shape[3:])
    if num_volumes > 1:
        raise ImageError(path, f"the file holds {num_volumes} volumes; save the one to look at in a file of its own.")
    return shape[:3]


def _voxel_type(header: nib.Nifti1Header, path: Path) -> np.dtype:
    """Whole numbers, floats of 64 bits at most, or colours, which have names."""
    dtype = header.get_data_dtype()
    if dtype.names is None and (dtype.kind not in "iuf" or dtype.itemsize > 8):
        raise ImageError(path, "the voxels are complex or of a rare type; save the image as plain numbers.")
    return dtype


def _read_voxels(file: BinaryIO | igzip.IGzipFile, header: nib.Nifti1Header, shape: tuple[int, ...]) -> np.ndarray:
    """As the file has them, in the machine's byte order and C order, as torch takes arrays.

    A few slices at a time: the first axis is the fastest in the file, and a copy of a whole volume with its axes the
    other way round is several times slower than one of what fits into the processor's cache.
    """
    dtype = header.get_data_dtype()
    voxels = np.empty(shape, dtype.newbyteorder("="))
    slices = np.atleast_3d(voxels)
    file.seek(header.get_data_offset())
    for start in range(0, slices.shape[2], _SLICES_AT_ONCE):
        part = slices[:, :, start : start + _SLICES_AT_ONCE]
        # What is missing at the file's end is missed here: the sizes differ.
        content = np.frombuffer(file.read(part.size * dtype.itemsize), dtype)
        part[...] = content.reshape(part.shape, order="F")
    return voxels


def _scaled(voxels: np.ndarray, header: nib.Nifti1Header) -> np.ndarray:
    """As floats only where the header scales."""
    slope, intercept = header.get_slope_inter()
    if slope is None or (slope, intercept) == (1.0, 0.0):
        return voxels
    scaled = voxels.astype(np.result_type(voxels.dtype, np.float32), copy=False)
    scaled *= slope
    scaled += intercept
    return scaled


def _affine(header: nib.Nifti1Header) -> np.ndarray:
    """Voxels to millimetres, RAS, (4, 4)."""
    has_form = header["sform_code"] or header["qform_code"]
    affine = header.get_best_affine() if has_form else LPS_TO_RAS @ np.diag([*header["pixdim"][1:4], 1.0])
    affine[:3] *= _MILLIMETRES.get(int(header["xyzt_units"]) & 7, 1.0)
    return affine


def _in_two_dimensions(pixels: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A picture where its plane is that of x and y; otherwise a volume of one slice, which can lie as it does."""
    if np.abs(affine[2, :2]).max() > _FLAT:
        return np.expand_dims(pixels, 2), affine
    return pixels, affine[np.ix_([0, 1, 3], [0, 1, 3])]
