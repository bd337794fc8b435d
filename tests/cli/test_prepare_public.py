"""``monai-sagan prepare`` of public data sets; tests/prepare has what becomes of their images."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

HEALTHY = ["0001.png", "0002.png", "0003.png"]
ANOMALOUS = ["0004.png", "0005.png"]


@pytest.fixture
def lag(tmp_path: Path, a_picture: Callable[..., Path]) -> Path:
    """A few photographs in the folders of LAG."""
    for folder, names in (("non_glaucoma", HEALTHY), ("suspicious_glaucoma", ANOMALOUS)):
        for name in names:
            a_picture(f"lag/{folder}/image/{name}", mode="RGB", seed=int(name[:4]))
    return tmp_path / "lag"


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """A split that uses all of them."""
    layout = {
        "train": {"0": HEALTHY[:1], "unlabeled": {"0": HEALTHY[1:2], "1": ANOMALOUS[:1]}},
        "test": {"0": HEALTHY[2:], "1": ANOMALOUS[1:]},
    }
    path = tmp_path / "split.json"
    path.write_text(json.dumps(layout))
    return path


COUNTS = "1 healthy, 1 unlabeled/healthy, 1 unlabeled/anomalous, 1 test/healthy, 1 test/anomalous\n"


def test_a_split_file(lag: Path, split: Path, tmp_path: Path, run: Callable) -> None:
    target = tmp_path / "target"
    outcome = run("prepare", "lag", lag, target, "--split", split, "--progress", "none")
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{target}: {COUNTS}", "")
    assert json.loads((target / "data.json").read_text()) == json.loads(split.read_text())


def test_a_bar_shows_how_far_it_is(lag: Path, split: Path, tmp_path: Path, run: Callable) -> None:
    outcome = run("prepare", "lag", lag, tmp_path / "target", "--split", split)
    assert outcome.code == 0
    assert "Writing images" in outcome.err
    assert "5/5" in outcome.err


def test_programs_read_json(lag: Path, split: Path, tmp_path: Path, run: Callable) -> None:
    bad = lag / "non_glaucoma" / "image" / "0002.png"
    bad.write_bytes(b"x")
    outcome = run("prepare", "lag", lag, tmp_path / "target", "--split", split, "--progress", "json")
    assert outcome.code == 1
    assert [event["event"] for event in outcome.events] == ["start", *["progress"] * 5, "warning", "done"]
    assert str(bad) in outcome.events[-2]["message"]
    assert outcome.events[-1]["counts"]["unlabeled/healthy"] == 0


def test_images_that_are_missing(lag: Path, split: Path, tmp_path: Path, run: Callable) -> None:
    bad = lag / "non_glaucoma" / "image" / "0002.png"
    bad.write_bytes(b"x")
    (lag / "suspicious_glaucoma" / "image" / "0005.png").unlink()
    outcome = run("prepare", "lag", lag, tmp_path / "target", "--split", split, "--progress", "none")
    assert outcome.code == 1
    assert outcome.err.splitlines() == [
        f"Warning: Left out: {bad}: the file is damaged or not an image; copy it again or leave it out.",
        f"Warning: Left out: 0005: there is no such image in {lag}; download it again.",
        "Error: The data set was made without 2 of its images; get them and run the command again.",
    ]


def test_of_many_a_few_are_named(lag: Path, split: Path, tmp_path: Path, run: Callable) -> None:
    layout = json.loads(split.read_text())
    layout["test"]["1"] += [f"{number}.png" for number in range(1000, 1030)]
    split.write_text(json.dumps(layout))
    outcome = run("prepare", "lag", lag, tmp_path / "target", "--split", split, "--progress", "none")
    assert outcome.err.count("there is no such image") == 10
    assert outcome.err.splitlines()[-2:] == [
        "Warning: Left out: 20 more.",
        "Error: The data set was made without 30 of its images; get them and run the command again.",
    ]


def test_a_download_that_is_not_whole(lag: Path, tmp_path: Path, run: Callable) -> None:
    target = tmp_path / "target"
    outcome = run("prepare", "lag", lag, target, "--progress", "none")
    assert outcome.code == 1
    # In the published proportions, 1500 : 832 : 811 and 900 : 811.
    assert outcome.out == (
        f"{target}: 1 healthy, 1 unlabeled/healthy, 1 unlabeled/anomalous, 1 test/healthy, 1 test/anomalous\n"
    )
    assert outcome.err.splitlines() == [
        f"Warning: {lag}: 3 of the 3143 healthy images of the published split are there; its proportions were kept.",
        f"Warning: {lag}: 2 of the 1711 anomalous images of the published split are there; its proportions were kept.",
        "Error: The data set is smaller than the published one; get the rest of the download and run the command "
        "again.",
    ]


def test_med_ad(lag: Path, split: Path, tmp_path: Path, run: Callable, a_picture: Callable[..., Path]) -> None:
    for seed, name in enumerate(HEALTHY + ANOMALOUS):
        a_picture(f"med-ad/LAG/images/{name}", seed=seed)
    split.rename(tmp_path / "med-ad" / "LAG" / "data.json")
    target = tmp_path / "target"
    outcome = run("prepare", "med-ad", tmp_path / "med-ad", target, "--progress", "none")
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{target}: {COUNTS}", "")


@pytest.mark.parametrize("name", ["rsna", "vindr-cxr", "lag"])
def test_the_wrong_folder(name: str, tmp_path: Path, run: Callable) -> None:
    (tmp_path / "source").mkdir()
    outcome = run("prepare", name, tmp_path / "source", tmp_path / "target")
    assert outcome.sentence.startswith(f"{tmp_path / 'source'}: holds no ")
    assert "this folder should hold" in outcome.sentence
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_a_target_that_exists(lag: Path, tmp_path: Path, run: Callable, listing: Callable) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "mine").write_text("x")
    outcome = run("prepare", "lag", lag, target)
    assert outcome.sentence == f"{target}: exists already and is not empty; choose another folder or remove it."
    assert listing(target) == {"mine": b"x"}
