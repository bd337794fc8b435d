"""How the child process fails, in words, and that nothing is left of it."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from AnomalyMapLib.environment import ChildPython
from AnomalyMapLib.process import PredictProcess, ProcessError, State
from child_runs import BUNDLE, is_alive

MEMORY = "The computer's memory was not enough; close other programs, or take a smaller volume."
GPU = "The GPU's memory was not enough; choose the device CPU, or close other programs that use the GPU."
KILLED = (
    "The program was killed from outside, most likely because the memory was not enough; close other programs, or "
    "take a smaller volume."
)
SEGMENTATION_FAULT = (
    "The program crashed: it used memory that is not its own; try again, on another device if there is one (the log "
    "has the rest)."
)
NOTHING = "The program ended without a result and did not say why (the log has the rest)."
NO_MAP = "The result came without its map; try again, and look whether the disk is full."


def check_failed(process: PredictProcess, sentence: str, temporary: Path) -> None:
    """A run that failed says so in one sentence, and leaves nothing behind."""
    assert process.state is State.FAILED
    assert process.error == sentence == process.status
    assert process.result is None
    assert list(temporary.iterdir()) == []


class TestFailures:
    @pytest.mark.parametrize(
        ("code", "sentence"),
        [
            pytest.param("os.kill(os.getpid(), signal.SIGSEGV)", SEGMENTATION_FAULT, id="crash"),
            pytest.param("sys.exit(139)", SEGMENTATION_FAULT, id="crash below a launcher"),
            pytest.param("os.kill(os.getpid(), signal.SIGKILL)", KILLED, id="killed"),
            pytest.param(
                "os.kill(os.getpid(), signal.SIGTERM)",
                "The program was ended from outside (signal SIGTERM); try again.",
                id="ended",
            ),
            pytest.param("raise MemoryError", MEMORY, id="memory"),
            pytest.param("sys.exit('terminate called: std::bad_alloc')", MEMORY, id="memory in C++"),
            pytest.param("x = bytearray(1 << 60)", MEMORY, id="memory, truly"),
            pytest.param("raise RuntimeError('CUDA out of memory. Tried to allocate 2 GiB')", GPU, id="GPU"),
            pytest.param("tell('error', message='input.nrrd: CUDA out of memory.'); sys.exit(1)", GPU, id="GPU, told"),
            pytest.param(
                "raise OSError(28, 'No space left on device')",
                "The disk with the folder for temporary files is full; free some space.",
                id="disk full",
            ),
            pytest.param(
                "tell('error', message='input.nrrd: too small; choose another.'); sys.exit(1)",
                "Too small; choose another.",
                id="told of the volume",
            ),
            pytest.param(
                "tell('error', message=sys.argv[3] + ': too small; choose another.'); sys.exit(1)",
                "Too small; choose another.",
                id="told of the volume by its path",
            ),
            pytest.param(
                "tell('error', message='/weights.pt: not those of input.nrrd: choose others.'); sys.exit(1)",
                "/weights.pt: not those of input.nrrd: choose others.",
                id="told of another file",
            ),
            pytest.param("tell('error', message='odd'); sys.exit(0)", "odd.", id="told without a full stop"),
            pytest.param(
                "raise ValueError('what')",
                "The program stopped with exit code 1: ValueError: what (the log has the rest).",
                id="exception",
            ),
            pytest.param(
                "sys.exit('goodbye')",
                "The program stopped with exit code 1: goodbye (the log has the rest).",
                id="word",
            ),
            pytest.param(
                """
                try:
                    raise ValueError("the cause")
                except ValueError as error:
                    raise RuntimeError("Failed to evaluate:\\n$run()") from error
                """,
                "The program stopped with exit code 1: ValueError: the cause (the log has the rest).",
                id="exception of an exception",
            ),
            pytest.param("raise RuntimeError('could not create a primitive')", MEMORY, id="memory in oneDNN"),
            pytest.param(
                "raise OSError('[WinError 1455] Die Auslagerungsdatei ist zu klein. Error loading c10.dll')",
                MEMORY,
                id="memory for a library on Windows",
            ),
            pytest.param(
                "print('MemoryError', file=sys.stderr); tell('error', message='Too small.')",
                "Too small.",
                id="told, not guessed",
            ),
            pytest.param("sys.exit(3)", "The program stopped with exit code 3 (the log has the rest).", id="exit code"),
            pytest.param("", NOTHING, id="nothing"),
            pytest.param("tell('done')", NOTHING, id="done without a result"),
            pytest.param(
                "print('Segmentation model v2')",
                "The program ended without a result, and printed what is no event: Segmentation model v2 (the log has "
                "the rest).",
                id="another program",
            ),
            pytest.param("print(json.dumps(RESULT))", NO_MAP, id="no map"),
            pytest.param(
                "RESULT |= {'classes': [{'name': 'a', 'probability': 1}], 'peak': {'voxel': [0, 0], 'value': 1}}; "
                "print(json.dumps(RESULT))",
                NO_MAP,
                id="no weight map",
            ),
            pytest.param("write_map(); del RESULT['anomaly_map']; print(json.dumps(RESULT))", NO_MAP, id="map unnamed"),
            pytest.param(
                "RESULT['schema_version'] = '3.0'; write_map(); print(json.dumps(RESULT))",
                "The result has schema version 3.0, and this extension reads 2.x; install versions of the extension "
                "and of monai-sagan that belong together.",
                id="another schema",
            ),
            pytest.param(
                "RESULT['anomaly_score'] = float('nan'); write_map(); print(json.dumps(RESULT))",
                "The result's anomaly_score should be a finite number, not 'nan'.",
                id="score that is no number",
            ),
            pytest.param(
                "write_map(); print(json.dumps(RESULT), flush=True); os.kill(os.getpid(), signal.SIGSEGV)",
                SEGMENTATION_FAULT,
                id="crash before all was told",
            ),
        ],
    )
    def test_each_is_told_in_a_sentence(
        self, run: Callable[..., PredictProcess], temporary: Path, code: str, sentence: str
    ) -> None:
        check_failed(run(code), sentence, temporary)

    def test_a_module_that_is_missing(self, run: Callable[..., PredictProcess], temporary: Path) -> None:
        sentence = f"{sys.executable}: nothere is not installed in this Python; install it there, or choose another "
        check_failed(run("import nothere.below"), sentence + "environment.", temporary)

    def test_an_environment_without_the_library(self, temporary: Path, run_to_end: Callable[..., Any]) -> None:
        # Python's own words are others when it misses the module that it was told to run.
        python = temporary.parent / "python"
        python.write_text(f'#!/bin/sh\nexec {sys._base_executable} -S "$@"\n')
        python.chmod(0o755)
        process = PredictProcess()
        process.start(ChildPython(python, {}), BUNDLE)
        run_to_end(process)
        sentence = f"{python}: monai-sagan is not installed in this Python; install it there, or choose another "
        check_failed(process, sentence + "environment.", temporary)

    def test_a_limit_of_memory(self, run: Callable[..., PredictProcess], temporary: Path) -> None:
        code = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 30,) * 2)\nx = bytearray(2 << 30)\n"
        check_failed(run(code), MEMORY, temporary)

    def test_the_log_has_the_traceback(self, run: Callable[..., PredictProcess]) -> None:
        log = run("raise ValueError('what')").log
        assert log.startswith("Traceback (most recent call last):\n")
        assert log.endswith("ValueError: what")

    def test_no_such_python(self, temporary: Path) -> None:
        process = PredictProcess()
        process.start(ChildPython(temporary / "python", {}), BUNDLE)
        path = temporary / "python"
        check_failed(process, f"{path}: there is no such Python; choose an environment that is there.", temporary)

    def test_a_python_that_may_not_be_run(self, temporary: Path, tmp_path: Path) -> None:
        python = tmp_path / "python"
        python.write_text("#!/bin/sh\n")
        process = PredictProcess()
        process.start(ChildPython(python, {}), BUNDLE)
        sentence = f"{python}: this may not be run as a program; choose another environment, or make it executable."
        check_failed(process, sentence, temporary)

    def test_a_python_that_is_no_program(self, temporary: Path, tmp_path: Path) -> None:
        python = tmp_path / "python"
        python.write_bytes(b"\x00\x01")
        python.chmod(0o755)
        process = PredictProcess()
        process.start(ChildPython(python, {}), BUNDLE)
        sentence = f"{python}: this could not be started (Exec format error); choose another environment."
        check_failed(process, sentence, temporary)

    def test_a_script_whose_interpreter_is_missing(self, temporary: Path, tmp_path: Path) -> None:
        python = tmp_path / "python"
        python.write_text("#!/nowhere/python\n")
        python.chmod(0o755)
        process = PredictProcess()
        process.start(ChildPython(python, {}), BUNDLE)
        sentence = f"{python}: this could not be started (No such file or directory); choose another environment."
        check_failed(process, sentence, temporary)

    def test_no_room_for_a_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(prefix: str) -> str:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(tempfile, "mkdtemp", full)
        with pytest.raises(
            ProcessError, match=r"^No temporary folder could be made \(No space left on device\); free "
        ):
            PredictProcess()

    def test_a_child_that_leaves_one_behind_which_holds_its_output(
        self, run: Callable[..., PredictProcess], temporary: Path, tmp_path: Path
    ) -> None:
        code = f"""
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            Path({str(tmp_path / "pid")!r}).write_text(str(child.pid))
            sys.exit(3)
        """
        check_failed(run(code), "The program stopped with exit code 3 (the log has the rest).", temporary)
        assert not is_alive(int((tmp_path / "pid").read_text()))

    def test_one_that_got_away_is_not_waited_for(
        self, run: Callable[..., PredictProcess], temporary: Path, tmp_path: Path
    ) -> None:
        code = f"""
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
            Path({str(tmp_path / "pid")!r}).write_text(str(child.pid))
            sys.exit(3)
        """
        process = run(code)
        try:
            check_failed(process, "The program stopped with exit code 3 (the log has the rest).", temporary)
        finally:
            os.kill(int((tmp_path / "pid").read_text()), 9)
