"""All results of a folder in one table."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from monai_sagan.data import stem
from monai_sagan.errors import UserError
from monai_sagan.files import write_table

__all__ = ["ResultTable"]

_OF_CLASSIFIER = ("class", "class_probability")
_COLUMNS = (
    "name",
    "input",
    "anomaly_score",
    "p_value",
    "threshold",
    "is_anomalous",
    "is_ood",
    "num_findings",
    "slice_axis",
    "highest_slice",
    "peak_value",
    "peak_deviation",
    "peak_voxel",
    "peak_left_mm",
    "peak_posterior_mm",
    "peak_superior_mm",
    *_OF_CLASSIFIER,
    "warnings",
    "error",
)


class ResultTable:
    """Writes ``results.csv``, one line a case, when an evaluator is done.

    Cases that were finished before are in it too, and so are those of earlier runs that are in the file already. A
    case that failed has its ``error`` and nothing else.

    Args:
        output_dir: folder of the results.
    """

    def __init__(self, output_dir: str | Path) -> None:
        self.path = Path(output_dir) / "results.csv"
        self.rows: dict[str, dict[str, Any]] = {}

    def attach(self, engine: Engine) -> None:
        """Attaches to an evaluator whose output is a list of cases."""
        engine.add_event_handler(Events.STARTED, lambda: self._former_rows())  # before there is work to lose
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _collect(self, engine: Any) -> None:
        for case in engine.state.output:
            if "warning" not in case:
                name = case.get("name") or stem(Path(case["path"]))
                self.rows[name] = {"name": name, **_row(case)}

    def _write(self, engine: Engine) -> None:
        if not any("error" not in row for row in self.rows.values()):
            return  # nothing was made
        rows = {row["name"]: row for row in self._former_rows()} | self.rows
        is_of_classifier = any(row.get("class") for row in rows.values())
        columns = [column for column in _COLUMNS if is_of_classifier or column not in _OF_CLASSIFIER]
        write_table(self.path, columns, [[rows[name].get(column) for column in columns] for name in sorted(rows)])

    def _former_rows(self) -> list[dict[str, Any]]:
        if not self.path.is_file():
            return []
        # As spreadsheets save it, too.
        with self.path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            reader = csv.DictReader(file)
            if "name" not in (reader.fieldnames or ["name"]):
                raise UserError(
                    f"{self.path}: this is no table with a column 'name'; move it away, or save it as CSV again."
                )
            return [row for row in reader if row.get("name")]


def _row(case: Mapping[str, Any]) -> dict[str, Any]:
    """What a line says of a case."""
    if "error" in case:
        name = Path(case["path"]).name
        return {"input": name, "error": case["error"].replace(case["path"], name)}  # a table may be passed on
    result = case["result"]
    scores = result["slice_scores"]
    return {
        **result,
        "num_findings": "" if result["findings"] is None else len(result["findings"]),
        "highest_slice": scores.index(max(scores)) if scores else "",
        **_peak(result["peak"]),
        **_class(result),
        "warnings": " ".join(result["warnings"]),
    }


def _peak(peak: Mapping[str, Any] | None) -> dict[str, Any]:
    if peak is None:
        return {}
    return {
        "peak_value": peak["value"],
        "peak_deviation": peak["deviation"],
        "peak_voxel": " ".join(map(str, peak["voxel"])),
        **dict(zip(("peak_left_mm", "peak_posterior_mm", "peak_superior_mm"), peak["lps_mm"] or ("", "", ""))),
    }


def _class(result: Mapping[str, Any]) -> dict[str, Any]:
    """The class that a classifier found."""
    if not result.get("classes"):
        return {}
    first = result["classes"][0]
    return {"class": first["name"], "class_probability": first["probability"]}
