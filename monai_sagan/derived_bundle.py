"""Bundles that differ from another in some settings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

from monai_sagan.bundle_files import EVALUATION, METADATA, WEIGHTS
from monai_sagan.bundles import BASE_CONFIG, read_config
from monai_sagan.errors import UserError
from monai_sagan.files import save_tensors, write_whole_folder
from monai_sagan.settings import check_setting, no_such_setting

__all__ = ["derive_bundle"]

# Folders of what is made by running a bundle.
_MADE = {WEIGHTS.parent.name, EVALUATION.name, "__pycache__"}


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
        UserError: if an id is not in the bundle's configs, a value cannot be that setting's, or ``target`` exists
            already and is not empty.
    """
    parsers = {name: ConfigParser(read_config(source, name)) for name in ("train", BASE_CONFIG)}
    for key, value in overrides.items():
        holder = next((parser for parser in parsers.values() if key in parser and not _is_taken(parser[key])), None)
        if holder is None:
            raise no_such_setting(key, source.name, [parser.get() for parser in parsers.values()])
        check_setting(key, value, holder[key])
        kinds = {type(value), type(holder[key])}
        # 1e5 stays a whole number; 1 becomes 1.0, so that 0.5 can take its place in a bundle that is made of this one.
        holder[key] = type(holder[key])(value) if kinds == {int, float} else value
    described = read_config(source, METADATA.stem) | dict(metadata)
    _describe_network(described["network_data_format"], parsers[BASE_CONFIG])
    contents = {name: parser.get() for name, parser in parsers.items()} | {"metadata": described}
    try:
        with write_whole_folder(target) as partial:
            for path in source.rglob("*"):
                relative = path.relative_to(source)
                if path.is_file() and not _MADE.intersection(relative.parts):
                    (partial / relative).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, partial / relative)
            for folder in ("docs", "models"):
                (partial / folder).mkdir(exist_ok=True)
            if weights is not None:
                save_tensors(dict(weights), partial / WEIGHTS)
            for name, text in _documents(source, described, overrides).items():
                (partial / "docs" / name).write_text(text, encoding="utf-8")
            for name, content in contents.items():
                text = json.dumps(content, indent=4) + "\n"
                (partial / "configs" / f"{name}.json").write_text(text, encoding="utf-8")
    except FileExistsError as error:
        raise UserError(f"{target}: {error.strerror}.") from error


def _documents(source: Path, metadata: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, str]:
    """What is told of the new bundle; the documents of the one that it is made from speak of other weights."""
    given = "".join(f"- `{key}`: {json.dumps(value)}\n" for key, value in settings.items()) or "None.\n"
    readme = f"""# {metadata["name"]}

{metadata["description"]}

Made from the bundle `{source.name}` of monai-sagan; what it takes and gives, its settings and how it is used are
described there.

Data source: {metadata["data_source"]}.

**{metadata["intended_use"]}**

## Settings that were given

{given}"""
    licence = f"""Data source: {metadata["data_source"]}.

Whether the weights in this bundle may be passed on depends on the terms of that source; monai-sagan does not know them.
"""
    return {"README.md": readme, "data_license.txt": licence}


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


def _is_taken(value: Any) -> bool:
    """Whether a config's entry is a macro that takes another config's."""
    return isinstance(value, str) and value.startswith("%")
