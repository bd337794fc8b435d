"""What every report does in the end: figures for programs and a page for people, written together."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from monai_sagan import __version__
from monai_sagan.files import write_whole

__all__ = ["write_files"]


def write_files(
    output_dir: str | os.PathLike[str], facts: Mapping[str, Any], template: str, contents: Mapping[str, Any]
) -> Path:
    """Writes `metrics.json` and `report.html`.

    Each file appears whole or not at all; files of these names are replaced.

    Args:
        output_dir: where to write; made if it is not there.
        facts: what `metrics.json` holds.
        template: name of the page's template in this package.
        contents: what the template shows; whatever is not `Markup` is escaped.

    Returns:
        The path of `report.html`.

    Raises:
        ValueError: if `facts` hold a number that JSON cannot; nothing is written then.
        OSError: if a file cannot be written.
    """
    # Both are made before either is written.
    figures = json.dumps(facts, indent=2, allow_nan=False) + "\n"
    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(_template),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(template).render(contents, version=__version__)

    folder = Path(output_dir)
    with ExitStack() as files:  # they get their names when both are written
        for name, text in (("metrics.json", figures), ("report.html", page)):
            partial = files.enter_context(write_whole(folder / name))
            # A file's name that is not valid text must not keep a report from being written.
            partial.write_text(text, encoding="utf-8", errors="backslashreplace")
    return folder / "report.html"


def _template(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")
