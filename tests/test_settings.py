"""Which values the settings of a bundle can have."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from monai_sagan.bundles import read_config, shipped_bundles
from monai_sagan.config_text import is_expression
from monai_sagan.errors import SettingError
from monai_sagan.settings import check_setting, is_setting


@pytest.mark.parametrize(
    ("key", "value", "former", "message"),
    [
        ("batch_size", -1, 16, "must be at least 1, not -1."),
        ("batch_size", 0.5, 16, ": 0.5 cannot take the place of 16; give a value like it."),
        ("patch_grid", 0, 2, "must be at least 1, not 0."),
        ("patch_grid", [2, 0], [2, 2], r"must be at least 1, not \[2, 0\]."),
        ("image_size", [0, 0], [64, 64], r"must be 2 or 3 whole numbers of at least 1, not \[0, 0\]."),
        ("image_size", [], [64, 64], r"must be 2 or 3 whole numbers of at least 1, not \[\]."),
        ("image_size", [32.5, 32], [64, 64], r"must be 2 or 3 whole numbers of at least 1, not \[32.5, 32\]."),
        ("image_size", 64, "$[@side, @side]", "must be 2 or 3 whole numbers of at least 1, not 64."),
        ("image_size", ["64", "64"], None, "must be 2 or 3 whole numbers of at least 1, not "),
        ("learning_rate", 1e6, 5e-5, r"must lie in \(0, 1\], not 1000000.0."),
        ("learning_rate", 0, 5e-5, r"must lie in \(0, 1\], not 0."),
        ("learning_rate", math.nan, 5e-5, r"must lie in \(0, 1\], not nan."),
        ("kl_weight", math.inf, 1.0, "must be at least 0, not inf."),
        ("background", math.nan, -0.9, "must be finite, not nan."),
        ("intensity_window", [math.nan, 1], None, r"must be finite, not \[nan, 1\]."),
        ("intensity_percentiles", [5], [0.5, 99.5], r"must be two growing numbers in \[0, 100\], not \[5\]."),
        ("intensity_percentiles", None, "$percentiles()", r"must be two growing numbers in \[0, 100\], not None."),
        ("anomaly_ratio", True, None, r"must lie in \[0, 1\], not True."),
        ("calibration_share", 1, 0.2, r"must lie in \[0, 1\), not 1."),
        ("contrast_networks", 1, 5, "must be 0 or at least 2, not 1."),
        ("split_seed", -1, 0, r"must lie in \[0, 2\*\*32\), not -1."),
        ("critic_layers", None, "$5", r"must lie in \[1, 10\], not None."),
        ("critic_layers", 99, "$5", r"must lie in \[1, 10\], not 99."),
        ("amp", 1, "$gains()", "must be true or false, not 1."),
    ],
)
def test_values_that_nothing_can_work_with(key: str, value: Any, former: Any, message: str) -> None:
    with pytest.raises(SettingError, match=f"^{key}.*{message}"):
        check_setting(key, value, former)


@pytest.mark.parametrize(
    ("key", "value", "former"),
    [
        ("critic_steps", 1e5, 1000),
        ("critic_steps", "$2 * 500", 1000),
        ("learning_rate", 1, 5e-5),
        ("anomaly_ratio", None, None),
        ("anomaly_ratio", 0, None),
        ("intensity_window", [-1000, 400], None),
        ("image_size", [64, 64, 64], [64, 64]),
        ("amp", False, "$gains()"),
        ("intensity_percentiles", [0.5, 99.5], [1, 99]),
        ("own_setting", -3, 1),
    ],
)
def test_values_that_are_fine(key: str, value: Any, former: Any) -> None:
    check_setting(key, value, former)


@pytest.mark.parametrize("bundle", shipped_bundles().values(), ids=lambda path: path.name)
@pytest.mark.parametrize("config", ["train", "inference"])
def test_settings_that_ship_are_in_their_ranges(bundle: Path, config: str) -> None:
    for key, value in read_config(bundle, config).items():
        if is_setting(value) and not is_expression(str(value)):
            check_setting(key, value, value)


@pytest.mark.parametrize("bundle", shipped_bundles().values(), ids=lambda path: path.name)
def test_every_number_that_ships_has_a_range(bundle: Path) -> None:
    """Where any number is one, it is named here."""
    unlimited = {"calibration_seed", "seed"}
    numbers = {key for key, value in read_config(bundle, "train").items() if type(value) in (int, float)}
    for key in numbers - unlimited:
        with pytest.raises(SettingError, match=f"^{key} must "):
            check_setting(key, -1, 1)
