"""A search over its life: several micrographs, small queues, little memory, errors and interruptions."""

from __future__ import annotations

import _thread
import threading
import time

import numpy as np
import pytest
from scipy import ndimage

from gembench.engine.bank import TemplateBank, grid_angles
from gembench.engine.exact.correlator import grouped, slices
from gembench.engine.exact.exact import ExactCorrelator
from gembench.engine.exact.paper import PaperCorrelator
from gembench.engine.exact.plan import make_plan
from gembench.engine.exact.producer import CPUSearch, search
from gembench.engine.score_map import finished
from gembench.engine.turning import disc_mask
from gembench.errors import InputError

RNG = np.random.default_rng(20)
MASKS = np.stack([disc_mask((15, 15)), np.pad(np.ones((9, 5), bool), ((3, 3), (5, 5)))])
BANK = TemplateBank(ndimage.gaussian_filter(RNG.normal(size=(2, 15, 15)), (0, 1, 1)), MASKS, grid_angles(20))
FIRST, SECOND, OTHER = (RNG.normal(size=shape) for shape in ((60, 71), (60, 71), (48, 64)))
BLOCKING = {"exact": ExactCorrelator, "paper": PaperCorrelator}


def same(maps, expected) -> None:
    assert maps.score.tobytes() == expected.score.tobytes()
    assert maps.index.tobytes() == expected.index.tobytes()


@pytest.mark.parametrize("edges", ["mask", "box", "reflect"])
@pytest.mark.parametrize("method", ["exact", "paper"])
def test_one_search_over_many_micrographs_is_many_searches(method, edges):
    with CPUSearch(BANK, method=method, threads=2, edges=edges) as engine:
        for micrograph in (FIRST, SECOND, OTHER, FIRST, FIRST):
            same(engine.run(micrograph), search(micrograph, BANK, method=method, edges=edges))
            assert engine.statistics.counts.templates == len(BANK)


@pytest.mark.parametrize("keep_bytes", [0, 1, 5_000, 50_000, 1 << 30])
@pytest.mark.parametrize("queue_depth", [1, 2, 50])
def test_kept_templates_and_queue_depth_change_nothing(keep_bytes, queue_depth):
    expected = search(FIRST, BANK)
    with CPUSearch(BANK, threads=2, keep_bytes=keep_bytes, queue_depth=queue_depth) as engine:
        for _ in range(3):
            same(engine.run(FIRST), expected)
            assert engine.statistics.deepest_queue <= queue_depth
            assert engine.kept_bytes <= keep_bytes
        engine.run(OTHER)
        same(engine.run(FIRST), expected)


def test_kept_templates_make_room_when_a_micrograph_leaves_less():
    with CPUSearch(BANK) as engine:
        engine.run(OTHER)
        plan = make_plan(FIRST.shape, BANK, engine.library, templates=len(BANK))
        assert engine.kept_bytes > 1000
        engine.memory = plan.bytes + 1000
        same(engine.run(FIRST), search(FIRST, BANK))
        assert engine.plan.bytes + engine.kept_bytes <= engine.memory
        engine.release()
        assert engine.plan is None
        same(engine.run(FIRST), search(FIRST, BANK))


def test_kept_templates_are_turned_only_once(monkeypatch):
    turned = []
    original = TemplateBank.rotated
    monkeypatch.setattr(TemplateBank, "rotated", lambda *a: turned.append(a[1]) or original(*a))
    with CPUSearch(BANK) as engine:
        engine.run(FIRST)
        assert sorted(turned) == list(range(len(BANK)))
        engine.run(SECOND)
        assert len(turned) == len(BANK)


@pytest.mark.parametrize("threads", [1, 3])
def test_progress_adds_up(threads):
    done = []
    with CPUSearch(BANK, threads=threads) as engine:
        engine.run(FIRST, on_template=done.append)
    assert sum(done) == len(BANK)
    assert engine.statistics.seconds > 0


class BrokenError(Exception):
    """What the tests below raise inside a thread."""


def consumer_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("consumer")]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("method", ["exact", "paper"])
def test_a_failing_consumer_ends_the_run_with_its_error(monkeypatch, method, threads):
    correlator, calls = BLOCKING[method], []
    original = correlator.process

    def process(self, frame, piece):
        calls.append(len(piece))
        if len(calls) == 3:
            raise BrokenError("third piece")
        original(self, frame, piece)

    with CPUSearch(BANK, method=method, threads=threads, queue_depth=1) as engine:
        with monkeypatch.context() as patch:
            patch.setattr(correlator, "process", process)
            with pytest.raises(BrokenError, match="third piece"):
                engine.run(FIRST)
        assert len(calls) <= 3 + threads  # the others finish the piece in hand
        same(engine.run(FIRST), search(FIRST, BANK, method=method))
    assert not consumer_threads()


def test_the_producer_stops_turning_templates_after_an_error(monkeypatch):
    turned = []
    original = TemplateBank.rotated

    def rotated(bank, index, dtype):
        turned.append(index)
        time.sleep(0.01)
        return original(bank, index, dtype)

    monkeypatch.setattr(TemplateBank, "rotated", rotated)

    def process(self, frame, piece):
        raise BrokenError

    monkeypatch.setattr(ExactCorrelator, "process", process)
    with CPUSearch(BANK, queue_depth=1000) as engine, pytest.raises(BrokenError):
        engine.run(FIRST)
    assert len(turned) < len(BANK)


def test_a_failing_progress_report_ends_the_run():
    def report(number: int) -> None:
        raise BrokenError

    with CPUSearch(BANK, threads=2) as engine:
        with pytest.raises(BrokenError):
            engine.run(FIRST, on_template=report)
        same(engine.run(FIRST), search(FIRST, BANK))


@pytest.mark.parametrize("threads", [1, 3])
def test_a_template_that_cannot_be_turned_ends_the_run(threads):
    mask = np.zeros((9, 9), bool)
    mask[4, 4] = mask[4, 8] = True  # at 28 degrees one pixel is left
    bank = TemplateBank(RNG.normal(size=(9, 9)), mask, [0, 90, 28])
    with CPUSearch(bank, threads=threads) as engine:
        for _ in range(2):
            with pytest.raises(InputError, match="view 0 at 28 degrees is constant"):
                engine.run(FIRST)
    assert not consumer_threads()


def test_a_search_goes_on_after_an_unusable_micrograph():
    with CPUSearch(BANK) as engine:
        expected = engine.run(FIRST)
        for bad in (FIRST * np.nan, np.ones_like(FIRST), FIRST[:10, :10]):
            with pytest.raises(InputError):
                engine.run(bad)
        same(engine.run(FIRST), expected)


@pytest.mark.parametrize("where", ["producing", "waiting"])
def test_an_interruption_ends_the_run(monkeypatch, where):
    original = ExactCorrelator.process

    def process(self, frame, piece):
        time.sleep(0.03)
        original(self, frame, piece)

    depth = 1 if where == "producing" else 1000
    with CPUSearch(BANK, threads=2, queue_depth=depth) as engine:
        expected = engine.run(FIRST)  # turns and compiles everything
        with monkeypatch.context() as patch:
            patch.setattr(ExactCorrelator, "process", process)
            timer = threading.Timer(0.1, _thread.interrupt_main)
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                engine.run(FIRST)
            timer.join()
        assert engine.statistics.counts.templates == 0  # no maps were merged
        same(engine.run(FIRST), expected)
    assert not consumer_threads()


def test_closing_twice_and_running_again():
    engine = CPUSearch(BANK)
    expected = engine.run(FIRST)
    engine.close()
    engine.close()
    same(engine.run(FIRST), expected)
    engine.close()
    assert not consumer_threads()


def test_results_are_not_touched_by_the_next_run():
    with CPUSearch(BANK) as engine:
        first = engine.run(FIRST)
        score, index = first.score.copy(), first.index.copy()
        engine.run(SECOND)
    np.testing.assert_array_equal(first.score, score)
    np.testing.assert_array_equal(first.index, index)


def test_input_arrays_are_left_alone():
    micrograph = FIRST.copy()
    micrograph.setflags(write=False)
    templates = BANK.templates.copy()
    for method in ("exact", "paper"):
        for library in ("numpy", "scipy", "ducc0"):
            search(micrograph, BANK, method=method, library=library, edges="reflect")
    np.testing.assert_array_equal(BANK.templates, templates)


@pytest.mark.parametrize("transforms", [3, 4, 7, 12])
def test_pieces_of_work_hold_neighbours_and_are_small(transforms):
    disc = disc_mask((16, 16))
    own = np.zeros((16, 16), bool)
    own[3:14, 6:11] = True
    rng = np.random.default_rng(4)
    bank = TemplateBank(rng.normal(size=(4, 16, 16)), np.stack([own, disc, own, disc]), grid_angles(30))
    order = bank.share(0, 1)
    pieces = list(grouped(bank, order, np.dtype("f4"), transforms))
    indices = [template.index for piece in pieces for group in piece.groups for template in group]
    assert indices == list(bank.search_order())
    for piece in pieces:
        assert all(len({template.mask_key for template in group}) == 1 for group in piece.groups)
        shared = {bank.disc_views[template.view] for group in piece.groups for template in group}
        assert shared == {piece.shared_mask}
        if piece.shared_mask:
            assert len(piece.groups) == 1
            assert len(piece) <= 4
        else:
            assert sum(2 + len(group) for group in piece.groups) <= max(transforms, 3)


@pytest.mark.parametrize("transforms", [3, 4, 7, 12])
@pytest.mark.parametrize("step", [30, 37])
def test_a_slice_of_the_bank_is_one_piece_once_it_is_turned(transforms, step):
    own = np.zeros((15, 15), bool)
    own[3:12, 5:10] = True
    uneven = own.copy()
    uneven[4, 10] = True
    masks = np.stack([own, disc_mask((15, 15)), uneven])
    bank = TemplateBank(np.random.default_rng(4).normal(size=(3, 15, 15)), masks, grid_angles(step))
    order = bank.share(0, 1)
    taken = list(slices(bank, order, transforms))
    assert [index for indices in taken for index in indices] == order
    pieces = [list(grouped(bank, indices, np.dtype("f4"), transforms)) for indices in taken]
    assert all(len(of_slice) == 1 for of_slice in pieces)
    if step == 30:  # at 37 degrees some masks are equal by chance
        whole = list(grouped(bank, order, np.dtype("f4"), transforms))
        assert [len(piece) for (piece,) in pieces] == [len(piece) for piece in whole]


@pytest.mark.parametrize("method", ["exact", "paper"])
def test_maps_that_are_given_are_filled_for_micrographs_of_their_shape(method):
    with CPUSearch(BANK, method=method, threads=2) as engine:
        same(engine.run(FIRST), search(FIRST, BANK, method=method))
        engine.maps = np.empty(FIRST.shape, np.float32), np.empty(FIRST.shape, np.int32)
        for micrograph in (FIRST, OTHER, SECOND):
            partial = engine.partial(micrograph)
            fits = micrograph.shape == FIRST.shape
            assert (partial.score is engine.maps[0]) == (partial.index is engine.maps[1]) == fits
            same(finished(partial), search(micrograph, BANK, method=method))


def test_an_interruption_while_consumers_start_ends_those_that_have(monkeypatch):
    with CPUSearch(BANK, threads=3) as engine:
        expected = engine.run(FIRST)
        submit, calls = engine._pool.submit, []

        def interrupted(work, *arguments):
            if work == engine._consume:
                calls.append(work)
                if len(calls) == 2:
                    raise KeyboardInterrupt
            return submit(work, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(engine._pool, "submit", interrupted)
            with pytest.raises(KeyboardInterrupt):
                engine.run(FIRST)
        same(engine.run(FIRST), expected)
    assert not consumer_threads()
