"""Why a child process did not do its work, in words for the person who can put it right."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from .i18n import tr as _

__all__ = ["explain_end", "explain_start"]

_GPU_MEMORY = re.compile(r"CUDA out of memory|CUDA error: out of memory|cudaErrorMemoryAllocation|CUBLAS_STATUS_ALLOC")
_MEMORY = re.compile(
    r"\bMemoryError\b|bad_alloc|DefaultCPUAllocator|[Cc]annot allocate memory|[Cc]an't allocate memory|"
    # The second to last is Windows's number for libraries that do not fit, in every language; the last is oneDNN's.
    r"not enough memory|Unable to allocate|WinError 1455\b|could not create a primitive$",
    re.MULTILINE,
)
_DISK_FULL = re.compile(r"No space left on device|\[Errno 28\]|not enough space on the disk|Disk quota exceeded")
# As an exception says it, and as Python does of the very module that it was to run.
_NO_MODULE = re.compile(r"(?:ModuleNotFoundError: No module named '|: No module named (?=monai_sagan))([\w.]+)")
# An exception's line in a traceback. Of exceptions that caused each other, the first one is the cause.
_EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(Error|Exception)\b.*", re.MULTILINE)


def explain_start(error: OSError, python: Path) -> str:
    """Why a Python could not be started.

    Args:
        error: as caught.
        python: the program.

    Returns:
        A sentence.
    """
    if isinstance(error, FileNotFoundError) and not python.exists():
        sentence = _("{python}: there is no such Python; choose an environment that is there.")
    elif isinstance(error, PermissionError):
        sentence = _("{python}: this may not be run as a program; choose another environment, or make it executable.")
    else:
        sentence = _("{python}: this could not be started ({reason}); choose another environment.")
    return sentence.format(python=python, reason=error.strerror)


def explain_end(code: int, log: str, errors: list[str], last_unknown: str, python: Path) -> str:
    """Why a child ended without a result.

    Args:
        code: its exit code, negative for a signal.
        log: what it printed for people.
        errors: the messages of its events ``error``.
        last_unknown: the last line on its standard output that is no event; empty if there was none.
        python: the program.

    Returns:
        A sentence.
    """
    told = errors[-1] if errors else log
    if _GPU_MEMORY.search(told):
        return _("The GPU's memory was not enough; choose the device CPU, or close other programs that use the GPU.")
    if _MEMORY.search(told):
        return _("The computer's memory was not enough; close other programs, or take a smaller volume.")
    if errors:
        return _sentence(errors[-1])
    if _DISK_FULL.search(told):
        return _("The disk with the folder for temporary files is full; free some space.")
    if module := _missing_module(told):
        return _(
            "{python}: {module} is not installed in this Python; install it there, or choose another environment."
        ).format(python=python, module=module)
    return _explain_code(code, log, last_unknown)


def _missing_module(log: str) -> str:
    """The module that a program could not import, by what it printed; empty if that was not so."""
    missing = _NO_MODULE.search(log)
    return missing[1].partition(".")[0].replace("monai_sagan", "monai-sagan") if missing else ""


def _explain_code(code: int, log: str, last_unknown: str) -> str:
    name = _signal_name(code)
    if name == "SIGKILL":
        return _(
            "The program was killed from outside, most likely because the memory was not enough; close other programs, "
            "or take a smaller volume."
        )
    if reason := _crash(code, name):
        return _(
            "The program crashed: {reason}; try again, on another device if there is one (the log has the rest)."
        ).format(reason=reason)
    if name:
        return _("The program was ended from outside (signal {name}); try again.").format(name=name)
    if code != 0 and (reason := _reason(log)):
        return _("The program stopped with exit code {code}: {reason} (the log has the rest).").format(
            code=code, reason=_shorten(reason)
        )
    if code != 0:
        return _("The program stopped with exit code {code} (the log has the rest).").format(code=code)
    if last_unknown:
        return _(
            "The program ended without a result, and printed what is no event: {line} (the log has the rest)."
        ).format(line=_shorten(last_unknown))
    return _("The program ended without a result and did not say why (the log has the rest).")


def _crash(code: int, name: str) -> str:
    """What a crash means, by the signal's name or by what Windows gives as exit code; empty if it was none."""
    foreign_memory = _("it used memory that is not its own")
    unknown_instruction = _("this processor does not know one of its instructions")
    ended_itself = _("it ended itself after an error")
    by_signal = {
        "SIGSEGV": foreign_memory,
        "SIGBUS": _("it used memory that is not there"),
        "SIGILL": unknown_instruction,
        "SIGABRT": ended_itself,
        "SIGFPE": _("it divided by zero"),
    }
    by_code = {
        0xC0000005: foreign_memory,
        0xC0000017: _("there was not enough memory"),
        0xC000001D: unknown_instruction,
        0xC00000FD: _("its stack overflowed"),
        0xC0000135: _("a library (DLL) that it needs is missing"),
        0xC0000409: ended_itself,
    }
    return by_signal.get(name) or by_code.get(code, "")


def _signal_name(code: int) -> str:
    """The signal that ended a program; launchers and shells tell it as 128 and its number. Empty if there was none."""
    number = -code if code < 0 else code - 128
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""


def _reason(log: str) -> str:
    """The line of a log that most likely says why: that of the first exception, or else the last one."""
    exception = _EXCEPTION.search(log)
    if exception:
        return exception[0].strip()
    return next((line.strip() for line in reversed(log.splitlines()) if line.strip()), "")


def _sentence(message: str) -> str:
    message = message.strip() or _("The program failed and did not say why.")
    return message if message.endswith((".", "!", "?")) else message + "."


def _shorten(line: str) -> str:
    return line if len(line) <= 200 else line[:200] + " [...]"
