"""The plan: windows by brute force, bytes against what is allocated, what cannot be planned."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gembench.engine.bank import TemplateBank, grid_angles
from gembench.engine.exact.plan import EDGES, make_plan
from gembench.engine.exact.producer import CPUSearch, search
from gembench.engine.fft import fft_library
from gembench.engine.turning import disc_mask
from gembench.errors import InputError

LIBRARY = fft_library("scipy")


def fits(centre: int, size: int, box: int, covered: np.ndarray, edges: str, margin: int) -> bool:
    """Whether a template is scored with its centre pixel at `centre`, along one axis."""
    if edges == "box":
        return all(0 <= centre + i - box // 2 < size for i in range(box))
    return all(-margin <= centre + int(i) - box // 2 < size + margin for i in np.flatnonzero(covered))


@settings(max_examples=80, deadline=None)
@given(
    shape=st.tuples(st.integers(12, 30), st.integers(12, 30)),
    box=st.tuples(st.integers(4, 12), st.integers(4, 12)),
    corners=st.lists(st.integers(0, 11), min_size=4, max_size=4), edges=st.sampled_from(EDGES),
    psi=st.sampled_from([0, 45, 90, 180]),
)
def test_windows_by_brute_force(shape, box, corners, edges, psi):
    mask = np.zeros(box, bool)
    (y0, y1), (x0, x1) = (sorted((corners[i] % box[i // 2], corners[i + 1] % box[i // 2])) for i in (0, 2))
    mask[y0 : y1 + 1, x0 : x1 + 1] = True
    mask[box[0] // 2, box[1] // 2] = mask[box[0] // 2 - 1, box[1] // 2 - 1] = True
    bank = TemplateBank(np.random.default_rng(1).normal(size=box), mask, [psi])
    plan = make_plan(shape, bank, LIBRARY, edges=edges)
    try:
        template = bank.rotated(0)
    except InputError:
        return  # one pixel is left of the turned mask
    window = plan.window(template)
    turned = bank.mask(0)
    for axis, rows, map_rows in ((0, window.rows, window.map_rows), (1, window.columns, window.map_columns)):
        covered = turned.any(1 - axis)
        scored = [
            c for c in range(shape[axis]) if fits(c, shape[axis], box[axis], covered, edges, plan.margin)
        ]
        assert list(range(map_rows.start, map_rows.stop)) == scored
        first = np.flatnonzero(covered)[0] - box[axis] // 2
        assert list(range(rows.start, rows.stop)) == [c + first + plan.margin for c in scored]


def test_mirrored_micrographs_are_scored_everywhere():
    bank = TemplateBank(np.random.default_rng(1).normal(size=(10, 10)), disc_mask((10, 10)))
    plan = make_plan((30, 41), bank, LIBRARY, edges="reflect")
    window = plan.window(bank.rotated(0))
    assert (window.map_rows, window.map_columns) == (slice(0, 30), slice(0, 41))


@pytest.mark.parametrize(("size", "edges", "dtype", "threads"), [
    (1024, "mask", "float32", 1), (512, "mask", "float64", 1), (512, "reflect", "float32", 1),
    (512, "mask", "float32", 2),
])
@pytest.mark.parametrize("method", ["exact", "paper"])
def test_predicted_bytes_are_those_allocated(method, size, edges, dtype, threads):
    rng = np.random.default_rng(2)
    mask = np.zeros((64, 64), bool)
    mask[10:50, 20:45] = True
    bank = TemplateBank(rng.normal(size=(64, 64)), mask, grid_angles(30))
    micrograph = rng.normal(size=(size, size - 24)).astype(dtype)
    options = {"method": method, "edges": edges, "dtype": dtype, "library": "scipy", "threads": threads}
    with CPUSearch(bank, **options) as engine:
        engine.run(micrograph[:70, :70])  # compiles the kernels, whose memory is not the search's
        tracemalloc.start()
        try:
            engine.run(micrograph)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        least = 0.85 if threads == 1 else 0.7  # two consumers need not be at their most at the same time
        assert least * engine.plan.bytes < peak < 1.15 * engine.plan.bytes


@pytest.mark.parametrize(("options", "message"), [
    ({"method": "quick"}, "method 'quick' is unknown: choose from exact, paper"),
    ({"edges": "zero"}, "edge rule 'zero' is unknown: choose from mask, box, reflect"),
    ({"dtype": "int8"}, "precision 'int8' is unknown: choose from float32, float64"),
    ({"threads": 0}, "0 threads: give at least 1"),
    ({"shape": (39, 60)}, "template box of 50 x 40 px is larger than the micrograph of 60 x 39 px"),
    ({"shape": (60, 49)}, "template box of 50 x 40 px is larger than the micrograph of 49 x 60 px"),
])
def test_what_cannot_be_planned_is_named(options, message):
    bank = TemplateBank(np.random.default_rng(1).normal(size=(40, 50)))
    shape = options.pop("shape", (60, 60))
    with pytest.raises(InputError, match=message):
        make_plan(shape, bank, LIBRARY, **options)


def test_a_template_may_be_as_large_as_the_micrograph():
    bank = TemplateBank(np.random.default_rng(1).normal(size=(40, 50)), np.ones((40, 50)))
    window = make_plan((40, 50), bank, LIBRARY).window(bank.rotated(0))
    assert (window.map_rows, window.map_columns) == (slice(20, 21), slice(25, 26))


def test_the_plan_keeps_within_the_memory_allowed():
    rng = np.random.default_rng(1)
    mask = np.zeros((40, 40), bool)
    mask[5:30, 10:25] = True
    bank = TemplateBank(rng.normal(size=(40, 40)), mask, grid_angles(10))
    needs = [make_plan((300, 310), bank, LIBRARY).bytes]
    batches = []
    for _ in range(4):
        plan = make_plan((300, 310), bank, LIBRARY, memory=needs[-1])
        assert plan.bytes <= needs[-1]
        batches.append(plan.halves)
        needs.append(plan.bytes - 1)
        if plan.halves == 3:
            break
    assert batches == [12, 9, 6, 3]
    with pytest.raises(InputError, match=r"310 x 300 px in float32 on 1 threads needs .* GiB"):
        make_plan((300, 310), bank, LIBRARY, memory=needs[-1])


@pytest.mark.parametrize("method", ["exact", "paper"])
def test_little_memory_changes_no_bits(method):
    rng = np.random.default_rng(3)
    mask = np.zeros((30, 30), bool)
    mask[5:26, 8:20] = True
    bank = TemplateBank(rng.normal(size=(30, 30)), mask, grid_angles(30))
    micrograph = rng.normal(size=(150, 130))
    least = min(
        make_plan(micrograph.shape, bank, LIBRARY, method=method, templates=n).bytes for n in (1, len(bank))
    )
    with CPUSearch(bank, method=method, library="scipy", memory=least) as engine:
        maps = engine.run(micrograph)
        again = engine.run(micrograph)
        assert engine.plan.bytes <= least
    whole = search(micrograph, bank, method=method, library="scipy")
    for other in (maps, again):
        assert other.score.tobytes() == whole.score.tobytes()
        assert other.index.tobytes() == whole.index.tobytes()
