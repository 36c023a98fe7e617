"""What a set's masks and record say of its particles, and what does not fit them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gembench.cli import main
from gembench.data.annotated import annotated, annotated_set
from gembench.data.klh import TARGET
from gembench.data.sets import open_set
from gembench.data.target import target_of
from gembench.io.images.mrc import read_stack, write_mrc, write_stack

BOX = 64


@pytest.fixture
def stacks(tmp_path):
    """Two templates whose masks are 40 x 40 and 20 x 80 pixels, cut at the box."""
    masks = np.zeros((2, BOX, BOX), np.float32)
    masks[0, 12:52, 12:52] = masks[1, 22:42] = 1
    write_stack(tmp_path / "templates.mrcs", np.random.default_rng(1).random((2, BOX, BOX)), 2.5)
    write_stack(tmp_path / "masks.mrcs", masks, 2.5)
    return tmp_path / "templates.mrcs", tmp_path / "masks.mrcs"


def test_lengths_follow_from_the_smallest_mask_unless_the_record_says(stacks):
    target = target_of("mine", {}, *stacks, 2.5, ["a", "b", "unsure"])
    width = np.sqrt(20 * 64)  # 35.8
    assert (target.radius, target.distance, target.border) == (9, 27, 18)
    assert target.lowpass == pytest.approx(width * 2.5 / 5, abs=0.05)
    assert (target.box, target.symmetry, target.views, target.contrast) == (BOX, (1, 1), (), "dark")
    record = {"radius": 5, "distance": 31.5, "border": 7, "lowpass": 40, "symmetry": [2, 0],
              "contrast": "bright", "views": ["b", "a"], "labels": ["a"]}
    target = target_of("mine", record, *stacks, 2.5, ["a", "b", "unsure"])
    assert (target.radius, target.distance, target.border, target.lowpass) == (5, 31.5, 7, 40)
    assert (target.symmetry, target.contrast, target.views) == ((2, 0), "bright", ("b", "a"))
    assert (target.labels, target.shown, target.label) == (("a",), (1,), "a")
    assert target.counts(np.array([0, 1])).tolist() == [False, True]
    assert target.marked(np.array(["a", "b", "unsure"])).tolist() == [True, False, False]


def test_without_labels_all_but_unsure_marks_are_particles(stacks):
    target = target_of("mine", {}, *stacks, 2.5, ["a", "b", "unsure"])
    assert target.marked(np.array(["a", "b", "unsure"])).tolist() == [True, True, False]
    assert target.counts(np.array([0, 1])).all()
    assert target.label == ""


@pytest.mark.parametrize(("record", "marks", "shown", "absent"), [
    ({"views": ["a", "top"]}, ["a", "unsure"], (0,), "'top'"),  # nobody annotated top views
    ({"views": ["tpo", "b"]}, ["a", "b"], (1,), "'tpo'"),
    ({"views": ["a", "top"], "labels": ["a"]}, ["a", "b"], (0,), "'top'"),
    ({"views": ["b", "a"]}, ["a", "b"], None, ""),
    ({"views": ["a", "a"]}, ["a", "b"], None, ""),
    ({"views": ["a", "top"]}, ["a", ""], None, "'top'"),  # those without a label may be top views
    ({"views": ["a", "b"]}, [""], None, ""),
    ({"views": ["a", "b"]}, [], None, ""),
])
def test_only_annotated_views_are_judged(stacks, caplog, record, marks, shown, absent):
    assert target_of("mine", record, *stacks, 2.5, marks).shown == shown
    warned = f"no annotation is labelled {absent}{', and picks of it are not judged' if shown else ';'}"
    assert [warned in line for line in caplog.messages] == [True] * bool(absent)


def test_klh_is_judged_by_its_side_views(stacks):
    assert TARGET.marked(np.array(["side", "top", "unsure"])).tolist() == [True, False, False]
    assert TARGET.counts(np.array([0, 1])).tolist() == [True, False]
    assert (TARGET.radius, TARGET.distance, TARGET.border) == (40, 120, 75)
    assert (TARGET.box, TARGET.lowpass, TARGET.symmetry) == (272, 70, (2, 0))


@pytest.mark.parametrize(("record", "message"), [
    ({"views": ["a"]}, "are 1, and there are 2 templates"),
    ({"views": ["sdie", "tpo"]}, "no annotation is labelled 'sdie', 'tpo'; there are 'a', 'b'"),
    ({"views": ["a", "c"], "labels": ["b"]}, "and no pick would be judged; the \"views\" are 'a', 'c'"),
    ({"views": "ab"}, "is not a list of str"),
    ({"symmetry": [1, 2.0]}, "is not a list of int"),
    ({"symmetry": [1, -2]}, "1 or more, or 0 for any turn"),
    ({"labels": ["c"]}, "no annotation is labelled 'c'; there are 'a', 'b'"),
    ({"labels": []}, "is not a list of str"),
    ({"radius": 0}, "0 is not a number above 0"),
    ({"distance": "9"}, "'9' is not a number above 0"),
    ({"lowpass": float("inf")}, "inf is not a number above 0"),
    ({"contrast": "grey"}, "neither dark nor bright"),
])
def test_a_record_that_does_not_fit_is_named(stacks, record, message):
    with pytest.raises(Exception, match="mine") as raised:
        target_of("mine", record, *stacks, 2.5, ["a", "b", "unsure"])
    assert message in str(raised.value)


@pytest.fixture
def source(tmp_path, stacks, monkeypatch):
    """A folder with what can be imported, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("GEMBENCH_DATA", raising=False)
    (tmp_path / "images").mkdir()
    for name in ("m1", "m2"):
        image = np.random.default_rng(2).normal(size=(100, 100))
        write_mrc(tmp_path / "images" / f"{name}.mrc", image, 2.5)
    marks = ["m1.mrc,50,50,a", "m1.mrc,20,30,b", "m2.mrc,40,40,unsure"]
    (tmp_path / "marks.csv").write_text("\n".join(["micrograph,x,y,label", *marks]))
    return tmp_path


def imported(source, *options):
    return main(["data", "import", str(source / "images"), "--name", "mine", "--annotations",
                 str(source / "marks.csv"), "--quiet", *options])


def test_an_imported_set_holds_all_that_studies_need(source, stacks):
    assert imported(source, "--templates", str(stacks[0]), "--masks", str(stacks[1]), "--views", "a,b",
                    "--symmetry", "2,0", "--labels", "a", "--radius", "7.5") == 0
    folder = source / "cache" / "gembench" / "data" / "mine"
    assert json.loads((folder / "set.json").read_text()) == {
        "pixel_size": 2.5, "radius": 7.5, "views": ["a", "b"], "labels": ["a"], "symmetry": [2, 0]}
    for name, file in zip(("templates", "masks"), stacks, strict=True):
        np.testing.assert_array_equal(read_stack(folder / f"{name}.mrcs")[0], read_stack(file)[0])
    data = annotated("mine", "all")
    assert len(data.micrographs) == 2
    assert (data.target.radius, data.target.shown, data.target.symmetry) == (7.5, (0,), (2, 0))
    assert data.described().startswith("1 a views on 2 micrographs, by whom is not said")


def test_the_first_micrographs_are_judged_as_the_whole_set_is(source, stacks):
    (source / "marks.csv").write_text("micrograph,x,y,label\nm1.mrc,50,50,a\nm2.mrc,40,40,b\n")
    assert imported(source, "--templates", str(stacks[0]), "--views", "b,a", "--labels", "b") == 0
    first = annotated("mine", 1)
    assert [str(path.name) for path in first.micrographs] == ["m1.mrc"]
    assert (first.target.labels, first.target.shown) == (("b",), (0,))
    assert first.first(1).target == annotated("mine", "all").target


def test_without_masks_the_largest_disc_is_every_views(source, stacks):
    assert imported(source, "--templates", str(stacks[0])) == 0
    masks = read_stack(annotated_set("mine").masks)[0]
    assert masks.shape == (2, BOX, BOX)
    assert np.pi / 4 * 0.9 < masks[1].mean() < np.pi / 4


@pytest.mark.parametrize(("options", "message"), [
    (["--views", "a"], "are 1, and there are 2 templates"),
    (["--symmetry", "2,x"], "--symmetry 2,x: give a number for each template"),
    (["--labels", "c"], "no annotation is labelled 'c'"),
    (["--views", "sdie,tpo"], "no annotation is labelled 'sdie', 'tpo'"),
    (["--views", "a,top", "--labels", "b"], "and no pick would be judged"),
    (["--border", "0"], "0.0 is not a number above 0"),
])
def test_options_that_do_not_fit_import_nothing(source, stacks, capsys, options, message):
    assert imported(source, "--templates", str(stacks[0]), "--masks", str(stacks[1]), *options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (source / "cache" / "gembench" / "data" / "mine").exists()


def test_masks_and_views_are_of_templates(source, stacks, capsys):
    assert imported(source, "--masks", str(stacks[1])) == 2
    assert "give --templates too" in capsys.readouterr().err
    assert imported(source, "--views", "a") == 2
    assert "give --templates too" in capsys.readouterr().err
    small = source / "small.mrcs"
    write_stack(small, np.ones((2, 8, 8)), 2.5)
    assert imported(source, "--templates", str(stacks[0]), "--masks", str(small)) == 2
    assert "small.mrcs" in capsys.readouterr().err
    assert imported(source) == 0
    assert open_set(source / "cache" / "gembench" / "data" / "mine").templates is None
