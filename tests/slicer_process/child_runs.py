"""What the tests of the child process share."""

from __future__ import annotations

import os
from pathlib import Path

BUNDLE = Path("some") / "bundle"
GOOD = """
    tell("start", total=1, task="Images")
    write_map()
    print(json.dumps(RESULT))
    tell("progress", done=1, total=1)
    tell("done", num_done=1, num_skipped=0, num_failed=0)
"""


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for by its parent does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
