"""The cases of all processes, in the first one."""

from __future__ import annotations

import json
import time
from typing import Any

from ignite.engine import Engine, Events

from monai_sagan.processes import process_rank, shared_store

__all__ = ["CaseGatherer"]

_TOLD = ("path", "name", "result", "is_skipped", "error", "warning")  # of a case, to the first process
_POLL = 0.05  # seconds between two looks for news


class CaseGatherer:
    """Brings to the first of the processes that torchrun started what the others finish.

    Every process works on its share of the cases alone. The first one has theirs in ``state.output`` beside its own, so
    that the handlers after this one, which count cases and write the table, see each case once; it is done when all
    are. A process that dies takes nothing with it but the cases that it was at, which the next run finds undone.

    In a single process this does nothing.

    Args:
        num_batches: of all processes; where there are fewer than processes, the last ones have nothing to do.
    """

    def __init__(self, num_batches: int) -> None:
        self.rank, world = process_rank()
        # The number of the next message of each process that is at work.
        self.unread = dict.fromkeys(range(1, min(world, num_batches)), 0)
        self.sent = 0

    def attach(self, engine: Engine) -> None:
        """Attaches to an evaluator whose output is a list of cases, before the handlers that look at it."""
        gather, end = (self._receive, self._wait) if self.rank == 0 else (self._send_output, self._send_end)
        engine.add_event_handler(Events.ITERATION_COMPLETED, gather)
        engine.add_event_handler(Events.COMPLETED, end)

    def _send_output(self, engine: Any) -> None:
        self._send([{key: case[key] for key in _TOLD if key in case} for case in engine.state.output])

    def _send_end(self, engine: Engine) -> None:
        self._send(None)

    def _send(self, cases: list[dict[str, Any]] | None) -> None:
        shared_store().set(_key(self.rank, self.sent), json.dumps(cases))
        self.sent += 1

    def _receive(self, engine: Any) -> None:
        engine.state.output = engine.state.output + self._news()

    def _wait(self, engine: Any) -> None:
        while self.unread:
            engine.state.output = self._news()
            if engine.state.output:
                engine.fire_event(Events.ITERATION_COMPLETED)
            else:
                time.sleep(_POLL)

    def _news(self) -> list[dict[str, Any]]:
        return [case for rank in list(self.unread) for case in self._news_of(rank)]

    def _news_of(self, rank: int) -> list[dict[str, Any]]:
        store, cases = shared_store(), []
        while store.check([key := _key(rank, self.unread[rank])]):
            message = json.loads(store.get(key))
            store.delete_key(key)
            if message is None:
                del self.unread[rank]
                break
            self.unread[rank] += 1
            cases += message
        return cases


def _key(rank: int, number: int) -> str:
    return f"cases {rank} {number}"
