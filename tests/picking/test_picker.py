"""Micrographs made ready one ahead of the one that is searched."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from gembench.engine.bank import TemplateBank
from gembench.errors import InputError
from gembench.picking.picker import Picker, made_ahead
from gembench.picking.settings import PickSettings


def test_the_next_is_made_while_one_is_worked_on_and_no_more():
    asked, made = [], threading.Semaphore(0)

    def make(item):
        asked.append((item, threading.current_thread().name))
        made.release()
        return item * item

    results = made_ahead(make, range(4))
    assert next(results) == 0
    for number in range(1, 4):  # waits for ever if nothing is made ahead
        for _ in range(2 if number == 1 else 1):
            assert made.acquire(timeout=10)
        assert [item for item, _ in asked] == list(range(number + 1))
        assert next(results) == number * number
    assert list(results) == []
    assert {name for _, name in asked} == {"ahead_0"}


def test_an_error_comes_in_the_turn_of_its_item():
    def make(item):
        if item == 1:
            raise InputError("one")
        return item

    results = made_ahead(make, [0, 1, 2])
    assert next(results) == 0
    with pytest.raises(InputError, match=r"^one$"):
        next(results)
    assert list(made_ahead(make, [])) == []


def test_with_bounded_memory_one_is_made_after_the_other():
    template = np.eye(8)
    bank = TemplateBank(template[None], None, [0.0])
    made = []
    with Picker(bank, PickSettings(1.0), memory=1e9) as picker:
        for number, item in enumerate(picker.in_turn(range(3), lambda item: made.append(item) or item)):
            assert number == item == made[-1]
            assert len(made) == number + 1
