"""A model of keyhole limpet hemocyanin (KLH1), built from its publicly known architecture.

The didecamer is a hollow cylinder of about 350 x 360 A with D5 symmetry: two decamers back to back, each
with a wall of three tiers and a collar inside its outer end. Each of the 20 subunits holds eight
functional units of about 50 kDa, six in the wall and two in the collar; a functional unit is a Gaussian
here. (Mellema & Klug 1972; Orlova et al. 1997; Gatsogiannis & Markl 2009.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gembench.templates.projection import Euler, view_matrix

REACH = 290.0  # A from the centre, within which all of the didecamer lies, the Gaussians' tails with it
DECAMER_LENGTH = 180.0  # A along the five-fold axis

Units = NDArray[np.float64]  # (n, 5): x, y, z from the centre and standard deviation, in A; mass


class FunctionalUnit(NamedTuple):
    """One functional unit of the asymmetric unit, in the cylinder's coordinates.

    radius, height: A from the five-fold axis and from the didecamer's middle
    azimuth: degrees about the five-fold axis
    width: standard deviation of the Gaussian, A
    mass: 1 is a well-ordered functional unit
    """

    radius: float
    azimuth: float
    height: float
    width: float
    mass: float


# Heights, radii and widths give projections that correlate 0.95 with class averages of KLH data set I.
# Neighbouring columns of the wall differ in radius and height: five-fold symmetry, not twenty-fold.
_WALL = tuple(
    FunctionalUnit(radius, azimuth + slant, height + lift, 20.0, 1.0)
    for height, slant in ((28.0, 0.0), (84.0, 5.0), (143.0, 10.0))
    for azimuth, radius, lift in (
        (2.0, 143.0, -3.0), (20.0, 135.0, 2.0), (38.0, 141.0, 3.0), (56.0, 137.0, -2.0))
)
_COLLAR = tuple(FunctionalUnit(85.0, azimuth, 167.0, 17.0, 0.9) for azimuth in (5.0, 25.0))
_ARC = tuple(FunctionalUnit(84.0, azimuth, 115.0, 17.0, 0.4) for azimuth in (15.0, 50.0))  # flexible: weak
ASYMMETRIC_UNIT = _WALL + _COLLAR + _ARC


def decamer_units() -> Units:
    """The upper decamer, shape (80, 5): x, y, z (from the didecamer's middle), width in A; mass.

    The five-fold axis is z.
    """
    units = np.array(ASYMMETRIC_UNIT)
    rows = []
    for turn in range(0, 360, 72):
        azimuth = np.radians(units[:, 1] + turn)
        rows.append(np.column_stack([units[:, 0] * np.cos(azimuth), units[:, 0] * np.sin(azimuth),
                                     units[:, 2:]]))
    return np.concatenate(rows)


def didecamer() -> Units:
    """The didecamer, shape (160, 5), as `decamer_units`; a two-fold axis lies along x."""
    upper = decamer_units()
    lower = upper * (1, -1, -1, 1, 1)  # half a turn about x
    return np.concatenate([upper, lower])


def decamer() -> Units:
    """One decamer, shape (80, 5), as `didecamer` but about its own middle, collar towards +z."""
    return decamer_units() - (0, 0, DECAMER_LENGTH / 2, 0, 0)


def projected(units: Units, euler: Euler, y: NDArray[np.floating], x: NDArray[np.floating]
              ) -> NDArray[np.float32]:
    """The projection of the units, exact: an isotropic Gaussian projects onto one of the same width.

    units: shape (n, 5): x, y, z from the centre and standard deviation, in A; mass
    euler: (rot, tilt, psi) in degrees, as in `view_matrix`
    y, x: where, in A from the projected centre, shapes (h,) and (w,); y down, x right

    Returns a float32 array (h, w), mass per square angstrom.
    """
    place = units[:, :3] @ view_matrix(euler).T
    width, mass = units[:, 3], units[:, 4]
    along_y = mass / (2 * np.pi * width**2) * _gaussian(y, place[:, 1], width)
    along_x = _gaussian(x, place[:, 0], width)
    image = along_y @ along_x.T  # in float64, so that threads and processors agree once it is float32
    return image.astype(np.float32)


def _gaussian(at: NDArray[np.floating], centre: NDArray[np.float64], width: NDArray[np.float64]
              ) -> NDArray[np.float64]:
    """Gaussians of height 1, a column each, at the positions `at`."""
    values: NDArray[np.float64] = np.exp(-0.5 * ((at[:, None] - centre) / width) ** 2)
    return values
