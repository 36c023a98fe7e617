"""The speed of the engine's parts on one machine: what its studies set up, time and check."""
