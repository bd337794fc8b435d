"""How a process treats memory that it no longer needs, and what it says where there is not enough."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory", "lack_of_memory"]

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4

# What torch and oneDNN say where a processor's memory does not suffice, by errors that can mean anything else too.
_OF_PROCESSORS = ("DefaultCPUAllocator: can't allocate memory", "could not create a primitive")


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


def lack_of_memory(error: BaseException) -> str | None:
    """What to do, in a sentence, if an error says that memory does not suffice; else None.

    Args:
        error: as a library raised it.
    """
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which need not be imported for it
        return (
            "CUDA out of memory: train with a smaller batch_size or network, predict with a smaller "
            "inference_batch_size (in configs/inference.json), or close what else uses the GPU."
        )
    if isinstance(error, MemoryError) or any(sign in str(error) for sign in _OF_PROCESSORS):
        return (
            "there is not enough memory: train with a smaller batch_size or network, take smaller images, or close "
            "other programs."
        )
    return None
