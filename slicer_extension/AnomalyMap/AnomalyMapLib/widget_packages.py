"""What Slicer's own Python needs to run the child: offered to be installed, never without asking."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import slicer
from slicer.i18n import tr as _

from .environment import ChildPython, PythonError, find_library, missing_requirements, named_python, own_python

__all__ = ["TORCH", "child_python", "own_python_lacks"]

# As in the library's pyproject.toml.
TORCH = "torch>=2.8"


def child_python(module_folder: Path, folder: str) -> ChildPython:
    """The Python that runs the child, with all that it needs.

    Args:
        module_folder: the folder of ``AnomalyMap.py``.
        folder: an environment that has monai-sagan; empty for Slicer's own Python, whose packages are installed if the
            user agrees.

    Raises:
        PythonError: if there is none, or the packages were not installed; the sentence says why.
    """
    if folder:
        return named_python(Path(folder), slicer.util.startupEnvironment())
    library, program = find_library(module_folder), shutil.which("PythonSlicer")
    if library is None:
        raise PythonError(
            _(
                "This copy of the extension has no monai-sagan in it; install it again, or choose a Python environment "
                'that has monai-sagan under "Advanced".'
            )
        )
    if program is None:
        raise PythonError(_('PythonSlicer was not found; choose a Python environment under "Advanced".'))
    torch_utils = _torch_utils()  # before anything is installed that would be of no use without it
    _install_missing(module_folder / "Resources" / "requirements.txt")
    if torch_utils is not None:
        _install_torch(torch_utils)
    return own_python(Path(program), library, os.environ)


def own_python_lacks(module_folder: Path) -> list[str]:
    """What Slicer's own Python lacks to run the child, as requirements."""
    import slicer.packaging

    lacks = missing_requirements(module_folder / "Resources" / "requirements.txt")
    return lacks if slicer.packaging.pip_check(TORCH) else [*lacks, TORCH]


def _install_missing(requirements: Path) -> None:
    if not missing_requirements(requirements):
        return
    import slicer.packaging

    try:
        # torch is what these packages need too; pip would take a build that may not fit the computer.
        slicer.packaging.pip_ensure(
            slicer.packaging.load_requirements(requirements), requester="AnomalyMap", skip_packages=["torch"]
        )
    except (RuntimeError, subprocess.CalledProcessError) as error:
        raise PythonError(
            _(
                "The Python packages that are needed were not installed ({reason}); press Apply to try again, or "
                'choose a Python environment that has monai-sagan under "Advanced".'
            ).format(reason=error)
        ) from error


def _torch_utils() -> ModuleType | None:
    """The module of the PyTorch extension, which installs torch; None if torch is there."""
    import slicer.packaging

    if slicer.packaging.pip_check(TORCH):
        return None
    try:
        import PyTorchUtils
    except ModuleNotFoundError as error:
        raise PythonError(
            _(
                'Slicer\'s Python has no PyTorch: install the extension "PyTorch" by the Extensions Manager, restart '
                'Slicer and press Apply again; or choose a Python environment that has monai-sagan under "Advanced".'
            )
        ) from error
    return PyTorchUtils


def _install_torch(torch_utils: ModuleType) -> None:
    requirement = TORCH.removeprefix("torch")
    try:
        torch = torch_utils.PyTorchUtilsLogic().installTorch(askConfirmation=True, torchVersionRequirement=requirement)
    except Exception as error:  # it runs pip and more, and each fails in a way of its own
        raise PythonError(
            _("PyTorch could not be installed ({reason}); the module PyTorch has the details.").format(reason=error)
        ) from error
    if torch is None:
        raise PythonError(_("Without PyTorch nothing can be computed; press Apply to be asked again."))
