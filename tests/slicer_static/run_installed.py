"""Maps the sample volume by the code of an installed module, as Slicer would; run with the module's folder.

Prints one JSON object with what was used and what came of it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

folder = Path(sys.argv[1])
sys.path.insert(0, str(folder))

from AnomalyMapLib.bundles import shipped_bundles  # noqa: E402
from AnomalyMapLib.environment import find_library, own_python  # noqa: E402
from AnomalyMapLib.process import PredictProcess, State  # noqa: E402

library = find_library(folder)
assert library is not None
python = own_python(Path(sys.executable), library, os.environ)
code = "import monai_sagan; print(monai_sagan.__file__)"
# Away from the checkout: a working folder comes first in a Python's path. The child has one of its own too.
imported = subprocess.run(
    [python.python, "-c", code], env=python.variables, cwd=folder, capture_output=True, text=True, check=True
)
(bundle,) = [bundle for bundle in shipped_bundles(folder) if bundle.path.name == "sagan_anomaly_detection"]

process = PredictProcess()
shutil.copy(folder / "Resources" / "SampleData" / "phantom_lesion.nrrd", process.input_path)
process.start(python, bundle.path, device="cpu")
while process.state is State.RUNNING:
    process.poll()
    time.sleep(0.05)
told = {
    "library": imported.stdout.strip(),
    "bundle": str(bundle.path),
    "state": process.state.name,
    "error": process.error,
}
if process.result is not None and process.result.anomaly_map is not None:
    told |= {"score": process.result.anomaly_score, "has_map": process.result.anomaly_map.is_file()}
process.close()
print(json.dumps(told))
