"""The child process: what it tells, how it fails, and that nothing is left of it."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from AnomalyMapLib import process as process_module
from AnomalyMapLib.environment import ChildPython
from AnomalyMapLib.process import PredictProcess, ProcessError, State

BUNDLE = Path("some") / "bundle"
GOOD = """
    tell("start", total=1, task="Images")
    write_map()
    print(json.dumps(RESULT))
    tell("progress", done=1, total=1)
    tell("done", num_done=1, num_skipped=0, num_failed=0)
"""


@pytest.fixture
def run(
    temporary: Path, stand_in: Callable[..., ChildPython], run_to_end: Callable[..., Any]
) -> Callable[..., PredictProcess]:
    """Runs a stand-in to its end."""

    def run(*parts: str) -> PredictProcess:
        process = PredictProcess()
        process.start(stand_in(*parts), BUNDLE)
        run_to_end(process)
        return process

    return run


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for by its parent does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def check_failed(process: PredictProcess, sentence: str, temporary: Path) -> None:
    """A run that failed says so in one sentence, and leaves nothing behind."""
    assert process.state is State.FAILED
    assert process.error == sentence == process.status
    assert process.result is None
    assert list(temporary.iterdir()) == []


class TestGoodRun:
    def test_what_it_tells(
        self, temporary: Path, stand_in: Callable[..., ChildPython], run_to_end: Callable[..., Any]
    ) -> None:
        process = PredictProcess()
        assert process.state is State.READY
        process.start(stand_in(GOOD), BUNDLE)
        assert process.state is State.RUNNING
        events = run_to_end(process)
        assert [event["event"] for event in events] == ["start", "result", "progress", "done"]
        assert process.state is State.DONE
        assert (process.error, process.status, process.log) == ("", "Done.", "")
        assert process.fraction == 1
        assert process.result is not None
        assert process.result.anomaly_score == 0.25
        assert process.result.anomaly_map is not None
        assert process.result.anomaly_map.read_bytes() == b"a map"
        process.close()
        assert process.state is State.DONE
        assert list(temporary.iterdir()) == []
        process.close()

    def test_the_command(
        self, temporary: Path, stand_in: Callable[..., ChildPython], run_to_end: Callable[..., Any]
    ) -> None:
        process = PredictProcess()
        python = stand_in('tell("seen", argv=sys.argv[1:], cwd=os.getcwd(), tmp=os.environ["TMPDIR"])')
        process.start(python, BUNDLE, device="cuda:1", slice_direction="axial")
        (seen,) = run_to_end(process)
        folder = process.input_path.parent
        assert seen["argv"][:3] == ["predict", str(Path.cwd() / BUNDLE), str(folder / "input.nrrd")]
        words = [word for word in seen["argv"][3:] if word != "--overwrite"]
        assert len(words) == len(seen["argv"]) - 4
        assert dict(zip(words[::2], words[1::2])) == {
            "--output": str(folder / "output"),
            "--output-ext": ".nrrd",
            "--device": "cuda:1",
            "--progress": "json",
            "--slice-direction": "axial",
        }
        assert Path(seen["cwd"]) == folder
        assert Path(seen["tmp"]).parent == folder

    def test_a_crash_after_all_was_told_takes_nothing_away(self, run: Callable[..., PredictProcess]) -> None:
        process = run(GOOD, "os.kill(os.getpid(), signal.SIGSEGV)")
        assert process.state is State.DONE

    def test_nonsense_among_the_events_goes_to_the_log(self, run: Callable[..., PredictProcess]) -> None:
        noise = """
            print("hello")
            print("[1, 2]"); print("3"); print("null"); print('{"event": 4}'); print('{"no": "event"}')
            print('{"event": "progress", "done": NaN, "total": 1}')
            print('{"event": "progress", "done": 1' + "0" * 400 + ', "total": 1}')
            print('{"event": "progress", "done": "all", "total": []}'); print('{"event": "progress"}')
            print('{"event": "progress", "done": 1, "total": 0}'); print('{"event": "error", "message": 5}')
            print("[" * 100000); print("9" * 10000)
            sys.stdout.flush()
            sys.stdout.buffer.write(bytes(range(256)) * 40 + b"\\n")
            sys.stdout.buffer.write(b"x" * 10_000_000 + b"\\n")
            sys.stdout.buffer.flush()
        """
        process = run(noise, GOOD)
        assert process.state is State.DONE
        assert "hello\n[1, 2]\n3\nnull\n" in process.log
        assert process.log.count(" [...]") == 3  # the brackets, the nines and the x, a line each
        assert "\x00" not in process.log

    def test_a_flood_of_events_makes_the_child_wait(self, run: Callable[..., PredictProcess]) -> None:
        flood = """
            for step in range(5000):
                print(json.dumps({"event": "progress", "done": step / 5000, "total": 1}))
        """
        process = run(flood, GOOD)
        assert process.state is State.DONE
        assert process.fraction == 1

    def test_nothing_is_lost_when_a_slow_timer_polls(
        self, temporary: Path, stand_in: Callable[..., ChildPython], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # What a pipe and the queue hold when the child ends takes several polls.
        monkeypatch.setattr(process_module, "_PIPES_S", 0.2)
        process = PredictProcess()
        process.start(stand_in("for step in range(400):\n    tell('noise')", GOOD), BUNDLE)
        while process.state is State.RUNNING:
            time.sleep(0.3)
            process.poll()
        assert process.state is State.DONE
        process.close()

    def test_a_flood_of_log_keeps_the_end(self, run: Callable[..., PredictProcess]) -> None:
        process = run("for line in range(50000):\n    print('line', line, file=sys.stderr)", GOOD)
        assert process.state is State.DONE
        assert process.log.endswith("line 49999")
        assert len(process.log.splitlines()) == 2000

    def test_warnings_are_in_the_log(self, run: Callable[..., PredictProcess]) -> None:
        assert run('tell("warning", message="it is odd")').log == "Warning: it is odd"

    def test_it_runs_once(self, run: Callable[..., PredictProcess], stand_in: Callable[..., ChildPython]) -> None:
        with pytest.raises(RuntimeError, match=r"^A process runs once; make another one.$"):
            run("").start(stand_in(""), BUNDLE)


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
                "input.nrrd: too small; choose another.",
                id="told",
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
            pytest.param("write_map(); del RESULT['anomaly_map']; print(json.dumps(RESULT))", NO_MAP, id="map unnamed"),
            pytest.param(
                "RESULT['schema_version'] = '2.0'; write_map(); print(json.dumps(RESULT))",
                "The result has schema version 2.0, and this extension reads 1.x; install versions of the extension "
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

        monkeypatch.setattr(process_module.tempfile, "mkdtemp", full)
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


HANGS_WITH_GRANDCHILDREN = """
    for number in range(2):
        deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); "
        child = subprocess.Popen([sys.executable, "-c", deaf + "time.sleep(600)"], stdout=subprocess.PIPE)
        child.stdout.readline()
        tell("child", pid=child.pid)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tell("child", pid=os.getpid())
    (OUTPUT.parent / "tmp" / "half written").write_text("half")
    tell("start", total=4, task="Images")
    tell("progress", done=1, total=4)
    while True:
        time.sleep(600)
"""


class TestEnding:
    @pytest.fixture
    def hanging(
        self, temporary: Path, stand_in: Callable[..., ChildPython], wait_until: Callable[..., None]
    ) -> tuple[PredictProcess, list[int]]:
        """A child that works without end, with children that do not listen to SIGTERM, and the ids of all three."""
        process = PredictProcess()
        process.input_path.write_bytes(b"voxels of a patient")
        process.start(stand_in(HANGS_WITH_GRANDCHILDREN), BUNDLE)
        pids: list[int] = []

        def is_at_work() -> bool:
            pids.extend(event["pid"] for event in process.poll() if event["event"] == "child")
            return process.fraction > 0

        wait_until(is_at_work)
        assert len(pids) == 3
        assert all(map(is_alive, pids))
        return process, pids

    def test_cancel(self, hanging: tuple[PredictProcess, list[int]], temporary: Path) -> None:
        process, pids = hanging
        start = time.monotonic()
        process.cancel()
        assert time.monotonic() - start < 2
        assert not any(map(is_alive, pids))
        assert list(temporary.iterdir()) == []
        assert process.state is State.CANCELLED
        assert process.status == "Cancelled."
        assert process.poll() == []
        assert process.state is State.CANCELLED

    def test_close(self, hanging: tuple[PredictProcess, list[int]], temporary: Path) -> None:
        process, pids = hanging
        process.close()
        assert not any(map(is_alive, pids))
        assert list(temporary.iterdir()) == []

    def test_being_forgotten(
        self, stand_in: Callable[..., ChildPython], temporary: Path, wait_until: Callable[..., None]
    ) -> None:
        def start_and_forget() -> int:
            process = PredictProcess()
            process.start(stand_in("tell('child', pid=os.getpid()); time.sleep(600)"), BUNDLE)
            seen: list[dict[str, Any]] = []
            wait_until(lambda: bool(seen.extend(process.poll()) or seen))
            return seen[0]["pid"]

        pid = start_and_forget()
        gc.collect()
        assert not is_alive(pid)
        assert list(temporary.iterdir()) == []

    def test_no_thread_stays(
        self, stand_in: Callable[..., ChildPython], temporary: Path, wait_until: Callable[..., None]
    ) -> None:
        before = set(threading.enumerate())
        process = PredictProcess()
        process.start(stand_in("while True:\n    tell('noise')\n"), BUNDLE)
        # Nobody polls: the child fills the queue and waits.
        wait_until(lambda: process._output._events.full())
        process.cancel()
        wait_until(lambda: set(threading.enumerate()) <= before)

    @pytest.mark.parametrize("end", ["pass", "raise ValueError", "os.kill(os.getpid(), 15)", "os.kill(os.getpid(), 9)"])
    def test_the_program_ends(
        self,
        stand_in: Callable[..., ChildPython],
        module_folder: Path,
        tmp_path: Path,
        wait_until: Callable[..., None],
        end: str,
    ) -> None:
        python = stand_in("while True:\n    tell('child', pid=os.getpid())\n    time.sleep(0.01)\n")
        temporary = tmp_path / "temporary"
        temporary.mkdir()
        program = f"""
import os, sys, time
sys.path.insert(0, {str(module_folder)!r})
from pathlib import Path
from AnomalyMapLib.environment import ChildPython
from AnomalyMapLib.process import PredictProcess
process = PredictProcess()
process.start(ChildPython(Path(sys.executable), dict(os.environ)), Path("bundle"))
while not (events := process.poll()):
    time.sleep(0.01)
print(events[0]["pid"], process.input_path.parent, flush=True)
{end}
"""
        variables = {**python.variables, "TMPDIR": str(temporary)}
        ended = subprocess.run(
            [sys.executable, "-c", program], env=variables, capture_output=True, text=True, timeout=60, check=False
        )
        pid, folder = ended.stdout.split()
        assert Path(folder).parent == temporary
        # A program that is killed cannot tidy up, but its child ends when nobody reads any more.
        assert Path(folder).exists() == ("kill" in end)
        wait_until(lambda: not is_alive(int(pid)))

    def test_cancel_before_the_start(self, temporary: Path) -> None:
        process = PredictProcess()
        process.cancel()
        assert process.state is State.CANCELLED
        assert list(temporary.iterdir()) == []

    def test_cancel_after_the_end_changes_nothing(self, run: Callable[..., PredictProcess]) -> None:
        process = run(GOOD)
        process.cancel()
        assert process.state is State.DONE
        assert process.result is not None
        assert process.result.anomaly_map is not None
        assert process.result.anomaly_map.is_file()
        process.close()


class TestStatus:
    def test_of_a_run(
        self, temporary: Path, stand_in: Callable[..., ChildPython], wait_until: Callable[..., None], tmp_path: Path
    ) -> None:
        gates = [tmp_path / "first", tmp_path / "second"]
        python = stand_in(f"""
            def wait(gate):
                while not os.path.exists(gate):
                    time.sleep(0.01)
            tell("start", total=4, task="Images")
            wait({str(gates[0])!r})
            tell("progress", done=1, total=4)
            wait({str(gates[1])!r})
        """)
        process = PredictProcess()
        assert process.status == "Ready."
        process.start(python, BUNDLE)
        assert process.status == "Starting."
        wait_until(lambda: bool(process.poll()))
        assert process.status == "0 % done."
        assert process.seconds_left is None
        gates[0].touch()
        wait_until(lambda: bool(process.poll()))
        assert process.fraction == 0.25
        assert process.seconds_left is not None
        assert process.status.startswith("25 % done. About ")
        process.close()
        assert process.seconds_left is None

    def test_silence_is_told(
        self,
        temporary: Path,
        stand_in: Callable[..., ChildPython],
        wait_until: Callable[..., None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(process_module, "_SILENCE_S", 0.2)
        process = PredictProcess()
        assert process.silent_seconds == 0
        process.start(stand_in("time.sleep(600)"), BUNDLE)
        wait_until(lambda: process.silent_seconds > 0.2)
        assert process.poll() == []
        assert process.status == (
            "Starting. Nothing was heard for 1 s: the computer is busy, or the program hangs. Cancel ends it."
        )
        process.close()
        assert process.silent_seconds == 0


def test_polling_does_not_wait(temporary: Path, stand_in: Callable[..., ChildPython]) -> None:
    process = PredictProcess()
    process.start(stand_in("time.sleep(600)"), BUNDLE)
    seconds = []
    for _ in range(50):
        start = time.monotonic()
        process.poll()
        seconds.append(time.monotonic() - start)
    process.close()
    # A millisecond is given to the threads; the median leaves out when the computer does something else.
    assert sorted(seconds)[25] < 0.02
