"""Checkpoints from which a training goes on bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.transforms import Randomizable

from monai_sagan.errors import UserError
from monai_sagan.files import write_whole

__all__ = ["TrainingCheckpoint"]


class TrainingCheckpoint:
    """Writes everything that a training consists of, and takes it up again.

    That is the state of all objects, the engine's place in the data, and of all random number generators: torch's
    own, on the processor and on every CUDA device, and those of the random transforms given. Each file is written
    beside and then renamed, so that a run that is killed at any moment leaves the last checkpoint whole; MONAI's
    ``CheckpointSaver`` writes in place and keeps no random state.

    Only tensors and plain numbers are written, so that files load with ``weights_only=True``.

    Args:
        path: the checkpoint's file.
        objects: what has a state, by name; networks that are wrapped for distributed training are unwrapped.
        randomizables: random transforms, by name.
        weights_path: where to write the weights of ``objects["generator"]`` alone.
        interval: epochs between two checkpoints; the last epoch always has one.
        resume: whether to take up ``path`` when the engine starts, if it is there.
    """

    def __init__(
        self,
        path: str | Path,
        objects: Mapping[str, Any],
        randomizables: Mapping[str, Randomizable],
        weights_path: str | Path,
        interval: int = 1,
        resume: bool = False,
    ) -> None:
        self.path = Path(path)
        self.objects = dict(objects)
        self.randomizables = dict(randomizables)
        self.weights_path = Path(weights_path)
        self.interval = interval
        self.resume = resume

    def attach(self, engine: Engine) -> None:
        """Attaches to a trainer; one that resumes does so when it starts."""
        engine.add_event_handler(Events.STARTED, self._load)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._save)

    def _save(self, engine: Engine) -> None:
        last = engine.state.epoch == engine.state.max_epochs
        if idist.get_rank() != 0 or not (last or engine.state.epoch % self.interval == 0):
            return
        state = {name: _unwrap(item).state_dict() for name, item in self.objects.items()}
        state["engine"] = {"iteration": engine.state.iteration, "epoch": engine.state.epoch}
        state["random"] = self._random_state()
        with write_whole(self.path) as partial:
            torch.save(state, partial)
        with write_whole(self.weights_path) as partial:
            torch.save(state["generator"], partial)

    def _load(self, engine: Engine) -> None:
        if not self.resume or not self.path.is_file():
            return
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            for name, item in self.objects.items():
                _unwrap(item).load_state_dict(state[name])
        except (KeyError, RuntimeError, ValueError) as error:
            raise UserError(
                f"{self.path}: this checkpoint does not fit the training that should go on from it; use the settings "
                "that it was made with, or another output folder."
            ) from error
        self._set_random_state(state["random"])
        # Ignite starts after the epoch that the state says is complete.
        engine.state.epoch, engine.state.iteration = state["engine"]["epoch"], state["engine"]["iteration"]

    def _random_state(self) -> dict[str, Any]:
        transforms = {}
        for name, transform in self.randomizables.items():
            state: Any = transform.R.get_state()
            _, keys, position, has_gauss, gauss = state
            transforms[name] = [torch.from_numpy(keys.astype("int64")), int(position), int(has_gauss), float(gauss)]
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return {"cpu": torch.get_rng_state(), "cuda": cuda, "transforms": transforms}

    def _set_random_state(self, state: Mapping[str, Any]) -> None:
        torch.set_rng_state(state["cpu"])
        if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["cuda"])
        for name, (keys, position, has_gauss, gauss) in state["transforms"].items():
            self.randomizables[name].R.set_state(("MT19937", keys.numpy().astype("uint32"), position, has_gauss, gauss))


def _unwrap(item: Any) -> Any:
    return item.module if isinstance(item, torch.nn.parallel.DistributedDataParallel) else item
