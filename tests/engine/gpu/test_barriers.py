"""The emulated device sees barriers that threads do not share, and no kernel has any, at every size."""

from __future__ import annotations

import numpy as np
import pytest

from gembench.data.workload import Workload, egg_bank
from gembench.engine.exact.producer import search
from gembench.engine.gpu import plan as plans
from gembench.engine.gpu.kernels import Kernels, Shape
from gembench.engine.gpu.layouts import Layout
from gembench.engine.gpu.search import GPUSearch

KERNELS = r"""
__device__ inline void pass() { __syncthreads(); }

extern "C" __global__ void even(int *out, int parts) { pass(); out[threadIdx.x] = 1; pass(); }

extern "C" __global__ void parted(int *out, int parts)
{
    if (int(threadIdx.x) < parts) { out[threadIdx.x] = 2; pass(); } else { out[threadIdx.x] = 3; pass(); }
}

extern "C" __global__ void ended(int *out, int parts)
{
    if (int(threadIdx.x) < parts) return;
    pass();
    out[threadIdx.x] = 4;
}

extern "C" __global__ void looped(int *out, int parts)
{
    for (int i = 0; i < (int(threadIdx.x) < parts ? 2 : 3); ++i) pass();
}

extern "C" __global__ void warps(int *out, int parts)  // as many barriers of each warp as it likes
{
    for (int i = 0; i <= threadIdx.x / 32; ++i) __syncwarp();
    pass();
    out[threadIdx.x] = 5;
}

extern "C" __global__ void unserved(int *out, int parts)  // reads what another warp writes
{
    int *shared = static_cast<int *>(shared_memory());
    shared[threadIdx.x] = threadIdx.x;
    if (parts) __syncwarp(); else __syncthreads();
    out[threadIdx.x] = shared[(threadIdx.x + 32) % 64];
}
"""


def launch(cupy, name, parts, threads=64):
    out = cupy.asarray(np.zeros(threads, np.int32))
    Kernels(cupy, KERNELS).launch(name, (2,), (threads,), (out, np.int32(parts)), 4 * threads)
    return out.get()


@pytest.fixture
def emulated(world):
    """The emulated CuPy."""
    import cupy

    return cupy


def test_barriers_that_all_pass_are_passed(emulated):
    assert (launch(emulated, "even", 7) == 1).all()
    assert (launch(emulated, "warps", 7) == 5).all()
    assert (launch(emulated, "parted", 64) == 2).all()


@pytest.mark.parametrize("name", ["parted", "ended", "looped"])
@pytest.mark.parametrize(("parts", "where"), [(7, "of one warp"), (32, "of different warps")])
def test_threads_at_different_barriers_are_seen(emulated, name, parts, where):
    """Two calls of a function are two barriers, as they are two instructions on a device."""
    with pytest.raises(AssertionError, match=f"{name}: threads {where} wait at different barriers, 2 blocks"):
        launch(emulated, name, parts)
    assert (launch(emulated, "even", 0) == 1).all()  # the device goes on


def test_a_warp_s_barrier_does_not_serve_the_block(emulated):
    expected = (np.arange(64) + 32) % 64
    assert (launch(emulated, "unserved", 0) == expected).all()
    assert (launch(emulated, "unserved", 1) != expected).any()


@pytest.mark.parametrize("spectra", ["single", pytest.param("half", marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("mask", ["own", "disc"])
def test_all_threads_of_every_kernel_pass_the_same_barriers(world, transform, spectra, mask):
    """The first and the last block of each is launched: what they compute is not looked at."""
    size, dtype, held = transform
    if spectra == "half" and dtype == "float64":
        pytest.skip("half spectra go with float32")
    world.some_blocks = ("_rows", "columns", "products", "fold")
    bank = egg_bank(24, 6, mask)
    micrograph = np.random.default_rng(size).normal(size=(61, 75))
    batch = 2 * Shape.of(size, dtype, held).group
    for once in (False, True):
        layout = Layout(size, held, lanes=1, once=once)
        with GPUSearch(bank, dtype=dtype, spectra=spectra, batch=batch, layout=layout) as engine:
            engine.run(micrograph)
    expected = {"frame_rows", "template_rows", "mask_rows", "columns", "columns_stored"}
    expected |= {"products_own", "products_own_once", "fold_own"} if mask == "own" else {
        "products_shared", "products_shared_once", "products_sigma", "sigma_rows", "fold_shared"}
    assert expected <= set(world.launches)


@pytest.mark.parametrize("spectra", ["single", "half"])
@pytest.mark.parametrize("mask", ["own", "disc"])
@pytest.mark.parametrize("size", [64, 128])
def test_several_transforms_of_a_warp_give_the_scores_of_the_cpu(world, monkeypatch, size, mask, spectra):
    """Tiles of 64 points once had threads of one warp wait at two barriers for ever."""
    monkeypatch.setattr(plans, "SIZES", [size])
    bank = egg_bank(24, 12, mask)
    work = Workload.make((150, 131), bank)
    with GPUSearch(bank, spectra=spectra) as engine:
        maps = engine.run(work.micrograph)
        assert engine.plan.transform == (size, size)
    np.testing.assert_allclose(maps.score, search(work.micrograph, bank).score, rtol=0,
                               atol=2e-3 if spectra == "half" else 2e-5)
