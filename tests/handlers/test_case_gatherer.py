"""The first process sees the cases of all, each once, and notices when another one is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch.distributed as dist
from ignite.engine import Engine, Events

from monai_sagan.errors import UserError
from monai_sagan.handlers import CaseGatherer, case_gatherer


@pytest.fixture
def run_as(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[dict[str, Any]]]]:
    """Runs batches of finished cases as one of three processes; gives what a handler after the gatherer sees."""
    store = dist.HashStore()
    monkeypatch.setattr(case_gatherer, "shared_store", lambda: store)
    monkeypatch.setenv("WORLD_SIZE", "3")

    def run(rank: int, batches: list[list[dict[str, Any]]], num_batches: int = 9) -> list[list[dict[str, Any]]]:
        monkeypatch.setenv("RANK", str(rank))
        engine = Engine(lambda engine, batch: batch)
        CaseGatherer(num_batches).attach(engine)
        seen: list[list[dict[str, Any]]] = []
        engine.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: seen.append(engine.state.output))
        engine.run(batches)
        return seen

    return run


def case(name: str, **details: Any) -> dict[str, Any]:
    return {"path": f"/{name}.png", "name": name, **details}


def test_the_first_process_sees_all_cases_once(run_as: Callable[..., Any]) -> None:
    run_as(1, [[case("b", result={"anomaly_score": 0.1}, image=None, files=["/b.png"])], [case("e", error="damaged")]])
    run_as(2, [[case("c", result={}, is_skipped=True)], [{"path": "/", "warning": "left out"}]])
    seen = run_as(0, [[case("a", result={}, slice_scores=[1])], [case("d", result={})]])
    assert [found for output in seen for found in output] == [
        case("a", result={}, slice_scores=[1]),
        case("b", result={"anomaly_score": 0.1}),
        case("e", error="damaged"),
        case("c", result={}, is_skipped=True),
        {"path": "/", "warning": "left out"},
        case("d", result={}),
    ]


def test_nobody_waits_for_a_process_that_has_nothing_to_do(run_as: Callable[..., Any]) -> None:
    assert run_as(0, [[case("a")]], num_batches=1) == [[case("a")]]


def test_a_process_that_is_silent_for_long_is_dead(run_as: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case_gatherer, "_SILENCE", 0.0)
    run_as(1, [[case("b")]])
    with pytest.raises(UserError) as caught:
        run_as(0, [[case("a")]])
    assert str(caught.value) == (
        "process 2 ended before its images were done; start the same command again, which goes on from what is there."
    )


def test_alone_it_does_nothing(run_as: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert run_as(0, [[case("a", result={})], [case("b", error="damaged")]]) == [
        [case("a", result={})],
        [case("b", error="damaged")],
    ]
