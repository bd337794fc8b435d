"""A child process together with all that it starts: how they begin and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["end_tree", "kill_tree", "start_tree"]

# How long the end of processes that were killed is waited for. They end at once unless the disk or a driver holds them.
_PATIENCE_S = 1.0


def start_tree(command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Starts a child that can be ended together with its own children.

    Args:
        command: the program and its arguments.
        folder: where it works.
        variables: its environment, all of it.

    Returns:
        The child, its output and errors in pipes, its input empty.

    Raises:
        OSError: if it cannot be started.
    """
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    else:
        flags = 0
    return subprocess.Popen(  # noqa: S603 - what runs is what the user chose
        list(command),
        cwd=folder,
        env=dict(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        creationflags=flags,
        start_new_session=True,  # a process group of its own; Windows knows none and ignores it
    )


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kills a child and all that it started, without waiting for their end.

    It is not asked first: what it was writing is thrown away. Children of a child that has ended are found too, but
    not on Windows.
    """
    if sys.platform == "win32":
        if process.poll() is None:
            command = ["taskkill", "/F", "/T", "/PID", str(process.pid)]
            hidden = subprocess.CREATE_NO_WINDOW  # Slicer has no console, and each program would open one
            with suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(  # noqa: S603 - own child
                    command, capture_output=True, check=False, timeout=_PATIENCE_S, creationflags=hidden
                )
            process.kill()  # where that tool is not found or too slow; nothing happens to one that has ended
        return
    # macOS does not permit it where all of the group have ended but were not waited for.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def end_tree(process: subprocess.Popen[bytes]) -> None:
    """Kills a child and all that it started, and waits until they are gone, a second at most."""
    deadline = time.monotonic() + _PATIENCE_S
    kill_tree(process)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=_PATIENCE_S)
    while _is_group_left(process.pid) and time.monotonic() < deadline:
        time.sleep(0.01)


def _is_group_left(group: int) -> bool:
    if sys.platform == "win32":
        return False
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
