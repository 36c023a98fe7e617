"""Names from files of others, shown as they are wherever they are shown."""

from __future__ import annotations

import pytest

from gembench import text

HOSTILE = ["[/b]", "[bold red]x", "a\\", "\\[/b]", "$\\frac{$", "one $ only", "a$b$c", "../../x", "..", "",
           "a/b", "tab\tline\nend", "\x1b[2J", "\ud800", "<script>", "x" * 500, "é-µ", "plain-2c"]


@pytest.mark.parametrize("name", HOSTILE)
def test_matplotlib_draws_the_name_itself(name):
    from matplotlib.figure import Figure

    figure = Figure()
    drawn = figure.text(0, 0, text.for_figure(name))
    shown, mathematics = drawn._preprocess_math(drawn.get_text())
    assert not mathematics
    assert shown == "\n".join(text.printable(line, 320) for line in name.split("\n"))
    figure.draw_without_rendering()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_name_stays_in_its_folder(name, tmp_path):
    (tmp_path / f"figure@{text.for_file(name)}.png").touch()
    (tmp_path / text.for_file(name)).mkdir()
    assert len(list(tmp_path.iterdir())) == 2


def test_file_names_are_told_apart_and_good_ones_kept():
    assert len({text.for_file(name) for name in HOSTILE}) == len(HOSTILE)
    assert text.for_file("amd-epyc-2c") == "amd-epyc-2c"
    assert text.for_file("a b").startswith("a-b-")


def test_a_printed_name_is_one_line_of_bounded_length():
    assert text.printable("a\nb\x00c\ud800") == "a?b?c?"
    assert text.printable("x" * 100, 10) == "x" * 9 + "…"
