"""A checkpoint that is chosen without a label, and the score that a bundle takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from torch import nn

from monai_sagan import workflows
from monai_sagan.bundle_files import SELECTION, WEIGHTS
from monai_sagan.engines import ScoreSelection
from monai_sagan.errors import SettingError, UserError
from monai_sagan.files import read_tensors, save_tensors
from monai_sagan.handlers import CheckpointSelection
from monai_sagan.handlers.checkpoint_selection import latest_good
from monai_sagan.selection import read_selection, write_selection


class Shift(nn.Module):
    """A generator that changes bright images by so much."""

    def __init__(self) -> None:
        super().__init__()
        self.change = nn.Parameter(torch.zeros(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert not self.training  # where the generator draws pixels at random
        return images - self.change * (images > 0)


@pytest.fixture
def images() -> SimpleNamespace:
    """Healthy images that are dark, and unlabelled ones of which half are bright; two samples an image."""
    dark, bright = torch.full((20, 1, 4, 4), -0.5), torch.full((20, 1, 4, 4), 0.5)
    return SimpleNamespace(
        selection=dark,
        unlabeled=torch.cat([dark, bright]),
        counts={"selection": [2] * 10, "unlabeled": [2] * 20},
    )


@pytest.fixture
def train(images: SimpleNamespace, tmp_path: Path) -> Callable[..., None]:
    """Trains for so many epochs, after each of which the generator changes as much as is said."""

    def train(
        changes: list[float], epochs: int = 0, epochs_done: int = 0, resume: bool = False, **settings: Any
    ) -> None:
        generator = Shift()

        def step(engine: Engine, batch: int) -> None:
            with torch.no_grad():
                generator.change.fill_(changes[engine.state.epoch - 1])

        engine = Engine(step)
        paths = (tmp_path / "candidates", tmp_path / "model.pt", tmp_path / "selection.json")
        CheckpointSelection(images, generator, *paths, resume=resume, **settings).attach(engine)
        epochs = epochs or len(changes)
        if epochs_done:
            engine.load_state_dict({"epoch": epochs_done, "max_epochs": epochs, "epoch_length": 3})
        engine.run(range(3), max_epochs=epochs)

    return train


class TestCheckpoint:
    def test_the_latest_of_equals(self, train: Callable, tmp_path: Path) -> None:
        train([0.0, 0.1, 0.2, 0.3], num_candidates=4)
        assert float(read_tensors(tmp_path / "model.pt")["change"]) == pytest.approx(0.3)
        found = read_selection(tmp_path / "selection.json")
        assert (found["chosen_step"], found["num_held_out"]) == (12, 10)
        # Half of the unlabelled images are changed, and no healthy one is.
        assert [it["value"] for it in found["candidates"]] == [0.5, 0.75, 0.75, 0.75]
        assert "that after 12 of 12 steps was taken" in found["checkpoint_reason"]
        assert not (tmp_path / "candidates").exists()

    def test_not_one_that_is_clearly_worse(self, train: Callable, tmp_path: Path) -> None:
        train([0.1, 0.3, 0.0, 0.0], num_candidates=4)
        assert float(read_tensors(tmp_path / "model.pt")["change"]) == pytest.approx(0.3)
        assert read_selection(tmp_path / "selection.json")["chosen_step"] == 6

    def test_a_volume_counts_as_the_mean_of_its_samples(
        self, images: SimpleNamespace, train: Callable, tmp_path: Path
    ) -> None:
        """Of healthy ones one sample of two is changed, of unlabelled ones both; told apart without exception."""
        images.selection, images.unlabeled = torch.full((20, 1, 4, 4), -0.5), torch.full((40, 1, 4, 4), 0.5)
        images.selection[::2] = 0.5
        train([0.1, 0.2], num_candidates=2)
        found = read_selection(tmp_path / "selection.json")
        assert [(it["value"], it["low"]) for it in found["candidates"]] == [(1.0, 1.0)] * 2
        assert found["chosen_step"] == 6

    def test_candidates_are_spread_over_the_training(self, train: Callable, tmp_path: Path) -> None:
        train([0.1] * 10, num_candidates=3)
        steps = [it["step"] for it in read_selection(tmp_path / "selection.json")["candidates"]]
        assert steps == [12, 21, 30]  # epochs 4, 7 and 10 of three steps

    def test_an_interrupted_training_keeps_its_candidates(self, train: Callable, tmp_path: Path) -> None:
        with pytest.raises(IndexError):  # it breaks off in the third epoch
            train([0.3, 0.3], epochs=4, num_candidates=4)
        assert len(list((tmp_path / "candidates").iterdir())) == 2
        train([0.0, 0.0, 0.1, 0.1], epochs_done=2, resume=True, num_candidates=4)
        found = read_selection(tmp_path / "selection.json")
        assert [it["value"] for it in found["candidates"]] == [0.75] * 4

    def test_a_new_training_forgets_those_of_another(self, train: Callable, tmp_path: Path) -> None:
        with pytest.raises(IndexError):
            train([0.3, 0.3], epochs=4, num_candidates=4)
        train([0.1, 0.1], num_candidates=1)
        assert len(read_selection(tmp_path / "selection.json")["candidates"]) == 1

    def test_without_images_held_out_the_last_weights_stay(
        self, images: SimpleNamespace, train: Callable, tmp_path: Path
    ) -> None:
        images.selection, images.counts["selection"] = images.selection[:2], [2]
        train([0.1, 0.2])
        assert list(tmp_path.iterdir()) == []

    def test_no_candidate(self, images: SimpleNamespace, tmp_path: Path) -> None:
        with pytest.raises(SettingError, match="selection_candidates must be at least 1, not 0"):
            CheckpointSelection(images, Shift(), tmp_path, tmp_path, tmp_path, num_candidates=0)


def test_one_standard_error() -> None:
    """A little worse by chance is no reason to go back; worse for sure is."""
    random = np.random.default_rng(0)
    labels = [0] * 50 + [1] * 50
    good = np.r_[random.normal(0, 1, 50), random.normal(1, 1, 50)]
    as_good = good + random.normal(0, 0.05, 100)
    worse = np.r_[random.normal(0, 1, 50), random.normal(0, 1, 50)]
    assert latest_good(labels, [good, as_good]) == 1
    assert latest_good(labels, [good, worse]) == 0
    assert latest_good(labels, [worse, good, worse]) == 1
    assert latest_good(labels, [good, good]) == 1


class TestScore:
    def test_it_is_written_down(self, tmp_path: Path) -> None:
        random = torch.Generator().manual_seed(0)
        scores = {kind: torch.randn(30, generator=random) for kind in ("healthy", "selection", "unlabeled")}
        scores["unlabeled"] += 5
        save_tensors({"out_of_fold": scores}, tmp_path / "contrast.pt")
        write_selection(tmp_path / "selection.json", candidates=[{"step": 1, "value": 1.0}], chosen_step=1)
        ScoreSelection(tmp_path / "contrast.pt", tmp_path / "selection.json").run()
        found = read_selection(tmp_path / "selection.json")
        assert found["score"] == "contrast"  # whatever the map's score seems to do on what it has learned from
        assert found["scores"].keys() == {"contrast"}
        assert found["scores"]["contrast"]["value"] > 0.99
        assert "No label was used" in found["criterion"]

    def test_where_there_is_nothing_to_choose(self, tmp_path: Path) -> None:
        ScoreSelection(tmp_path / "contrast.pt", tmp_path / "selection.json").run()
        assert not (tmp_path / "selection.json").exists()


class TestFile:
    def test_what_is_there_stays(self, tmp_path: Path) -> None:
        assert read_selection(tmp_path / "selection.json") == {}
        write_selection(tmp_path / "selection.json", one=1)
        write_selection(tmp_path / "selection.json", two=2)
        found = read_selection(tmp_path / "selection.json")
        assert (found["one"], found["two"]) == (1, 2)

    @pytest.mark.parametrize("content", ["{", "[]", "{}", '{"schema_version": 9}'])
    def test_damaged(self, content: str, tmp_path: Path) -> None:
        (tmp_path / "selection.json").write_text(content)
        with pytest.raises(UserError, match=r"selection.json: this file is damaged or of another version"):
            read_selection(tmp_path / "selection.json")


def test_a_training_selects(phantom: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    """The whole way: held out, judged, chosen, written down; and the images held out are known to the bundle."""
    overrides = {"selection_share": 0.25, "selection_candidates": 2, "critic_steps": 8}
    workflows.train(tiny_bundle, phantom, tmp_path / "bundle", overrides=overrides, progress="none")
    found = read_selection(tmp_path / "bundle" / SELECTION)
    assert found["num_held_out"] == 6  # of 24
    assert [it["step"] for it in found["candidates"]][-1] == 9  # whole epochs of three steps
    # The 6 healthy images held out too, which the choice has seen.
    assert len((tmp_path / "bundle" / "models" / "trained_on.txt").read_text().split()) == 18 + 24 + 6
    assert sorted(path.name for path in (tmp_path / "bundle" / "models").iterdir()) == [
        *("familiarity.pt", "model.pt", "selection.json", "trained_on.txt", "training_state.pt")
    ]


def test_a_finished_training_that_is_resumed_keeps_its_choice(phantom: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    workflows.train(tiny_bundle, phantom, target, overrides={"selection_share": 0.25}, progress="none")
    before = [(target / name).read_bytes() for name in (WEIGHTS, SELECTION)]
    workflows.train(tiny_bundle, phantom, target, resume=True, progress="none")
    assert [(target / name).read_bytes() for name in (WEIGHTS, SELECTION)] == before
