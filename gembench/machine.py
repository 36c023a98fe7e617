"""What this computer is: cores, CPU, memory, GPUs, and the libraries installed on it."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

# What the timed calls may run on; the harness itself is known by the source hash.
LIBRARIES = (
    "numpy", "scipy", "numba", "ducc0", "pyfftw", "mkl-fft", "mkl", "mkl-service", "cupy-cuda12x",
    "cupy-cuda13x", "mpi4py", "mrcfile", "scikit-learn", "scikit-image", "opencv-python-headless",
    "opencv-python", "pytme", "threadpoolctl",
)


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def output_of(*command: str, folder: Path | None = None) -> str | None:
    """What `command` prints, stripped; None if it is not there or fails."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _text(path: str) -> str | None:
    """The content of a file of the kernel's, stripped; None where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return None


@cache
def cpu_model() -> str:
    """The CPU's name as its maker gives it; the architecture where the system tells no name."""
    named = re.search(r"^model name\s*:\s*(.+)$", _text("/proc/cpuinfo") or "", re.MULTILINE)
    if named:
        return named[1].strip()
    return output_of("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor() or platform.machine()


def machine_name() -> str:
    """GEMBENCH_MACHINE, else a slug of CPU model and core count such as `intel-xeon-platinum-8481c-16c`."""
    chosen = os.environ.get("GEMBENCH_MACHINE")
    noise = r"\((r|tm)\)|\b(cpu|processor|\d+-core)\b|@.*"
    text = chosen or re.sub(noise, " ", cpu_model(), flags=re.IGNORECASE)
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "machine"
    return slug if chosen else f"{slug}-{os.cpu_count()}c"


def gpus() -> list[dict[str, str]]:
    """Name, driver and memory of every NVIDIA GPU; empty without one."""
    fields = ("name", "driver_version", "memory.total")
    listed = output_of("nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader")
    return [dict(zip(("name", "driver", "memory"), line.split(", "), strict=False))
            for line in (listed or "").splitlines()]


def memory() -> int:
    """The machine's RAM in bytes."""
    try:
        import psutil
    except ModuleNotFoundError:  # as on a bare machine; POSIX tells it too
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return int(psutil.virtual_memory().total)


def physical_cores() -> int | None:
    """Cores without their second threads; None where psutil is not there to tell."""
    try:
        import psutil
    except ModuleNotFoundError:
        return None
    count: int | None = psutil.cpu_count(logical=False)
    return count


def describe() -> dict[str, Any]:
    """CPU, cores, affinity, governor, RAM in bytes, GPUs, system."""
    affinity = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return {
        "name": machine_name(), "cpu": cpu_model(), "cores": os.cpu_count(),
        "physical_cores": physical_cores(), "affinity": affinity,
        "governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "ram": memory(), "gpus": gpus(), "system": platform.platform(),
    }


def libraries() -> dict[str, str]:
    """Versions of Python, gembench and of every library in LIBRARIES that is installed."""
    from gembench import __version__

    versions = {"python": platform.python_version(), "gembench": __version__}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
