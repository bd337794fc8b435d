"""Files and folders are written whole or not at all."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from monai_sagan.errors import UserError
from monai_sagan.files import read_tensors, save_tensors, write_table, write_whole, write_whole_folder


class Interrupted(BaseException):
    """As a user's Ctrl-C: no ordinary error."""


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


class TestFile:
    def test_appears_when_the_block_ends(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "folder" / "map.nii.gz"
        with write_whole(path) as partial:
            assert not partial.exists()
            partial.write_text("whole")
            assert not path.exists()
        assert path.read_text() == "whole"
        assert names_in(path.parent) == ["map.nii.gz"]

    def test_is_written_beside_under_a_hidden_name_with_the_same_endings(self, tmp_path: Path) -> None:
        """Beside, since a file cannot be renamed to another disk; endings say which format to write."""
        with write_whole(tmp_path / "map.nii.gz") as partial:
            partial.touch()
            assert partial.parent == tmp_path
            assert partial.name.startswith(".")
            assert partial.suffixes[-2:] == [".nii", ".gz"]

    def test_equal_tensors_make_equal_files(self, tmp_path: Path) -> None:
        """A digest is then one of what they hold."""
        for name in ("one.pt", "other.pt"):
            save_tensors({"a": torch.arange(5)}, tmp_path / name)
        assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "other.pt").read_bytes()

    def test_replaces(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_text("old")
        with write_whole(path) as partial:
            partial.write_text("new")
            assert path.read_text() == "old"
        assert path.read_text() == "new"

    @pytest.mark.parametrize("error", [ValueError("odd"), OSError(errno.ENOSPC, "full"), Interrupted()], ids=repr)
    @pytest.mark.parametrize("started", [False, True])
    def test_nothing_is_left_after_an_error(self, tmp_path: Path, error: BaseException, started: bool) -> None:
        def write() -> None:
            with write_whole(tmp_path / "a.txt") as partial:
                if started:
                    partial.write_text("half")
                raise error

        with pytest.raises(type(error)):
            write()
        assert names_in(tmp_path) == []

    def test_an_error_names_the_file_even_where_nothing_can_be_taken_away(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As on a disk that is read-only."""

        def refuse(path: Path, *_: object, **__: object) -> None:
            raise OSError(errno.EROFS, "read-only", str(path))

        monkeypatch.setattr(Path, "open", refuse)
        monkeypatch.setattr(Path, "unlink", refuse)
        with pytest.raises(OSError, match="read-only") as error, write_whole(tmp_path / "a.txt") as partial:
            partial.write_text("half")
        assert error.value.filename == str(tmp_path / "a.txt")

    def test_what_was_there_survives_an_error(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_text("old")

        def write() -> None:
            with write_whole(path) as partial:
                partial.write_text("half")
                raise ValueError

        with pytest.raises(ValueError):  # noqa: PT011 - raised above
            write()
        assert path.read_text() == "old"
        assert names_in(tmp_path) == ["a.txt"]

    def test_nothing_written_is_an_error(self, tmp_path: Path) -> None:
        def write() -> None:
            with write_whole(tmp_path / "a.txt"):
                pass

        with pytest.raises(FileNotFoundError):
            write()
        assert names_in(tmp_path) == []

    def test_an_error_of_the_operating_system_names_the_file(self, tmp_path: Path) -> None:
        """Not the hidden one, and not none at all, as where a disk is full."""

        def write() -> None:
            with write_whole(tmp_path / "a.txt"):
                raise OSError(errno.ENOSPC, "No space left on device")

        with pytest.raises(OSError, match="No space left") as error:
            write()
        assert error.value.filename == str(tmp_path / "a.txt")


class TestFolder:
    def test_appears_when_the_block_ends(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "data"
        with write_whole_folder(path) as partial:
            (partial / "images").mkdir()
            (partial / "images" / "a.txt").write_text("whole")
            assert partial.parent == path.parent
            assert not path.exists()
        assert names_in(path) == ["images", "images/a.txt"]
        assert names_in(path.parent) == ["data", "data/images", "data/images/a.txt"]

    def test_takes_the_place_of_an_empty_one(self, tmp_path: Path) -> None:
        path = tmp_path / "data"
        path.mkdir()
        with write_whole_folder(path) as partial:
            (partial / "a.txt").touch()
        assert names_in(tmp_path) == ["data", "data/a.txt"]

    @pytest.mark.parametrize("error", [ValueError("odd"), OSError(errno.ENOSPC, "full"), Interrupted()], ids=repr)
    @pytest.mark.parametrize("existed", [False, True])
    def test_nothing_is_left_after_an_error(self, tmp_path: Path, error: BaseException, existed: bool) -> None:
        path = tmp_path / "data"
        if existed:
            path.mkdir()

        def write() -> None:
            with write_whole_folder(path) as partial:
                (partial / "a.txt").touch()
                raise error

        with pytest.raises(type(error)):
            write()
        assert names_in(tmp_path) == (["data"] if existed else [])

    @pytest.mark.parametrize("kind", ["folder with a file", "folder with a hidden file", "file"])
    def test_refuses_what_is_not_empty(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "data"
        if kind == "file":
            path.write_text("mine")
        else:
            path.mkdir()
            (path / (".hidden" if "hidden" in kind else "a.txt")).write_text("mine")
        before = names_in(tmp_path)

        def write() -> None:
            with write_whole_folder(path):
                pytest.fail("the block must not run")

        with pytest.raises(FileExistsError, match="exists already and is not empty; choose another folder") as error:
            write()
        assert error.value.filename == str(path)
        assert names_in(tmp_path) == before

    def test_two_that_write_at_once_do_not_touch_each_other(self, tmp_path: Path) -> None:
        """Also where they have one process number, as in two containers."""
        with write_whole(tmp_path / "a.txt") as first:
            first.write_text("first")
            with write_whole(tmp_path / "a.txt") as second:
                second.write_text("second")
            assert first.read_text() == "first"
        assert (tmp_path / "a.txt").read_text() == "first"


class TestTensors:
    def test_there_and_back(self, tmp_path: Path) -> None:
        path = tmp_path / "models" / "model.pt"
        save_tensors({"weight": torch.arange(6.0), "steps": 7}, path)
        loaded = read_tensors(path)
        assert torch.equal(loaded["weight"], torch.arange(6.0))
        assert loaded["steps"] == 7
        assert names_in(path.parent) == ["model.pt"]

    def test_code_is_not_run(self, tmp_path: Path) -> None:
        path = tmp_path / "model.pt"
        marker = tmp_path / "was here"

        class Trap:
            def __reduce__(self) -> tuple:
                return Path.touch, (marker,)

        torch.save({"weight": Trap()}, path)
        with pytest.raises(UserError, match="damaged or holds more than tensors, and was not opened"):
            read_tensors(path)
        assert not marker.exists()
        torch.load(path, weights_only=False)
        assert marker.exists()

    @pytest.mark.parametrize("content", [b"", b"no tensors", b"PK\x03\x04 half an archive"])
    def test_damaged(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "model.pt"
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"model\.pt: this file is damaged"):
            read_tensors(path)

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"model\.pt: there is no such file"):
            read_tensors(tmp_path / "model.pt")


def test_a_table_of_names_that_are_no_valid_text(tmp_path: Path) -> None:
    write_table(tmp_path / "table.csv", ("name", "score"), [("a\udcff.png", 0.5), ("b.png", None)])
    assert (tmp_path / "table.csv").read_bytes() == b"name,score\r\na\\udcff.png,0.5\r\nb.png,\r\n"


class TestOnWindows:
    """There a file cannot be renamed while a virus scanner looks into it."""

    @pytest.fixture
    def refuse(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
        """Lets the next renamings fail."""
        monkeypatch.setattr(sys, "platform", "win32")
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        real = os.replace

        def refuse(times: int) -> None:
            left = [PermissionError(errno.EACCES, "Access is denied")] * times

            def replace(source: Path, target: Path) -> None:
                if left:
                    raise left.pop()
                real(source, target)

            monkeypatch.setattr(os, "replace", replace)

        return refuse

    def test_a_file_waits(self, tmp_path: Path, refuse: Callable[[int], None]) -> None:
        refuse(2)
        with write_whole(tmp_path / "a.txt") as partial:
            partial.write_text("whole")
        assert names_in(tmp_path) == ["a.txt"]

    def test_a_folder_waits(self, tmp_path: Path, refuse: Callable[[int], None]) -> None:
        refuse(2)
        with write_whole_folder(tmp_path / "new") as partial:
            (partial / "a.txt").touch()
        assert names_in(tmp_path) == ["new", "new/a.txt"]

    def test_not_for_ever(self, tmp_path: Path, refuse: Callable[[int], None]) -> None:
        refuse(99)
        with pytest.raises(PermissionError) as error, write_whole(tmp_path / "a.txt") as partial:
            partial.touch()
        assert error.value.filename == str(tmp_path / "a.txt")
        assert names_in(tmp_path) == []
