"""Words for the user in the language of Slicer; in English where there is no Slicer, as in the viewer."""

from __future__ import annotations

__all__ = ["tr"]

# The function itself and not one around it: Slicer tells by its caller's file where a sentence belongs.
try:
    from slicer.i18n import tr
except ImportError:

    def tr(text: str) -> str:
        return text
