"""Clusters: the paper's machines, reductions and searches by model, by simulation and on emulated nodes."""
