"""What is said of an error: one sentence for the person who can mend it."""

from __future__ import annotations

import errno
import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from monai_sagan.errors import ImageError, UserError, explain, lack_of_memory


def chained(*errors: BaseException) -> BaseException:
    """Errors that wrap each other, the outermost first."""
    for outer, inner in itertools.pairwise(errors):
        outer.__cause__ = inner
    return errors[0]


def caught(action: Callable[[], object]) -> BaseException:
    with pytest.raises(BaseException) as error:  # noqa: PT011 - any will do
        action()
    return error.value


def test_an_image_error_begins_with_the_file() -> None:
    error = ImageError(Path("folder") / "a.png", "it is upside down.")
    assert str(error) == f"{Path('folder') / 'a.png'}: it is upside down."
    assert isinstance(error, UserError)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (UserError("Choose another."), "Choose another."),
        (ValueError("It is odd."), "It is odd."),
        (ValueError("  It is odd.\nIn all cases.  "), "It is odd."),
        (ValueError(), "ValueError"),
        (KeyError("image"), "'image'"),
        # What wraps it tells of the program's inside.
        (chained(RuntimeError("applying transform"), ValueError("It is odd.")), "It is odd."),
        (chained(RuntimeError("a"), RuntimeError("b"), ImageError("c.png", "no image.")), "c.png: no image."),
        # What is below it is how the program found out.
        (chained(RuntimeError("a"), UserError("Choose another."), KeyError("b")), "Choose another."),
        (OSError("no more files"), "no more files"),
    ],
)
def test_explain(error: BaseException, sentence: str) -> None:
    assert explain(error) == sentence


def test_an_error_of_the_operating_system_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "missing.txt"
    assert explain(caught(path.read_text)) == f"{path}: No such file or directory."
    wrapped = chained(RuntimeError("applying transform"), caught(path.read_text))
    assert explain(wrapped) == f"{path}: No such file or directory."


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "disk is full"), (errno.EACCES, "no permission"), (errno.EROFS, "disk is read-only")],
)
def test_what_to_do_about_it(number: int, said: str) -> None:
    sentence = explain(OSError(number, "as the system says it", "a.nii.gz"))
    assert sentence.startswith("a.nii.gz: ")
    assert said in sentence


def test_one_line_only() -> None:
    assert "\n" not in explain(chained(RuntimeError("a"), ValueError("\n\nfirst\nsecond")))


def test_on_windows_another_program_may_have_it_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Excel has a table of results."""
    monkeypatch.setattr(sys, "platform", "win32")
    sentence = explain(PermissionError(errno.EACCES, "Access is denied", "results.csv"))
    assert sentence == (
        "results.csv: another program has it open, or there is no permission to use it; close that program, change the "
        "permissions or choose another folder."
    )


@pytest.mark.parametrize("words", ["can't allocate memory", "not enough memory"])  # the latter on Windows
def test_too_little_memory_of_the_processor(words: str) -> None:
    error = RuntimeError(f"[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: {words}: you tried to allocate 1")
    assert (lack_of_memory(error) or "").startswith("there is not enough memory")
