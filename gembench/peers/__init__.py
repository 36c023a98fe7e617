"""Peers: other programs that look for templates in micrographs, each an adapter that registers itself.

opencv, pytme and scikit-image are Python packages (`pip install 'gembench[peers]'`); relion, gempicker and
findem are programs looked for on PATH; transforms is what every search has to do; the rest is the engine of
gembench.
"""

from gembench.peers import findem, gempicker, opencv, own, pytme, relion, scikit_image, transforms
from gembench.peers.base import PEERS, Matched, Peer, peer

__all__ = [
    "PEERS", "Matched", "Peer", "findem", "gempicker", "opencv", "own", "peer", "pytme", "relion",
    "scikit_image", "transforms",
]
