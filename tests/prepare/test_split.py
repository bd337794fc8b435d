"""Who goes where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monai_sagan.errors import UserError
from monai_sagan.prepare import SplitCounts
from monai_sagan.prepare.lag import LAG_COUNTS
from monai_sagan.prepare.rsna import RSNA_COUNTS
from monai_sagan.prepare.split import draw_split, read_split
from monai_sagan.prepare.vindr_cxr import VINDR_CXR_COUNTS

LABELS = {f"{label}-{number}": label for label in (0, 1) for number in range(60)}
COUNTS = SplitCounts(healthy=30, unlabeled_healthy=20, unlabeled_anomalous=40, test_healthy=10, test_anomalous=20)


def names_of(split: dict[str, list[str]]) -> list[str]:
    return [name for names in split.values() for name in names]


class TestDraw:
    def test_groups_have_their_counts_and_labels_and_share_no_image(self) -> None:
        split = draw_split(LABELS, COUNTS, seed=0)
        assert {group: len(names) for group, names in split.items()} == {
            "healthy": 30,
            "unlabeled/healthy": 20,
            "test/healthy": 10,
            "unlabeled/anomalous": 40,
            "test/anomalous": 20,
        }
        assert sorted(names_of(split)) == sorted(LABELS)
        for group, names in split.items():
            assert {LABELS[name] for name in names} == {int("anomalous" in group)}

    def test_the_seed_decides(self) -> None:
        backwards = dict(reversed(LABELS.items()))
        assert draw_split(LABELS, COUNTS, seed=3) == draw_split(backwards, COUNTS, seed=3)
        assert draw_split(LABELS, COUNTS, seed=3) != draw_split(LABELS, COUNTS, seed=4)

    def test_it_is_the_same_on_every_computer(self) -> None:
        split = draw_split(dict.fromkeys("abcdef", 0), SplitCounts(6, 0, 0, 0, 0), seed=0)
        # By hand: for i in a b c d e f; do echo "$(printf '0 %s' $i | sha256sum) $i"; done | sort
        assert split["healthy"] == ["e", "b", "f", "a", "c", "d"]

    def test_images_that_are_not_needed_are_left(self) -> None:
        split = draw_split(LABELS, SplitCounts(2, 1, 1, 1, 1), seed=0)
        assert [len(names) for names in split.values()] == [2, 1, 1, 1, 1]

    def test_with_fewer_images_groups_keep_their_proportions(self) -> None:
        few = {name: label for name, label in LABELS.items() if name[-1] == "0"}  # six of each
        split = draw_split(few, COUNTS, seed=0)
        assert [len(names) for names in split.values()] == [3, 2, 1, 4, 2]
        assert sorted(names_of(split)) == sorted(few)
        seven = draw_split(dict.fromkeys(list(LABELS)[:7], 0), COUNTS, seed=0)  # 3.5, 2.33 and 1.17
        assert [len(names) for names in seven.values()] == [3, 2, 2, 0, 0]

    @pytest.mark.parametrize(
        ("counts", "healthy", "anomalous"),
        [(RSNA_COUNTS, 8851, 6012), (VINDR_CXR_COUNTS, 10606, 4394), (LAG_COUNTS, 3143, 1711)],
    )
    def test_published_counts_use_every_image(self, counts: SplitCounts, healthy: int, anomalous: int) -> None:
        assert [sum(counts.of_label(label).values()) for label in (0, 1)] == [healthy, anomalous]


class TestRead:
    @pytest.fixture
    def layout(self) -> dict[str, Any]:
        return {
            "train": {"0": ["a.png"], "unlabeled": {"0": ["sub/b.dicom"], "1": ["c"]}},
            "test": {"0": ["d.jpg"], "1": ["1.2.png"]},
        }

    @staticmethod
    def write(folder: Path, layout: object) -> Path:
        path = folder / "data.json"
        path.write_text(json.dumps(layout))
        return path

    def test_images_lose_folder_and_ending(self, layout: dict[str, Any], tmp_path: Path) -> None:
        assert read_split(self.write(tmp_path, layout)) == {
            "healthy": ["a"],
            "unlabeled/healthy": ["b"],
            "unlabeled/anomalous": ["c"],
            "test/healthy": ["d"],
            "test/anomalous": ["1.2"],
        }

    def test_unlabelled_images_may_be_one_list(self, layout: dict[str, Any], tmp_path: Path) -> None:
        layout["train"]["unlabeled"] = ["b.png", "c.png"]
        assert read_split(self.write(tmp_path, layout))["unlabeled"] == ["b", "c"]

    def test_an_image_in_two_groups(self, layout: dict[str, Any], tmp_path: Path) -> None:
        layout["test"]["0"] = ["a.jpg"]
        path = self.write(tmp_path, layout)
        with pytest.raises(UserError) as refused:
            read_split(path)
        assert str(refused.value) == f"{path}: lists images more than once: a; list each once."

    @pytest.mark.parametrize("content", ["", "[]", "{}", '{"train": {"0": [], "unlabeled": 3}, "test": {}}', "\xff"])
    def test_something_else(self, content: str, tmp_path: Path) -> None:
        path = tmp_path / "split.json"
        path.write_bytes(content.encode("latin-1"))
        with pytest.raises(UserError, match=r"this is no data\.json of the Med-AD layout"):
            read_split(path)

    def test_names_that_are_none(self, layout: dict[str, Any], tmp_path: Path) -> None:
        layout["test"]["1"] = [3]
        with pytest.raises(UserError, match=r"this is no data\.json"):
            read_split(self.write(tmp_path, layout))

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="there is no such file"):
            read_split(tmp_path / "none.json")
