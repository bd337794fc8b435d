"""What engines tell of their work."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from ignite.engine import Engine

from monai_sagan.handlers import CaseProgress, TrainingProgress


def read_events(text: str) -> list[dict[str, Any]]:
    """One object a line, by the rules of JSON, which knows no NaN."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON.")

    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


class Loader(list):
    """Batches, and what they were made from."""

    def __init__(self, batches: list[list[dict[str, Any]]]) -> None:
        super().__init__(batches)
        self.dataset = SimpleNamespace(data=[case for batch in batches for case in batch])


def run_cases(batches: list[list[dict[str, Any]]], kind: str = "json", shares: Sequence[float] = ()) -> Engine:
    """Runs an engine that says of every batch what share of it is done."""

    def work(engine: Any, batch: Any) -> Any:
        for share in shares:
            engine.inferer.on_progress(share)
        return batch

    engine = Engine(work)
    engine.inferer = SimpleNamespace()
    engine.data_loader = Loader(batches)
    CaseProgress(kind).attach(engine)
    engine.run(engine.data_loader)
    return engine


class TestCases:
    def test_events_in_order(self, capsys: pytest.CaptureFixture[str]) -> None:
        result = {"input": "a.png", "anomaly_score": 0.25, "warnings": []}
        engine = run_cases([[{"result": result}, {"error": "b.png: the file is empty."}], [{"path": "c.png"}]])
        output = capsys.readouterr()
        assert read_events(output.out) == [
            {"event": "start", "total": 3, "task": "Images"},
            {"event": "result", **result},
            {"event": "progress", "done": 1, "total": 3},
            {"event": "error", "message": "b.png: the file is empty."},
            {"event": "progress", "done": 2, "total": 3},
            {"event": "progress", "done": 3, "total": 3},
            {"event": "done", "num_done": 2, "num_skipped": 0, "num_failed": 1},
        ]
        assert output.err == ""
        assert engine.state.metrics == {"num_done": 2, "num_skipped": 0, "num_failed": 1}

    def test_what_was_finished_before(self, capsys: pytest.CaptureFixture[str]) -> None:
        result = {"input": "a.png", "warnings": ["said before"]}
        engine = run_cases([[{"path": "a.png", "result": result, "is_skipped": True}]])
        events = read_events(capsys.readouterr().out)
        assert [event["event"] for event in events] == ["start", "result", "progress", "done"]
        assert engine.state.metrics == {"num_done": 0, "num_skipped": 1, "num_failed": 0}

    def test_warnings(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Of files that are no case, which do not count, and of results."""
        result = {"input": "a.png", "warnings": ["No overlay was written."]}
        run_cases([[{"warning": "scans: 2 DICOM files hold no image."}, {"path": "in/a.png", "result": result}]])
        assert read_events(capsys.readouterr().out) == [
            {"event": "start", "total": 1, "task": "Images"},
            {"event": "warning", "message": "scans: 2 DICOM files hold no image."},
            {"event": "warning", "message": "in/a.png: No overlay was written."},
            {"event": "result", **result},
            {"event": "progress", "done": 1, "total": 1},
            {"event": "done", "num_done": 1, "num_skipped": 0, "num_failed": 0},
        ]

    @pytest.mark.parametrize("kind", ["bar", "none"])
    def test_of_warnings_that_many_images_share_people_read_the_first(
        self, kind: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        said = {9: "The file has no geometry."} | {n: f"Do not rely on it. Unlike {n}% of them." for n in range(8)}
        run_cases([[{"path": f"{n}.png", "result": {"warnings": [said[n]]}} for n in said]], kind)
        error = capsys.readouterr().err
        shown = [line.removeprefix("Warning: ") for line in error.splitlines() if line.startswith("Warning")]
        assert shown == [
            "9.png: The file has no geometry.",
            *(f"{n}.png: Do not rely on it. Unlike {n}% of them." for n in range(5)),
            "3 more: Do not rely on it. The table of results names them.",
        ]

    def test_programs_read_every_warning(self, capsys: pytest.CaptureFixture[str]) -> None:
        run_cases([[{"path": f"{n}.png", "result": {"warnings": ["It is odd."]}} for n in range(20)]])
        events = read_events(capsys.readouterr().out)
        told = [event["message"] for event in events if event["event"] == "warning"]
        assert told == [f"{n}.png: It is odd." for n in range(20)]

    def test_a_case_that_takes_long_is_told_in_parts(self, capsys: pytest.CaptureFixture[str]) -> None:
        run_cases([[{"path": "a.nii"}], [{"path": "b.nii"}]], shares=[0.5, 0.75, 1.0])
        done = [event["done"] for event in read_events(capsys.readouterr().out) if event["event"] == "progress"]
        assert done == [0.5, 0.75, 1, 1.5, 1.75, 2]

    def test_a_second_run_counts_from_zero(self) -> None:
        engine = run_cases([[{"error": "a"}]], kind="none")
        engine.run(engine.data_loader)
        assert engine.state.metrics == {"num_done": 0, "num_skipped": 0, "num_failed": 1}

    @pytest.mark.parametrize("kind", ["bar", "none"])
    def test_people_read_of_errors_on_standard_error(self, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
        run_cases([[{"error": "a[1].png: the file is empty."}, {"path": "b"}]], kind)
        output = capsys.readouterr()
        assert "Error: a[1].png: the file is empty.\n" in output.err
        assert output.out == ""


class TestTraining:
    @pytest.fixture
    def run(self) -> Callable[..., None]:
        def run(losses: list[dict[str, float]], epochs: int = 1, **settings: Any) -> None:
            engine = Engine(lambda engine, batch: batch)
            TrainingProgress(**settings).attach(engine)
            engine.run(losses, max_epochs=epochs)

        return run

    def test_events_in_order(self, run: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
        losses = [{"critic": 1.5, "identity": 9.0}, {"critic": 2.5, "generator": 3.5}, {"critic": 0.5}]
        run(losses, epochs=2, kind="json", interval=2)
        assert read_events(capsys.readouterr().out) == [
            {"event": "start", "total": 6, "task": "Training"},
            {"event": "progress", "done": 2, "total": 6, "critic": 2.5, "generator": 3.5},
            {"event": "progress", "done": 4, "total": 6, "critic": 1.5},
            {"event": "progress", "done": 6, "total": 6, "critic": 0.5},
            {"event": "progress", "done": 6, "total": 6},
            {"event": "done", "iterations": 6},
        ]

    def test_the_last_step_is_told_whatever_the_interval(
        self, run: Callable[..., None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        run([{"critic": 1.0}] * 3, kind="json", interval=10)
        assert [event.get("done") for event in read_events(capsys.readouterr().out)] == [None, 3, None]

    def test_losses_that_are_no_numbers(self, run: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
        run([{"critic": float("nan"), "generator": float("inf")}], kind="json", interval=1)
        assert read_events(capsys.readouterr().out)[1] == {
            "event": "progress",
            "done": 1,
            "total": 1,
            "critic": None,
            "generator": None,
        }

    def test_a_bar_writes_to_standard_error(self, run: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
        run([{"critic": 1.0}] * 3, kind="bar", interval=1)
        output = capsys.readouterr()
        assert "Training" in output.err
        assert "3/3" in output.err
        assert output.out == ""


@pytest.mark.parametrize("handler", [CaseProgress, TrainingProgress])
def test_a_run_that_breaks_off_leaves_no_bar(
    handler: type[CaseProgress | TrainingProgress], capsys: pytest.CaptureFixture[str]
) -> None:
    """A bar that goes on would hide the cursor, and draw over the sentence that says what is wrong."""

    def fail(engine: Engine, batch: Any) -> None:
        assert progress.reporter.bar.live.is_started
        raise OSError("the disk is full")

    engine = Engine(fail)
    engine.inferer = SimpleNamespace()
    engine.data_loader = Loader([[{"path": "a.png"}]])
    progress = handler("bar")
    progress.attach(engine)
    with pytest.raises(OSError, match="the disk is full"):
        engine.run(engine.data_loader)
    assert not progress.reporter.bar.live.is_started
