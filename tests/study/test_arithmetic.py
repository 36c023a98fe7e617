"""Arithmetic alone, the measure for what threads gain."""

from __future__ import annotations

import numpy as np

from gembench.study.speed import arithmetic


def test_every_thread_multiplies_matrices_of_its_own(monkeypatch):
    seen = []

    def multiply(matrices):
        seen.append(matrices)
        multiply_all(matrices)
        np.testing.assert_array_equal(matrices[2], arithmetic.SIDE)

    multiply_all = arithmetic._multiply
    monkeypatch.setattr(arithmetic, "_multiply", multiply)
    monkeypatch.setattr(arithmetic, "PRODUCTS", 1)
    assert arithmetic.flops(2) > 0
    assert len(seen) == 2 * (1 + arithmetic.TRIALS)
    assert len({id(matrices) for matrices in seen}) == 2
