"""What a child process prints: events on standard output, a log on standard error.

Whatever comes is borne: lines without end, binary, and more than anybody reads.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections import deque
from collections.abc import Iterator
from subprocess import Popen
from typing import IO, Any

__all__ = ["ChildOutput", "Event"]

Event = dict[str, Any]

# The longest event, the result of a volume of a thousand slices, has some 30 kB.
_MAX_LINE_BYTES = 1 << 20
_MAX_LOG_LINES = 2000
_MAX_LOG_LINE_CHARACTERS = 2000
# A child that prints more than is taken has to wait.
_MAX_EVENTS = 100


class ChildOutput:
    """Reads what a child prints, in the background.

    Attributes:
        last_unknown: the last line on standard output that was no event; empty as long as there was none.
    """

    def __init__(self) -> None:
        self.last_unknown = ""
        self._log: deque[str] = deque(maxlen=_MAX_LOG_LINES)
        self._log_lock = threading.Lock()
        self._events: queue.Queue[tuple[float, Event]] = queue.Queue(maxsize=_MAX_EVENTS)
        self._is_stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def read(self, process: Popen[bytes]) -> None:
        """Begins to read.

        Args:
            process: the child, with its output and errors in pipes.
        """
        readers = ((self._read_events, process.stdout), (self._read_log, process.stderr))
        self._threads = [threading.Thread(target=read, args=(stream,), daemon=True) for read, stream in readers]
        for thread in self._threads:
            thread.start()

    @property
    def log(self) -> str:
        """The last lines that were printed and are no events."""
        with self._log_lock:
            return "\n".join(self._log)

    @property
    def is_read(self) -> bool:
        """Whether all has been read and taken."""
        return not any(thread.is_alive() for thread in self._threads) and self._events.empty()

    def add_to_log(self, line: str) -> None:
        """Adds a line to the log, shortened where it is very long."""
        printable = "".join(
            char if char.isprintable() or char == "\t" else "\N{REPLACEMENT CHARACTER}" for char in line
        )
        if len(printable) > _MAX_LOG_LINE_CHARACTERS:
            printable = printable[:_MAX_LOG_LINE_CHARACTERS] + " [...]"
        with self._log_lock:
            self._log.append(printable)

    def take(self) -> list[tuple[float, Event]]:
        """The events since the last call, a hundred at most, and when each came (by :func:`time.monotonic`)."""
        events = []
        for _ in range(_MAX_EVENTS):
            try:
                events.append(self._events.get_nowait())
            except queue.Empty:
                break
        return events

    def stop(self) -> None:
        """Nobody takes events any more; the rest is read only so that the child can end."""
        self._is_stopped.set()

    def _read_events(self, stream: IO[bytes]) -> None:
        for line in _lines(stream):
            event = _event(line)
            if event is not None:
                self._put(event)
            elif line.strip():
                self.last_unknown = line.strip()
                self.add_to_log(line)

    def _read_log(self, stream: IO[bytes]) -> None:
        for line in _lines(stream):
            self.add_to_log(line)

    def _put(self, event: Event) -> None:
        while not self._is_stopped.is_set():
            try:
                self._events.put((time.monotonic(), event), timeout=0.1)
            except queue.Full:
                continue
            return


def _lines(stream: IO[bytes]) -> Iterator[str]:
    """The lines of a stream until its end, without what is too much of each."""
    with stream:
        while line := stream.readline(_MAX_LINE_BYTES):
            rest = line
            while len(rest) == _MAX_LINE_BYTES and not rest.endswith(b"\n"):
                rest = stream.readline(_MAX_LINE_BYTES)
            if rest is not line:
                line = line[:_MAX_LOG_LINE_CHARACTERS] + b" [...]"
            yield line.decode("utf-8", errors="replace").rstrip("\r\n")


def _event(line: str) -> Event | None:
    """The event of a line, or None if it is none: an event is an object that says which one it is."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_event = isinstance(value, dict) and isinstance(value.get("event"), str)
    return value if is_event else None
