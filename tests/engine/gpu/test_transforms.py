"""The transforms in shared memory, alone, against numpy."""

from __future__ import annotations

import numpy as np

from gembench.engine.gpu.kernels import Kernels, Shape, names, search_source
from gembench.engine.gpu.layouts import SIZES, held_points
from gembench.engine.gpu.plan import GEOMETRY

BOUND = {"float32": 4e-7, "float64": 1e-15}


def values(rng, shape, dtype):
    wide = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    return wide.astype(np.result_type(np.dtype(dtype), np.complex64))


def relative(computed, expected):
    return np.abs(computed - expected).max() / np.sqrt((np.abs(expected) ** 2).mean())


class Bench:
    """The kernels of one size, a few columns or rows at a time."""

    def __init__(self, cupy, size, dtype, held=8, *, half=False):
        self.cupy, self.shape = cupy, Shape.of(size, dtype, held)
        source = search_source(self.shape, GEOMETRY, dtype, half=half, pad=0)
        self.kernels = Kernels(cupy, source, self.shape.most_shared)
        self.wide = np.result_type(np.dtype(dtype), np.complex64)
        self.roots = cupy.asarray(np.exp(2j * np.pi * np.arange(size) / size).astype(self.wide))
        self.geometry = cupy.asarray(np.zeros(1, GEOMETRY).view(np.uint8))
        self.batch = cupy.asarray(np.array([0, 1], np.int32))

    def columns(self, rows, kernel="columns", stored=None):
        """Forward transforms of the first block's columns of (height, size) rows."""
        size = self.shape.size
        out = self.cupy.asarray(np.zeros((size, size), stored or self.wide))
        args = (self.geometry, self.roots, self.batch, np.int32(1), self.cupy.asarray(rows),
                np.int32(len(rows)), self.roots.real.dtype.type(1), out)
        self.kernels.launch(kernel, (1, 1), (self.shape.columns, self.shape.threads), args,
                            self.shape.shared(self.shape.columns))
        return out.get()[:, : self.shape.columns]


SHAPES = [(size, dtype, held) for dtype in BOUND for size in SIZES for held in held_points(size, dtype)]


def test_columns_of_every_size(cupy, transform):
    size, dtype, held = transform
    rng = np.random.default_rng(size)
    bench = Bench(cupy, size, dtype, held)
    for height in (1, size // 4, size // 4 + 1, size):  # up to a quarter is transformed as few points
        rows = values(rng, (height, size), dtype)
        columns = rows[:, : bench.shape.columns].astype(np.complex128)
        computed = bench.columns(rows)
        assert relative(computed, np.fft.fft(columns, n=size, axis=0)) < BOUND[dtype] * np.log2(size)


def test_halves_hold_what_numpy_s_halves_hold(cupy):
    """Rounded to nearest even, subnormal numbers too; what is too large becomes the largest."""
    rng = np.random.default_rng(2)
    bench = Bench(cupy, 64, "float32", half=True)
    rows = np.zeros((1, 64), np.complex64)  # a single row: every output of a column is its only value
    sizes = 10.0 ** rng.uniform(-9, 6, bench.shape.columns)
    rows[0, : bench.shape.columns] = sizes * np.exp(2j * np.pi * rng.random(bench.shape.columns))
    computed = bench.columns(rows, "columns_stored", np.uint32)
    expected = rows[0, : bench.shape.columns].view(np.float32).clip(-65504, 65504).astype(np.float16)
    np.testing.assert_array_equal(computed[0].copy().view(np.float16), expected)


def test_rows_there_and_back(cupy, transform):
    """A micrograph's rows forward, and a sigma map's rows, from the sums that it is made of, inverse."""
    size, dtype, held = transform
    rng = np.random.default_rng(size)
    bench = Bench(cupy, size, dtype, held)
    shape = bench.shape
    geometry = np.zeros(1, GEOMETRY)
    for name in ("height", "width", "step_y", "step_x", "stop_y", "stop_x", "map_width"):
        geometry[name] = size
    geometry["height"] = geometry["step_y"] = geometry["stop_y"] = 3
    geometry["tiles_x"] = 1
    device = cupy.asarray(geometry.view(np.uint8))
    frame, out = rng.normal(size=(3, size)), cupy.asarray(np.zeros((size, size), bench.wide))
    block, shared = (shape.threads, shape.rows), shape.shared(shape.rows)
    bench.kernels.launch("frame_rows", (1, 1), block, (
        device, bench.roots, cupy.asarray(frame.ravel()), np.int32(1), np.float64(0), np.float64(1),
        np.float64(0), np.int32(0), out), shared)
    rows = min(3, shape.rows)
    assert relative(out.get()[:rows], np.fft.fft(frame, axis=1)[:rows]) < BOUND[dtype] * np.log2(size)
    mean, moment = np.abs(rng.normal(size=(2, 3, size)))
    sums = np.fft.fft(size * (0.1 * mean + 1j * moment), axis=1) / size
    floors = np.array([0, 0, 1 / size], bench.roots.real.dtype)
    sigma = cupy.asarray(np.zeros((3, size), floors.dtype))
    bench.kernels.launch("sigma_rows", (1, 1), block, (
        device, bench.roots, np.int32(0), cupy.asarray(sums.astype(bench.wide)), cupy.asarray(floors), sigma),
        shared)
    expected = 1 / np.sqrt(moment + 1 - (0.1 * mean) ** 2)
    np.testing.assert_allclose(sigma.get()[:rows], expected[:rows], rtol=100 * BOUND[dtype])


def test_shapes_fit_a_block():
    for size, dtype, held in SHAPES:
        shape = Shape.of(size, dtype, held)
        transforms = [shape.rows, shape.columns, shape.units(True) * shape.folded_rows(True),
                      shape.units(False) * shape.folded_rows(False)]
        assert shape.threads * max(transforms) <= 1024
        assert shape.shared(max(transforms)) == shape.most_shared <= 227 << 10
        assert shape.shared(shape.columns) < shape.once_shared <= 227 << 10
        assert size % shape.columns == 0


def test_more_points_a_thread_are_fewer_exchanges():
    assert [Shape.of(512, "float32", held).exchanges for held in (8, 16, 32)] == [2, 2, 1]
    assert [Shape.of(1024, "float32", held).exchanges for held in (8, 16, 32)] == [3, 2, 1]
    assert [held_points(size, "float32") for size in SIZES] == [[8], [8, 16], [8, 16], [8, 32], [8, 16, 32],
                                                                [8, 16]]


def test_every_kernel_of_the_sources_is_known():
    source = search_source(Shape.of(64, "float32"), GEOMETRY, "float32", half=False, pad=0)
    assert len(names(source)) == source.count('extern "C" __global__') == 14
