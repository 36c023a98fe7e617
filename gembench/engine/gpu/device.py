"""CUDA devices as CuPy shows them: whether there are any, and what each has."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from gembench.errors import InputError

DeviceChoice = tuple[int, ...] | Literal["all"] | None  # None: the CPU
INSTALL = "pip install cupy-cuda13x, or cupy-cuda12x for CUDA 12"


@dataclass(frozen=True)
class DeviceInfo:
    """One device: its name, total memory and L2 cache in bytes, shared memory a block may have in bytes."""

    index: int
    name: str
    memory: int
    cache: int
    shared: int


def unavailable() -> str:
    """Why no GPU can be used here, in one line; empty if one can."""
    try:
        cupy = import_module("cupy")
        devices = cupy.cuda.runtime.getDeviceCount()
    except ModuleNotFoundError as error:
        if error.name == "cupy":
            return f"no CUDA device: CuPy is not installed: {INSTALL}"
        return f"no CUDA device: CuPy is installed but broken: {_line(error)}"
    except Exception as error:  # a broken package or driver may raise anything
        if type(error).__name__ == "CUDARuntimeError":
            return f"no CUDA device: {_line(error)}"
        return f"no CUDA device: CuPy is installed but broken: {_line(error)}"
    return "" if devices else "no CUDA device"


def count() -> int:
    """The number of devices that can be used."""
    return 0 if unavailable() else int(import_module("cupy").cuda.runtime.getDeviceCount())


def load_cupy() -> Any:
    """CuPy, on a machine with a device. Raises InputError with the reason if there is none."""
    reason = unavailable()
    if reason:
        raise InputError(f"{reason}; use --device cpu")
    return import_module("cupy")


def checked(devices: tuple[int, ...]) -> tuple[int, ...]:
    """The devices, each once. Raises InputError for a device that is not there and for none at all."""
    there = count()
    for index in devices:
        if not 0 <= index < there:
            raise InputError(f"GPU {index} is not there: this machine has {there}, counted from 0")
    if not devices or len(set(devices)) < len(devices):
        raise InputError(f"GPUs {', '.join(map(str, devices)) or 'none'}: name each device once")
    return devices


def info(index: int) -> DeviceInfo:
    """What device `index` has."""
    properties = load_cupy().cuda.runtime.getDeviceProperties(index)
    name = properties["name"].decode() if isinstance(properties["name"], bytes) else str(properties["name"])
    memory, cache, shared = (int(properties[key]) for key in ("totalGlobalMem", "l2CacheSize",
                                                        "sharedMemPerBlockOptin"))
    return DeviceInfo(index, name, memory, cache, shared)


def versions() -> str:
    """Of what compiles and runs the kernels."""
    cupy = load_cupy()
    return f"CuPy {cupy.__version__}, driver {cupy.cuda.runtime.driverGetVersion()}"


WITH_CPU = "+cpu"


def uses_cpu(text: str) -> bool:
    """Whether a device's name, such as 'gpu+cpu', says that CPU threads work with the GPUs."""
    return text.endswith(WITH_CPU)


def parse_device(text: str) -> DeviceChoice:
    """'cpu', 'gpu' (the first), 'gpu:0,1' or 'all' as None, device numbers, or 'all'; see also `uses_cpu`.

    Raises InputError for anything else. Whether the devices are there is not asked.
    """
    devices = text.removesuffix(WITH_CPU)
    kind, colon, numbers = devices.partition(":")
    if text == "cpu":
        return None
    if devices == "all":
        return "all"
    if devices == "gpu":
        return (0,)
    if kind == "gpu" and colon and all(n.isascii() and n.isdecimal() for n in numbers.split(",")):
        return tuple(int(n) for n in numbers.split(","))
    raise InputError(f"device '{text}' is unknown: choose cpu, gpu, gpu:0,1 or all, or gpu+cpu for both")


def device_of_rank(text: str, rank_on_node: int) -> str:
    """The one device for this rank of several on a node, as `parse_device` knows it.

    The ranks of a node take its devices by turns: with 'gpu' and 'all' every one of them, else those named.
    """
    choice = parse_device(text)
    there = count()
    if choice is None or not there:
        return text
    devices = range(there) if text.removesuffix(WITH_CPU) in ("gpu", "all") or choice == "all" else choice
    return f"gpu:{devices[rank_on_node % len(devices)]}{WITH_CPU if uses_cpu(text) else ''}"


def _line(error: BaseException) -> str:
    """An error's message in one line."""
    return " ".join(str(error).split()) or type(error).__name__
