"""The microscope and the camera: contrast transfer and detector blur as filters in Fourier space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Optics:
    """How a micrograph was taken; the defaults are those of KLH data set I's far-from-focus images.

    voltage: kV
    cs: spherical aberration, mm
    amplitude_contrast: fraction of the contrast that is amplitude contrast
    defocus: underfocus along and across the astigmatism axis, A (positive is underfocus)
    astigmatism_angle: of the axis of the first defocus, degrees
    b_factor: of the envelope exp(-B f^2 / 4), A^2: partial coherence and motion
    """

    voltage: float = 120.0
    cs: float = 2.0
    amplitude_contrast: float = 0.08
    defocus: tuple[float, float] = (27_500.0, 27_500.0)
    astigmatism_angle: float = 0.0
    b_factor: float = 900.0


def wavelength(voltage: float) -> float:
    """The electron's relativistic wavelength in A at `voltage` kV (0.0335 A at 120 kV)."""
    volts = voltage * 1e3
    return float(12.2643 / np.sqrt(volts * (1 + 0.978466e-6 * volts)))


def contrast_transfer(n: int, pixel_size: float, optics: Optics) -> NDArray[np.float32]:
    """Contrast per radian of phase shift, as a filter for `rfft2` of an n x n image.

    CTF(f) = -2 E(f) (sqrt(1 - w^2) sin g + w cos g) with g = pi l dz f^2 - pi/2 Cs l^3 f^4
    (Wade 1992; Rohou & Grigorieff 2015), so that underfocused protein is dark at low frequency.

    n: side of the image in pixels; pixel_size: A/px
    Returns a float32 array (n, n//2 + 1).
    """
    fy, fx = np.fft.fftfreq(n, pixel_size)[:, None], np.fft.rfftfreq(n, pixel_size)[None]
    f2 = fy**2 + fx**2
    mean, half_difference = np.mean(optics.defocus), (optics.defocus[0] - optics.defocus[1]) / 2
    angle = np.arctan2(fy, fx) - np.radians(optics.astigmatism_angle)
    defocus = mean + half_difference * np.cos(2 * angle)
    lam, w = wavelength(optics.voltage), optics.amplitude_contrast
    g = np.pi * lam * defocus * f2 - np.pi / 2 * optics.cs * 1e7 * lam**3 * f2**2
    envelope = np.exp(-optics.b_factor / 4 * f2)
    ctf: NDArray[np.float64] = -2 * envelope * (np.sqrt(1 - w**2) * np.sin(g) + w * np.cos(g))
    transfer: NDArray[np.float32] = ctf.astype(np.float32)
    return transfer


def detector_blur(n: int) -> NDArray[np.float32]:
    """The modulation transfer of a scintillator-coupled CCD, as a filter for `rfft2` of an n x n image.

    Falls to 0.64 at half of Nyquist and to 0.29 at Nyquist, as the noise of KLH data set I does.
    Returns a float32 array (n, n//2 + 1), 1 at zero frequency.
    """
    f2 = np.fft.fftfreq(n)[:, None] ** 2 + np.fft.rfftfreq(n)[None] ** 2
    blur: NDArray[np.float32] = ((1 + f2 / 0.35**2) ** -1.1).astype(np.float32)
    return blur


def filtered(image: NDArray[np.floating], transfer: NDArray[np.float32]) -> NDArray[np.float32]:
    """A square image with its spectrum multiplied by `transfer`, float32; the image wraps at its edges."""
    from scipy import fft

    spectrum = fft.rfft2(image.astype(np.float32, copy=False))
    spectrum *= transfer
    result: NDArray[np.float32] = fft.irfft2(spectrum, s=image.shape)
    return result
