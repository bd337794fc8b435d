"""The settings of a bundle: which entries of a config they are, and which values a training can work with."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from monai_sagan.config_text import is_expression
from monai_sagan.errors import SettingError, UserError

__all__ = ["check_setting", "is_setting", "no_such_setting"]


def is_setting(value: Any) -> bool:
    """Whether a config's entry is what a user may want to change: a number, a switch, a word, a list or dictionary of
    these, or nothing where one of them can stand."""
    if isinstance(value, dict):
        return all(not key.startswith("_") and is_setting(item) for key, item in value.items())
    if isinstance(value, list):
        return all(is_setting(item) for item in value)
    return value is None or isinstance(value, (int, float)) or (isinstance(value, str) and value.isidentifier())


def no_such_setting(key: str, bundle: str, contents: Sequence[Mapping[str, Any]]) -> UserError:
    """What to tell of a setting that a bundle has not: those that it has, the one first that was probably meant.

    Args:
        key: the setting.
        bundle: its name.
        contents: of its configs.
    """
    settings = sorted({key for content in contents for key, value in content.items() if is_setting(value)})
    listed = f"has {', '.join(settings)}."
    meant = get_close_matches(key, settings, n=1)
    told = f"did you mean {meant[0]}? It {listed}" if meant else f"it {listed}"
    return UserError(f"{key}: the bundle {bundle} has no such setting; {told}")


def check_setting(key: str, value: Any, former: Any) -> None:
    """Checks that a value can take the place of a setting's, as far as one setting alone can tell.

    Args:
        key: the setting.
        value: the new value.
        former: the value that it takes the place of.

    Raises:
        SettingError: if it is of another kind, or out of the range of the settings of that name.
    """
    if isinstance(value, str) and is_expression(value):
        return  # its value is known when the config is run
    if is_setting(former) and not _is_like(value, former):
        raise SettingError(f"{key}: {value!r} cannot take the place of {json.dumps(former)}; give a value like it.")
    if value is None and former is None:
        return
    what, is_allowed = _ALLOWED.get(key, _ANYTHING)
    if not _are_finite(value) or not is_allowed(value):
        raise SettingError(f"{key} must {what}, not {value!r}.")


def _is_like(value: Any, former: Any) -> bool:
    """Whether a value can take the place of a setting: a number that of a number, but only a whole one that of a whole
    one, a list of such that of a list, text that of text, any of them that of nothing."""
    if former is None:
        return True
    if type(former) is int and type(value) is float:
        return value.is_integer()
    if isinstance(former, list) and isinstance(value, list):
        return not former or all(_kind(item) == _kind(former[0]) for item in value)
    return _kind(value) == _kind(former)


def _kind(value: Any) -> type:
    return float if type(value) is int else type(value)


def _is_number(value: Any) -> bool:
    return _kind(value) is float


def _are_finite(value: Any) -> bool:
    items = value if isinstance(value, list) else [value]
    return all(math.isfinite(item) for item in items if _is_number(item))


# What a message says of a range after "must", and whether a value lies in it.
_Range = tuple[str, Callable[[Any], bool]]


def _numbers(what: str, is_allowed: Callable[[float], bool]) -> _Range:
    """A range of a number, and of each number of a list."""

    def are_allowed(value: Any) -> bool:
        items = value if isinstance(value, list) else [value]
        return all(_is_number(item) and is_allowed(item) for item in items)

    return what, are_allowed


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_number, value))


def _is_size(value: Any) -> bool:
    return _are_numbers(value) and len(value) in (2, 3) and all(side >= 1 and side == int(side) for side in value)


def _are_percentiles(value: Any) -> bool:
    return _are_numbers(value) and len(value) == 2 and 0 <= value[0] < value[1] <= 100


_ANYTHING: _Range = ("be finite", lambda value: True)
_SWITCH: _Range = ("be true or false", lambda value: isinstance(value, bool))
_AT_LEAST_1 = _numbers("be at least 1", lambda number: number >= 1)
_AT_LEAST_0 = _numbers("be at least 0", lambda number: number >= 0)
_SHARE = _numbers("lie in [0, 1]", lambda number: 0 <= number <= 1)
_PART = _numbers("lie in [0, 1)", lambda number: 0 <= number < 1)

# Settings that several bundles share have one meaning, so that a name is enough. What depends on another setting, on
# the network or on the data is checked by what uses it.
_ALLOWED: dict[str, _Range] = {
    "amp": _SWITCH,
    "cuda_graphs": _SWITCH,
    "image_size": ("be 2 or 3 whole numbers of at least 1", _is_size),
    "intensity_percentiles": ("be two growing numbers in [0, 100]", _are_percentiles),
    # Adam's steps are about as long as the rate, and weights are smaller than 1.
    "learning_rate": _numbers("lie in (0, 1]", lambda number: 0 < number <= 1),
    # A layer more doubles the channels: far below ten, memory is at its end.
    "critic_layers": _numbers("lie in [1, 10]", lambda number: 1 <= number <= 10),
    "contrast_networks": _numbers("be 0 or at least 2", lambda number: number == 0 or number >= 2),
    "split_seed": _numbers("lie in [0, 2**32)", lambda number: 0 <= number < 2**32),
    **dict.fromkeys(
        (
            *("attention_images", "bank_images_per_class", "base_channels", "batch_size", "checkpoint_interval"),
            *("contrast_steps", "critic_base_channels", "critic_steps"),
            *("critic_steps_per_generator_step", "epochs", "inference_batch_size", "latent_size", "noise_coarseness"),
            *("num_folds", "patch_grid", "samples_per_volume", "selection_candidates", "training_steps"),
        ),
        _AT_LEAST_1,
    ),
    **dict.fromkeys(
        (
            *("adversarial_weight", "contrast_trees", "fold", "gradient_penalty_weight", "identity_weight"),
            *("kl_weight", "noise_std", "num_res_blocks", "num_workers", "restoration_weight", "sparsity_weight"),
            "weight_decay",
        ),
        _AT_LEAST_0,
    ),
    **dict.fromkeys(("anomaly_ratio", "augmented_share", "decay_share"), _SHARE),
    **dict.fromkeys(("calibration_share", "selection_share"), _PART),
}
