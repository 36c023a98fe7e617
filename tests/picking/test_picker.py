"""Micrographs made ready one ahead of the one that is searched."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import numpy as np
import pytest

from gembench.engine.bank import TemplateBank
from gembench.errors import InputError
from gembench.io.images.micrographs import Micrograph, read_micrograph
from gembench.io.images.mrc import write_mrc
from gembench.picking import picker as picker_module
from gembench.picking.picker import Picker
from gembench.picking.pipeline import made_ahead, made_behind
from gembench.picking.settings import PickSettings


def test_the_next_is_made_while_one_is_worked_on_and_no_more():
    requested, made = [], threading.Semaphore(0)

    def make(item):
        requested.append((item, threading.current_thread().name))
        made.release()
        return item * item

    results = made_ahead(make, range(4))
    assert next(results) == 0
    for number in range(1, 4):  # waits for ever if nothing is made ahead
        for _ in range(2 if number == 1 else 1):
            assert made.acquire(timeout=10)
        assert [item for item, _ in requested] == list(range(number + 1))
        assert next(results) == number * number
    assert list(results) == []
    assert {name for _, name in requested} == {"ahead_0"}


def test_an_error_comes_in_the_turn_of_its_item():
    def make(item):
        if item == 1:
            raise InputError("one")
        return item

    results = made_ahead(make, [0, 1, 2])
    assert next(results) == 0
    with pytest.raises(InputError, match=r"^one$"):
        next(results)
    assert list(made_ahead(make, [])) == []


def same(item):
    return item


def test_several_are_made_ahead_by_as_many_threads():
    begun, together = [], threading.Barrier(4, timeout=10)

    def make(item):
        begun.append(item)
        if item in (1, 2, 3):
            together.wait()
        return item

    results = made_ahead(make, range(9), 3)
    assert next(results) == 0
    together.wait()  # for ever, if the next three are not in work at the same time
    assert set(begun) == {0, 1, 2, 3}
    assert list(results) == list(range(1, 9))


def test_what_is_made_behind_comes_in_order_while_the_next_are_taken():
    taken, go = [], threading.Event()

    def items():
        for item in range(6):
            taken.append(item)
            if item == 2:
                go.set()
            yield item

    def make(item):
        if item == 0:
            assert go.wait(10)  # for ever, if nothing is taken meanwhile
        return item * item

    results = made_behind(make, items(), 2)
    assert next(results) == 0
    assert taken == [0, 1, 2]
    assert list(results) == [1, 4, 9, 16, 25]


def test_an_error_among_the_items_is_raised_when_all_before_are_made():
    def items():
        yield from (1, 2)
        raise InputError("three")

    results = made_behind(same, items(), 2)
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(InputError, match=r"^three$"):
        next(results)


def test_with_bounded_memory_one_is_made_after_the_other():
    template = np.eye(8)
    bank = TemplateBank(template[None], None, [0.0])
    made = []
    with Picker(bank, PickSettings(1.0), memory=1e9) as picker:
        items = picker.in_turn(range(3), lambda item: made.append(item) or item, same, same)
        for number, item in enumerate(items):
            assert number == item == made[-1]
            assert len(made) == number + 1


def test_bounded_memory_is_freed_before_a_larger_micrograph_is_filtered():
    bank = TemplateBank(np.eye(8)[None], None, [0.0])

    def micrograph(size):
        data = np.random.default_rng(size).normal(size=(size, size)).astype(np.float32)
        return Micrograph("a.mrc", data, 1.0, Path("a.mrc"))

    for memory, larger_keeps in ((1e9, False), (np.inf, True)):
        with Picker(bank, PickSettings(1.0), memory=memory) as picker:
            picker.search_one(picker.prepare(micrograph(64)))
            for size, keeps in ((64, True), (60, True), (80, larger_keeps)):
                picker.prepare(micrograph(size))
                assert (picker.search.plan is not None) == keeps


def test_bounded_memory_is_freed_before_a_larger_micrograph_is_read(tmp_path, monkeypatch):
    bank, kept = TemplateBank(np.eye(8)[None], None, [0.0]), []
    for size in (64, 80):
        write_mrc(tmp_path / f"{size}.mrc", np.random.default_rng(size).normal(size=(size, size)), 1.0)
    for memory in (1e9, np.inf):
        with Picker(bank, PickSettings(1.0), memory=memory) as picker:

            def read(path, picker=picker, **options):
                kept.append(getattr(picker.search, "plan", None) is not None)
                return read_micrograph(path, **options)

            monkeypatch.setattr(picker_module, "read_micrograph", read)
            for name in ("64", "64", "80", "64", "80"):
                picker.search_one(picker.prepare(picker.read(tmp_path / f"{name}.mrc")))
    assert kept == [False, True, False, True, True, False, True, True, True, True]


@pytest.mark.parametrize(("method", "megabytes", "message"), [
    ("exact", 5, r"a\.mrc: 512 x 512 px need \d+ MiB, (\d+) MiB more than are left for it: allow"),
    ("banded", 5, r"a\.mrc: 512 x 512 px need 6 MiB, 1 MiB more"), ("exact", 6, "px need"),
    ("banded", 7, r"a banded search of 512 x 512 px in float32 needs .* GiB, .* more than are left for it"),
])
def test_what_is_too_large_for_the_memory_is_refused_before_it_is_read(
    tmp_path, monkeypatch, method, megabytes, message
):
    bank = TemplateBank(np.eye(8)[None], None, [0.0])
    write_mrc(tmp_path / "a.mrc", np.random.default_rng(3).normal(size=(512, 512)), 1.0)
    reads = []
    monkeypatch.setattr(picker_module, "read_micrograph",
                        lambda path, **options: reads.append(path) or read_micrograph(path, **options))
    settings = PickSettings(1.0, method=method, lowpass=8.0)
    with Picker(bank, settings, memory=megabytes * 2**20) as picker:
        with pytest.raises(InputError, match=message) as caught:
            list(picker.pick_all([tmp_path / "a.mrc"]))
        assert bool(reads) == ("banded search" in message)
        if "(" not in message:
            return
        more = int(re.search(message, str(caught.value))[1])
    with Picker(bank, settings, memory=(megabytes + more) * 2**20) as picker:  # what it says is enough
        assert len(list(picker.pick_all([tmp_path / "a.mrc"]))) == 1


def test_what_is_too_large_for_its_template_is_named_with_its_file(tmp_path):
    write_mrc(tmp_path / "a.mrc", np.random.default_rng(3).normal(size=(16, 16)), 1.0)
    bank = TemplateBank(np.eye(32)[None], None, [0.0])
    with (Picker(bank, PickSettings(1.0), memory=1e9) as picker,
          pytest.raises(InputError, match=r"a\.mrc: the template box of 32 x 32 px is larger")):
        picker.read(tmp_path / "a.mrc")


def test_banded_shares_no_bank_with_other_ranks_since_a_rank_alone_cannot_settle_its_peaks():
    bank = TemplateBank(np.ones((1, 8, 8)) * np.arange(8), None, np.zeros(1))
    with pytest.raises(InputError, match=r"banded.*use --distribute micrographs"):
        Picker(bank, PickSettings(2.0, method="banded"), ranks=object())
