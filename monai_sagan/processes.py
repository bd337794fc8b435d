"""The processes that torchrun started: who this one is, what is its share, and how they wait for each other.

They talk through the store that torchrun keeps, which needs nobody's answer: a process that died is never waited for
once torchrun has ended the others. Without torchrun there is one process, and all of this does nothing; PyTorch is
imported only where it is needed, since the viewer does without.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar, cast

from monai_sagan.errors import SettingError, UserError

if TYPE_CHECKING:
    import torch
    import torch.distributed as dist
    from torch import nn

__all__ = [
    "alone",
    "first_alone",
    "from_all",
    "is_first",
    "is_of_lost_process",
    "join",
    "join_shares",
    "joint_statistics",
    "leave",
    "num_processes",
    "own_device",
    "process_rank",
    "say_once",
    "share_of",
    "share_of_batch",
    "shared_store",
]

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

# How the names begin of what torchrun tells its processes.
_OF_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_", "GROUP_", "ROLE_", "MASTER_", "TORCHELASTIC_")
_POLL = 0.05  # seconds between two looks into the store
_groups = count()
_turns = count()  # of those that processes wait for, the same number in each process


@contextmanager
def alone() -> Iterator[None]:
    """Within, this process and those that it starts are no part of what torchrun runs."""
    told = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(_OF_TORCHRUN)}
    try:
        yield
    finally:
        os.environ.update(told)


def process_rank() -> tuple[int, int]:
    """The number of this process among those that torchrun started, and how many there are; (0, 1) without."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def num_processes() -> int:
    """How many processes torchrun started; 1 without."""
    return process_rank()[1]


def is_first() -> bool:
    """Whether this is the process that makes folders, tells how far the work is, and writes what is one for all."""
    return process_rank()[0] == 0


def own_device() -> torch.device:
    """The GPU of this process on its computer, where several may share one; without GPUs, the processor."""
    import torch

    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", _local_rank() % torch.cuda.device_count())


def share_of(items: Sequence[ItemT]) -> list[ItemT]:
    """What of a list is this process's: every n-th of n processes, so that neighbours of one size are shared out.

    Args:
        items: the same in each process.
    """
    rank, world = process_rank()
    return list(items[rank::world])


def join_shares(share: Sequence[ItemT]) -> list[ItemT]:
    """Gives all processes, once they have called :func:`join`, what each of them made of its share of a list.

    Args:
        share: a result for each item of :func:`share_of`.

    Returns:
        The results for the whole list, in its order.
    """
    rank, world = process_rank()
    if world == 1:
        return list(share)
    import torch.distributed as dist

    # Those that are done sooner wait here: what follows gives up after some minutes.
    turn = f"turn {next(_turns)}"
    shared_store().set(f"{turn} of {rank}", "")
    for other in range(world):
        _wait_for(f"{turn} of {other}")
    shares = []
    for other in range(world):  # one by one, since each is copied on its way
        told: list[Any] = [list(share) if other == rank else None]
        dist.broadcast_object_list(told, src=other)
        shares.append(told[0])
    return [shares[number % world][number // world] for number in range(sum(map(len, shares)))]


def from_all(item: Any) -> list[Any]:
    """What each of the processes has, by rank; they all have to ask.

    It goes through the store: gloo's threads may still hold tensors of Python's when a process ends, and end it with an
    error then.

    Args:
        item: what this one has: tensors, plain numbers and text, and lists, tuples and dictionaries of them.
    """
    rank, world = process_rank()
    if world == 1:
        return [item]
    import torch

    turn = f"turn {next(_turns)}"
    told = io.BytesIO()
    torch.save(item, told)
    shared_store().set(f"{turn} of {rank}", told.getvalue())  # type: ignore[arg-type]  # bytes do, too
    return [torch.load(io.BytesIO(_wait_for(f"{turn} of {other}")), weights_only=True) for other in range(world)]


def share_of_batch(batch_size: int) -> int:
    """How many images of a batch are this process's.

    Args:
        batch_size: of all processes together.

    Raises:
        SettingError: if the processes cannot all have as many.
    """
    world = num_processes()
    if batch_size % world:
        raise SettingError(
            f"batch_size {batch_size}: {world} processes cannot share it out evenly; give a multiple of {world}."
        )
    return batch_size // world


def join(device: torch.device) -> None:
    """Lets the processes of a training add up their gradients.

    Args:
        device: of this process.

    Raises:
        UserError: if there are more processes on this computer than GPUs, which cannot talk then, or PyTorch lacks what
            GPUs talk by.
    """
    import ignite.distributed as idist
    import torch
    import torch.distributed as dist

    if device.type == "cuda":
        if _local_rank() >= torch.cuda.device_count():
            raise UserError(
                f"--nproc_per_node: this computer has {torch.cuda.device_count()} GPUs, and each process that trains "
                "needs one of its own; start as many."
            )
        if not dist.is_nccl_available():
            raise UserError(
                "torchrun: GPUs talk to each other by NCCL, which this PyTorch does not have (on Windows none has); "
                "start without torchrun, on one GPU."
            )
        torch.cuda.set_device(device)
    rank, world = process_rank()
    # A store of its own, since a second group would take the first one's addresses for its own.
    store = dist.PrefixStore(f"group {next(_groups)}", shared_store())
    of_gpu: dict[str, Any] = {"backend": "nccl", "device_id": device} if device.type == "cuda" else {"backend": "gloo"}
    dist.init_process_group(store=store, rank=rank, world_size=world, **of_gpu)
    idist.sync()


def leave() -> None:
    """Undoes :func:`join`, when all processes are done with what they had to tell each other.

    A process that ends at once may be killed by gloo: its threads let go of tensors only when they get to Python, which
    is not there any more then.
    """
    import torch.distributed as dist

    dist.barrier()
    dist.destroy_process_group()


def joint_statistics(network: nn.Module, device: torch.device) -> nn.Module:
    """Brings a network to a device, and lets it normalise by the batch of all processes.

    On the processor, where torch cannot, batch normalisation sees the batch of its own process.

    Args:
        network: what it computes alone, and the names of its weights, stay as they are.
        device: of this process.
    """
    from torch import nn

    return (nn.SyncBatchNorm.convert_sync_batchnorm(network) if device.type == "cuda" else network).to(device)


def first_alone(work: Callable[[], ResultT]) -> ResultT:
    """Lets the first process do something while the others wait, however long that takes.

    If it fails, torchrun ends the others.

    Args:
        work: what to do.

    Returns:
        What it returns, in all processes; it must be ready for JSON where there are several.
    """
    rank, world = process_rank()
    if world == 1:
        return work()
    turn = f"turn {next(_turns)}"
    if rank == 0:
        shared_store().set(turn, json.dumps(work()))
    return cast(ResultT, json.loads(_wait_for(turn)))


def say_once(sentence: str, say: Callable[[], None]) -> None:
    """Lets one process say what all of them would.

    Args:
        sentence: what there is to say.
        say: says it; when this returns it has been said, be it by another process.
    """
    if num_processes() == 1:
        return say()
    from torch.distributed import DistError

    name = hashlib.sha256(sentence.encode()).hexdigest()
    try:
        store = shared_store()
        is_ours = store.add(f"{name} to say", 1) == 1
        if not is_ours:  # torchrun ends all processes when the first one ends, so not before it is said
            _wait_for(f"{name} said")
    except DistError:  # who kept the store is gone
        return say()
    if is_ours:
        say()
        store.set(f"{name} said", "")
    return None


def is_of_lost_process(error: BaseException) -> bool:
    """Whether an error only says that another process cannot be reached any more."""
    if num_processes() == 1:
        return False
    import torch.distributed as dist

    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "by peer" in str(error))  # of gloo


@lru_cache(maxsize=1)
def shared_store() -> dist.Store:
    """What all processes can read and write; torchrun keeps it, without it the first process."""
    import torch.distributed as dist

    store, _, _ = next(dist.rendezvous("env://"))
    return dist.PrefixStore("monai_sagan", store)


def _wait_for(key: str) -> bytes:
    store = shared_store()
    # The store's own waiting would not be interrupted by the signal with which torchrun ends a process.
    while not store.check([key]):
        time.sleep(_POLL)
    return bytes(store.get(key))


def _local_rank() -> int:
    return int(os.environ.get("LOCAL_RANK", 0))
