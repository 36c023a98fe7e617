"""Studies: what an experiment is, how it runs and is stored, and how its results are drawn and told."""
