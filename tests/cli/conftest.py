"""Running the command as its users do."""

from __future__ import annotations

import json
import logging
import resource
import shutil
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_sagan.cli import main


@dataclass
class Outcome:
    """What a user sees of a run."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """Standard output as programs read it: one JSON object a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def sentence(self) -> str:
        """The one sentence that a failed run ends with, where nothing else is told."""
        assert self.code == 1
        assert self.out == ""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("Error: ")
        return lines[0].removeprefix("Error: ")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs ``monai-sagan`` with arguments; sees what libraries in C++ print too."""

    def run(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["monai-sagan", *map(str, arguments)])
        capfd.readouterr()
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
        disabled = logging.root.manager.disable
        try:
            with pytest.raises(SystemExit) as ended, warnings.catch_warnings():
                main()
        finally:  # a process of its own would not leave these behind
            for number, handler in handlers.items():
                signal.signal(number, handler)
            logging.disable(disabled)
        output = capfd.readouterr()
        return Outcome(int(ended.value.code or 0), output.out, output.err)

    return run


@pytest.fixture
def listing() -> Callable[[Path], dict[str, bytes]]:
    """The files in a folder and all below it, hidden ones too, and what they hold."""

    def listing(root: Path) -> dict[str, bytes]:
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    return listing


@pytest.fixture
def a_pickle_with_code(tmp_path: Path) -> Callable[[Path], Path]:
    """A file that makes a file `canary` beside itself when it is opened as pickles are."""

    class Code:
        def __init__(self, canary: Path) -> None:
            self.canary = canary

        def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
            return Path.touch, (self.canary,)

    def write(path: Path) -> Path:
        path = tmp_path / path
        torch.save({"layer1.0.weight": Code(path.with_name("canary"))}, path)
        torch.load(path, weights_only=False)
        assert path.with_name("canary").exists()  # it does work
        path.with_name("canary").unlink()
        return path

    return write


@pytest.fixture
def limited_file_size() -> Callable[[int], AbstractContextManager[None]]:
    """Lets files grow to so many bytes only, within a block: what pytest itself writes must not be cut off."""

    @contextmanager
    def limit(size: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit


@pytest.fixture
def output(tmp_path: Path) -> Iterator[Path]:
    """Where a run that fails should write nothing, nor beside it."""
    before = set(tmp_path.iterdir())
    yield tmp_path / "output"
    made = set(tmp_path.iterdir()) - before
    assert not [path for path in made if path.name == "output" or "partial" in path.name]


@pytest.fixture
def predict(tiny_bundle: Path, output: Path, run: Callable) -> Callable[..., Any]:
    def predict(*inputs: Path, bundle: Path = tiny_bundle) -> Any:
        return run("predict", bundle, *inputs, "--output", output, "--progress", "none")

    return predict


@pytest.fixture
def train(tiny_bundle: Path, phantom: Path, output: Path, run: Callable) -> Callable[..., Any]:
    def train(*arguments: str, data: Path = phantom) -> Any:
        return run("train", tiny_bundle, *arguments, "--data", data, "--output", output, "--progress", "none")

    return train


@pytest.fixture
def evaluate(tiny_bundle: Path, output: Path, run: Callable) -> Callable[..., Any]:
    def evaluate(data: Path, bundle: Path = tiny_bundle) -> Any:
        return run("evaluate", bundle, "--data", data, "--output", output, "--progress", "none")

    return evaluate


@pytest.fixture
def a_data_set(phantom: Path, tmp_path: Path) -> Path:
    """A data set to spoil."""
    return Path(shutil.copytree(phantom, tmp_path / "data"))


@pytest.fixture
def change_data_json() -> Callable[[Path, Callable[[dict[str, Any]], object]], None]:
    """Changes what the data.json of a data set says."""

    def change_data_json(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
        content = json.loads((root / "data.json").read_text())
        change(content)
        (root / "data.json").write_text(json.dumps(content))

    return change_data_json
