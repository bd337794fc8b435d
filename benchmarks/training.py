"""Steps a second of training: the published procedure, and the bundle's.

    python benchmarks/training.py [--device cuda:0] [--width 64] [--settings amp=true ...]

trains as ``monai-sagan train`` does, by the bundle's config with its loader and handlers, and in between, in the same
process, as published: some steps of the one, some of the other, again and again. ``--settings`` may be given several
times: each is a variant of the bundle, measured on its own against the published procedure. Images are phantoms, as
many as a usual data set has; what they show makes no difference to the time. Writes
benchmarks/results/training_DEVICE.json.
"""

from __future__ import annotations

import gc
import json
import tempfile
from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from bundle_parts import BUNDLE, parse_config, training_pairs, write_images
from ignite.engine import Engine, Events
from memory import PeakMemory, held
from published import PublishedTraining, as_pictures, batches_to_train, published_flags
from published_generator import PublishedGenerator
from result_files import parse_arguments, write_result
from spreads import ratios, spread
from timing import Clock

from monai_sagan.bundles import run_bundle
from monai_sagan.data import HealthyUnlabeledDataset
from monai_sagan.networks import SAGANCritic

__all__ = ["measure", "parse_settings"]

# As many pairs as the radiographs of the paper's first data set, from few pictures.
PAIRS, PICTURES = 3840, 128


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what the arguments say."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, nargs="+", default=[64], help="channels of the first layers")
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--block", type=int, default=20, help="steps in a turn")
    parser.add_argument("--settings", action="append", nargs="*", default=None, metavar="KEY=VALUE")
    arguments = parse_arguments(parser, argv)
    rows = []
    for width in arguments.width:
        for given in arguments.settings or [[]]:
            settings = parse_settings(given)
            rows.append(
                measure(
                    torch.device(arguments.device),
                    settings,
                    width=width,
                    side=arguments.side,
                    batch=arguments.batch,
                    turns=arguments.turns,
                    block=arguments.block,
                )
            )
            print(describe(rows[-1]), flush=True)
            write_result("training", arguments, {"pairs": PAIRS, "rows": rows})  # nothing is lost if the next one fails


def parse_settings(given: Sequence[str]) -> dict[str, Any]:
    """``KEY=VALUE`` as ``monai-sagan train`` takes them."""
    settings = {}
    for text in given:
        key, _, value = text.partition("=")
        try:
            settings[key] = json.loads(value)
        except json.JSONDecodeError:
            settings[key] = value
    return settings


def measure(
    device: torch.device,
    settings: dict[str, Any],
    *,
    width: int = 64,
    num_res_blocks: int = 6,
    side: int = 64,
    batch: int = 32,
    turns: int = 5,
    block: int = 20,
    warm_up: int = 2,
    pairs: HealthyUnlabeledDataset | None = None,
) -> dict[str, Any]:
    """Times the two in turn.

    Args:
        device: where to train.
        settings: of the bundle, besides the sizes.
        width: channels of the generator's and the critic's first layers.
        num_res_blocks: of the generator.
        side: pixels of an image.
        batch: images of a kind in a step.
        turns: how often each is timed.
        block: steps in a turn, an even number: each second step trains the generator too.
        warm_up: see :class:`InTurn`.
        pairs: what to train on.

    Returns:
        The sizes and settings, ``published`` and ``bundle`` with the ``steps_per_second`` (median, least, most), the
        ``ratio`` of the two turn by turn, and the GiB that each holds and takes besides at most.
    """
    with tempfile.TemporaryDirectory() as folder:
        if pairs is None:
            data = write_images(Path(folder) / "data", PICTURES, side)
            pairs = training_pairs(data, [side, side], repeat=PAIRS // PICTURES)
        layers = parse_config("train", image_size=[side, side]).get_parsed_content("critic_layers")
        pictures = as_pictures(pairs.healthy), as_pictures(pairs.unlabeled)
        before = held(device)
        torch.manual_seed(0)
        published = PublishedTraining(
            PublishedGenerator(width, num_res_blocks).to(device),
            SAGANCritic(base_channels=width, num_layers=layers).to(device),
            batches_to_train(*pictures, batch),
            device,
        )
        turn = InTurn(published, block, turns, warm_up, device)
        turn.hold("published", before)
        sizes = {
            "image_size": [side, side],
            "base_channels": width,
            "num_res_blocks": num_res_blocks,
            "critic_base_channels": width,
            "critic_layers": layers,
            "batch_size": batch,
        }
        train_bundle(Path(folder), pairs, turn, {**sizes, "device": device, **settings})
    del published, turn.other
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    rates = {"published": [1 / each for each in turn.theirs], "bundle": [1 / each for each in turn.ours]}
    return {
        "width": width,
        "side": side,
        "batch": batch,
        "settings": settings,
        **{name: {"steps_per_second": spread(values), **turn.memory(name)} for name, values in rates.items()},
        "ratio": spread(ratios(turn.theirs, turn.ours)),
    }


class InTurn:
    """Lets another training run in between the iterations of an engine, and times both.

    Args:
        other: the other training.
        block: iterations of the one, then steps of the other.
        turns: how often each is timed; then the engine ends.
        warm_up: turns before, at least two, which do not count; memory is measured in the last, since that takes time.
        device: where both run.

    Attributes:
        ours: seconds for an iteration of the engine, a number a turn.
        theirs: seconds for a step of the other training.
    """

    def __init__(self, other: PublishedTraining, block: int, turns: int, warm_up: int, device: torch.device) -> None:
        self.other = other
        self.block = block
        self.turns = turns
        self.warm_up = warm_up
        self.device = device
        self.ours: list[float] = []
        self.theirs: list[float] = []
        self.turn = 0
        self.seen: dict[str, PeakMemory] = {}
        self.holds: dict[str, dict[str, float | None]] = {"bundle": {}, "published": {}}

    def attach(self, engine: Engine) -> None:
        """Attaches to a trainer, after all other handlers."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED(every=self.block), self._take_turns)

    def hold(self, name: str, before: dict[str, float | None]) -> None:
        """Counts what is held now and was not before as that of one of the two."""
        now, sums = held(self.device), self.holds[name]
        for key, value in now.items():
            sums[key] = None if value is None else (sums.get(key) or 0.0) + value - (before[key] or 0.0)
        self.held = now

    def memory(self, name: str) -> dict[str, float | None]:
        """GiB that one of the two holds, and takes besides while it runs: ``process`` and ``gpu``."""
        return {
            key: None if value is None else value + getattr(self.seen[name], key)
            for key, value in self.holds[name].items()
        }

    def _begin(self, engine: Engine) -> None:
        self.turn += 1
        self.peak = self._measure("bundle")
        self.peak.__enter__()
        self.clock = Clock(self.device)

    def _take_turns(self, engine: Engine) -> None:
        elapsed = self.clock.read()
        self.peak.__exit__(None, None, None)
        if self.turn == 1:
            self.hold("bundle", self.held)
        with published_flags(), self._measure("published"):
            clock = Clock(self.device)
            self.other.run(self.block)
            other_elapsed = clock.read()
        if self.turn == 1:
            self.hold("published", self.held)
        if self.turn > self.warm_up:
            self.ours.append(elapsed / self.block)
            self.theirs.append(other_elapsed / self.block)
        if len(self.ours) == self.turns:
            engine.terminate(skip_completed=True)
        else:
            self._begin(engine)

    def _measure(self, name: str) -> AbstractContextManager[object]:
        """Measures memory, if this is the turn to do so."""
        if self.turn != self.warm_up:
            return nullcontext()
        self.seen[name] = PeakMemory(self.device)
        return self.seen[name]


def train_bundle(folder: Path, pairs: HealthyUnlabeledDataset, turn: InTurn, overrides: dict[str, Any]) -> None:
    """Trains by the bundle's config; nothing but the adversarial training, which is what the other procedure has."""
    initialize = json.loads((BUNDLE / "configs" / "train.json").read_text(encoding="utf-8"))["initialize"]
    settings: dict[str, Any] = {
        "ckpt_dir": str(folder / "models"),
        "output_dir": str(folder / "eval"),
        "progress": "none",
        "critic_steps": 2 * (turn.warm_up + turn.turns) * turn.block,  # the turns end it before
        "checkpoint_interval": 10**6,
        "train#dataset": pairs,
        "train#data": {"healthy": [], "unlabeled": [], "selection": []},
        "turn": turn,
        "initialize": [*initialize, "$@turn.attach(@train#trainer)"],
        "run": ["$@train#trainer.run()"],
    }
    run_bundle(BUNDLE, "train", **(settings | overrides))


def describe(row: dict[str, Any]) -> str:
    """A row in a line."""
    settings = " ".join(f"{key}={json.dumps(value)}" for key, value in row["settings"].items()) or "as it ships"
    published, bundle = (row[name]["steps_per_second"]["median"] for name in ("published", "bundle"))
    ratio = row["ratio"]
    return (
        f"width {row['width']}, {row['side']}x{row['side']}, batch {row['batch']}, {settings}: published "
        f"{published:.2f}, bundle {bundle:.2f} steps/s, {ratio['median']:.2f} times "
        f"({ratio['least']:.2f} to {ratio['most']:.2f})"
    )


if __name__ == "__main__":
    main()
