"""Teaches networks and a forest how healthy images differ from the unlabelled mixture.

Nobody says which of the unlabelled images are not healthy. But what tells the two sets apart is what those bring with
them: the more an image looks like the unlabelled set and the less like the healthy one, the less healthy it is. This
is learning from positive and unlabelled examples (Elkan and Noto, KDD 2008).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import StratifiedKFold
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from monai_sagan.data import HealthyUnlabeledDataset
from monai_sagan.errors import SettingError, UserError
from monai_sagan.files import read_tensors, save_tensors
from monai_sagan.networks import Forest
from monai_sagan.processes import first_alone
from monai_sagan.progress import ProgressKind, Reporter, make_reporter
from monai_sagan.transforms import volume_score
from monai_sagan.transforms.contrast_ensemble import (
    ContrastEnsemble,
    forest_features,
    forest_log_odds,
    make_network,
    network_logits,
)
from monai_sagan.transforms.moving import move_pictures

__all__ = ["ContrastTraining", "out_of_fold_scores"]

# Parts that the images are divided into where no number of networks says how many.
_FOLDS = 5
_BATCH = 16  # of each kind
_AT_ONCE = 64  # pictures that are judged at once
_LEARNING_RATE = 4e-3
_WEIGHT_DECAY = 0.02
_WARM_UP = 0.2  # share of the steps
_AVERAGED = 0.99  # how much of the averaged weights a step keeps
_REPORTED = 10  # steps between two reports


class ContrastTraining:
    """Trains what a bundle scores by contrast with, and writes it to a file.

    Images are divided into as many parts as there are networks. Each network, and a forest of extremely randomised
    trees (Geurts et al., Machine Learning 2006) on :func:`~monai_sagan.transforms.image_features`, learns from all
    parts but one and judges that one, so that each image is judged by what has not seen it. These scores put networks
    and forest on one scale, and are kept: they tell, without a label, how well the two sets are told apart. The forest
    that is kept learns from all images.

    The file holds ``networks`` and ``trees``, how many there are; ``state``, the state of a
    :class:`~monai_sagan.transforms.ContrastEnsemble`; ``out_of_fold``, of each list of images (``healthy``,
    ``selection``, ``unlabeled``) the scores by what had not seen them, one an image; and ``fingerprint``, of images and
    settings.

    Args:
        dataset: the training images.
        path: the file to write.
        network: makes a network, (B, 1, rows, columns) in [-1, 1] to logits (B, 1).
        networks: how many; 0 for none.
        trees: of the forest; 0 for none.
        steps: of each network's training, with 16 healthy and 16 unlabelled images each.
        seed: of division, networks and trees.
        device: where to train.
        progress: how to report progress.
        resume: whether a file that is there stays, as part of the training that goes on.

    Raises:
        SettingError: if there is a single network, or a number is negative.
    """

    def __init__(
        self,
        dataset: HealthyUnlabeledDataset,
        path: str | Path,
        network: Callable[[], nn.Module],
        networks: int = 5,
        trees: int = 500,
        steps: int = 700,
        seed: int = 0,
        device: torch.device | str = "cpu",
        progress: ProgressKind = "none",
        resume: bool = False,
    ) -> None:
        if networks < 0 or networks == 1:
            raise SettingError(f"contrast_networks must be 0 or at least 2, not {networks}.")
        if trees < 0 or steps < 1:
            raise SettingError(
                f"contrast_trees must not be negative and contrast_steps at least 1, not {trees} and {steps}."
            )
        self.dataset = dataset
        self.path = Path(path)
        self.network = network
        self.networks = networks
        self.trees = trees
        self.steps = steps
        self.seed = seed
        self.device = torch.device(device)
        self.progress = progress
        self.resume = resume

    def run(self) -> None:
        """Trains; in distributed training the first process alone, while the others wait.

        Raises:
            OSError: if the file cannot be written.
            UserError: if the training that should go on was one of other images, or with other settings.
        """
        first_alone(self._run)

    def _run(self) -> None:
        reporter = make_reporter(self.progress)
        if self.networks == 0 and self.trees == 0:
            return
        folds = self.networks or _FOLDS
        pictures = _Pictures(self.dataset)
        if pictures.fewest < folds:
            reporter.warning(
                f"{folds} healthy and as many unlabelled images are needed at least to score by contrast, so it is "
                "left out."
            )
            return
        fingerprint = self._fingerprint(pictures)
        if self.resume and (former := _fingerprint_of(self.path)):
            if former == fingerprint:
                return
            raise UserError(
                f"{self.path}: this was made of other images or with other settings than the training that should go "
                "on; use those that it was made with, or another output folder."
            )
        reporter.start(self.networks * self.steps, "Contrast")
        try:
            content = self._train(pictures, folds, reporter)
        finally:
            reporter.stop()
        save_tensors({**content, "fingerprint": fingerprint}, self.path)

    def _train(self, pictures: _Pictures, folds: int, reporter: Reporter) -> dict[str, Any]:
        members = []
        networks: list[nn.Module] = []
        forest = None
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(self.seed)
            if self.networks:
                networks, logits = self._train_networks(pictures, folds, reporter)
                members.append(logits)
        if self.trees:
            forest, log_odds = self._grow_forest(pictures, folds)
            members.append(log_odds)
        both = torch.stack(members, dim=1)
        ensemble = ContrastEnsemble(networks, forest)
        ensemble.mean, ensemble.deviation = both.mean(dim=0), both.std(dim=0).clamp(min=1e-6)
        return {
            "networks": len(networks),
            "trees": self.trees,
            "state": {name: tensor.cpu() for name, tensor in ensemble.state_dict().items()},
            "out_of_fold": pictures.by_list(ensemble.combine(both)),
        }

    def _train_networks(
        self, pictures: _Pictures, folds: int, reporter: Reporter
    ) -> tuple[list[nn.Module], torch.Tensor]:
        """Networks, and what the one that has not seen it says of each picture."""
        logits = torch.zeros(len(pictures.images))
        networks: list[nn.Module] = []
        for seen, unseen in pictures.divide(folds, self.seed):

            def tell(step: int, loss: torch.Tensor) -> None:
                if step % _REPORTED == 0:
                    reporter.progress(len(networks) * self.steps + step, loss=loss.item())

            network = train_network(
                make_network(self.network).to(self.device),
                pictures.images[seen],
                pictures.labels[seen],
                self.steps,
                torch.Generator().manual_seed(self.seed * folds + len(networks)),
                tell,
            )
            logits[unseen] = _judge(network, pictures.images[unseen], self.device)
            networks.append(network.cpu())
        return networks, logits

    def _grow_forest(self, pictures: _Pictures, folds: int) -> tuple[Forest, torch.Tensor]:
        """A forest that has seen all pictures, and what one that has not seen it says of each picture."""
        features = torch.cat([forest_features(some) for some in pictures.images.split(_AT_ONCE)])

        def grow(seen: slice | torch.Tensor) -> Forest:
            classifier = ExtraTreesClassifier(
                self.trees,
                min_samples_leaf=2,
                class_weight="balanced",
                n_jobs=torch.get_num_threads(),
                random_state=self.seed,
            )
            return Forest.from_sklearn(classifier.fit(features[seen].numpy(), pictures.labels[seen].numpy()))

        log_odds = torch.zeros(len(features))
        for seen, unseen in pictures.divide(folds, self.seed):
            log_odds[unseen] = forest_log_odds(grow(seen), features[unseen])
        return grow(slice(None)), log_odds

    def _fingerprint(self, pictures: _Pictures) -> str:
        """What tells this training from others: a digest of its images and settings."""
        with torch.random.fork_rng([]):
            network = repr(make_network(self.network)) if self.networks else ""
        settings = (self.networks, self.trees, self.steps, self.seed, network)
        digest = hashlib.sha256(repr((*settings, pictures.counts, tuple(pictures.images.shape))).encode())
        for some in pictures.images.split(_AT_ONCE):
            digest.update(some.contiguous().numpy().tobytes())
        return digest.hexdigest()


class _Pictures:
    """All pictures of a training set: pictures as they are, volumes as slices that stay together.

    Args:
        dataset: the training set.

    Attributes:
        images: (N, 1, rows, columns).
        labels: (N,), 1 for the unlabelled set.
        fewest: the number of healthy images or that of unlabelled ones, whichever is smaller.
    """

    def __init__(self, dataset: HealthyUnlabeledDataset) -> None:
        lists = {"healthy": dataset.healthy, "selection": dataset.selection, "unlabeled": dataset.unlabeled}
        self.images = torch.cat(list(lists.values()))
        self.counts = {name: dataset.counts[name] for name in lists}
        # Of each image, whether it is from the unlabelled set, and of each picture the image that it is from.
        self.kinds = torch.tensor([int(name == "unlabeled") for name in lists for _ in self.counts[name]])
        self.sizes = list(chain.from_iterable(self.counts.values()))
        self.owners = torch.arange(len(self.kinds)).repeat_interleave(torch.tensor(self.sizes))
        self.labels = self.kinds[self.owners]
        self.fewest = int(torch.bincount(self.kinds, minlength=2).min())

    def divide(self, folds: int, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Numbers of the pictures to learn from and of those to judge, for each part that is left out in turn."""
        division = StratifiedKFold(folds, shuffle=True, random_state=seed)
        for _, left_out in division.split(np.zeros(len(self.kinds)), self.kinds):
            unseen = torch.isin(self.owners, torch.from_numpy(left_out))
            yield (~unseen).nonzero()[:, 0], unseen.nonzero()[:, 0]

    def by_list(self, scores: torch.Tensor) -> dict[str, torch.Tensor]:
        """The scores (N,) of pictures as those of images, for each list."""
        by_image = iter([volume_score(some.tolist()) for some in scores.split(self.sizes)])
        return {name: torch.tensor([next(by_image) for _ in counts]) for name, counts in self.counts.items()}


def out_of_fold_scores(path: str | Path) -> tuple[list[float], list[float]]:
    """How the images of a training score by contrast, each by what had not seen it.

    Args:
        path: what :class:`ContrastTraining` wrote.

    Returns:
        Of the healthy images, and of the unlabelled ones, in the order of their lists.

    Raises:
        UserError: if the file is damaged.
    """
    found = read_tensors(Path(path))["out_of_fold"]
    return found["healthy"].tolist() + found["selection"].tolist(), found["unlabeled"].tolist()


def train_network(
    network: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    steps: int,
    random: torch.Generator,
    tell: Callable[[int, torch.Tensor], None],
) -> nn.Module:
    """Trains one network on batches with as many images of either kind.

    AdamW with one cycle of the learning rate; what is returned has weights that are averaged over the last steps.

    Args:
        network: on the device to train on.
        images: (N, 1, rows, columns) in [-1, 1].
        labels: (N,), 1 for the unlabelled set.
        steps: how many.
        random: decides which images come when, and how they are moved.
        tell: called with the number of steps done and the loss.

    Returns:
        The network, in evaluation mode.
    """
    device = next(network.parameters()).device
    # Convolutions are half as fast on processors with the channels apart.
    network = network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]

    def average(old: Sequence[torch.Tensor], new: Sequence[torch.Tensor], _: torch.Tensor | int) -> None:
        _move_average(old, new, step - 1)  # as torch counts, on a GPU, where reading it means to wait for it

    averaged = AveragedModel(network, multi_avg_fn=average, use_buffers=True)
    optimizer = torch.optim.AdamW(network.parameters(), _LEARNING_RATE, weight_decay=_WEIGHT_DECAY, fused=True)
    # Of five steps the warm-up would be one, and its length none.
    total = max(steps, 5) + 1
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, total, pct_start=_WARM_UP)
    truth = torch.tensor([0.0, 1.0], device=device).repeat_interleave(_BATCH)
    draws = [_endlessly((labels == kind).nonzero()[:, 0], random) for kind in (0, 1)]
    for step in range(1, steps + 1):
        chosen = torch.cat([next(draw) for draw in draws])
        batch = move_about(images[chosen].to(device), random).contiguous(memory_format=torch.channels_last)
        loss = F.binary_cross_entropy_with_logits(network(batch)[:, 0], truth)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        averaged.update_parameters(network)
        tell(step, loss.detach())
    return averaged.module.eval()


def move_about(images: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Turns, stretches, shifts and mirrors each image a little, as another patient may lie.

    Up to 10 degrees, 10% in size, 6% in proportion and 5% of a side. What comes in from outside is black.

    Args:
        images: (B, 1, rows, columns) in [-1, 1].
        random: what decides, on the processor.

    Returns:
        (B, 1, rows, columns).
    """
    angle, size, proportion, across, down = torch.rand(5, len(images), generator=random) * 2 - 1
    angle, size, proportion = angle * 0.17, 1 + size * 0.1, 1 + proportion * 0.06
    mirror = torch.where(torch.rand(len(images), generator=random) < 0.5, -1.0, 1.0)
    zoom = (size * proportion * mirror, size)
    # Outside is 0 to the function, and black is -1.
    return move_pictures(images + 1, angle, zoom, (across * 0.05, down * 0.05), outside="zeros") - 1


def _endlessly(numbers: torch.Tensor, random: torch.Generator) -> Iterator[torch.Tensor]:
    """Batches of the numbers in ever new orders, each as often as any other."""
    waiting = numbers[:0]
    while True:
        while len(waiting) < _BATCH:
            waiting = torch.cat([waiting, numbers[torch.randperm(len(numbers), generator=random)]])
        yield waiting[:_BATCH]
        waiting = waiting[_BATCH:]


def _move_average(averaged: Sequence[torch.Tensor], current: Sequence[torch.Tensor], count: int) -> None:
    """Moves averaged tensors towards the current ones, in the first steps further, which no start then spoils."""
    kept = min(_AVERAGED, count / (count + 10))
    for old, new in zip(averaged, current):
        if old.is_floating_point():
            old.lerp_(new, 1 - kept)
        else:
            old.copy_(new)


def _judge(network: nn.Module, images: torch.Tensor, device: torch.device) -> torch.Tensor:
    with torch.inference_mode():
        return torch.cat([network_logits(network, some.to(device)).cpu() for some in images.split(_AT_ONCE)])


def _fingerprint_of(path: Path) -> str | None:
    """What a file was made of; None where there is none, or it is damaged and so made again."""
    try:
        return read_tensors(path).get("fingerprint") if path.is_file() else None
    except (UserError, AttributeError):
        return None
