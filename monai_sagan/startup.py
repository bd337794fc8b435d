"""Importing what a command needs in half the time."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quick_imports"]


@contextmanager
def quick_imports() -> Iterator[None]:
    """Keeps Python's garbage collector away from what is imported in the block, until the process ends.

    MONAI imports thousands of modules, whose functions and classes are never garbage. Looking through them again and
    again takes as long as importing them, and once more as long when the process ends.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
