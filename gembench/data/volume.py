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

VOXEL = 4.4  # A; twice the pixel of KLH data set I, and the contrast transfer leaves nothing beyond 9 A
BOX = 128  # voxels; holds the didecamer's 250 A radius with room for the Gaussians' tails
DECAMER_LENGTH = 180.0  # A along the five-fold axis


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


def decamer_units() -> NDArray[np.float64]:
    """The upper decamer, shape (80, 5): x, y, z (from the didecamer's middle), width in A; mass."""
    units = np.array(ASYMMETRIC_UNIT)
    rows = []
    for turn in range(0, 360, 72):
        azimuth = np.radians(units[:, 1] + turn)
        rows.append(np.column_stack([units[:, 0] * np.cos(azimuth), units[:, 0] * np.sin(azimuth),
                                     units[:, 2:]]))
    return np.concatenate(rows)


def didecamer() -> NDArray[np.float32]:
    """The didecamer's density, float32 (BOX, BOX, BOX), axes (z, y, x), five-fold axis along z.

    A well-ordered functional unit sums to 1; a two-fold axis lies along x.
    """
    upper = decamer_units()
    lower = upper * (1, -1, -1, 1, 1)  # half a turn about x
    return density(np.concatenate([upper, lower]))


def decamer() -> NDArray[np.float32]:
    """One decamer's density, as `didecamer`, with its own middle at the centre voxel, collar towards +z."""
    return density(decamer_units() - (0, 0, DECAMER_LENGTH / 2, 0, 0))


def density(units: NDArray[np.float64], box: int = BOX, voxel: float = VOXEL) -> NDArray[np.float32]:
    """The sum of the units' Gaussians.

    units: shape (n, 5): x, y, z from the centre voxel and standard deviation, in A; mass
    box, voxel: side of the cube in voxels and voxel size in A

    Returns a float32 array (box, box, box), axes (z, y, x).
    """
    volume = np.zeros((box, box, box), np.float32)
    for x, y, z, width, mass in units:
        axes = [_profile(centre / voxel + box // 2, width / voxel, box) for centre in (z, y, x)]
        spans, profiles = zip(*axes, strict=True)
        volume[spans] += mass * np.einsum("i,j,k->ijk", *profiles)
    return volume


def _profile(centre: float, width: float, box: int) -> tuple[slice, NDArray[np.float32]]:
    """A Gaussian of sum 1 on the voxels within four standard deviations, and which these are."""
    start, stop = max(0, int(centre - 4 * width)), min(box, int(centre + 4 * width) + 2)
    values = np.exp(-0.5 * ((np.arange(start, stop) - centre) / width) ** 2)
    return slice(start, stop), (values / (width * np.sqrt(2 * np.pi))).astype(np.float32)
