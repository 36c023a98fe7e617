"""The search of low-pass filtered micrographs on the coarse grid that their band needs."""
