"""Arrays in, picks out: the engine knows no files, plots, experiments or command line."""
