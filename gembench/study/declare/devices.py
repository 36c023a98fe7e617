"""The FFT libraries and GPUs that a case needs: why it is skipped where they are not, '' where they are."""

from __future__ import annotations

CUFFT = "cufft"  # the name under which studies compare the GPU's transforms with FFT libraries


def no_library(name: str) -> str:
    """Why an FFT library, or the GPU's, cannot be used."""
    from gembench.engine.fft import LIBRARIES

    return no_gpus() if name == CUFFT else LIBRARIES[name].unavailable() or ""


def no_gpus(count: int = 1) -> str:
    """Why there are not `count` GPUs."""
    from gembench.engine.gpu import device

    reason = device.unavailable()
    if reason:
        return reason
    return f"this machine has {device.count()} GPU(s)" if count > device.count() else ""
