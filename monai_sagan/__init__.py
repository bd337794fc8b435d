"""monai-sagan: finds what does not look healthy in a medical image, and shows where."""

__version__ = "0.1.0"
