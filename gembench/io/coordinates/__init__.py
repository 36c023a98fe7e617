"""Coordinates of picks and annotations: one reader and one writer for every format."""

from gembench.io.coordinates.read import (
    FORMATS,
    SUMMARY,
    Shape,
    micrograph_key,
    read_coordinates,
    write_coordinates,
)

__all__ = ["FORMATS", "SUMMARY", "Shape", "micrograph_key", "read_coordinates", "write_coordinates"]
