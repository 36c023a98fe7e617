"""cuFFT's correlation of one template: right, and its check sees what is wrong. The kernels are emulated."""

from __future__ import annotations

import numpy as np
import pytest

from gembench.data.workload import OneTemplate, Workload, egg_bank
from gembench.engine.score_map import NO_SCORE


@pytest.fixture(params=[("float32", None), ("float64", None), ("float64", (128, 144))],
                ids=["float32", "float64", "padded"])
def pair(emulated, request):
    """The same correlation on the emulated device and on the CPU, as it is and padded."""
    from gembench.data.one_template import OneTemplateOnGPU

    dtype, transform = request.param
    shape = (120, 120 if transform is None else 110)
    work = Workload.make(shape, egg_bank(30, 1), places=20)
    return OneTemplateOnGPU(work, dtype, transform), OneTemplate(work, "scipy", dtype, transform or shape)


def test_scores_are_the_direct_sum_s_and_the_cpu_s_everywhere(pair):
    ours, theirs = pair
    first, again = ours.run(), ours.run()
    ours.check(first)
    maps = theirs.run()
    tolerance = 1e-5 if ours.dtype == "float32" else 1e-12
    np.testing.assert_allclose(again[0].get(), maps.score, atol=tolerance)
    np.testing.assert_array_equal(again[1].get(), maps.index)
    assert (maps.score == NO_SCORE).any()  # where the mask leaves the micrograph


def test_a_wrong_score_is_seen(pair):
    ours, _ = pair
    score, index = ours.run()
    score += 1e-3
    with pytest.raises(ValueError, match=r"scores are off by 1.0e-03"):
        ours.check((score, index))
