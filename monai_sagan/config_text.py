"""Text in the configs of bundles, which MONAI may take for a program."""

from __future__ import annotations

import re

__all__ = ["is_expression", "without_markers"]

_MARKERS = ("$", "@", "%")
_RELATIVE_REFERENCE = re.compile("[@%](#|::)")


def is_expression(text: str) -> bool:
    """Whether MONAI takes a text in a config for a program, or for a reference to another entry."""
    return text.startswith(_MARKERS) or _RELATIVE_REFERENCE.search(text) is not None


def without_markers(text: str) -> str:
    """A text without the characters that make MONAI take it for a program or a reference."""
    return re.sub("[$@%]", "_", text) if is_expression(text) else text
