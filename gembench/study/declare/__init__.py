"""What an experiment is: its cases, grids and functions."""
