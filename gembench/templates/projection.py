"""Projections of a volume: the templates that a known structure gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.errors import InputError

Euler = tuple[float, float, float]

# The views of a particle whose symmetry axis is the volume's z. In the side view the axis is vertical in
# the image and the volume's +z is at the top as displayed with row 0 on top.
VIEWS: dict[str, Euler] = {"top": (0.0, 0.0, 0.0), "side": (0.0, 90.0, -90.0)}


def view_matrix(euler: Euler) -> NDArray[np.float64]:
    """The matrix that takes a point of the volume to where it lies when viewed; both are (x, y, z).

    euler: (rot, tilt, psi) in degrees, the ZYZ angles of RELION, XMIPP and the 3DEM convention (Heymann,
        Chagoyen & Belnap 2005): the coordinate frame turns by rot about z, then by tilt about its new y,
        then by psi about its new z, and the view is along the last z.

    Returns a float64 array (3, 3). Its last row is the viewing direction in the volume,
    (sin tilt cos rot, sin tilt sin rot, cos tilt).
    """
    from scipy.spatial.transform import Rotation

    matrix: NDArray[np.float64] = Rotation.from_euler("ZYZ", euler, degrees=True).as_matrix().T
    return matrix


def project(volume: NDArray[Any], euler: Euler, order: int = 1) -> NDArray[np.float32]:
    """The sum along the viewing direction of a volume turned to `euler`, about its centre voxel.

    volume: shape (D, D, D), axes (z, y, x); the centre voxel is (D//2, D//2, D//2)
    euler: (rot, tilt, psi) in degrees, as in `view_matrix`; (0, 0, 0) sums over axis 0. In the image x is
        right and y down, so psi turns the projection counter-clockwise as displayed with row 0 on top,
        the sign of `scipy.ndimage.rotate`.
    order: of the spline between voxels: 1 (linear) or 3 (cubic, sharper and about ten times slower)

    Returns a float32 image (D, D) with the particle's centre at (D//2, D//2). What leaves the cube when it
    turns is lost and what enters is 0, so the particle should lie within the inscribed sphere.
    Raises InputError if the volume is not a cube or an angle is not finite.
    """
    from scipy.ndimage import affine_transform

    volume = np.asarray(volume)
    if volume.ndim != 3 or len(set(volume.shape)) != 1:
        raise InputError(f"volume: shape {volume.shape} is not a cube; pad it to (D, D, D)")
    if len(euler) != 3 or not np.all(np.isfinite(euler)):
        raise InputError(f"Euler angles: {euler} is not three finite angles; give rot, tilt, psi in degrees")
    data = volume.astype(np.float32, copy=False)
    back = view_matrix(euler).T[::-1, ::-1]  # from viewed (z, y, x) to the volume's (z, y, x)
    centre = np.full(3, volume.shape[0] // 2)
    turned = affine_transform(data, back, offset=centre - back @ centre, order=order)
    image: NDArray[np.float32] = turned.sum(axis=0, dtype=np.float64).astype(np.float32)
    return image
