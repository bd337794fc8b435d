"""How a command runs and ends: what it tells a person or a program, and with which exit code."""

from __future__ import annotations

import errno
import io
import itertools
import json
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable
from typing import NoReturn

from monai_sagan.console import show_error
from monai_sagan.errors import UserError, causes_of, explain, lack_of_memory
from monai_sagan.memory import keep_freed_memory
from monai_sagan.processes import is_of_lost_process, say_once
from monai_sagan.startup import let_waiting_threads_rest

__all__ = ["run_command"]

_UNHEARD = 141  # what a shell says of a program that SIGPIPE ended


def run_command(command: Callable[[], object]) -> None:
    """Runs a command on the arguments of this process.

    A user's mistake ends the process with one sentence and exit code 1, an interruption with 130. An error of this
    software keeps its traceback; with ``MONAI_SAGAN_DEBUG`` in the environment every error that ends the command does,
    and warnings and log messages are shown.

    Args:
        command: reads the arguments and does what they ask for.
    """
    is_debugged = bool(os.environ.get("MONAI_SAGAN_DEBUG"))
    signal.signal(signal.SIGTERM, _end)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup wants it ignored
        signal.signal(signal.SIGHUP, _end)
    if hasattr(signal, "SIGBREAK"):  # Ctrl-Break, on Windows
        signal.signal(signal.SIGBREAK, _end)
    _escape_what_cannot_be_printed()
    keep_freed_memory()
    let_waiting_threads_rest()
    if not is_debugged:
        warnings.filterwarnings("ignore")  # they speak to developers, as log messages do
        logging.disable(logging.WARNING)
    try:
        if "" in sys.argv:
            raise UserError("one of the arguments is empty; is it a variable that was not set?")
        command()
    except Exception as error:
        if _was_interrupted(error):
            sys.exit(130)
        if _is_unheard(error):
            sys.exit(_UNHEARD)
        message = _sentence(error)
        if message is None or is_debugged:
            raise
        say_once(message, lambda: _show(message))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _escape_what_cannot_be_printed() -> None:
    """Lets names of files be told wherever the output goes: pipes and files have an encoding of few letters on Windows,
    and names need not be valid text elsewhere. Standard error is so by itself."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _is_unheard(error: BaseException) -> bool:
    """Whether what reads this process's output went away, as ``head`` does; nobody is left to tell of it."""
    if not any(_is_of_closed_pipe(cause) for cause in causes_of(error)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains when it flushes
    return True


def _is_of_closed_pipe(error: BaseException) -> bool:
    """Windows has no word of its own for it: to its C library an argument is invalid, and no file is named.

    So it is of most errors of Windows itself, as of a library that cannot be loaded; but these have its number.
    """
    if isinstance(error, OSError) and sys.platform == "win32":
        is_of_c_library = error.filename is None and getattr(error, "winerror", None) is None
        return is_of_c_library and error.errno in (errno.EPIPE, errno.EINVAL)
    return isinstance(error, BrokenPipeError)


def _end(number: int, frame: object) -> NoReturn:
    """Ends a run that is told to: what was being written is taken away, and a terminal gets its cursor back."""
    sys.exit(128 + number)


def _was_interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error, as it can be behind that of an import."""
    seen: set[int] = set()  # errors can stand behind each other in a ring
    while error is not None and not isinstance(error, KeyboardInterrupt) and id(error) not in seen:
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return isinstance(error, KeyboardInterrupt)


def _sentence(error: BaseException) -> str | None:
    """What to tell a user, or None for an error of this software, which needs its traceback."""
    causes = causes_of(error)
    if is_of_lost_process(causes[-1]):
        return "another process ended, and this one with it; see its message, and start again (train with --resume)."
    if any(isinstance(cause, (UserError, OSError)) for cause in causes):
        return explain(error)
    return lack_of_memory(causes[-1])


def _show(message: str) -> None:
    if _wants_json(sys.argv):
        print(json.dumps({"event": "error", "message": message}), flush=True)
    show_error(message)


def _wants_json(arguments: list[str]) -> bool:
    return "--progress=json" in arguments or ("--progress", "json") in itertools.pairwise(arguments)
