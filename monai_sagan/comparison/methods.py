"""The methods that are compared: each a bundle with settings, and what its training is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["METHODS", "Method", "Part"]

_SAGAN = "sagan_anomaly_detection"
_RECONSTRUCTION = "reconstruction_anomaly_detection"


@dataclass(frozen=True)
class Part:
    """One of the things that a method trains, one after the other.

    Args:
        setting: the setting that says how many steps it has.
        task: what its progress is told under.
        share: of the time that the parts before have left.
        repeats: the setting that says how often the steps are made; None for once.
        is_capped: whether it never has more steps than the bundle gives it by itself.
    """

    setting: str
    task: str = "Training"
    share: float = 1.0
    repeats: str | None = None
    is_capped: bool = False


@dataclass(frozen=True)
class Method:
    """A way to find anomalies.

    Args:
        bundle: name of the bundle.
        settings: what makes it this method.
        parts: of its training.
        learns_from_unlabeled: whether the unlabelled images make a difference to it.
        has_map: whether its maps are meant to show where.
        while_measured: settings of the training that a step is measured by.
    """

    bundle: str
    settings: Mapping[str, Any]
    parts: tuple[Part, ...]
    learns_from_unlabeled: bool = True
    has_map: bool = True
    while_measured: Mapping[str, Any] = field(default_factory=dict)
    # What a comparison sets for all methods of a bundle: no image is set aside that another method learns from.
    common: Mapping[str, Any] = field(default_factory=lambda: {"calibration_share": 0.0})

    def all_settings(self, overrides: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of a training: the user's, and above them those that make the method what it is."""
        return {**overrides, **self.common, **self.settings}


_CRITIC = Part("critic_steps")
# Trained to the end where half the time is enough for that; the generator has the rest.
_CONTRAST = Part("contrast_steps", "Contrast", share=0.5, repeats="contrast_networks", is_capped=True)
# In a training of few steps, checkpoints would come every few of them.
_ONE_CHECKPOINT = {"selection_candidates": 1}
_WITHOUT_CONTRAST = {"contrast_networks": 0, "contrast_trees": 0, "score": "residual"}
# What the bundle's README recommends for few steps.
_RECOMMENDED = {"identity_weight": 10.0, "restoration_weight": 10.0, "learning_rate": 2e-4}
_PUBLISHED = {
    "adversarial_weight": 1.0,
    "identity_weight": 1.0,
    "restoration_weight": 1.0,
    "learning_rate": 5e-5,
    "decay_share": 0.0,
    "selection_share": 0.0,
    **_WITHOUT_CONTRAST,
}
_SMALL_CNN = {"_target_": "monai_sagan.comparison.SmallClassifier", "_mode_": "callable"}
_CLASSIFIER = {
    "contrast_def": _SMALL_CNN,
    "contrast": {
        "_target_": "monai_sagan.comparison.PlainClassifierTraining",
        "dataset": "@train#dataset",
        "path": "$@ckpt_dir + '/contrast.pt'",
        "network": "@contrast_def",
        "steps": "@contrast_steps",
        "seed": "@seed",
        "device": "@device",
        "progress": "@progress",
    },
    "critic_steps": 1,
    "selection_share": 0.0,
    "score": "contrast",
    "run": ["$@train#trainer.run()", "$@contrast.run()"],
}


def _reconstruction(method: str) -> Method:
    return Method(_RECONSTRUCTION, {"method": method}, (Part("training_steps"),), learns_from_unlabeled=False)


METHODS: dict[str, Method] = {
    "sagan": Method(_SAGAN, _RECOMMENDED, (_CONTRAST, _CRITIC), while_measured=_ONE_CHECKPOINT),
    "sagan-published": Method(_SAGAN, _PUBLISHED, (_CRITIC,)),
    "residual": Method(_SAGAN, {**_RECOMMENDED, **_WITHOUT_CONTRAST}, (_CRITIC,), while_measured=_ONE_CHECKPOINT),
    "classifier": Method(_SAGAN, _CLASSIFIER, (Part("contrast_steps", "Contrast"),), has_map=False),
    "autoencoder": _reconstruction("autoencoder"),
    "variational": _reconstruction("variational"),
    "denoising": _reconstruction("denoising"),
}
