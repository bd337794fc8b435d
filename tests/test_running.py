"""How a command ends that is told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = """
import os, signal, sys
from pathlib import Path
from monai_sagan.files import write_whole
from monai_sagan.running import run_command

def write():
    with write_whole(Path(sys.argv[1])) as partial:
        partial.write_text("half of it")
        os.kill(os.getpid(), int(sys.argv[2]))

# Whatever started the tests.
signal.signal(signal.SIGHUP, signal.SIG_IGN if sys.argv[3:] else signal.SIG_DFL)
run_command(write)
"""

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there are no such signals")


def run(*arguments: object) -> int:
    return subprocess.run([sys.executable, "-c", COMMAND, *map(str, arguments)], check=False).returncode


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_nothing_half_written_is_left(tmp_path: Path, number: signal.Signals, code: int) -> None:
    assert run(tmp_path / "result.json", number.value) == code
    assert list(tmp_path.iterdir()) == []


def test_ctrl_break_on_windows(tmp_path: Path) -> None:
    """As far as it can be tried elsewhere: by another signal, under its name."""
    command = COMMAND.replace("# Whatever started the tests.", "signal.SIGBREAK = signal.SIGUSR1")
    number = int(signal.SIGUSR1)
    done = subprocess.run([sys.executable, "-c", command, tmp_path / "result.json", str(number)], check=False)
    assert done.returncode == 128 + number
    assert list(tmp_path.iterdir()) == []


def test_without_a_terminal_it_goes_on(tmp_path: Path) -> None:
    """As nohup has it."""
    assert run(tmp_path / "result.json", signal.SIGHUP.value, "ignored") == 0
    assert (tmp_path / "result.json").read_text() == "half of it"


RING = """
from monai_sagan.errors import UserError
from monai_sagan.running import run_command

def fail():
    full, noted = UserError("the disk is full."), RuntimeError("while closing")
    full.__context__, noted.__context__ = noted, full
    raise full

run_command(fail)
"""


def test_errors_that_stand_behind_each_other_end_a_command() -> None:
    """As those of a thread that compresses onto a full disk, which writing and closing both raise."""
    done = subprocess.run([sys.executable, "-c", RING], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, "Error: the disk is full.\n")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("torch.empty(2**52)", "there is not enough memory: "),
        ("numpy.empty(2**52)", "there is not enough memory: "),
        ("bytearray(2**60)", "there is not enough memory: "),
        ("torch.nn.Linear(2**26, 2**26)", "there is not enough memory: "),
        (
            "exec('raise torch.OutOfMemoryError(\"CUDA out of memory. Tried to allocate 2 GiB\")')",
            "CUDA out of memory: ",
        ),
        ("torch.zeros(2) @ torch.zeros(3)", None),  # an error of this software keeps its traceback
    ],
)
def test_what_takes_too_much_memory_ends_in_a_sentence(error: str, sentence: str | None) -> None:
    code = f"import numpy, torch; from monai_sagan.running import run_command; run_command(lambda: {error})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    if sentence is None:
        assert done.stderr.startswith("Traceback")
    else:
        assert done.stderr.startswith(f"Error: {sentence}")
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("platform", "error", "code"),
    [
        ("linux", "BrokenPipeError(32, 'Broken pipe')", 141),
        ("win32", "OSError(22, 'Invalid argument')", 141),  # what Windows says of a pipe that nobody reads
        ("win32", "OSError(22, 'Invalid argument', 'a?b.nii')", 1),
        ("win32", "WindowsError(22, 'The paging file is too small. Error loading c10.dll')", 1),
        ("linux", "OSError(22, 'Invalid argument')", 1),
    ],
)
def test_whoever_reads_may_go_away(platform: str, error: str, code: int) -> None:
    fail = f"""
import sys
from monai_sagan.running import run_command

class WindowsError(OSError):
    winerror = 1455

def fail():
    sys.platform = {platform!r}
    raise {error}

run_command(fail)
"""
    done = subprocess.run([sys.executable, "-c", fail], capture_output=True, timeout=60, check=False)
    assert done.returncode == code
    assert (done.stderr == b"") is (code == 141)


def test_a_name_that_a_pipe_has_no_letters_for() -> None:
    """As on Windows, where a training would end in an error when all is done."""
    code = "import typer; from monai_sagan.running import run_command; run_command(lambda: typer.echo('Größe 脳'))"
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode("cp1252").strip() == "Größe \\u8133"
