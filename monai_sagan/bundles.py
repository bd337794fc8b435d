"""MONAI bundles: finding, describing and running them.

The bundle is the program: what is read, how it is prepared, which network and what is written stand in its config.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow
from torch.overrides import TorchFunctionMode

from monai_sagan.bundle_files import CALIBRATION, CONTRAST, FAMILIARITY, METADATA, WEIGHTS
from monai_sagan.errors import UserError
from monai_sagan.processes import num_processes

__all__ = [
    "BASE_CONFIG",
    "describe_bundle",
    "find_bundle",
    "read_config",
    "read_settings",
    "require_weights",
    "run_bundle",
    "shipped_bundles",
    "weights_sha256",
    "working_directory",
]

# The config that defines network and preparation; the others take these from it by MONAI's macros.
BASE_CONFIG = "inference"
# The working folder and the log are the whole process's, so that one thread at a time can run a bundle.
_RUNNING = threading.RLock()
_PACKAGE = Path(__file__).resolve().parent


def shipped_bundles() -> dict[str, Path]:
    """The bundles that come with the package, by name: in the installed package, or beside it in a checkout."""
    homes = (_PACKAGE / "shipped_bundles", _PACKAGE.parent / "bundles")
    return {path.name: path for home in homes for path in sorted(home.glob("*")) if (path / METADATA).is_file()}


def find_bundle(bundle: str | Path) -> Path:
    """The folder of a bundle.

    Args:
        bundle: a folder, or the name of a bundle that ships with the package. A folder of that name wins.

    Raises:
        UserError: if it is neither; the message names those that ship.
    """
    path = Path(bundle)
    if (path / METADATA).is_file():
        return path.resolve()
    shipped = shipped_bundles()
    if str(bundle) in shipped:
        return shipped[str(bundle)]
    if path.is_dir():
        raise UserError(f"{path}: this folder is not a bundle, it has no {METADATA}.")
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
    return read_config(root, BASE_CONFIG)


def read_config(root: Path, name: str) -> dict[str, Any]:
    """A config of a bundle, or its metadata, as it is written.

    Args:
        root: the bundle's folder.
        name: of the file, without ending.

    Raises:
        UserError: if it is damaged.
    """
    path = root / "configs" / f"{name}.json"
    try:
        return dict(ConfigParser.load_config_file(str(path)))
    except ValueError as error:
        raise UserError(f"{path}: this config is damaged ({error}); get the bundle again, or repair it.") from error


def describe_bundle(bundle_root: str | Path) -> dict[str, str | None]:
    """What a result says of the bundle that made it.

    Args:
        bundle_root: the bundle's folder.

    Returns:
        ``name``, ``version`` and ``weights_sha256`` (None without weights), and, where it was calibrated,
        ``calibration_sha256``.

    Raises:
        UserError: if the metadata are damaged or have no version.
    """
    root = Path(bundle_root)
    version = read_config(root, METADATA.stem).get("version")
    if version is None:
        raise UserError(f"{root / METADATA}: this file has no version; get the bundle again, or repair it.")
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
    if num_processes() > 1:
        paths.append(root / "configs" / f"multi_gpu_{config}.json")
        if not paths[1].is_file():
            raise UserError(
                f"{config}: the bundle {root.name} has no configs/{paths[1].name}, with which several processes could "
                "do it; start it without torchrun."
            )
    entries, *_ = [read_config(root, path.stem) for path in (*paths, METADATA)]  # MONAI does not say which is damaged
    if "run" not in entries:
        raise UserError(f"{paths[0]}: this config does not say what to run; get the bundle again, or repair it.")
    with _RUNNING, working_directory(root), _quiet():
        workflow = ConfigWorkflow(
            config_file=[str(path) for path in paths],
            meta_file=str(root / METADATA),
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
