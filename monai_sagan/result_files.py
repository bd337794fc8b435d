"""How the files of a result are named: NAME_KIND, NAME being that of the image."""

from __future__ import annotations

__all__ = ["JSON_ENDING", "MAP_KINDS"]

# The kinds of images, each with the key that a case has it under.
MAP_KINDS = {"anomaly": "anomaly_map", "deviation": "deviation_map", "findings": "findings_map", "restored": "pred"}
JSON_ENDING = "_anomaly.json"
