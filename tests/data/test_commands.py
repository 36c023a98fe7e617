"""The simulate command and the progress it shows."""

from __future__ import annotations

import io

import pytest

from gembench.cli import main
from gembench.progress import duration, rate, track


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_simulate_writes_a_set_and_says_so(tmp_path, capsys):
    assert main(["simulate", "-o", str(tmp_path / "set"), "--count", "1", "--size", "300"]) == 0
    captured = capsys.readouterr()
    assert "1 micrographs" in captured.out
    assert "simulating: 1 of 1 micrographs" in captured.err
    assert (tmp_path / "set" / "truth.star").is_file()


def test_quiet_is_quiet(tmp_path, capsys):
    assert main(["simulate", "-o", str(tmp_path), "--count", "1", "--size", "300", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("arguments", [["--count", "0"], ["--size", "271"]])
def test_bad_values_exit_with_2_and_one_line(tmp_path, capsys, arguments):
    assert main(["simulate", "-o", str(tmp_path / "set"), *arguments]) == 2
    error = capsys.readouterr().err
    assert " ".join(arguments) in error
    assert error.count("\n") == 1
    assert not (tmp_path / "set").exists()


def test_plain_progress_is_a_few_lines():
    stream = io.StringIO()
    assert list(track(range(95), description="picking", stream=stream)) == list(range(95))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("picking: 10 of 95 micrographs")
    assert "left" in lines[0]
    assert lines[-1].startswith("picking: 95 of 95 micrographs")


def test_progress_on_a_terminal_is_a_bar_that_goes_away():
    stream = Terminal()
    assert list(track(iter("abc"), total=3, description="picking", stream=stream)) == ["a", "b", "c"]
    assert "picking" in stream.getvalue()
    assert "3 of 3" in stream.getvalue()


def test_progress_can_be_silent():
    stream = Terminal()
    assert list(track([1, 2], quiet=True, stream=stream)) == [1, 2]
    assert stream.getvalue() == ""


def test_numbers_are_said_briefly():
    assert [rate(v) for v in (0.123, 3.14159, 1234.5)] == ["0.12", "3.1", "1234"]
    assert [duration(v) for v in (7.6, 200, 7500)] == ["8 s", "3 min 20 s", "2 h 5 min"]
