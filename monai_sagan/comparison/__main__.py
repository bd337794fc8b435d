"""One training of a comparison, in a process of its own, so that its memory is its own: ``python -m
monai_sagan.comparison REQUEST``.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

import torch

from monai_sagan.bundles import run_bundle
from monai_sagan.errors import UserError, causes_of, explain
from monai_sagan.files import write_json
from monai_sagan.memory import keep_freed_memory
from monai_sagan.workflows import train

_MIB = 2**20


def main(request: dict[str, Any]) -> None:
    """Trains, and evaluates where that is asked for; a user's mistake becomes an event for the parent."""
    logging.disable(logging.WARNING)
    keep_freed_memory()
    try:
        run(request)
    except Exception as error:
        if not any(isinstance(cause, (UserError, OSError)) for cause in causes_of(error)):
            raise
        print(json.dumps({"event": "error", "message": explain(error)}), flush=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def run(request: dict[str, Any]) -> None:
    """Does what :func:`~monai_sagan.comparison.child.run_child` asks for."""
    data, output = Path(request["data"]), Path(request["output"])
    began = time.perf_counter()
    train(
        request["bundle"],
        data,
        output,
        overrides=request["settings"],
        device=request["device"],
        progress=request["progress"],
    )
    if request["evaluation"] is None:
        return
    measured = {"seconds": time.perf_counter() - began, **_peak_memory()}
    # The run itself, without the page that is made of it, is what a user waits for.
    workflow = run_bundle(
        output,
        "evaluate",
        dataset_dir=str(data.resolve()),
        output_dir=request["evaluation"],
        progress="none",
        **({} if request["device"] == "auto" else {"device": torch.device(request["device"])}),
    )
    seconds = workflow.evaluator.state.times["EPOCH_COMPLETED"]
    measured["images_per_second"] = len(workflow.evaluator.data_loader.dataset) / seconds
    write_json(Path(request["measured"]), measured)


def _peak_memory() -> dict[str, float | None]:
    """What this process needed most of until now, in MiB: of the processor's memory, and of a GPU's."""
    gpu = torch.cuda.max_memory_allocated() / _MIB if torch.cuda.is_available() else None
    return {"peak_memory_mib": _peak_of_processor(), "peak_gpu_memory_mib": gpu or None}


def _peak_of_processor() -> float | None:
    status = Path("/proc/self/status")
    if status.is_file():
        # Not getrusage, which on Linux counts what the parent had when it started this process.
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    try:
        import resource
    except ModuleNotFoundError:  # on Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _MIB


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
