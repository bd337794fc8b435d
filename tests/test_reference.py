"""The list of public classes and functions is up to date, and each of them says what it is."""

from __future__ import annotations

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / "docs" / "reference" / "python.py"


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = spec_from_file_location("python_reference", SCRIPT)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(reference: ModuleType) -> None:
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), "run: make reference"


def test_every_row_has_a_source_and_a_sentence(reference: ModuleType) -> None:
    rows = re.findall(r"^\| \[`(\w+)`\]\((\S+)\) \| (.*) \|$", reference.page(), flags=re.MULTILINE)
    assert {"SAGANGenerator", "RestorationInferer", "train"} <= {name for name, _, _ in rows}
    for name, source, sentence in rows:
        assert (SCRIPT.parent / source).is_file(), name
        assert sentence.endswith("."), f"{name}: {sentence}"
