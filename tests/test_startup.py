"""What is imported in a block is kept from Python's garbage collector, and the collector is as it was afterwards."""

from __future__ import annotations

import gc

import pytest

from monai_sagan.startup import quick_imports


@pytest.fixture(autouse=True)
def unfreeze() -> object:
    yield
    gc.enable()
    gc.unfreeze()


def test_the_collector_rests() -> None:
    before = gc.get_freeze_count()
    with quick_imports():
        assert not gc.isenabled()
        kept = [[number] for number in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(kept)


def test_after_an_error_too() -> None:
    with pytest.raises(ImportError), quick_imports():
        raise ImportError
    assert gc.isenabled()


def test_it_stays_off_where_it_was() -> None:
    gc.disable()
    with quick_imports():
        pass
    assert not gc.isenabled()
