"""MONAI bundles: finding, describing, deriving and running them.

The bundle is the program: what is read, how it is prepared, which network and what is written stand in its config.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from torch.overrides import TorchFunctionMode

from monai_sagan.config_text import is_expression
from monai_sagan.errors import UserError
from monai_sagan.files import save_tensors, write_whole_folder
from monai_sagan.processes import process_rank

__all__ = [
    "CALIBRATED_WITH",
    "CALIBRATION",
    "CALIBRATION_MAPS",
    "CONTRAST",
    "FAMILIARITY",
    "SELECTION",
    "WEIGHTS",
    "derive_bundle",
    "describe_bundle",
    "find_bundle",
    "read_settings",
    "require_weights",
    "run_bundle",
    "shipped_bundles",
    "weights_sha256",
    "working_directory",
]

WEIGHTS = Path("models") / "model.pt"
# What is trained besides, by healthy against unlabelled images, and what tells strangers; not every bundle has them.
CONTRAST = Path("models") / "contrast.pt"
FAMILIARITY = Path("models") / "familiarity.pt"
SELECTION = Path("models") / "selection.json"
CALIBRATION = Path("models") / "calibration.json"
CALIBRATION_MAPS = Path("models") / "calibration_maps.pt"
CALIBRATED_WITH = Path("models") / "calibrated_with.txt"
_METADATA = Path("configs") / "metadata.json"
# The config that defines network and preparation; the others take these from it by MONAI's macros.
_BASE_CONFIG = "inference"
# Folders of what is made by running a bundle.
_MADE = {"models", "eval", "__pycache__"}
# What a config's text begins with when it stands for something else.
_PACKAGE = Path(__file__).resolve().parent


def shipped_bundles() -> dict[str, Path]:
    """The bundles that come with the package, by name: in the installed package, or beside it in a checkout."""
    homes = (_PACKAGE / "shipped_bundles", _PACKAGE.parent / "bundles")
    return {path.name: path for home in homes for path in sorted(home.glob("*")) if (path / _METADATA).is_file()}


def find_bundle(bundle: str | Path) -> Path:
    """The folder of a bundle.

    Args:
        bundle: a folder, or the name of a bundle that ships with the package. A folder of that name wins.

    Raises:
        UserError: if it is neither; the message names those that ship.
    """
    path = Path(bundle)
    if (path / _METADATA).is_file():
        return path.resolve()
    shipped = shipped_bundles()
    if str(bundle) in shipped:
        return shipped[str(bundle)]
    if path.is_dir():
        raise UserError(f"{path}: this folder is no bundle, it has no {_METADATA}.")
    raise UserError(f"{bundle}: there is no such bundle; give a bundle's folder or one of {', '.join(shipped)}.")


def require_weights(root: Path) -> Path:
    """The weights of a bundle.

    Raises:
        UserError: if it has none.
    """
    weights = root / WEIGHTS
    if not weights.is_file():
        raise UserError(
            f"{weights}: this bundle has no weights; train it ('monai-sagan train') or import some "
            "('monai-sagan import-checkpoint')."
        )
    return weights


def read_settings(root: Path) -> dict[str, Any]:
    """The config that defines network and preparation of a bundle, as it is written.

    Args:
        root: the bundle's folder.

    Raises:
        UserError: if it is damaged.
    """
    return _read_config(root / "configs" / f"{_BASE_CONFIG}.json")


def _read_config(path: Path) -> dict[str, Any]:
    try:
        return dict(ConfigParser.load_config_file(str(path)))
    except ValueError as error:
        raise UserError(f"{path}: this config is damaged ({error}); get the bundle again, or mend it.") from error


def describe_bundle(bundle_root: str | Path) -> dict[str, str | None]:
    """What a result says of the bundle that made it.

    Args:
        bundle_root: the bundle's folder.

    Returns:
        ``name``, ``version`` and ``weights_sha256`` (None without weights), and, where it was calibrated,
        ``calibration_sha256``.
    """
    root = Path(bundle_root)
    version = _read_config(root / _METADATA).get("version")
    if version is None:
        raise UserError(f"{root / _METADATA}: this file has no version; get the bundle again, or mend it.")
    description = {"name": root.resolve().name, "version": version, "weights_sha256": weights_sha256(root)}
    calibration = root / CALIBRATION
    if calibration.is_file():
        description["calibration_sha256"] = hashlib.sha256(calibration.read_bytes()).hexdigest()
    return description


def weights_sha256(bundle_root: str | Path) -> str | None:
    """The digest of a bundle's weights; None without weights.

    Args:
        bundle_root: the bundle's folder.

    Returns:
        Of the network's file; of all files of weights together, where there are more.
    """
    files = [Path(bundle_root) / name for name in (WEIGHTS, CONTRAST, FAMILIARITY)]
    if not files[0].is_file():
        return None
    return _sha256(tuple(_state(file) for file in files if file.is_file()))


def _state(file: Path) -> tuple[Path, int, int, int]:
    """A file, and what of it changes with its contents."""
    state = file.stat()
    return file.resolve(), state.st_ino, state.st_mtime_ns, state.st_size


@lru_cache
def _sha256(files: tuple[tuple[Path, int, int, int], ...]) -> str:
    """The digest of files together; kept, because a config asks for it several times and weights are large."""
    digest = hashlib.sha256()
    for file, *_ in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def derive_bundle(
    source: Path,
    target: Path,
    overrides: Mapping[str, Any],
    metadata: Mapping[str, Any],
    weights: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Makes a bundle that differs from another in some settings.

    A setting is written where training finds it: in the training config, or in the inference config if that is where
    the training config takes it from. So the new bundle runs as it was trained.

    Args:
        source: the bundle to start from.
        target: the folder of the new one.
        overrides: config ids (``base_channels``, ``train#trainer#amp``) and their new values.
        metadata: entries of the metadata to replace.
        weights: the weights of the new one; without them it has none.

    Raises:
        UserError: if an id is not in the bundle's configs, or ``target`` exists already and is not empty.
    """
    parsers = {
        name: ConfigParser(ConfigParser.load_config_file(str(source / "configs" / f"{name}.json")))
        for name in ("train", _BASE_CONFIG)
    }
    for key, value in overrides.items():
        holder = next((parser for parser in parsers.values() if key in parser and not _is_taken(parser[key])), None)
        if holder is None:
            settings = sorted(
                {key for parser in parsers.values() for key, value in parser.get().items() if _is_setting(value)}
            )
            raise UserError(f"{key}: the bundle {source.name} has no such setting; it has {', '.join(settings)}.")
        if _is_setting(holder[key]) and not _is_like(value, holder[key]):
            raise UserError(
                f"{key}: {value!r} cannot take the place of {json.dumps(holder[key])}; give a value like it."
            )
        holder[key] = value
    described = json.loads((source / _METADATA).read_text(encoding="utf-8")) | dict(metadata)
    _describe_network(described["network_data_format"], parsers[_BASE_CONFIG])
    contents = {name: parser.get() for name, parser in parsers.items()} | {"metadata": described}
    try:
        with write_whole_folder(target) as partial:
            for path in source.rglob("*"):
                relative = path.relative_to(source)
                if path.is_file() and not _MADE.intersection(relative.parts):
                    (partial / relative).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, partial / relative)
            (partial / "models").mkdir()
            if weights is not None:
                save_tensors(dict(weights), partial / WEIGHTS)
            for name, content in contents.items():
                text = json.dumps(content, indent=4) + "\n"
                (partial / "configs" / f"{name}.json").write_text(text, encoding="utf-8")
    except FileExistsError as error:
        raise UserError(f"{target}: {error.strerror}.") from error


def _describe_network(formats: dict[str, Any], settings: ConfigParser) -> None:
    """Brings what the metadata say of the network's input and output to its settings."""
    image, output = formats["inputs"]["image"], formats["outputs"]["pred"]
    image["spatial_shape"] = settings["image_size"]
    if "classes" in settings:
        names = settings["classes"]
        output["num_channels"], output["spatial_shape"] = len(names), []
        output["channel_def"] = {str(number): name for number, name in enumerate(names)}
    else:
        output["spatial_shape"] = settings["image_size"]


def _is_like(value: Any, former: Any) -> bool:
    """Whether a value can take the place of a setting: a number that of a number, a list that of a list, text that of
    text, any of them that of nothing."""
    if isinstance(value, str) and is_expression(value):
        return True
    return former is None or _kind(value) == _kind(former)


def _kind(value: Any) -> type:
    return type(value) if value is None or isinstance(value, (str, list, dict)) else float


def _is_taken(value: Any) -> bool:
    """Whether a config's entry is a macro that takes another config's."""
    return isinstance(value, str) and value.startswith("%")


def _is_setting(value: Any) -> bool:
    """Whether a config's entry is what a user may want to change: a number, a switch, a word, a list or dictionary of
    these, or nothing where one of them can stand."""
    if isinstance(value, dict):
        return all(not key.startswith("_") and _is_setting(item) for key, item in value.items())
    if isinstance(value, list):
        return all(_is_setting(item) for item in value)
    return value is None or isinstance(value, (int, float)) or (isinstance(value, str) and value.isidentifier())


def run_bundle(root: Path, config: str, **overrides: Any) -> ConfigWorkflow:
    """Runs a bundle's config, as ``python -m monai.bundle run`` does from the bundle's folder.

    Each process that torchrun started runs its part: as the config ``multi_gpu_CONFIG`` changes the one named.

    Args:
        root: the bundle's folder.
        config: the name of the config, without ending.
        **overrides: config ids and their values.

    Returns:
        The workflow after its run.

    Raises:
        UserError: if the bundle has no such config, or none for several processes where there are some, or one of its
            files is damaged.
    """
    paths = [root / "configs" / f"{config}.json"]
    if not paths[0].is_file():
        raise UserError(f"{paths[0]}: the bundle has no such config.")
    if process_rank()[1] > 1:
        paths.append(root / "configs" / f"multi_gpu_{config}.json")
        if not paths[1].is_file():
            raise UserError(
                f"{config}: the bundle {root.name} has no configs/{paths[1].name}, with which several processes could "
                "do it; start it without torchrun."
            )
    entries, *_ = [_read_config(path) for path in (*paths, root / _METADATA)]  # MONAI does not say which is damaged
    if "run" not in entries:
        raise UserError(f"{paths[0]}: this config does not say what to run; get the bundle again, or mend it.")
    with working_directory(root), _quiet():
        workflow = ConfigWorkflow(
            config_file=[str(path) for path in paths],
            meta_file=str(root / _METADATA),
            logging_file=False,
            workflow_type="train" if config == "train" else "inference",
            bundle_root=str(root),
            **overrides,
        )
        with nullcontext() if config == "train" else _NoInitialValues():
            workflow.initialize()
        workflow.run()
        workflow.finalize()
    return workflow


class _NoInitialValues(TorchFunctionMode):
    """Makes networks without drawing random weights, for those that are loaded right after: a third of a second for the
    published size."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


@contextmanager
def working_directory(path: Path) -> Iterator[None]:
    """Works from a bundle's folder within: macros in a config name files from there (``%configs/inference.json::...``).

    Args:
        path: the folder.
    """
    before = Path.cwd()
    os.chdir(path)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """What went wrong is told by the command line, once and in its own words."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
