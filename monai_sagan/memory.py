"""How a process treats memory that it no longer needs."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory"]

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def keep_freed_memory() -> None:
    """Lets memory that is freed serve what is asked for next, until the process ends; does nothing without glibc.

    Otherwise glibc gives large blocks back to the kernel at once, and each layer's output, of the same size as the one
    before, is made of new pages that the kernel has to clear; that takes up to a quarter of a large network's time.
    For processes of our own, that compute and end: what they needed at most they keep.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, -1)
