"""What a process knows of the others, in one process that plays each of them."""

from __future__ import annotations

import io
import os
from collections.abc import Callable

import pytest
import torch
import torch.distributed as dist
from torch import nn

from monai_sagan import processes
from monai_sagan.errors import UserError
from monai_sagan.processes import (
    alone,
    first_alone,
    from_all,
    is_first,
    is_of_lost_process,
    join,
    join_shares,
    joint_statistics,
    own_device,
    process_rank,
    say_once,
    share_of,
    share_of_batch,
)


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Makes this process the one of a number among several, which share a store."""
    store = dist.HashStore()
    monkeypatch.setattr(processes, "shared_store", lambda: store)

    def become(rank: int, world: int) -> None:
        for name, value in (("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", world)):
            monkeypatch.setenv(name, str(value))

    return become


def test_without_torchrun_there_is_one_process() -> None:
    assert process_rank() == (0, 1)
    assert is_first()
    assert share_of([1, 2, 3]) == join_shares([1, 2, 3]) == [1, 2, 3]
    assert share_of_batch(7) == 7
    assert first_alone(lambda: (1, 2)) == (1, 2)


def test_shares_hold_everything_once(become: Callable[[int, int], None]) -> None:
    shares = []
    for rank in range(3):
        become(rank, 3)
        shares.append(share_of(range(8)))
    assert shares == [[0, 3, 6], [1, 4, 7], [2, 5]]


def test_a_batch_is_shared_out_evenly_or_not_at_all(become: Callable[[int, int], None]) -> None:
    become(1, 4)
    assert share_of_batch(16) == 4
    with pytest.raises(UserError) as caught:
        share_of_batch(18)
    assert str(caught.value) == "batch_size 18: 4 processes cannot share it out evenly; give a multiple of 4."


def test_what_is_started_alone_is_no_part_of_the_others(become: Callable[[int, int], None]) -> None:
    become(1, 2)
    with alone():
        assert process_rank() == (0, 1)
        assert "LOCAL_RANK" not in os.environ
    assert process_rank() == (1, 2)


def test_what_the_first_process_found_is_known_to_all(
    become: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    worked = []
    for rank in (0, 1):
        become(rank, 2)
        monkeypatch.setattr(processes, "_turns", iter(range(2)))
        assert [first_alone(lambda name=name: worked.append(name) or [name]) for name in "ab"] == [["a"], ["b"]]
    assert worked == ["a", "b"]


def test_what_each_process_has_is_known_to_all(
    become: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [{"random": torch.arange(3) + rank, "facts": [(True, None, rank)]} for rank in range(2)]
    for rank in (0, 1):
        become(rank, 2)
        monkeypatch.setattr(processes, "_turns", iter([rank]))
        saved = io.BytesIO()
        torch.save(told[1 - rank], saved)
        processes.shared_store().set(f"turn {rank} of {1 - rank}", saved.getvalue())  # the other one was faster
        found = from_all(told[rank])
        assert [it["facts"] for it in found] == [it["facts"] for it in told]
        assert all(torch.equal(it["random"], other["random"]) for it, other in zip(found, told))


def test_a_sentence_is_said_once_and_another_one_too(become: Callable[[int, int], None]) -> None:
    said = []
    for rank, sentence in ((1, "No image."), (0, "No image."), (0, "No space.")):
        become(rank, 2)
        say_once(sentence, lambda told=(rank, sentence): said.append(told))
    assert said == [(1, "No image."), (0, "No space.")]


def test_a_sentence_is_said_when_the_others_are_gone(
    become: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> dist.Store:
        raise dist.DistNetworkError("Connection reset by peer")

    become(1, 2)
    monkeypatch.setattr(processes, "shared_store", gone)
    said = []
    say_once("No image.", lambda: said.append(1))
    assert said == [1]


def test_errors_that_only_say_that_another_process_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_of_lost_process(dist.DistNetworkError("recvValue failed"))  # there is no other one
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert is_of_lost_process(dist.DistNetworkError("recvValue failed"))
    assert is_of_lost_process(RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:1"))
    assert not is_of_lost_process(RuntimeError("shape '[2]' is invalid for input of size 3"))
    assert not is_of_lost_process(ConnectionResetError("Connection reset by peer"))  # of a download


class TestGPUs:
    """As they would be on a computer that has two."""

    @pytest.fixture(autouse=True)
    def two(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    def test_each_process_has_its_own_as_long_as_there_are_some(self, become: Callable[[int, int], None]) -> None:
        for rank, number in ((0, 0), (1, 1), (2, 0)):
            become(rank, 3)
            assert own_device() == torch.device("cuda", number)

    def test_a_training_needs_one_each(self, become: Callable[[int, int], None]) -> None:
        become(2, 3)
        with pytest.raises(UserError, match="this computer has 2 GPUs, and each process that trains needs one"):
            join(own_device())

    def test_a_training_needs_what_they_talk_by(
        self, become: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No PyTorch for Windows has it."""
        monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: False)
        become(1, 2)
        with pytest.raises(UserError, match="GPUs talk to each other by NCCL, which this PyTorch does not have"):
            join(own_device())


def test_batch_normalisation_stays_on_the_processor_what_it_is() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    assert joint_statistics(network, torch.device("cpu")) is network
    assert type(network[1]) is nn.BatchNorm2d
