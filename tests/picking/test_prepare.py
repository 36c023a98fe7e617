"""What is done to a micrograph before its search keeps its digits, and says what would hide all particles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gembench.engine.bank import TemplateBank
from gembench.engine.peaks import PeakSettings
from gembench.errors import InputError
from gembench.io.images.micrographs import Micrograph
from gembench.picking.prepare import filtered, prepare, warn_of_precision
from gembench.picking.settings import PickSettings

NOISE = np.random.default_rng(5).normal(0, 1, (96, 80)).round(1)


def micrograph(data: np.ndarray) -> Micrograph:
    return Micrograph("a.mrc", data.astype(np.float32), 2.0, Path("a.mrc"))


@pytest.mark.parametrize("lowpass", [0.0, 20.0])
@pytest.mark.parametrize("offset", [0, 2**14, 2**20])
def test_an_offset_costs_no_digits(offset: int, lowpass: float) -> None:
    """Pixels that float32 holds exactly beside the offset are filtered as if there were none."""
    image = np.round(NOISE * 8) / 8  # float32 has steps of 1/8 at 2^20
    settings = PickSettings(2.0, clip=0.0, lowpass=lowpass)
    expected, shift, _ = filtered(image, settings)
    result, same_shift, _ = filtered((image + offset).astype(np.float32), settings)
    assert result.dtype == np.float32
    assert shift == same_shift
    difference = (result - result.mean()) - (expected - expected.mean())
    assert np.abs(difference).max() < 2e-6


def test_pixels_far_off_are_warned_of_where_they_are_not_limited(caplog: pytest.LogCaptureFixture) -> None:
    image = NOISE.copy()
    image[3, 4] = 3e38
    with np.errstate(over="ignore"):
        prepare(micrograph(image), PickSettings(2.0, average=1, clip=0.0))
    assert "a.mrc: 1 pixels lie more than 1000 standard deviations off" in caplog.text
    caplog.clear()
    prepare(micrograph(image), PickSettings(2.0, average=1))
    prepare(micrograph(NOISE), PickSettings(2.0, average=1, clip=0.0))
    assert not caplog.text


def test_a_border_that_leaves_nothing_is_refused() -> None:
    settings = PickSettings(2.0, peaks=PeakSettings(border=40.0))
    with pytest.raises(InputError, match=r"a\.mrc: a border of 40 px leaves nothing of 80 x 96 px"):
        prepare(micrograph(NOISE), settings)
    prepare(micrograph(NOISE), PickSettings(2.0, peaks=PeakSettings(border=39.0)))


@pytest.mark.parametrize(("lowpass", "dtype", "warns"), [
    (17.0, "float32", True), (16.0, "float32", False), (17.0, "float64", False),
])
def test_a_filter_that_takes_the_digits_of_float32_is_warned_of(
        caplog: pytest.LogCaptureFixture, lowpass: float, dtype: str, warns: bool) -> None:
    bank = TemplateBank(np.random.default_rng(0).normal(size=(1, 16, 16)), np.ones((1, 16, 16)))
    warn_of_precision(PickSettings(2.0, lowpass=lowpass, dtype=dtype), bank)  # of 16 px at 2 A/px
    assert ("--precision float64" in caplog.text) == warns
