"""The RSNA challenge, as it is downloaded."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from monai_sagan.data import load_test_set, load_training_set
from monai_sagan.errors import UserError
from monai_sagan.prepare import PrepareReport, SplitCounts, prepare_rsna

NORMAL = [f"n-{number}.png" for number in range(6)]
OPACITY = [f"o-{number}.png" for number in range(3)]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


@pytest.fixture
def prepare(rsna: Path, target: Path, counts: SplitCounts) -> Callable[..., PrepareReport]:
    def prepare(**options: object) -> PrepareReport:
        return prepare_rsna(rsna, target, counts=counts, **options)

    return prepare


def names_in(target: Path) -> dict[str, list[str]]:
    layout = json.loads((target / "data.json").read_text())
    return {
        "0": layout["train"]["0"] + layout["train"]["unlabeled"]["0"] + layout["test"]["0"],
        "1": layout["train"]["unlabeled"]["1"] + layout["test"]["1"],
    }


def test_a_whole_download(prepare: Callable[..., PrepareReport], target: Path) -> None:
    report = prepare()
    assert report == PrepareReport(
        counts={
            "healthy": 3,
            "unlabeled/healthy": 2,
            "unlabeled/anomalous": 2,
            "test/healthy": 1,
            "test/anomalous": 1,
        }
    )
    assert {label: sorted(names) for label, names in names_in(target).items()} == {"0": NORMAL, "1": OPACITY}
    assert sorted(path.name for path in (target / "images").iterdir()) == NORMAL + OPACITY


def test_it_can_be_used(prepare: Callable[..., PrepareReport], target: Path) -> None:
    prepare()
    training = load_training_set(target, anomaly_ratio=0.6)
    assert (len(training["healthy"]), len(training["unlabeled"])) == (3, 3)
    assert [case["label"] for case in load_test_set(target)] == [0, 1]
    with Image.open(training["healthy"][0]["image"]) as image:
        assert (image.mode, image.size) == ("L", (16, 24))


def test_a_relative_path_in_a_new_process(rsna: Path, tmp_path: Path) -> None:
    # ITK leaves the working folder for a moment when it reads its first file; threads must not notice.
    code = (
        "from pathlib import Path; from monai_sagan.prepare import prepare_rsna;"
        "print(prepare_rsna(Path('rsna'), Path('target')).left_out)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
    assert len(list((tmp_path / "target" / "images").iterdir())) == 9


def test_the_seed_decides(rsna: Path, tmp_path: Path, counts: SplitCounts) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        prepare_rsna(rsna, tmp_path / name, seed=seed, counts=counts)
    a, b, c = ((tmp_path / name / "data.json").read_text() for name in "abc")
    assert a == b
    assert a != c


def test_a_size(prepare: Callable[..., PrepareReport], target: Path) -> None:
    prepare(size=12)
    with Image.open(target / "images" / "n-0.png") as image:
        assert image.size == (8, 12)


def test_a_split_of_ones_own(prepare: Callable[..., PrepareReport], target: Path, tmp_path: Path) -> None:
    split = {
        "train": {"0": ["n-5.png", "n-1.png"], "unlabeled": {"0": ["n-2.png"], "1": ["o-2.png"]}},
        "test": {"0": ["n-3.png"], "1": ["o-0.png"]},
    }
    (tmp_path / "split.json").write_text(json.dumps(split))
    report = prepare(split=tmp_path / "split.json")
    assert json.loads((target / "data.json").read_text()) == split
    assert (report.left_out, report.is_incomplete) == ([], False)
    assert report.notes == ["Not used, because they are in no group of the split: n-0, n-4, o-1."]
    assert len(list((target / "images").iterdir())) == 6


def test_a_split_of_other_images(
    prepare: Callable[..., PrepareReport], rsna: Path, target: Path, tmp_path: Path
) -> None:
    split = {
        "train": {"0": ["n-0.png", "o-0.png", "x-0.png", "z.png"], "unlabeled": ["o-1.png", "n-1.png"]},
        "test": {"0": [], "1": []},
    }
    (tmp_path / "split.json").write_text(json.dumps(split))
    report = prepare(split=tmp_path / "split.json")
    assert report.left_out == [
        "o-0: the split and the download disagree on whether this image is healthy.",
        "x-0: the download says neither that this image is healthy nor that it is not.",
        f"z: there is no such image in {rsna}; download it again.",
    ]
    assert json.loads((target / "data.json").read_text())["train"] == {
        "0": ["n-0.png"],
        "unlabeled": ["o-1.png", "n-1.png"],
    }


def test_bad_files_are_left_out_and_named(prepare: Callable[..., PrepareReport], rsna: Path, target: Path) -> None:
    images = rsna / "stage_2_train_images"
    (images / "n-1.dcm").write_bytes(b"")
    (images / "o-1.dcm").write_bytes((images / "o-1.dcm").read_bytes()[:700])
    (images / "n-2.dcm").unlink()
    shutil.copy(images / "n-3.dcm", images / "n-4.dcm")
    shutil.copy(images / "n-3.dcm", images / "more.dcm")
    shutil.copytree(images, images / images.name, ignore=lambda *_: [f"n-{n}.dcm" for n in range(6)] + ["x-0.dcm"])
    report = prepare()
    assert sorted(report.left_out[:2]) == [
        f"{images / 'n-1.dcm'}: the file is empty; copy it again or leave it out.",
        f"{images / 'o-1.dcm'}: the file is damaged or not an image; copy it again or leave it out.",
    ]
    assert report.left_out[2:] == [f"n-2: there is no such image in {rsna}; download it again."]
    repeated = report.notes.pop()
    assert repeated in {f"The very same image under two names: {a} = {b}." for a, b in (("n-3", "n-4"), ("n-4", "n-3"))}
    double = report.notes.pop(0)
    assert double.startswith("Not used, because another one has the same name: ")
    assert double.endswith(" and 2 more.")
    assert report.notes == ["Not used, because the table does not list them: more."]
    assert sum(report.counts.values()) == 6
    assert not report.is_incomplete
    assert len(list((target / "images").iterdir())) == 6


def test_a_table_that_contradicts_itself(prepare: Callable[..., PrepareReport], rsna: Path, target: Path) -> None:
    with (rsna / "stage_2_detailed_class_info.csv").open("a") as table:
        table.write("n-0,Lung Opacity\n")
    report = prepare()
    assert report.is_incomplete
    assert report.notes == [
        "Not used, because they are said to be healthy and not: n-0.",
        f"{rsna}: 5 of the 6 healthy images of the published split are there; its proportions were kept.",
    ]
    assert "n-0.png" not in [*names_in(target)["0"], *names_in(target)["1"]]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda text: text.replace("Normal", "Fine"), "{}: there should be no class 'Fine'; download the table again."),
        (lambda text: text.replace("class", "kind"), "{}: the column 'class' is missing; download the table again."),
        (lambda text: text + "\xff\xfe", "{}: this is no CSV table; download it again."),
        (lambda text: "", "{}: the column 'patientId' is missing; download the table again."),
    ],
)
def test_a_bad_table(
    change: Callable[[str], str], sentence: str, prepare: Callable[..., PrepareReport], rsna: Path, target: Path
) -> None:
    table = rsna / "stage_2_detailed_class_info.csv"
    table.write_bytes(
        change(table.read_text().replace("No Lung Opacity / Not Normal", "Lung Opacity")).encode("latin-1")
    )
    with pytest.raises(UserError) as refused:
        prepare()
    assert str(refused.value) == sentence.format(table)
    assert not target.exists()


def test_two_downloads_at_once(prepare: Callable[..., PrepareReport], rsna: Path) -> None:
    table = "stage_2_detailed_class_info.csv"
    (rsna / "copy").mkdir()
    shutil.copy(rsna / table, rsna / "copy" / table)
    with pytest.raises(UserError, match="only one of them can be used; give the folder of one download"):
        prepare()


def test_no_image_at_all(prepare: Callable[..., PrepareReport], rsna: Path, tmp_path: Path) -> None:
    shutil.rmtree(rsna / "stage_2_train_images")
    with pytest.raises(UserError, match="holds no healthy image that can be used; download the images again"):
        prepare()
    assert [path.name for path in tmp_path.iterdir()] == ["rsna"]
