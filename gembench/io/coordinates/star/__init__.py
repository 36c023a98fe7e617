"""STAR files of RELION, crYOLO (.cbox) and Xmipp (.pos): scanned once, read by their columns, and written."""
