"""Pythons whose ``monai_sagan`` is a few lines of a test's own."""

from __future__ import annotations

import os
import sys
import textwrap
from pathlib import Path

from AnomalyMapLib.environment import ChildPython

# What the lines find: their command line as a dictionary, what events need, and a map of the volume that was sent.
_HEAD = """
import array, json, os, signal, sys, time
from pathlib import Path
INPUT = Path(sys.argv[3])
OPTIONS = dict(zip(sys.argv[4::1], sys.argv[5::1]))
OUTPUT = Path(OPTIONS["--output"])
MAP = OUTPUT / "input_anomaly.nrrd"

def tell(event, **values):
    print(json.dumps({"event": event, **values}), flush=True)

def write_map(size=None):
    head = INPUT.read_bytes().split(b"\\n\\n", 1)[0].decode().splitlines()
    (sizes,) = (line for line in head if line.startswith("sizes:"))
    size = size or [int(word) for word in sizes.split()[1:]]
    voxels = array.array("f", bytes(4 * size[0] * size[1] * size[2]))
    voxels[len(voxels) // 2] = 0.5
    changed = {"type": "float", "sizes": " ".join(map(str, size)), "endian": "little"}
    fields = [line for line in head if line.split(":")[0] not in changed]
    fields += [f"{name}: {value}" for name, value in changed.items()]
    OUTPUT.mkdir()
    MAP.write_bytes("\\n".join(fields).encode() + b"\\n\\n" + voxels.tobytes())
    return size

def tell_result(**values):
    usual = {"schema_version": "2.0", "input": "input.nrrd", "anomaly_score": 0.25, "anomaly_map": str(MAP)}
    tell("result", **{**usual, "bundle": {"name": "b", "version": "1"}, **values})
"""

GOOD = """
tell("start", total=1, task="Images")
size = write_map()
tell_result(slice_axis=2, slice_scores=[0.0] * (size[2] - 1) + [0.5])
tell("progress", done=1, total=1)
tell("done", num_done=1, num_skipped=0, num_failed=0)
"""

# Works until it is ended.
ENDLESS = """
tell("start", total=4, task="Images")
tell("progress", done=1, total=4)
print("reading weights", file=sys.stderr, flush=True)
time.sleep(600)
"""


def stand_in(folder: Path, *parts: str) -> ChildPython:
    """A Python that runs some lines as ``python -m monai_sagan``.

    Args:
        folder: where it may lie.
        parts: the lines, dedented.
    """
    package = folder / "stand_in" / "monai_sagan"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").touch()
    text = "\n".join([_HEAD, *(textwrap.dedent(part) for part in parts)])
    (package / "__main__.py").write_text(text, encoding="utf-8")
    return ChildPython(Path(sys.executable), {**os.environ, "PYTHONPATH": str(package.parent)})
