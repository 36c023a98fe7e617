"""Micrographs, stacks and volumes: MRC, TIFF, PNG and JPEG."""
