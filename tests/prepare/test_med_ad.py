"""The Med-AD benchmark as its authors prepared it."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monai_sagan.data import load_test_set, load_training_set
from monai_sagan.errors import UserError
from monai_sagan.prepare import PrepareReport, prepare_med_ad

LAYOUT: dict[str, Any] = {
    "train": {"0": ["a.png", "b.png"], "unlabeled": {"0": ["c.png"], "1": ["d.png"]}},
    "test": {"0": ["e.png"], "1": ["f.png"]},
}
COUNTS = {"healthy": 2, "unlabeled/healthy": 1, "unlabeled/anomalous": 1, "test/healthy": 1, "test/anomalous": 1}


@pytest.fixture
def med_ad(tmp_path: Path, a_picture: Callable[..., Path]) -> Path:
    """Two data sets in a folder around them."""
    for number, name in enumerate(("LAG", "RSNA")):
        for letter in "abcdef":
            a_picture(f"source/Med-AD/{name}/images/{letter}.png", seed=ord(letter) + 100 * number)
        (tmp_path / "source" / "Med-AD" / name / "data.json").write_text(json.dumps(LAYOUT))
    return tmp_path / "source"


@pytest.fixture
def zipped(tmp_path: Path) -> Callable[[Path], Path]:
    """Packs a folder as a Macintosh does, with files of its own."""

    def pack(folder: Path) -> Path:
        path = tmp_path / "archive.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(folder.rglob("*")):
                archive.write(file, file.relative_to(folder))
            archive.writestr("__MACOSX/Med-AD/LAG/data.json", b"\0")
        return path

    return pack


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("is_zipped", [False, True])
def test_several_data_sets(is_zipped: bool, med_ad: Path, zipped: Callable[[Path], Path], tmp_path: Path) -> None:
    target = tmp_path / "target"
    report = prepare_med_ad(zipped(med_ad) if is_zipped else med_ad, target)
    assert report == PrepareReport(
        counts={f"{name}/{group}": count for name in ("LAG", "RSNA") for group, count in COUNTS.items()}
    )
    written, source = files_in(target), files_in(med_ad / "Med-AD")
    assert written.keys() == source.keys()
    for name, content in written.items():
        assert content == source[name] or json.loads(content) == json.loads(source[name])
    assert len(load_training_set(target / "LAG", anomaly_ratio=0.5)["unlabeled"]) == 2
    assert len(load_test_set(target / "RSNA")) == 2


@pytest.mark.parametrize("is_zipped", [False, True])
def test_one_of_them(is_zipped: bool, med_ad: Path, zipped: Callable[[Path], Path], tmp_path: Path) -> None:
    source = med_ad / "Med-AD" / "LAG"
    report = prepare_med_ad(zipped(source) if is_zipped else source, tmp_path / "target")
    assert report.counts == COUNTS
    assert files_in(tmp_path / "target").keys() == files_in(source).keys()


@pytest.mark.parametrize("is_zipped", [False, True])
def test_what_is_wrong_is_said(is_zipped: bool, med_ad: Path, zipped: Callable[[Path], Path], tmp_path: Path) -> None:
    source = med_ad / "Med-AD" / "LAG"
    images = source / "images"
    (images / "b.png").write_bytes(b"no image")
    (images / "c.png").rename(images / "not listed.png")
    shutil.copy(images / "d.png", images / "f.png")
    layout = json.loads((source / "data.json").read_text())
    layout["test"]["0"] *= 2
    (source / "data.json").write_text(json.dumps(layout))
    given = zipped(source) if is_zipped else source
    report = prepare_med_ad(given, tmp_path / "target")
    assert report.left_out == [
        f"{given}/images/b.png: the file is damaged or not an image; copy it again or leave it out.",
        f"{given}/images/c.png: there is no such file; download it again.",
    ]
    assert report.notes == [
        "data.json: lists images more than once: e.png.",
        "Not used, because data.json does not list them: images/not listed.png.",
        "The very same image under two names: images/f.png = images/d.png.",
    ]
    assert list(report.counts.values()) == [1, 0, 1, 2, 1]
    assert sorted(files_in(tmp_path / "target")) == ["data.json", *(f"images/{name}.png" for name in "adef")]


@pytest.mark.parametrize(
    "name",
    ["../evil.png", "/tmp/evil.png", "x/../../evil.png", "./a.png", "/../evil.png", "C:/evil.png", "C:evil.png"],  # noqa: S108
)
def test_no_name_leads_out_of_the_folder(
    name: str, med_ad: Path, zipped: Callable[[Path], Path], tmp_path: Path
) -> None:
    source = med_ad / "Med-AD" / "LAG"
    layout = json.loads((source / "data.json").read_text())
    layout["test"]["0"].append(name)
    (source / "data.json").write_text(json.dumps(layout))
    path = zipped(source)
    with zipfile.ZipFile(path, "a") as archive:
        for member in (name, f"images/{name}", f"../{name}"):
            archive.writestr(member, (source / "images" / "a.png").read_bytes())
        archive.writestr("../outside/data.json", json.dumps(LAYOUT))
    before = set(tmp_path.rglob("*"))
    prepare_med_ad(path, tmp_path / "target")
    made = set(tmp_path.rglob("*")) - before
    assert all(file.is_relative_to(tmp_path / "target") for file in made)
    assert sorted(files_in(tmp_path / "target")) == ["data.json", *(f"images/{letter}.png" for letter in "abcdef")]
    assert not Path("/tmp/evil.png").exists()  # noqa: S108


def test_a_damaged_member_is_left_out(med_ad: Path, zipped: Callable[[Path], Path], tmp_path: Path) -> None:
    path = zipped(med_ad / "Med-AD" / "LAG")
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("images/e.png")
    content = bytearray(path.read_bytes())
    middle = info.header_offset + 42 + info.compress_size // 2  # past the member's header and name
    content[middle : middle + 8] = bytes(8)
    path.write_bytes(content)
    report = prepare_med_ad(path, tmp_path / "target")
    assert report.left_out == [f"{path}/images/e.png: the file is damaged or has a password; download it again."]
    assert not (tmp_path / "target" / "images" / "e.png").exists()


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda path: None, "{}: there is no such folder or archive."),
        (lambda path: path.mkdir(), "{}: holds no data.json; it should hold folders such as RSNA"),
        (lambda path: path.write_bytes(b"PK no zip"), "{}: this is no zip archive, or a damaged one;"),
    ],
)
def test_something_else(write: Callable[[Path], object], sentence: str, tmp_path: Path) -> None:
    write(tmp_path / "source")
    with pytest.raises(UserError) as refused:
        prepare_med_ad(tmp_path / "source", tmp_path / "target")
    assert str(refused.value).startswith(sentence.format(tmp_path / "source"))
    assert not (tmp_path / "target").exists()


def test_a_data_set_without_images(med_ad: Path, tmp_path: Path) -> None:
    shutil.rmtree(med_ad / "Med-AD" / "LAG" / "images")
    with pytest.raises(UserError) as refused:
        prepare_med_ad(med_ad, tmp_path / "target")
    assert str(refused.value) == (
        f"{med_ad / 'Med-AD' / 'LAG'}: holds no healthy image that can be used; download it again."
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]
