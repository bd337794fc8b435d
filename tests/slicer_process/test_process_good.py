"""A run of the child process that ends well: what is told of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from AnomalyMapLib import process as process_module
from AnomalyMapLib.environment import ChildPython
from AnomalyMapLib.process import PredictProcess, State
from child_runs import BUNDLE, GOOD


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
        process.start(python, BUNDLE, device="cuda:1", slice_direction="axial", judge_ood=True)
        (seen,) = run_to_end(process)
        folder = process.input_path.parent
        assert seen["argv"][:3] == ["predict", str(Path.cwd() / BUNDLE), str(folder / "input.nrrd")]
        switches = {"--overwrite", "--judge-ood"}
        words = [word for word in seen["argv"][3:] if word not in switches]
        assert len(words) == len(seen["argv"]) - 5
        assert dict(zip(words[::2], words[1::2])) == {
            "--output": str(folder / "output"),
            "--output-ext": ".nrrd",
            "--device": "cuda:1",
            "--progress": "json",
            "--slice-direction": "axial",
        }
        assert Path(seen["cwd"]) == folder
        assert Path(seen["tmp"]).parent == folder

    def test_a_classifier_without_a_map(self, run: Callable[..., PredictProcess]) -> None:
        changes = {"anomaly_score": None, "anomaly_map": None, "classes": [{"name": "normal", "probability": 1.0}]}
        process = run(f"print(json.dumps(RESULT | {changes}))")
        assert process.state is State.DONE
        assert process.result is not None
        assert process.result.anomaly_map is None
        assert process.result.classes[0].name == "normal"
        process.close()

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
