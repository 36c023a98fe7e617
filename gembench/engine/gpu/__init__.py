"""The search on CUDA devices: kernels, the plan of tiles and memory, one consumer thread a device.

CuPy is imported where it is used; without it, or without a device, only the reason is known.
"""
