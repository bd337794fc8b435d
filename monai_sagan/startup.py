"""What a command sets for its own process before it begins."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["let_waiting_threads_rest", "quick_imports"]

# Turns of a loop, some microseconds.
_TURNS = "3000"


def let_waiting_threads_rest() -> None:
    """Lets torch's threads give way to other programs while they wait for each other; to be called before its import.

    Several threads share each layer of a network, and those that are done wait for the last one, by GNU OpenMP in a
    loop that takes milliseconds. Where another program wants the core too, the last one may not be running for as long
    as that, and the same work takes many times as long. So they sleep after some turns of the loop. What the
    environment says already stays, and other systems' OpenMP does not know of it.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _TURNS)


@contextmanager
def quick_imports() -> Iterator[None]:
    """Keeps Python's garbage collector away from what is imported in the block, until the process ends.

    MONAI imports thousands of modules, whose functions and classes are never garbage. Looking through them again and
    again takes as long as importing them, and once more as long when the process ends. Where MONAI was imported before,
    nothing is kept: then this process is not the command's own, and what there is may be garbage some day.
    """
    if "monai" in sys.modules:
        yield
        return
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
