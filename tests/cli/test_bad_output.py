"""Whatever stands in the way of an output: one sentence that names it, an exit code, and nothing half made or lost."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_sagan.bundle_files import FAMILIARITY, WEIGHTS
from monai_sagan.derived_bundle import derive_bundle

DISK_IS_FULL = "the disk is full; free some space or choose another folder."
NO_PERMISSION = "there is no permission to use it; change its permissions or choose another folder."


class TestOutputs:
    @pytest.fixture
    def full(self, tmp_path: Path) -> Path:
        """A folder that holds somebody's work."""
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "mine").write_text("x")
        return tmp_path / "full"

    def test_train_into_a_folder_that_exists(
        self, full: Path, tiny_bundle: Path, phantom: Path, run: Callable, listing: Callable
    ) -> None:
        outcome = run("train", tiny_bundle, "--data", phantom, "--output", full)
        assert outcome.sentence == (
            f"{full}: exists already and is not empty; add --resume to go on with it, or choose another --output."
        )
        assert listing(full) == {"mine": b"x"}

    @pytest.mark.parametrize("command", ["train", "evaluate", "predict"])
    @pytest.mark.parametrize("place", [".", "configs", "models", "maps/new", "eval/../maps"])
    def test_among_the_files_of_the_bundle(
        self,
        place: str,
        command: str,
        tiny_bundle: Path,
        phantom: Path,
        a_picture: Callable,
        tmp_path: Path,
        run: Callable,
        listing: Callable,
    ) -> None:
        bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
        before = listing(bundle)
        given = (a_picture(),) if command == "predict" else ("--data", phantom)
        sentence = run(command, bundle, *given, "--output", bundle / place, "--progress", "none").sentence
        if command == "train" and place in (".", "configs", "models"):
            assert sentence.startswith(f"{(bundle / place).resolve()}: exists already and is not empty; ")
        else:
            assert sentence == (
                f"{(bundle / place).resolve()}: this folder is the bundle's own; choose another --output, or "
                f"{bundle / 'eval'}."
            )
        assert listing(bundle) == before

    @pytest.mark.parametrize("place", ["eval", "eval/pictures", "../bundle_maps"])
    def test_beside_the_files_of_the_bundle(
        self, place: str, tiny_bundle: Path, a_picture: Callable, tmp_path: Path, run: Callable
    ) -> None:
        bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
        outcome = run("predict", bundle, a_picture(), "--output", bundle / place, "--progress", "none")
        assert outcome.code == 0
        assert (bundle / place / "picture_anomaly.json").is_file()

    def test_train_tells_its_error_even_where_its_folder_is_in_use(
        self, tiny_bundle: Path, phantom: Path, tmp_path: Path, run: Callable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As on Windows, where somebody looks into it."""

        def refuse(path: Path, *_: Any, **__: Any) -> None:
            raise PermissionError(errno.EACCES, "The process cannot access the file", str(path))

        monkeypatch.setattr(os, "rmdir", refuse)
        outcome = run("train", tiny_bundle, "batch_size=25", "--data", phantom, "--output", tmp_path / "x")
        assert "24 training images do not fill a batch of 25" in outcome.err

    @pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
    def test_an_interrupted_training_goes_on(
        self,
        interruption: type[BaseException],
        tiny_bundle: Path,
        phantom: Path,
        tmp_path: Path,
        run: Callable,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Also one that had no weights yet."""

        def interrupt(*_: Any) -> None:
            raise interruption

        command = ("train", tiny_bundle, "--data", phantom, "--output", tmp_path / "begun")
        with monkeypatch.context() as context:
            context.setattr("monai_sagan.engines.ContrastTraining.run", interrupt)
            last = run(*command).err.splitlines()[-1:]
        if interruption is KeyboardInterrupt:
            assert last == [f"Interrupted; the same command with --resume goes on with {tmp_path / 'begun'}."]
        assert run(*command).sentence.startswith(f"{tmp_path / 'begun'}: exists already and is not empty; add --resume")
        assert run(*command, "--resume").code == 0
        assert (tmp_path / "begun" / WEIGHTS).is_file()

    def test_ctrl_c_during_an_import(self, run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
        def load() -> None:
            try:
                raise KeyboardInterrupt
            except KeyboardInterrupt:
                raise ImportError("problem in a module") from None

        monkeypatch.setattr("monai_sagan.cli.app", load)
        assert run().code == 130

    def test_resume_in_a_folder_that_is_no_bundle(
        self, full: Path, tiny_bundle: Path, phantom: Path, run: Callable, listing: Callable
    ) -> None:
        outcome = run("train", tiny_bundle, "--data", phantom, "--output", full, "--resume")
        assert outcome.sentence.startswith(f"{full}: exists already and is not empty; ")
        assert listing(full) == {"mine": b"x"}

    def test_resume_with_other_settings(
        self, tiny_bundle: Path, phantom: Path, tmp_path: Path, run: Callable, listing: Callable
    ) -> None:
        derive_bundle(tiny_bundle, tmp_path / "begun", {}, {})
        before = listing(tmp_path / "begun")
        outcome = run(
            *("train", tiny_bundle, "batch_size=4", "seed=1", "--data", phantom),
            *("--output", tmp_path / "begun", "--resume"),
        )
        assert outcome.sentence == (
            "batch_size, seed: settings cannot change when a training is resumed; use another --output."
        )
        assert listing(tmp_path / "begun") == before

    def test_resume_with_other_data(
        self,
        tiny_bundle: Path,
        a_data_set: Path,
        tmp_path: Path,
        run: Callable,
        listing: Callable,
        change_data_json: Callable,
    ) -> None:
        arguments = ("train", tiny_bundle, "--data", a_data_set, "--output", tmp_path / "x", "--progress", "none")
        assert run(*arguments).code == 0
        before = listing(tmp_path / "x")
        few = {"0": ["healthy_0000.png"] * 8, "unlabeled": ["healthy_0001.png"] * 8}
        change_data_json(a_data_set, lambda content: content["train"].update(few))
        outcome = run(*arguments, "--resume")
        assert outcome.sentence.startswith(
            f"{tmp_path / 'x' / 'models' / 'training_state.pt'}: this checkpoint does not fit the training that "
        )
        after = listing(tmp_path / "x")
        assert {name: after[name] for name in before} == before

    def test_a_file_where_the_folder_should_be(
        self, tiny_bundle: Path, a_picture: Callable, tmp_path: Path, run: Callable, listing: Callable
    ) -> None:
        (tmp_path / "file").write_text("mine")
        picture = a_picture()
        before = listing(tmp_path)
        for place in (tmp_path / "file", tmp_path / "file" / "below"):
            outcome = run("predict", tiny_bundle, picture, "--output", place, "--progress", "none")
            assert outcome.sentence == f"{place}: a file is where a folder should be; choose another folder."
        assert listing(tmp_path) == before

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the administrator may write anywhere")
    def test_a_folder_without_permission(
        self, tiny_bundle: Path, a_picture: Callable, tmp_path: Path, run: Callable
    ) -> None:
        (tmp_path / "locked").mkdir(mode=0o500)
        outcome = run(
            *("predict", tiny_bundle, a_picture(), "--output", tmp_path / "locked" / "maps", "--progress", "none")
        )
        assert outcome.sentence == f"{tmp_path / 'locked' / 'maps'}: {NO_PERMISSION}"

    @pytest.mark.parametrize(
        ("command", "number", "sentence"),
        [
            ("train", errno.EACCES, NO_PERMISSION),
            ("evaluate", errno.EACCES, NO_PERMISSION),
            ("predict", errno.EACCES, NO_PERMISSION),
            ("predict", errno.EROFS, "the disk is read-only; choose another folder."),
        ],
    )
    def test_the_system_refuses_a_folder(
        self,
        command: str,
        number: int,
        sentence: str,
        tiny_bundle: Path,
        phantom: Path,
        a_picture: Callable,
        output: Path,
        run: Callable,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        picture, make = a_picture(), Path.mkdir

        def refuse(self: Path, *arguments: Any, **settings: Any) -> None:
            if "output" in self.name:
                raise OSError(number, os.strerror(number), str(self))
            make(self, *arguments, **settings)

        monkeypatch.setattr(Path, "mkdir", refuse)
        given = (picture,) if command == "predict" else ("--data", phantom)
        outcome = run(command, tiny_bundle, *given, "--output", output, "--progress", "none")
        assert outcome.sentence == f"{output}: {sentence}"


class TestFullDisk:
    """Simulated by a limit on the size of files, and by an operating system that says so."""

    TOO_LARGE = "a file may not be as large as this here; raise the limit or choose another folder."
    NOT_WRITTEN = "it could not be written, perhaps because the disk is full; free some space or choose another folder."

    def test_predict(self, predict: Callable, a_volume: Callable, limited_file_size: Callable, output: Path) -> None:
        volume = a_volume()
        with limited_file_size(1500):  # enough for the JSON, which is written first, not for the map
            outcome = predict(volume)
        assert outcome.sentence == f"{output / 'volume_anomaly.nii.gz'}: {self.TOO_LARGE}"
        assert list(output.iterdir()) == []
        output.rmdir()

    def test_evaluate(self, evaluate: Callable, phantom: Path, limited_file_size: Callable, output: Path) -> None:
        with limited_file_size(4000):
            outcome = evaluate(phantom)
        assert outcome.sentence == f"{output / 'report.html'}: {self.TOO_LARGE}"
        assert list(output.iterdir()) == []
        output.rmdir()

    def test_train(self, train: Callable, limited_file_size: Callable, output: Path) -> None:
        with limited_file_size(40_000):  # enough for the configs, not for the weights
            outcome = train()
        assert outcome.sentence == f"{output / FAMILIARITY}: {self.NOT_WRITTEN}"

    def test_train_before_it_begins(self, train: Callable, limited_file_size: Callable, output: Path) -> None:
        with limited_file_size(1000):
            outcome = train()
        assert outcome.sentence == f"{output}: {self.TOO_LARGE}"

    def test_train_keeps_the_last_checkpoint(
        self, tiny_bundle: Path, phantom: Path, tmp_path: Path, run: Callable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        replace, calls = os.replace, []

        def fill_up(source: Path, target: Path) -> None:
            calls.append(Path(target).name)
            if calls.count("training_state.pt") == 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source), None, str(target))
            replace(source, target)

        monkeypatch.setattr(os, "replace", fill_up)
        outcome = run(
            *("train", tiny_bundle, "checkpoint_interval=1", "--data", phantom),
            *("--output", tmp_path / "x", "--progress", "none"),
        )
        assert outcome.sentence == f"{tmp_path / 'x' / 'models' / 'training_state.pt'}: {DISK_IS_FULL}"
        state = torch.load(tmp_path / "x" / "models" / "training_state.pt", weights_only=True)
        assert state["engine"]["epoch"] == 1
        assert sorted(path.name for path in (tmp_path / "x" / "models").iterdir()) == [
            *("familiarity.pt", "model.pt", "trained_on.txt", "training_state.pt")
        ]

    def test_in_a_process_of_its_own(self, tiny_bundle: Path, a_volume: Callable, tmp_path: Path) -> None:
        """The sentence, as a shell's ``ulimit -f`` brings it about."""
        command = [Path(sys.executable).with_name("monai-sagan"), "predict", tiny_bundle, a_volume()]
        command += ["--output", tmp_path / "maps"]
        # Measuring coverage would write a file too.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE")}
        result = subprocess.run(
            ["bash", "-c", 'ulimit -f 2; exec "$@"', "bash", *command],
            capture_output=True,
            text=True,
            timeout=120,
            env=environment,
        )
        assert result.returncode == 1
        assert result.stdout == ""
        assert "Traceback" not in result.stderr
        sentence = f"Error: {tmp_path / 'maps' / 'volume_anomaly.nii.gz'}: {self.TOO_LARGE}"
        assert result.stderr.splitlines()[-1] == sentence
        assert list((tmp_path / "maps").iterdir()) == []
