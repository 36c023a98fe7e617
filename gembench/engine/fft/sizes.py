"""Good transform sizes, by measured cost."""

from __future__ import annotations

from functools import lru_cache

# Nanoseconds a point of the row transforms along one axis, in float32: printed by `python -m
# gembench.engine.fft.costs` on a Xeon of the Sapphire Rapids line (AVX-512, 2 MiB of L2 a core). Smoothness
# alone says little: rows of 2058 = 2 * 3 * 7^3 points cost twice what rows of 2048 or 2160 do, and whatever
# leaves rows off the 64-byte lines (2250, 2430, 2450) costs most.
COSTS = {
    256: 2.74, 270: 3.46, 280: 3.14, 288: 2.60, 294: 3.18, 300: 3.07, 320: 2.56, 324: 2.95, 336: 2.37,
    350: 3.15, 360: 2.46, 378: 3.00, 384: 2.15, 392: 2.54, 400: 2.17, 420: 2.51, 432: 2.13, 448: 1.91,
    450: 2.90, 480: 1.94, 486: 2.94, 490: 2.60, 500: 2.92, 504: 1.95, 512: 1.77, 540: 2.26, 560: 1.95,
    576: 1.83, 588: 2.18, 600: 1.90, 630: 2.49, 640: 1.68, 648: 1.75, 672: 1.53, 686: 2.18, 700: 2.46,
    720: 1.60, 750: 2.42, 756: 1.89, 768: 1.42, 784: 1.52, 800: 1.49, 810: 2.41, 840: 1.55, 864: 1.45,
    882: 2.05, 896: 1.41, 900: 1.92, 960: 1.42, 972: 1.74, 980: 1.99, 1000: 1.90, 1008: 1.43, 1024: 1.18,
    1050: 1.84, 1080: 1.30, 1120: 1.28, 1134: 2.02, 1152: 1.17, 1176: 1.36, 1200: 1.32, 1250: 2.31,
    1260: 1.73, 1280: 1.14, 1296: 1.20, 1344: 1.07, 1350: 1.95, 1372: 1.57, 1400: 1.45, 1440: 1.21,
    1458: 2.02, 1470: 1.69, 1500: 1.68, 1512: 1.31, 1536: 1.13, 1568: 1.23, 1600: 1.16, 1620: 1.75,
    1680: 1.29, 1728: 1.10, 1750: 1.94, 1764: 1.80, 1792: 1.23, 1800: 1.32, 1890: 1.67, 1920: 1.08,
    1944: 1.16, 1960: 1.49, 2000: 1.25, 2016: 1.17, 2048: 0.93, 2058: 1.80, 2100: 1.64, 2160: 1.17,
    2240: 1.13, 2250: 2.11, 2268: 1.63, 2304: 1.13, 2352: 1.15, 2400: 1.08, 2430: 2.31, 2450: 2.23,
    2500: 2.43, 2520: 1.21, 2560: 1.02, 2592: 1.18, 2646: 1.96, 2688: 1.17, 2700: 1.46, 2744: 1.23,
    2800: 1.11, 2880: 1.01, 2916: 1.69, 2940: 2.02, 3000: 1.23, 3024: 1.16, 3072: 1.17, 3136: 1.32,
    3150: 2.02, 3200: 1.21, 3240: 1.39, 3360: 1.18, 3402: 2.31, 3430: 2.11, 3456: 1.03, 3500: 2.43,
    3528: 1.17, 3584: 1.09, 3600: 1.16, 3750: 2.47, 3780: 1.59, 3840: 1.03, 3888: 1.14, 3920: 1.14,
    4000: 1.37, 4032: 1.11, 4050: 2.90, 4096: 1.06, 4116: 2.30, 4200: 1.45, 4320: 1.38, 4374: 3.14,
    4410: 2.42, 4480: 1.25, 4500: 2.00, 4536: 1.35, 4608: 1.20, 4704: 1.33, 4800: 1.23, 4802: 2.73,
    4860: 2.15, 4900: 2.86, 5000: 1.93, 5040: 1.43, 5120: 1.28, 5184: 1.15, 5250: 2.38, 5292: 1.98,
    5376: 1.18, 5400: 1.31, 5488: 1.17, 5600: 1.31, 5670: 2.99, 5760: 1.28, 5832: 1.53, 5880: 2.38,
    6000: 1.43, 6048: 1.41, 6144: 1.28, 6174: 2.78, 6250: 3.63, 6272: 1.36, 6300: 2.27, 6400: 1.33,
    6480: 1.33, 6720: 1.10, 6750: 2.70, 6804: 1.84, 6860: 2.58, 6912: 1.16, 7000: 2.38, 7056: 1.39,
    7168: 1.26, 7200: 1.57, 7290: 3.55, 7350: 2.99, 7500: 2.31, 7560: 2.14, 7680: 1.26, 7776: 1.45,
    7840: 1.47, 7938: 2.90, 8000: 1.38, 8064: 1.42, 8100: 2.36, 8192: 1.37, 8232: 1.85, 8400: 1.55,
}

# The same for everything else that a larger frame makes longer: the transforms along the other axis, and the
# passes through memory (product, transposition, normalisation, maximum), about 6 ns a point at 2048^2.
REST = 6.0
WIDEST = 1.3  # no size beyond so many times the least can win: REST alone then costs what a bad size does


@lru_cache
def smooth_sizes(limit: int) -> tuple[int, ...]:
    """All even sizes up to `limit` with no prime factor above 7, ascending."""
    sizes = {1}
    for prime in (2, 3, 5, 7):
        grown = set(sizes)
        for size in sizes:
            while (size := size * prime) <= limit:
                grown.add(size)
        sizes = grown
    return tuple(sorted(size for size in sizes if size % 2 == 0))


@lru_cache
def fast_size(n: int, rest: float = REST) -> int:
    """The transform size >= n that costs least by the table; even, with no prime factor above 7.

    rest: nanoseconds a point of what else a larger frame makes longer
    Where the table does not reach, the smallest such size.
    """
    candidates = [size for size in COSTS if n <= size <= WIDEST * n]
    if n < min(COSTS) or not candidates:
        return next(size for size in smooth_sizes(4 * max(n, 2)) if size >= n)
    return min(candidates, key=lambda size: size * (COSTS[size] + rest))
