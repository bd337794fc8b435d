"""The temporary folder of a run: gone at every end, and after a hard one with the next run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from AnomalyMapLib.work_folder import WorkFolder

OWNER = """
import sys
sys.path.insert(0, sys.argv[1])
from AnomalyMapLib.work_folder import WorkFolder
work = WorkFolder()
(work.path / "input.nrrd").write_bytes(b"voxels of a patient")
print(work.path, flush=True)
sys.stdin.read()
"""


@contextmanager
def owner(module_folder: Path, temporary: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another program that works, and its folder."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, module_folder],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_after_a_hard_kill_the_next_run_removes_it(module_folder: Path, temporary: Path) -> None:
    with owner(module_folder, temporary) as (process, folder):
        process.kill()
        process.wait()
        assert (folder / "input.nrrd").is_file()
        work = WorkFolder()
    assert list(temporary.iterdir()) == [work.path]
    work.remove()
    assert list(temporary.iterdir()) == []


def test_of_a_program_that_works_it_stays(module_folder: Path, temporary: Path) -> None:
    with owner(module_folder, temporary) as (_, folder):
        here, too = WorkFolder(), WorkFolder()
        assert (folder / "input.nrrd").is_file()
        assert here.path.is_dir()
        assert too.path.is_dir()


def test_only_this_user_may_look_into_it(temporary: Path) -> None:
    assert WorkFolder().path.stat().st_mode & 0o077 == 0


def test_what_has_no_lock_stays(temporary: Path) -> None:
    folders = [temporary / name for name in ("anomaly-map-without", "anomaly-map-folder", "other")]
    for folder in folders:
        folder.mkdir()
    (temporary / "anomaly-map-folder" / "lock").mkdir()
    (temporary / "other" / "lock").touch()
    WorkFolder().remove()
    assert all(folder.is_dir() for folder in folders)


def test_links_are_not_followed(temporary: Path, tmp_path: Path) -> None:
    for name in ("elsewhere", "temporary/anomaly-map-linked-lock"):
        (tmp_path / name).mkdir()
    (tmp_path / "elsewhere" / "lock").touch()
    (temporary / "anomaly-map-link").symlink_to(tmp_path / "elsewhere")
    (temporary / "anomaly-map-linked-lock" / "lock").symlink_to(tmp_path / "elsewhere" / "lock")
    WorkFolder().remove()
    assert (tmp_path / "elsewhere" / "lock").is_file()
    assert (temporary / "anomaly-map-linked-lock" / "lock").is_symlink()


def test_somebody_elses_stays(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = temporary / "anomaly-map-of-another"
    folder.mkdir()
    (folder / "lock").touch()
    me = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: me + 1)
    WorkFolder().remove()
    assert folder.is_dir()


def test_where_nothing_can_be_locked_it_works_all_the_same(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def refuse(file: int, how: int) -> None:
        raise OSError("No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    first, second = WorkFolder(), WorkFolder()
    assert not (first.path / "lock").exists()
    assert first.path.is_dir()
    for work in (first, second):
        work.remove()
    assert list(temporary.iterdir()) == []


class TestOnWindows:
    """As far as it can be tried elsewhere: there, a file that is open cannot be removed."""

    @pytest.fixture(autouse=True)
    def windows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "platform", "win32")

    @pytest.fixture
    def kept(self, monkeypatch: pytest.MonkeyPatch) -> set[Path]:
        """Files that something has open."""
        kept: set[Path] = set()
        real = os.unlink

        def unlink(path: str | Path, **arguments: Any) -> None:
            if Path(path) in kept:
                raise PermissionError(13, "The process cannot access the file", str(path))
            real(path, **arguments)

        monkeypatch.setattr(os, "unlink", unlink)
        monkeypatch.setattr(shutil, "_use_fd_functions", False)
        return kept

    def test_of_a_program_that_works_it_stays(self, temporary: Path, kept: set[Path]) -> None:
        work = WorkFolder()
        kept.add(work.path / "lock")
        WorkFolder().remove()
        assert (work.path / "lock").is_file()

    def test_what_a_lost_child_has_open_goes_with_a_later_run(self, temporary: Path, kept: set[Path]) -> None:
        left = temporary / "anomaly-map-left"
        left.mkdir()
        (left / "lock").touch()
        (left / "input.nrrd").write_bytes(b"voxels of a patient")
        kept.add(left / "input.nrrd")
        WorkFolder().remove()
        assert (left / "input.nrrd").is_file()
        kept.clear()
        WorkFolder().remove()
        assert not left.exists()

    def test_what_its_own_child_still_has_open_goes_with_a_later_run(
        self, temporary: Path, kept: set[Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        work = WorkFolder()
        (work.path / "input.nrrd").write_bytes(b"voxels of a patient")
        kept.add(work.path / "input.nrrd")
        work.remove()
        kept.clear()
        WorkFolder().remove()
        assert list(temporary.iterdir()) == []
