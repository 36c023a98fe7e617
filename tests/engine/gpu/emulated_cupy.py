"""As much of CuPy as the engine uses, on the host: arrays are numpy's, kernels are compiled by g++.

The kernels are the very sources that a device gets; `device.h` supplies what CUDA C++ has and C++ lacks.
Memory is counted, so that a device can be full.
"""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import subprocess
import threading
import time
import types
import weakref
from pathlib import Path

import numpy as np

from gembench.engine.gpu.kernels import names

HERE = Path(__file__).parent
GXX = shutil.which("g++")
# What would make one call of a barrier two, or two of them one.
ONE_SITE = ["-fno-thread-jumps", "-fno-unswitch-loops", "-fno-split-paths", "-fno-split-loops",
            "-fno-crossjumping", "-fno-tree-tail-merge", "-fno-ipa-cp-clone", "-fno-partial-inlining",
            "-fno-code-hoisting", "-fno-optimize-sibling-calls", "-fno-tree-dominator-opts"]
_state = threading.local()


class OutOfMemoryError(MemoryError):
    """More than the emulated device has."""


class CUDARuntimeError(RuntimeError):
    """What the driver says."""


class World:
    """The emulated machine: how many devices, what each has, and what was done to it."""

    def __init__(self, cache: Path):
        self.cache = cache
        self.devices = 1
        self.memory = 8 << 30
        self.l2 = 1 << 20
        self.shared = 227 << 10
        self.fail_above = None  # bytes of one allocation that fail, whatever is free
        self.used: dict[int, int] = {}
        self.peak: dict[int, int] = {}
        self.some_blocks = ()  # kernels with these in their names run in the first and the last block only
        self.hangs = lambda name, device: False  # whether such a launch never ends
        self.released = threading.Event()  # but by this
        self.stuck: set[int] = set()  # devices with such a launch: who waits for them waits for ever
        self.launches: list[str] = []
        self.graphs = 0


WORLD = World(HERE)


def _device() -> int:
    return getattr(_state, "device", 0)


def _wait_for(device: int) -> None:
    """What a call that waits for the device does."""
    if device in WORLD.stuck:
        WORLD.released.wait()


class Array(np.ndarray):
    """A device's array, uninitialised memory being NaN or nonsense."""

    def get(self, out=None):
        _wait_for(_device())
        if out is None:
            return np.array(self.view(np.ndarray))
        out[...] = self.view(np.ndarray)
        return out

    def set(self, host):
        assert host.dtype == self.dtype
        self.view(np.ndarray)[...] = host


def empty(shape, dtype=float):
    dtype = np.dtype(dtype)
    size, device = int(np.prod(shape)) * dtype.itemsize, _device()
    limit = WORLD.fail_above
    if WORLD.used.get(device, 0) + size > WORLD.memory or (limit is not None and size > limit):
        raise OutOfMemoryError(f"{size} bytes")
    raw = np.full(size + 64, 0xFF, np.uint8)
    raw = raw[-raw.ctypes.data % 64 :][:size]
    array = raw.view(dtype).reshape(shape).view(Array)
    WORLD.used[device] = WORLD.used.get(device, 0) + size
    WORLD.peak[device] = max(WORLD.peak.get(device, 0), WORLD.used[device])
    weakref.finalize(array, _give_back, WORLD, device, size)
    return array


def _give_back(world, device, size):
    world.used[device] -= size


def asarray(host):
    array = empty(host.shape, host.dtype)
    array.set(np.asarray(host))
    return array


class Event:
    def __init__(self):
        self.time = None

    def record(self):
        self.time, self.after = time.perf_counter(), set(WORLD.stuck)

    def synchronize(self):
        assert self.time is not None
        for device in self.after:
            _wait_for(device)


class Graph:
    def __init__(self, launches):
        self._launches = launches

    def launch(self, stream=None):
        WORLD.graphs += 1
        for launch in self._launches:
            launch()


class Capture:
    """Launches kept for a graph, and the streams that have joined and not come back."""

    def __init__(self):
        self.launches, self.streams, self.apart = [], [], set()


class Stream:
    """Work is done at once; while a capture runs, it is kept for the graph instead."""

    def __init__(self, non_blocking=False):
        self.device = _device()
        self.capture = None

    def __enter__(self):
        assert self.device == _device(), "a stream of another device"
        self._outer = getattr(_state, "stream", None)
        _state.stream = self
        return self

    def __exit__(self, *_):
        _state.stream = self._outer

    def synchronize(self):
        assert self.capture is None, "waiting inside a capture"

    def record(self, event=None):
        event = event or Event()
        event.record()
        event.stream, event.capture = self, self.capture
        return event

    def wait_event(self, event):
        """A stream that waits for a captured one joins its capture, which must wait for it in turn."""
        if event.capture is None:
            return
        event.capture.apart.discard(event.stream)
        if self.capture is None:
            self.capture = event.capture
            self.capture.streams.append(self)
            self.capture.apart.add(self)

    def begin_capture(self):
        self.capture = Capture()
        self.capture.streams.append(self)

    def end_capture(self):
        capture = self.capture
        assert not capture.apart, "streams that have not come back"
        for stream in capture.streams:
            stream.capture = None
        return Graph(capture.launches)


class Kernel:
    def __init__(self, function, name):
        self._function, self.name = function, name
        self.max_dynamic_shared_size_bytes = 48 << 10

    def __call__(self, grid, block, args, *, shared_mem=0):
        assert shared_mem <= min(self.max_dynamic_shared_size_bytes, WORLD.shared)
        assert int(np.prod(block)) <= 1024
        assert all(n <= 65535 for n in grid[1:])
        assert all(isinstance(arg, (Array, np.generic)) for arg in args)
        held = [arg if isinstance(arg, np.generic) else arg.ctypes.data for arg in args]
        values = [np.array(value, np.uint64 if isinstance(value, int) else None) for value in held]
        pointers = (ctypes.c_void_p * len(args))(*(value.ctypes.data for value in values))
        sizes = [(ctypes.c_uint * 3)(*size, *[1] * (3 - len(size))) for size in (grid, block)]

        def launch(keep=(args, values)):
            WORLD.launches.append(self.name)
            if WORLD.hangs(self.name, _device()):
                WORLD.stuck.add(_device())
            if _device() in WORLD.stuck:
                return
            diverged, some = (ctypes.c_int * 2)(), any(part in self.name for part in WORLD.some_blocks)
            self._function(*sizes, ctypes.c_size_t(shared_mem), pointers, diverged, ctypes.c_int(some))
            for blocks, where in zip(diverged, ("of one warp", "of different warps"), strict=True):
                assert not blocks, f"{self.name}: threads {where} wait at different barriers, {blocks} blocks"

        stream = getattr(_state, "stream", None)
        if stream is not None and stream.capture is not None:
            stream.capture.launches.append(launch)
        else:
            launch()


class RawModule:
    """A source compiled by g++, and kept under its hash."""

    def __init__(self, code, options=()):
        self._library = ctypes.CDLL(str(compiled(code)))

    def get_function(self, name):
        function = getattr(self._library, f"launch_{name}")
        function.restype = None
        return Kernel(function, name)


def compiled(code: str) -> Path:
    entries = "".join(
        f'extern "C" void launch_{name}(const unsigned *grid, const unsigned *block, size_t bytes,'
        f" void **args, int *diverged, int some)"
        f" {{ emulated::launch({name}, grid, block, bytes, args, diverged, some); }}\n"
        for name in names(code)
    )
    source = (HERE / "device.h").read_text() + code + entries
    path = WORLD.cache / f"{hashlib.sha256(source.encode()).hexdigest()[:24]}.so"
    if not path.exists():
        file = path.with_suffix(f".{threading.get_ident()}.cpp")
        file.write_text(source)
        command = [GXX, "-std=c++17", "-O1", "-ffp-contract=off", *ONE_SITE, "-shared", "-fPIC", "-w", "-o",
                   str(file.with_suffix(".so")), str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        file.with_suffix(".so").rename(path)
    return path


class Device:
    def __init__(self, index):
        self.index = index

    def __enter__(self):
        self._outer = _device()
        _state.device = self.index
        return self

    def __exit__(self, *_):
        _state.device = self._outer

    def synchronize(self):
        pass


def _properties(index):
    return {"name": b"Emulated", "totalGlobalMem": WORLD.memory, "l2CacheSize": WORLD.l2,
            "sharedMemPerBlockOptin": WORLD.shared}


def module() -> types.ModuleType:
    """The module to be imported as cupy."""
    cupy = types.ModuleType("cupy")
    cupy.__version__ = "emulated"
    cupy.empty, cupy.asarray, cupy.RawModule = empty, asarray, RawModule
    cupy.get_default_memory_pool = lambda: types.SimpleNamespace(free_all_blocks=lambda: None)
    cupy.cuda = types.SimpleNamespace(
        Device=Device, Stream=Stream, Event=Event, Graph=Graph,
        get_elapsed_time=lambda start, stop: 1e3 * (stop.time - start.time),
        alloc_pinned_memory=lambda size: bytearray(size),
        memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        runtime=types.SimpleNamespace(
            driverGetVersion=lambda: 13000,
            getDeviceCount=lambda: WORLD.devices, getDeviceProperties=_properties,
            memGetInfo=lambda: (WORLD.memory - WORLD.used.get(_device(), 0), WORLD.memory),
        ),
    )
    return cupy
