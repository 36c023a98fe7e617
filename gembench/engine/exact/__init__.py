"""The search on CPUs: one producer, a queue, consumer threads; the methods paper and exact, their kernels."""
