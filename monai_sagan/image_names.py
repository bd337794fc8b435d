"""What the names of files tell of the images in them.

Without the libraries that read them: the viewer, which asks too, does without PyTorch.
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "IMAGE_SUFFIXES",
    "has_dicom_name",
    "is_header",
    "is_image",
    "is_nifti",
    "is_picture",
    "is_unread_image",
    "stem",
]

_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
_NIFTI = (".nii.gz", ".nii")
_DICOM = (".dcm", ".dicom", ".ima")
_HEADERS = (".mhd", ".nhdr")
# Who has such a file will miss it. ITK would read some; but Analyze (.img, .hdr) does not say which side is left, and
# the geometry that ITK takes from a NIfTI pair under the same names may be another than nibabel's.
_UNREAD = (".gif", ".webp", ".jp2", ".heic", ".npy", ".hdr", ".img", ".mgh", ".mgz", ".mnc")
IMAGE_SUFFIXES = (*_PICTURES, *_NIFTI, ".nrrd", ".mha", *_HEADERS, *_DICOM)


def is_picture(path: Path) -> bool:
    """Whether the name ends as that of a picture does: no volume, no DICOM."""
    return path.name.lower().endswith(_PICTURES)


def is_nifti(path: Path) -> bool:
    """Whether the name ends as NIfTI's does."""
    return path.name.lower().endswith(_NIFTI)


def is_header(path: Path) -> bool:
    """Whether the name ends as that of a header does whose voxels are in a file of their own."""
    return path.name.lower().endswith(_HEADERS)


def has_dicom_name(path: Path) -> bool:
    """Whether the name ends as DICOM's does, where it has an ending."""
    return path.name.lower().endswith(_DICOM)


def is_image(path: Path) -> bool:
    """Whether the name ends as an image's does that can be read here, in capitals or not."""
    return path.name.lower().endswith(IMAGE_SUFFIXES)


def is_unread_image(path: Path) -> bool:
    """Whether the name ends as that of an image in a format that is not read here."""
    return path.name.lower().endswith(_UNREAD)


def stem(path: Path) -> str:
    """The file's name without the ending of its image format (``brain.nii.gz`` to ``brain``)."""
    for suffix in IMAGE_SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem
