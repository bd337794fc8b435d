"""Makes the tables and curves of docs/results/speed.md from the results that are there.

    python benchmarks/speed_page.py

The page's words are written by hand; what stands between ``<!-- NAME -->`` and ``<!-- end -->`` is replaced.
"""

from __future__ import annotations

import re
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from inference import NETWORK
from result_files import RESULTS, read_results

from monai_sagan.markdown import markdown_table

__all__ = ["TABLES", "draw_growth", "fill"]

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, IMAGES = DOCS / "results" / "speed.md", DOCS / "images"
_BLOCK = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

Result = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> None:
    """Writes page and curves."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.parse_args(argv)
    for result in read_results("scaling", RESULTS):
        draw_growth(result, IMAGES / f"growth_{_device(result)}.svg")
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8"), RESULTS), encoding="utf-8")


def fill(page: str, folder: Path) -> str:
    """A page with its tables made anew.

    Args:
        page: Markdown, with blocks named like the entries of :data:`TABLES`.
        folder: of the results.
    """

    def replace(match: re.Match[str]) -> str:
        begin, name, end = match.groups()
        return f"{begin}{TABLES[name](folder)}\n{end}"

    return _BLOCK.sub(replace, page)


def machines(folder: Path) -> str:
    """Where each result comes from."""
    rows = []
    for name in ("ceilings", "training", "inference", "precision", "scaling", "same_quality"):
        for result in read_results(name, folder):
            machine = result["machine"]
            versions = f"{machine['python']}, {machine['torch']}, {machine['monai']}"
            rows.append([_link(name, result), _where(result), versions, f"`{result['command']}`"])
    return _table(["result", "machine", "Python, torch, MONAI", "command"], rows)


def ceilings(folder: Path) -> str:
    """What the machines can do."""
    rows = []
    for result in read_results("ceilings", folder):
        rows += [
            [_where(result), row["operation"], row["precision"], f"{_spread(row, 1e12)} TFLOP/s"]
            for row in result["arithmetic"]
        ]
        rows.append([_where(result), "copy", "", f"{_spread(result['bytes_per_second'], 1e9)} GB/s"])
    return _table(["machine", "operation", "precision", "reached"], rows)


def training(folder: Path) -> str:
    """Steps a second."""
    rows = []
    for result in read_results("training", folder):
        for row in result["rows"]:
            settings = " ".join(f"{key}={_plain(value)}" for key, value in row["settings"].items())
            sizes = f"{row['width']} channels, {row['side']}x{row['side']}, {row['batch']}"
            published, bundle = row["published"], row["bundle"]
            rows.append(
                [
                    _where(result),
                    sizes,
                    settings or "as it ships",
                    _spread(published["steps_per_second"]),
                    _spread(bundle["steps_per_second"]),
                    f"**{_spread(row['ratio'])}**",
                    f"{_gigabytes(published)}, {_gigabytes(bundle)}",
                ]
            )
    heads = ["machine", "network, images, batch", "settings", "published", "bundle", "ratio", "memory (GiB)"]
    return _table(heads, rows)


def inference(folder: Path) -> str:
    """Images a second, and the share of the ceiling that the network's arithmetic reaches."""
    rows = []
    for result in read_results("inference", folder):
        ceiling = _ceiling(folder, result)
        for row in result["rows"]:
            is_network = row["what"].startswith(NETWORK)
            rate = row["images_per_second"]
            share = rate["median"] * result["operations"] / ceiling if ceiling and is_network else None
            rows.append(
                [
                    _where(result),
                    row["what"],
                    str(row["batch"] or ""),
                    _spread(rate),
                    _spread(row["ratio"]),
                    "" if share is None else f"{share:.0%}",
                    _gigabytes(row["memory"]),
                ]
            )
    heads = ["machine", "what", "batch", "images a second", "ratio", "share of the ceiling", "memory (GiB)"]
    return _table(heads, rows)


def precision(folder: Path) -> str:
    """Scores in bfloat16."""
    rows = [
        [
            _where(result),
            row["bundle"],
            f"{row['difference']:.2%}",
            f"{row['auc_32_bits']:.4f}",
            f"{row['auc_bfloat16']:.4f}",
            f"{row['auc_bfloat16'] - row['auc_32_bits']:+.4f}",
        ]
        for result in read_results("precision", folder)
        for row in result["rows"]
    ]
    return _table(
        ["machine", "bundle", "largest difference of a score", "AUC, 32 bits", "AUC, bfloat16", "difference"], rows
    )


def same_quality(folder: Path) -> str:
    """AUC of both procedures, seed by seed."""
    rows = []
    for result in read_results("same_quality", folder):
        for run in result["runs"]:
            values = [run["published"], run["bundle"], run["bundle"] - run["published"]]
            rows.append(
                [_where(result), str(run["seed"]), *(f"{value:.3f}" for value in values[:2]), f"{values[2]:+.3f}"]
            )
        means = [result[key] for key in ("published", "bundle", "difference")]
        texts = [f"{each['mean']:.3f} ± {each['deviation']:.3f}" for each in means]
        rows.append([_where(result), "all", *texts])
    return _table(["machine", "seed", "published", "bundle", "difference"], rows)


def growth(folder: Path) -> str:
    """The curves, and how far from proportional the time is at their ends."""
    pictures, rows = [], []
    for result in read_results("scaling", folder):
        pictures.append(f"![Time and memory as work grows](../images/growth_{_device(result)}.svg)\n")
        for grows, title in _GROWS.items():
            first, last = (_rows(result, grows)[end] for end in (0, -1))
            times = last["seconds"]["median"] / first["seconds"]["median"]
            rows.append(
                [
                    _where(result),
                    title,
                    f"{first['value']} to {last['value']}",
                    f"{_number(first['seconds']['median'])} to {_number(last['seconds']['median'])}",
                    _number(times),
                    f"{_gigabytes(first)} to {_gigabytes(last)}",
                ]
            )
    heads = ["machine", "what grows", "from, to", "seconds", "times as long", "memory (GiB)"]
    return "\n".join([*pictures, _table(heads, rows)])


TABLES: dict[str, Callable[[Path], str]] = {
    table.__name__: table for table in (machines, ceilings, training, inference, precision, same_quality, growth)
}

# What grows, in words.
_GROWS = {
    "images": "images in a folder",
    "side": "side of the images (pixels)",
    "patch_grid": "patches along a side",
    "batch": "images at once",
}
# The power of it that time and memory should grow by.
_POWERS = {"images": (1, 0), "side": (2, 2), "patch_grid": (0, 0), "batch": (0, 1)}
_COLOURS = ("#1f6fb4", "#b4461f")


def draw_growth(result: Result, path: Path) -> None:
    """Draws time and memory against everything that grows.

    Args:
        result: of the script ``scaling``.
        path: of the picture.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    style = {"axes.spines.top": False, "axes.spines.right": False, "font.size": 9, "axes.axisbelow": True}
    # The same picture has the same bytes.
    with plt.rc_context(style | {"svg.hashsalt": "growth"}):
        figure, panels = plt.subplots(2, len(_GROWS), figsize=(11, 4.8), sharex="col", layout="constrained")
        for (upper, lower), (grows, title) in zip(panels.T, _GROWS.items()):
            rows = _rows(result, grows)
            values = [row["value"] for row in rows]
            seconds = [[row["seconds"][key] for row in rows] for key in ("median", "least", "most")]
            upper.fill_between(values, *seconds[1:], color=_COLOURS[0], alpha=0.2, linewidth=0)
            measured = (seconds[0], [_memory(row) for row in rows])
            for panel, heights, power, colour in zip((upper, lower), measured, _POWERS[grows], _COLOURS):
                _draw_curve(panel, values, heights, power, colour)
            lower.set_xlabel(title)
        panels[0, 0].set_ylabel("time (s)")
        panels[1, 0].set_ylabel(f"memory {'on the GPU ' if result['machine']['gpu'] else ''}(GiB)")
        lines = panels[0, 0].get_lines()[::-1]
        figure.legend(handles=lines, loc="outside lower center", ncols=2, frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
        plt.close(figure)


def _draw_curve(panel: Any, values: list[int], heights: list[float], power: int, colour: str) -> None:
    """Heights beside what they would be, were they proportional to a power of the values."""
    from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, NullLocator

    expected = [heights[-1] * (value / values[-1]) ** power for value in values]
    label = "in proportion, or constant"
    panel.plot(values, expected, "--", color="0.6", linewidth=1, label=label)
    panel.plot(values, heights, "o-", color=colour, markersize=4, label="measured")
    panel.set_xscale("log", base=2)
    panel.xaxis.set_major_locator(FixedLocator(values))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter("{x:.0f}")
    panel.grid(axis="y", color="0.9")
    if power and min(heights) > 0:
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_minor_formatter(NullFormatter())
    else:
        panel.set_ylim(0, 1.3 * max(heights) or 1)


def _rows(result: Result, grows: str) -> list[Result]:
    return [row for row in result["rows"] if row["grows"] == grows]


def _memory(row: Result) -> float:
    """GiB on the GPU; of the process where there is none."""
    value = row["process"] if row["gpu"] is None else row["gpu"]
    return 0.0 if value is None else float(value)


def _ceiling(folder: Path, result: Result) -> float | None:
    """Operations a second of the matrix product in the precision that the network has there."""
    wanted = result.get("precision", "bfloat16")
    for other in read_results("ceilings", folder):
        if other["machine"]["gpu"] == result["machine"]["gpu"]:
            products = [row for row in other["arithmetic"] if row["operation"] == "matrix product"]
            return next((float(row["median"]) for row in products if row["precision"] == wanted), None)
    return None


def _device(result: Result) -> str:
    return "cpu" if result["machine"]["gpu"] is None else "cuda"


def _where(result: Result) -> str:
    machine = result["machine"]
    if machine["gpu"] is not None:
        return str(machine["gpu"])
    threads = machine["threads"]
    return f"{machine['cpu']}, {threads} {'thread' if threads == 1 else 'threads'}"


def _link(name: str, result: Result) -> str:
    file = f"{name}_{_device(result)}.json"
    return f"[{name}](../../benchmarks/results/{file})"


def _gigabytes(row: Result) -> str:
    return f"{_memory(row):.2f}"


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _spread(values: Result, unit: float = 1.0) -> str:
    least, middle, most = (_number(values[key] / unit) for key in ("least", "median", "most"))
    return middle if least == most else f"{middle} ({least} to {most})"


def _number(value: float) -> str:
    """Three digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return markdown_table(heads, rows) if rows else "Not measured yet."


if __name__ == "__main__":
    main()
