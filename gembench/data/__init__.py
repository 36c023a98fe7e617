"""Simulated micrographs of keyhole limpet hemocyanin with known truth, and real data sets by name."""
