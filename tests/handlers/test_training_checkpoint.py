"""A training that is interrupted and taken up again is the training that was never interrupted, bit for bit."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigWorkflow
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_sagan import workflows
from monai_sagan.bundle_files import WEIGHTS
from monai_sagan.bundles import find_bundle, run_bundle
from monai_sagan.derived_bundle import derive_bundle
from monai_sagan.errors import UserError
from monai_sagan.handlers import TrainingCheckpoint
from monai_sagan.transforms import RandPseudoAnomaly

STATE = Path("models") / "training_state.pt"
EPOCHS = 5  # of three steps: 24 images in batches of 8

# Trains, writes half of the third epoch's checkpoint, and is killed.
KILLED_WHILE_WRITING = """
import json, os, signal, sys
from pathlib import Path
import torch
from monai_sagan import workflows

data, output, settings = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
save, saved = torch.save, []

def save_and_die(content, file):
    save(content, file)
    file.flush()
    path = file.name
    saved.append(path)
    if len(saved) == 7:  # what the images look like, then two files an epoch: the weights, and the state
        os.truncate(path, os.path.getsize(path) // 2)
        os.kill(os.getpid(), signal.SIGKILL)

torch.set_num_threads(1)
torch.save = save_and_die
workflows.train("sagan_anomaly_detection", data, output, overrides=settings, progress="none")
"""


@pytest.fixture(scope="module")
def settings(tiny_settings: dict[str, Any]) -> dict[str, Any]:
    return {**tiny_settings, "critic_steps": 3 * EPOCHS, "checkpoint_interval": 1, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def uninterrupted(phantom: Path, settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "uninterrupted"
    return workflows.train("sagan_anomaly_detection", phantom, output, overrides=settings, progress="none")


def load(path: Path) -> Any:
    return torch.load(path, weights_only=True)


def leaves(content: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every tensor and number in nested dictionaries and lists, with its place."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from leaves(value, f"{name}/{key}")
    elif isinstance(content, (list, tuple)):
        for index, value in enumerate(content):
            yield from leaves(value, f"{name}/{index}")
    else:
        yield name, content


def assert_equal(path: Path, expected: Path) -> None:
    found, wanted = list(leaves(load(path))), list(leaves(load(expected)))
    assert [name for name, _ in found] == [name for name, _ in wanted]
    assert any(isinstance(value, torch.Tensor) for _, value in wanted)
    for (name, value), (_, other) in zip(found, wanted):
        same = torch.equal(value, other) if isinstance(value, torch.Tensor) else value == other
        assert same, name


class Interruptible:
    """A training in `root` that can be looked at while it runs."""

    def __init__(self, root: Path, data: Path, resume: bool) -> None:
        self.workflow = ConfigWorkflow(
            config_file=str(root / "configs" / "train.json"),
            meta_file=str(root / "configs" / "metadata.json"),
            logging_file=False,
            workflow_type="train",
            bundle_root=str(root),
            dataset_dir=str(data),
            resume=resume,
            progress="none",
        )
        self.workflow.initialize()
        self.trainer: Engine = self.workflow.parser.get_parsed_content("train#trainer")
        self.rates: list[tuple[float, float]] = []
        self.trainer.add_event_handler(Events.ITERATION_COMPLETED, self._look)

    def _look(self, engine: Any) -> None:
        optimizers = (engine.generator_optimizer, engine.critic_optimizer)
        self.rates.append(tuple(optimizer.param_groups[0]["lr"] for optimizer in optimizers))

    def run(self, until_epoch: int | None = None) -> list[tuple[float, float]]:
        """The learning rate of generator and critic in each step."""
        if until_epoch is not None:
            self.trainer.add_event_handler(Events.EPOCH_COMPLETED(once=until_epoch), lambda engine: engine.terminate())
        self.workflow.run()
        return self.rates


def test_a_training_that_was_killed_goes_on_bit_for_bit(
    phantom: Path, settings: dict[str, Any], uninterrupted: Path, tmp_path: Path
) -> None:
    output = tmp_path / "killed"
    command = [sys.executable, "-W", "ignore", "-c", KILLED_WHILE_WRITING, phantom, output, json.dumps(settings)]
    killed = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    # The half that was written lies beside the last whole checkpoint and is not taken for one.
    partial = list((output / "models").glob(".partial-*-training_state.pt"))
    assert len(partial) == 1
    with pytest.raises(RuntimeError):
        load(partial[0])
    assert load(output / STATE)["engine"] == {"iteration": 6, "epoch": 2, "epoch_length": 3, "max_epochs": EPOCHS}

    workflows.train("sagan_anomaly_detection", phantom, output, resume=True, progress="none")
    assert_equal(output / WEIGHTS, uninterrupted / WEIGHTS)
    assert_equal(output / STATE, uninterrupted / STATE)


def test_workers_change_nothing(phantom: Path, settings: dict[str, Any], uninterrupted: Path, tmp_path: Path) -> None:
    output = workflows.train(
        "sagan_anomaly_detection", phantom, tmp_path / "x", overrides={**settings, "num_workers": 2}, progress="none"
    )
    assert '"num_workers": 2' in (output / "configs" / "train.json").read_text()
    assert_equal(output / WEIGHTS, uninterrupted / WEIGHTS)


def test_another_seed_changes_something(
    phantom: Path, settings: dict[str, Any], uninterrupted: Path, tmp_path: Path
) -> None:
    """The comparisons above can fail."""
    output = workflows.train(
        "sagan_anomaly_detection", phantom, tmp_path / "x", overrides={**settings, "seed": 1}, progress="none"
    )
    with pytest.raises(AssertionError):
        assert_equal(output / WEIGHTS, uninterrupted / WEIGHTS)


def test_a_checkpoint_holds_what_the_weights_file_holds(uninterrupted: Path) -> None:
    state, weights = load(uninterrupted / STATE), load(uninterrupted / WEIGHTS)
    assert list(state["generator"]) == list(weights)
    assert all(torch.equal(state["generator"][name], tensor) for name, tensor in weights.items())
    assert state["engine"]["epoch"] == EPOCHS
    assert sorted(path.name for path in (uninterrupted / "models").iterdir()) == [
        *("familiarity.pt", "model.pt", "trained_on.txt", "training_state.pt")
    ]


def test_a_finished_training_that_is_resumed_stays_as_it_is(
    phantom: Path, uninterrupted: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    before = {path: (uninterrupted / path).read_bytes() for path in (WEIGHTS, STATE)}
    workflows.train("sagan_anomaly_detection", phantom, uninterrupted, resume=True, progress="none")
    assert {path: (uninterrupted / path).read_bytes() for path in before} == before


def test_the_learning_rate_goes_on_falling_where_it_was(
    phantom: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    steps, rate = 3 * EPOCHS, settings["learning_rate"]
    half = int(0.5 * steps)
    expected = [rate * min(1.0, (steps - step) / (steps - half)) for step in range(steps)]
    assert (expected[0], expected[half]) == (rate, rate)
    assert expected[-1] == pytest.approx(rate / (steps - half))  # one step before it would be 0

    root = tmp_path / "bundle"
    derive_bundle(find_bundle("sagan_anomaly_detection"), root, settings, {})
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(root)  # as MONAI's own command is run
        first = Interruptible(root, phantom, resume=False).run(until_epoch=3)
        assert len(first) == 9
        rest = Interruptible(root, phantom, resume=True).run()
    for rates in zip(*(first + rest)):  # of the generator, of the critic
        assert rates == pytest.approx(expected, rel=1e-12)  # the schedule interpolates in 64 bits


def test_an_optimizer_goes_on_as_its_own_device_has_it(tmp_path: Path) -> None:
    """A training may go on on another device, where steps are computed otherwise and weights lie otherwise."""

    def run(optimizer: torch.optim.Optimizer, resume: bool) -> None:
        engine = Engine(lambda engine, batch: None)
        engine.state.device = torch.device("cpu")
        paths = tmp_path / "state.pt", {"optimizer": optimizer}, {}, dict, tmp_path / "model.pt"
        TrainingCheckpoint(*paths, resume=resume).attach(engine)
        engine.run([0], max_epochs=1)

    def a_step(layer: torch.nn.Conv2d, **settings: Any) -> torch.optim.Adam:
        optimizer = torch.optim.Adam(layer.parameters(), 0.1, **settings)
        layer(torch.ones(1, 2, 3, 3)).sum().backward()
        optimizer.step()
        return optimizer

    first = a_step(torch.nn.Conv2d(2, 3, 3), fused=True)
    run(first, resume=False)
    layer = torch.nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last)
    other = torch.optim.Adam(layer.parameters(), 0.1, foreach=True)
    run(other, resume=True)
    assert [other.param_groups[0][name] for name in ("fused", "foreach", "capturable")] == [None, True, False]
    for (parameter, moments), expected in zip(other.state.items(), first.state.values()):
        assert moments["exp_avg"].stride() == parameter.stride()
        assert all(torch.equal(moments[name], tensor) for name, tensor in expected.items())
    layer(torch.ones(1, 2, 3, 3)).sum().backward()
    other.step()


def test_scalars_for_tensorboard(uninterrupted: Path) -> None:
    events = EventAccumulator(str(uninterrupted / "eval")).Reload()
    names = {"critic", "gradient_penalty", "wasserstein", "generator", "adversarial", "identity", "restoration"}
    assert set(events.Tags()["scalars"]) == names
    for name in names:
        (scalar,) = events.Scalars(name)  # every tenth of fifteen steps
        assert scalar.step == 10
        assert torch.tensor(scalar.value).isfinite()


class TestRefusals:
    @pytest.fixture
    def interrupted(self, phantom: Path, uninterrupted: Path, tmp_path: Path) -> Path:
        """A copy of a bundle with a checkpoint."""
        return Path(shutil.copytree(uninterrupted, tmp_path / "copy"))

    def resume(self, root: Path, data: Path, **overrides: Any) -> None:
        run_bundle(root, "train", dataset_dir=str(data), resume=True, progress="none", **overrides)

    @pytest.mark.parametrize(
        "changed", [{"base_channels": 4}, {"critic_base_channels": 4}, {"critic_steps": 30}, {"batch_size": 6}]
    )
    def test_other_settings(self, interrupted: Path, phantom: Path, changed: dict[str, Any]) -> None:
        before = (interrupted / STATE).read_bytes()
        with pytest.raises(Exception) as caught:  # noqa: PT011  MONAI wraps what a config raises
            self.resume(interrupted, phantom, **changed)
        assert str(sentence(caught.value)) == (
            f"{interrupted / STATE}: this checkpoint does not fit the training that should go on from it; use the data "
            "and the settings that it was made with, or another output folder."
        )
        assert (interrupted / STATE).read_bytes() == before

    def test_other_number_of_processes(self, interrupted: Path, phantom: Path) -> None:
        state = load(interrupted / STATE)
        torch.save({**state, "random": state["random"] * 2}, interrupted / STATE)
        with pytest.raises(Exception) as caught:  # noqa: PT011
            self.resume(interrupted, phantom)
        assert str(sentence(caught.value)).endswith("2 processes made this checkpoint; go on with as many, not 1.")

    def test_a_damaged_file(self, interrupted: Path, phantom: Path) -> None:
        content = (interrupted / STATE).read_bytes()
        (interrupted / STATE).write_bytes(content[: len(content) // 2])
        with pytest.raises(Exception) as caught:  # noqa: PT011
            self.resume(interrupted, phantom)
        assert str(sentence(caught.value)).startswith(f"{interrupted / STATE}: this file is damaged")

    def test_settings_on_the_command_line(self, interrupted: Path, phantom: Path) -> None:
        with pytest.raises(UserError, match=r"^batch_size: settings cannot change when a training is resumed"):
            workflows.train("sagan_anomaly_detection", phantom, interrupted, overrides={"batch_size": 4}, resume=True)


def sentence(error: BaseException) -> UserError:
    cause: BaseException | None = error
    while not isinstance(cause, UserError):
        assert cause is not None, error
        cause = cause.__cause__
    return cause


def test_checkpoints_of_chosen_epochs_and_the_last(tmp_path: Path) -> None:
    saved: list[int] = []

    class Counted(TrainingCheckpoint):
        def _save(self, engine: Any) -> None:
            super()._save(engine)
            if self.path.is_file():
                saved.append(load(self.path)["engine"]["epoch"])

    network = torch.nn.Linear(1, 1)
    engine = Engine(lambda engine, batch: None)
    engine.state.device = torch.device("cpu")
    Counted(
        tmp_path / "state.pt", {"generator": network}, {}, network.state_dict, tmp_path / "model.pt", interval=3
    ).attach(engine)
    engine.run([0], max_epochs=7)
    assert saved == [3, 3, 3, 6, 7]


def test_each_process_goes_on_with_its_own_random_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the second of two processes finds them; tests/test_bundles.py has two processes write them."""
    pseudo_anomaly = RandPseudoAnomaly().set_random_state(0)

    def run(resume: bool) -> None:
        engine = Engine(lambda engine, batch: None)
        engine.state.device = torch.device("cpu")
        TrainingCheckpoint(
            tmp_path / "state.pt",
            {"generator": torch.nn.Linear(1, 1)},
            {"pseudo_anomaly": pseudo_anomaly},
            dict,
            tmp_path / "model.pt",
            resume=resume,
        ).attach(engine)
        engine.run([0], max_epochs=1)

    with torch.random.fork_rng():
        torch.manual_seed(1)
        run(resume=False)
        first = load(tmp_path / "state.pt")
        torch.manual_seed(2)
        pseudo_anomaly.set_random_state(2)
        run(resume=False)
        second = load(tmp_path / "state.pt")
        expected, expected_choice = torch.rand(1), pseudo_anomaly.R.random_sample()

        torch.save({**first, "random": first["random"] + second["random"]}, tmp_path / "state.pt")
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setenv("RANK", "1")
        run(resume=True)
        assert torch.equal(torch.rand(1), expected)
        assert pseudo_anomaly.R.random_sample() == expected_choice
