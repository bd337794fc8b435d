"""Reading NIfTI-1, voxel by voxel as the file has it.

ITK, which reads the other formats, would do so too, but silently makes zero what is NaN or missing at the file's end,
and takes the spacing from another part of the header than the directions: its geometry may be another than the one
that the header's sform states, which comes first in the standard and in nibabel.

Source: the NIfTI-1 standard, nifti1.h (https://nifti.nimh.nih.gov/nifti-1).
"""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from monai_sagan.data.geometry import LPS_TO_RAS
from monai_sagan.errors import ImageError

__all__ = ["read_nifti"]

# Name, type and offset in bytes of what is used of the header.
_FIELDS = [
    ("sizeof_hdr", "i4", 0),
    ("dim", "8i2", 40),
    ("datatype", "i2", 70),
    ("pixdim", "8f4", 76),
    ("vox_offset", "f4", 108),
    ("scl_slope", "f4", 112),
    ("scl_inter", "f4", 116),
    ("xyzt_units", "u1", 123),
    ("qform_code", "i2", 252),
    ("sform_code", "i2", 254),
    ("quatern", "3f4", 256),
    ("qoffset", "3f4", 268),
    ("srow", "(3,4)f4", 280),
    ("magic", "S4", 344),
]
_HEADER = np.dtype(
    {
        "names": [name for name, _, _ in _FIELDS],
        "formats": [kind for _, kind, _ in _FIELDS],
        "offsets": [offset for _, _, offset in _FIELDS],
        "itemsize": 348,
    }
)
_NIFTI_2 = 540  # size of its header
_TYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
_COLOURS = {128: 3, 2304: 4}  # bytes of red, green, blue and opacity
_MILLIMETRES = {1: 1000.0, 3: 0.001}  # metres and micrometres; everything else is taken for millimetres
_FLAT = 1e-6  # millimetres a voxel
_CHUNK = 2**24  # bytes; gzip holds so much twice


def read_nifti(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads a file, compressed or not.

    Args:
        path: the file.

    Returns:
        The voxels, x first, scaled as the header says, colours on an axis of their own at the end; and the affine from
        voxels to millimetres, RAS: the sform, or the qform where there is none, or ITK's default where there is
        neither. (3, 3) for two dimensions.

    Raises:
        ImageError: if it is of a kind that cannot be used: NIfTI-2, several volumes, complex numbers.
        Exception: of many kinds, if it is damaged.
    """
    with path.open("rb") as raw:
        is_compressed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        file = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if is_compressed else raw
        header = _read_header(file, path)
        shape = _shape(header, path)
        dtype, num_colours = _voxel_type(header, path)
        file.seek(int(header["vox_offset"]))
        voxels = _read_array(file, (*num_colours, *shape), dtype)
        while is_compressed and file.read(_CHUNK):
            pass  # the checksum comes last
    affine = _affine(header)
    voxels = np.moveaxis(voxels, 0, -1) if num_colours else _scaled(voxels, header)
    return _in_two_dimensions(voxels, affine) if len(shape) == 2 else (voxels, affine)


def _read_header(file: BinaryIO, path: Path) -> np.void:
    content = file.read(_HEADER.itemsize)
    if int.from_bytes(content[:4], "little") == _NIFTI_2 or int.from_bytes(content[:4], "big") == _NIFTI_2:
        raise ImageError(path, "the file is NIfTI-2, which cannot be read; convert it to NIfTI-1.")
    for dtype in (_HEADER, _HEADER.newbyteorder()):
        header = np.frombuffer(content, dtype)[0]
        if header["sizeof_hdr"] == _HEADER.itemsize and header["magic"] == b"n+1":
            return header
    raise ValueError("This is no NIfTI-1 file.")


def _shape(header: np.void, path: Path) -> tuple[int, ...]:
    num_axes = int(header["dim"][0])
    sides = [int(side) for side in header["dim"][1 : num_axes + 1]]
    if not 2 <= num_axes <= 7 or min(sides) < 1:
        raise ValueError("The header's sizes are impossible.")
    if math.prod(sides[3:]) > 1:
        raise ImageError(
            path, f"the file holds {math.prod(sides[3:])} volumes; save the one to look at in a file of its own."
        )
    return tuple(sides[:3])


def _voxel_type(header: np.void, path: Path) -> tuple[np.dtype, tuple[int, ...]]:
    """The type of the numbers, and how many of them are a colour: nothing where they are none."""
    code = int(header["datatype"])
    if code in _COLOURS:
        return np.dtype("u1"), (_COLOURS[code],)
    if code not in _TYPES:
        raise ImageError(path, "the voxels are complex or of a rare type; save the image as plain numbers.")
    # Numbers are in the byte order of the header's.
    return np.dtype(_TYPES[code]).newbyteorder(header["dim"].dtype.byteorder), ()


def _read_array(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """The next numbers of a file, the first axis fastest, in the machine's byte order."""
    array = np.empty(math.prod(shape), dtype)
    left = array.view(np.uint8).data
    while left:
        count = file.readinto(left[:_CHUNK])  # type: ignore[attr-defined]
        if not count:
            raise EOFError(f"{len(left)} bytes are missing.")
        left = left[count:]
    if not dtype.isnative:
        array = array.byteswap(inplace=True).view(dtype.newbyteorder())
    return array.reshape(shape, order="F")


def _scaled(voxels: np.ndarray, header: np.void) -> np.ndarray:
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if not slope or not math.isfinite(slope) or (slope, intercept) == (1.0, 0.0):
        return voxels
    scaled = voxels.astype(np.result_type(voxels.dtype, np.float32))
    scaled *= slope
    scaled += intercept
    return scaled


def _affine(header: np.void) -> np.ndarray:
    """Voxels to millimetres, RAS, (4, 4)."""
    affine = np.eye(4)
    spacing = np.abs(header["pixdim"][1:4].astype(np.float64))
    if header["sform_code"] > 0:
        affine[:3] = header["srow"]
    elif header["qform_code"] > 0:
        handedness = -1.0 if header["pixdim"][0] < 0 else 1.0
        affine[:3, :3] = _rotation(header["quatern"].astype(np.float64)) * spacing * [1, 1, handedness]
        affine[:3, 3] = header["qoffset"]
    else:
        affine = LPS_TO_RAS @ np.diag([*spacing, 1.0])
    affine[:3] *= _MILLIMETRES.get(int(header["xyzt_units"]) & 7, 1.0)
    return affine


def _rotation(vector: np.ndarray) -> np.ndarray:
    """The matrix of a unit quaternion whose real part is not negative and left out."""
    b, c, d = vector
    a = math.sqrt(max(0.0, 1.0 - vector @ vector))
    matrix = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    return matrix / (a * a + vector @ vector)


def _in_two_dimensions(pixels: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A picture where its plane is that of x and y; otherwise a volume of one slice, which can lie as it does."""
    if np.abs(affine[2, :2]).max() > _FLAT:
        return np.expand_dims(pixels, 2), affine
    return pixels, affine[np.ix_([0, 1, 3], [0, 1, 3])]
