"""What KLH is to a picker: its views and their symmetry, and how picks of it are judged.

Lengths are pixels of its micrographs, at 2.2 A/px. Nothing else in gembench knows the size of a particle.
"""

from __future__ import annotations

from gembench.data.target import Target

NAME = "klh"
MICROGRAPHS = 82  # far-from-focus images of the whole set, annotated or not
VIEWS = ("side", "top")  # the labels of annotations, in the order of the templates
SIDE, TOP = range(2)
SYMMETRY = (2, 0)  # in the plane: half a turn leaves a side view, any turn a top view
RADIUS = 40  # within which a pick is an annotated particle; a side view is 165 x 144
DISTANCE = 120  # between two picks: particles that touch side by side are 144 apart
BOX = 272
BORDER = 75  # half a side view, rounded up: what is mirrored beyond an edge is no particle
LOWPASS = 70.0  # A, about a fifth of the particle's diameter
RINGS = (8, 60)  # around a top view, whose rim is at 72, in the side view's score map
GEMPICKER_DISTANCE, GEMPICKER_BORDER = 175, 100  # gEMpicker's settings; the border is beyond the half box
TARGET = Target("KLH", VIEWS, SYMMETRY, RADIUS, DISTANCE, BOX, BORDER, LOWPASS, (VIEWS[SIDE],), (SIDE,))
