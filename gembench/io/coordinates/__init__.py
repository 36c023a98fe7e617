"""Coordinates of picks and annotations: one reader and one writer for every format."""

from gembench.io.coordinates.formats import FORMATS
from gembench.io.coordinates.read import SUMMARY, read_coordinates
from gembench.io.coordinates.star.optics import Optics
from gembench.io.coordinates.star.write import Shape
from gembench.io.coordinates.write import write_coordinates
from gembench.io.names import micrograph_key

__all__ = ["FORMATS", "SUMMARY", "Optics", "Shape", "micrograph_key", "read_coordinates", "write_coordinates"]
