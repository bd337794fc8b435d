"""The cases of all processes, in the first one."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from threading import Event, Thread
from typing import Any

from ignite.engine import Engine, Events
from torch.distributed import DistError

from monai_sagan.errors import UserError
from monai_sagan.processes import process_rank, shared_store

__all__ = ["CaseGatherer"]

_TOLD = ("path", "name", "result", "is_skipped", "error", "warning")  # of a case, to the first process
_POLL = 0.05  # seconds between two looks for news
_BEAT = 2.0  # seconds between two signs of life
_SILENCE = 30.0  # seconds without one after which a process counts as dead


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
        self.has_ended = Event()

    def attach(self, engine: Engine) -> None:
        """Attaches to an evaluator whose output is a list of cases, before the handlers that look at it.

        Raises:
            UserError: at the end of the run, if another process died; torchrun tells that only to those that it started
                on the same computer.
        """
        if self.rank == 0:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._receive)
            engine.add_event_handler(Events.COMPLETED, self._wait)
        else:
            engine.add_event_handler(Events.STARTED, self._show_life)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._send_output)
            engine.add_event_handler(Events.COMPLETED, self._send_end)

    def _show_life(self, engine: Engine) -> None:
        Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        with suppress(DistError):  # who kept the store is gone, which the next message will tell
            while not self.has_ended.wait(_BEAT):
                shared_store().add(_life(self.rank), 1)

    def _send_output(self, engine: Any) -> None:
        self._send([{key: case[key] for key in _TOLD if key in case} for case in engine.state.output])

    def _send_end(self, engine: Engine) -> None:
        self.has_ended.set()
        self._send(None)

    def _send(self, cases: list[dict[str, Any]] | None) -> None:
        shared_store().set(_message(self.rank, self.sent), json.dumps(cases))
        self.sent += 1

    def _receive(self, engine: Any) -> None:
        engine.state.output = engine.state.output + self._news()

    def _wait(self, engine: Any) -> None:
        signs = dict.fromkeys(self.unread, (-1, 0.0))  # of each process the latest one, and when it was new
        while self.unread:
            engine.state.output = self._news()
            if engine.state.output:
                engine.fire_event(Events.ITERATION_COMPLETED)
            else:
                signs = {rank: self._alive(rank, *signs[rank]) for rank in self.unread}
                time.sleep(_POLL)

    def _news(self) -> list[dict[str, Any]]:
        return [case for rank in list(self.unread) for case in self._news_of(rank)]

    def _news_of(self, rank: int) -> list[dict[str, Any]]:
        store = shared_store()
        cases: list[dict[str, Any]] = []
        while store.check([key := _message(rank, self.unread[rank])]):
            message = json.loads(store.get(key))
            store.delete_key(key)
            if message is None:
                del self.unread[rank]
                break
            self.unread[rank] += 1
            cases += message
        return cases

    def _alive(self, rank: int, sign: int, since: float) -> tuple[int, float]:
        latest, now = shared_store().add(_life(rank), 0), time.monotonic()
        if latest != sign:
            return latest, now
        if now - since > _SILENCE:
            raise UserError(
                f"process {rank} ended before its images were done; start the same command again, which goes on from "
                "what is there."
            )
        return sign, since


def _message(rank: int, number: int) -> str:
    return f"cases {rank} {number}"


def _life(rank: int) -> str:
    return f"life of {rank}"
