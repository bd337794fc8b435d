"""Checkpoints from which a training goes on bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.transforms import Randomizable
from torch.optim import Optimizer

from monai_sagan.errors import SettingError, UserError
from monai_sagan.files import read_tensors, save_tensors
from monai_sagan.processes import from_all, is_first, process_rank

__all__ = ["TrainingCheckpoint"]

# What of the engine's state must be as it was: it decides which data come when, and how the learning rate falls.
_FIXED = ("epoch_length", "max_epochs")
# What of an optimizer is the device's affair: how it computes its steps.
_OF_DEVICE = ("capturable", "foreach", "fused")


class TrainingCheckpoint:
    """Writes everything that a training consists of, and takes it up again.

    That is the state of all objects, the engine's place in the data, and of all random number generators: torch's
    own, on the processor and on the engine's device, and those of the random transforms given; in distributed training
    those of each process. Each file is written beside and then renamed, so that a run that is killed at any moment
    leaves the last checkpoint whole; MONAI's ``CheckpointSaver`` writes in place and keeps no random state.

    Only tensors and plain numbers are written, so that files load with ``weights_only=True``.

    Args:
        path: the checkpoint's file.
        objects: what has a state, by name; networks that are wrapped for distributed training are unwrapped.
        randomizables: random transforms, by name.
        weights: gives the weights that the bundle runs with, such as a network's ``state_dict``.
        weights_path: where to write them.
        interval: epochs between two checkpoints; the last epoch always has one.
        resume: whether to take up ``path`` when the engine starts, if it is there.

    Raises:
        SettingError: if ``interval`` is less than 1.
    """

    def __init__(
        self,
        path: str | Path,
        objects: Mapping[str, Any],
        randomizables: Mapping[str, Randomizable],
        weights: Callable[[], Mapping[str, torch.Tensor]],
        weights_path: str | Path,
        interval: int = 1,
        resume: bool = False,
    ) -> None:
        if interval < 1:
            raise SettingError(f"checkpoint_interval must be at least 1, not {interval}.")
        self.path = Path(path)
        self.objects = dict(objects)
        self.randomizables = dict(randomizables)
        self.weights = weights
        self.weights_path = Path(weights_path)
        self.interval = interval
        self.resume = resume

    def attach(self, engine: Engine) -> None:
        """Attaches to a trainer; one that resumes does so when it starts."""
        engine.add_event_handler(Events.STARTED, self._load)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._save)

    def _save(self, engine: Any) -> None:
        state = engine.state
        if state.epoch != state.max_epochs and state.epoch % self.interval != 0:
            return
        random_states = from_all(self._random_state(state.device))
        if not is_first():
            return
        content = {name: _unwrap(item).state_dict() for name, item in self.objects.items()}
        content["engine"] = {name: getattr(state, name) for name in ("iteration", "epoch", *_FIXED)}
        content["random"] = random_states
        # The weights first: if the run ends between the two files, it will go on from before both.
        save_tensors(dict(self.weights()), self.weights_path)
        save_tensors(content, self.path)

    def _load(self, engine: Any) -> None:
        if not self.resume or not self.path.is_file():
            return
        content = read_tensors(self.path)
        try:
            for name in _FIXED:
                if content["engine"][name] != getattr(engine.state, name):
                    raise ValueError(f"{name} was {content['engine'][name]}.")
            for name, item in self.objects.items():
                _load_state(_unwrap(item), content[name])
            random_states = content["random"]
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise UserError(
                f"{self.path}: this checkpoint does not fit the training that should go on from it; use the data and "
                "the settings that it was made with, or another output folder."
            ) from error
        rank, world = process_rank()
        if len(random_states) != world:
            raise UserError(
                f"{self.path}: {len(random_states)} processes made this checkpoint; go on with as many, not {world}."
            )
        self._set_random_state(random_states[rank], engine.state.device)
        # Ignite starts after the epoch that the state says is complete.
        engine.state.epoch, engine.state.iteration = content["engine"]["epoch"], content["engine"]["iteration"]

    def _random_state(self, device: torch.device) -> dict[str, Any]:
        transforms = {}
        for name, transform in self.randomizables.items():
            state: Any = transform.R.get_state()
            _, keys, position, has_gauss, gauss = state
            transforms[name] = [torch.from_numpy(keys.astype("int64")), int(position), int(has_gauss), float(gauss)]
        cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        return {"cpu": torch.get_rng_state(), "cuda": cuda, "transforms": transforms}

    def _set_random_state(self, state: Mapping[str, Any], device: torch.device) -> None:
        torch.set_rng_state(state["cpu"])
        if device.type == "cuda" and state["cuda"] is not None:
            torch.cuda.set_rng_state(state["cuda"], device)
        for name, (keys, position, has_gauss, gauss) in state["transforms"].items():
            self.randomizables[name].R.set_state(("MT19937", keys.numpy().astype("uint32"), position, has_gauss, gauss))


def _load_state(item: Any, state: dict[str, Any]) -> None:
    """Loads a state that may have been written with another device."""
    if isinstance(item, Optimizer):
        for own, group in zip(item.param_groups, state["param_groups"]):
            group |= {name: own[name] for name in _OF_DEVICE if name in own}
    item.load_state_dict(state)
    if isinstance(item, Optimizer):
        for parameter, moments in item.state.items():  # in memory as the parameters lie
            for name, moment in moments.items():
                if name != "step" and moment.shape == parameter.shape:
                    moments[name] = torch.empty_like(parameter, requires_grad=False).copy_(moment)


def _unwrap(item: Any) -> Any:
    return item.module if isinstance(item, torch.nn.parallel.DistributedDataParallel) else item
