"""The house style of figures, curves of evaluations, and pictures of micrographs with picks."""
