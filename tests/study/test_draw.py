"""The house style and the drawing functions: what they put on the axes, and the bytes they save."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from gembench.drawing import curves as draw
from gembench.drawing import pictures, style
from gembench.errors import InputError


@pytest.fixture
def ax():
    with style.context():
        yield style.figure()[1]


def labelled(ax):
    return {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}


def test_precision_recall_draws_the_given_points(ax):
    draw.precision_recall(
        ax, {"a": ([0.1, 0.5], [1.0, 0.8]), "b": ([0.2, 0.4], [0.9, 0.7])}, {"here": (0.5, 0.8)},
        looks={"b": style.series("findem").line},
    )
    lines = labelled(ax)
    assert list(lines) == ["a", "b", "here"]
    np.testing.assert_array_equal(lines["a"].get_xydata(), [[0.1, 1.0], [0.5, 0.8]])
    np.testing.assert_array_equal(lines["here"].get_xydata(), [[0.5, 0.8]])
    assert lines["b"].get_color() == style.series("findem").color
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b", "here"]


def test_lines_of_equal_f1_have_that_f1(ax):
    draw.precision_recall(ax, {"a": ([0.1], [1.0])})
    for line, f1 in zip(ax.lines[:-1], (0.5, 0.6, 0.7, 0.8, 0.9), strict=True):
        recall, precision = line.get_xydata().T
        np.testing.assert_allclose(2 * precision * recall / (precision + recall), f1)
        assert precision[0] == pytest.approx(1)


def test_roc_draws_curves_over_the_diagonal(ax):
    draw.roc(ax, {"4°": ([0, 0, 1], [0, 1, 1])})
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[0, 0], [1, 1]])
    np.testing.assert_array_equal(labelled(ax)["4°"].get_xydata(), [[0, 0], [0, 1], [1, 1]])


@pytest.mark.parametrize(("true", "false"), [([0.5, 0.6, 0.6], [0.1, 0.2]), ([0.4], []), ([], [0.3, 0.3])])
def test_scores_counts_every_pick_once(ax, true, false):
    draw.scores(ax, true, false, threshold=0.35)
    drawn = [patch.get_path().vertices for patch in ax.patches]
    areas = [abs(np.trapezoid(v[:, 1], v[:, 0])) for v in drawn]
    width = np.diff(np.unique(drawn[0][:, 0]))[0]
    np.testing.assert_allclose(np.array(areas) / width, [len(false), len(true)], atol=1e-9)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        f"false ({len(false)})", f"true ({len(true)})"]
    assert any("threshold 0.35" in text.get_text() for text in ax.texts)


def test_distances_marks_the_median_up_to_the_radius(ax):
    draw.distances(ax, [1.0, 2.0, 6.0], 10)
    assert ax.lines[0].get_xdata() == [2.0, 2.0]
    assert ax.get_xlim() == (0, 10)


def test_distances_with_radius_zero_still_has_an_axis(ax):
    draw.distances(ax, [0.0, 0.0], 0)
    assert ax.get_xlim() == (0, 1)


def test_names_of_a_family_differ_in_colour_and_without_it():
    for family in (style.LIBRARIES, style.METHODS, style.PICKERS):
        looks = [style.series(name) for name in family]
        assert len({look.color for look in looks}) == len(family)
        assert len({look.dash for look in looks}) == len(family)
        assert len({look.marker for look in looks}) == len(family)
        assert len({look.hatch for look in looks}) == len(family)


def test_a_name_keeps_its_look_and_an_unknown_one_has_none():
    assert style.series("cuFFT") is style.series("cufft")
    with pytest.raises(KeyError):
        style.series("no such library")


def test_colours_stand_out_from_white():
    for look in style.SERIES.values():
        luminance = np.array(to_rgb(look.color)) ** 2.2 @ [0.2126, 0.7152, 0.0722]
        assert 1.05 / (luminance + 0.05) > 2.1  # contrast ratio


def test_style_ends_with_its_context_and_ignores_the_users():
    with mpl.rc_context({"lines.linewidth": 9.0}):
        with style.context():
            assert mpl.rcParams["lines.linewidth"] == 1.3
            assert mpl.rcParams["axes.spines.top"] is False
        assert mpl.rcParams["lines.linewidth"] == 9.0


def drawn():
    with style.context():
        figure, ax = style.figure(1, 2, width=style.PAGE)
        draw.scores(ax[0], [0.5, 0.6], [0.1, 0.2])
        draw.distances(ax[1], [1.0, 2.0], 5)
    return figure


def test_saving_twice_gives_the_same_bytes(tmp_path):
    first = style.save(drawn(), tmp_path / "a.b")
    second = style.save(drawn(), tmp_path / "c")
    assert [path.name for path in first] == ["a.b.svg", "a.b.png"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert b"<dc:date>" not in first[0].read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.b.png", "a.b.svg", "c.png", "c.svg"]


def test_a_drawing_without_pictures_is_stored_with_a_palette_that_nobody_sees(tmp_path):
    from PIL import Image

    figure = drawn()
    (path,) = style.save(figure, tmp_path / "a", formats=("png",))
    with style.context():
        figure.savefig(tmp_path / "whole.png")
    stored, whole = Image.open(path), Image.open(tmp_path / "whole.png")
    assert stored.mode == "P"
    assert stored.info["dpi"] == pytest.approx(whole.info["dpi"])
    pixels, as_drawn = (np.asarray(image.convert("RGB"), int) for image in (stored, whole))
    assert (pixels[0, 0] == 255).all()
    assert abs(pixels - as_drawn).max() <= 40
    assert abs(pixels - as_drawn).mean() < 0.5
    assert path.stat().st_size < 0.6 * (tmp_path / "whole.png").stat().st_size


def test_a_drawing_with_pictures_is_stored_in_all_colours_and_at_fewer_dots(tmp_path):
    from PIL import Image

    with style.context():
        figure, ax = style.figure()
        ax.imshow(np.arange(12.0).reshape(3, 4))
    (path,) = style.save(figure, tmp_path / "a", formats=("png",))
    with Image.open(path) as stored:
        assert stored.mode != "P"
        assert stored.info["dpi"] == pytest.approx((200, 200), abs=0.1)


def test_saving_into_a_missing_folder_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        style.save(drawn(), tmp_path / "nowhere" / "a", formats=("svg",))


def test_a_value_of_the_paper_is_a_gold_star_with_its_words(ax):
    style.paper_value(ax, 4, 3.5, "3.5×")
    (star,) = ax.lines
    np.testing.assert_array_equal(star.get_xydata(), [[4, 3.5]])
    assert (star.get_marker(), star.get_markerfacecolor()) == ("*", style.GOLD)
    assert style.GOLD not in {look.color for look in style.SERIES.values()}
    (words,) = ax.texts
    assert (words.get_text(), words.get_fontstyle()) == ("3.5×", "italic")
    assert style.paper_key().get_marker() == "*"


def test_our_run_of_the_2013_method_is_called_so():
    assert style.label("paper") == "2013 method"
    assert style.label("$\\frac{$") == "\\$\\frac{\\$"  # of a machine, drawn as it is


def test_a_signed_figure_grows_at_its_foot_and_nothing_on_it_changes_its_size():
    with style.context():
        figure, ax = style.figure()
        ax.plot([1, 2], label="a")
        figure.legend(loc="outside lower center")
        figure.draw_without_rendering()
        before = ax.get_window_extent().bounds
        legend = figure.legends[0].get_window_extent().bounds
        style.sign(figure, "a machine · $\\frac{$ · measured")
        figure.draw_without_rendering()
    grown = figure.dpi * (figure.get_size_inches()[1] - 0.75 * style.COLUMN)
    assert grown == pytest.approx(figure.dpi * 2 * style.FOOT)
    np.testing.assert_allclose(ax.get_window_extent().bounds, np.add(before, [0, grown, 0, 0]), atol=0.01)
    np.testing.assert_allclose(figure.legends[0].get_window_extent().bounds,
                               np.add(legend, [0, grown, 0, 0]), atol=0.5)
    (text,) = figure.texts
    assert text.get_window_extent().y0 >= 0
    assert text.get_window_extent().y1 <= grown


@pytest.mark.parametrize(("longest", "length"), [(1, 1), (1.99, 1), (2, 2), (37, 20), (50.1, 50), (0.3, 0.2)])
def test_a_scale_bar_is_the_longest_round_length_that_fits(longest, length):
    assert pictures.round_length(longest) == pytest.approx(length)


def test_titles_over_pictures_stay_on_a_signed_figure():
    with style.context():
        figure, axes = style.figure(1, 3, width=style.PAGE, height=2.9)
        for ax in axes:
            shown = pictures.score_map(ax, np.eye(8), title="Templates")
        figure.colorbar(shown, ax=list(axes), orientation="horizontal")
        style.sign(figure, "a machine")
        figure.draw_without_rendering()
    top = max(ax.get_tightbbox().y1 for ax in axes)
    assert top <= figure.bbox.height
