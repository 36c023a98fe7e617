"""Micrographs, volumes, stacks and coordinates on disk."""
