"""`gembench view`: the page in a browser, where one is; its numbers are those of `gembench score`."""

from __future__ import annotations

import html
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gembench.cli import main
from gembench.engine.picks import Picks
from gembench.io.coordinates import read_coordinates, write_coordinates
from gembench.io.images.mrc import write_mrc
from gembench.view.pictures import picture

HOSTILE = "</script><b id=evil>&amp;'\"`${1}.mrc"
NAMES = ["a.mrc", "b.mrc", "c d.mrc"]
COUNTS = {"picks": "n_picks", "particles": "n_truth", "true": "true_positives", "false": "false_positives",
          "unsure": "ignored", "missed": "missed", "precision": "precision", "recall": "recall", "f1": "f1"}


@pytest.fixture(scope="module")
def browser():
    """A function (page, script) that runs a script in a copy of a page and returns what it says."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium: apt install chromium")

    def run(page: Path, script: str, size: str = "1280,900"):
        copy = page.with_name(f"driven-{page.name}")
        wrapped = f"<script>window.said = (() => {{ {script} }})();</script>" \
            "<script>document.body.innerHTML = ''; document.body.textContent =" \
            " '@@' + encodeURIComponent(JSON.stringify(window.said ?? 'failed')) + '@@';</script></body>"
        copy.write_text(page.read_text().replace("</body>", wrapped))
        done = subprocess.run(
            [program, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={size}",
             f"--user-data-dir={page.parent / 'profile'}", "--virtual-time-budget=2000", "--dump-dom",
             copy.as_uri()], capture_output=True, text=True, timeout=120, check=True)
        from urllib.parse import unquote
        return json.loads(unquote(re.search("@@(.*)@@", done.stdout, re.DOTALL)[1]))

    return run


READ = """
const read = () => Object.fromEntries([...document.querySelectorAll("#counts td[data-value]")].map(
  (cell) => [cell.id, cell.dataset.value]));
const at = (value) => { const box = document.getElementById("number"); box.value = value;
  box.dispatchEvent(new Event("input")); return read(); };
const click = (id) => document.getElementById(id).click();
"""


def some(rng, name, n, label=None):
    x, y = np.round(rng.uniform(5, 95, (2, n)), 1)
    score = np.round(rng.uniform(0.1, 0.9, n), 2) if label is None else np.full(n, np.nan)
    view = rng.integers(0, 2, n) if label is None else np.full(n, -1)
    return Picks(name, x, y, score, view=view, label=np.full(n, "") if label is None else label)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three micrographs so crowded that what a pick is changes with the threshold."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(8)
    Path("m").mkdir()
    for name in NAMES:
        write_mrc(Path("m") / name, rng.normal(size=(100, 100)).astype(np.float32), 2.0)
    write_coordinates("picks.star", [some(rng, name, 40) for name in NAMES])
    labels = rng.choice(["side", "side", "top", "unsure"], 25)
    write_coordinates("truth.csv", [some(rng, name, 25, labels) for name in NAMES])
    return tmp_path


def view(*options):
    assert main(["view", *options, "--micrographs", "m", "--quiet", "-o", "page.html"]) == 0
    return Path("page.html").resolve()


def scored(*options, truth="truth.csv", picks="picks.star"):
    words = ["--picks", picks, "--truth", truth, "--radius", "9", "--resamples", "0", "--quiet"]
    assert main(["score", *words, *options, "--json", "score.json"]) == 0
    return json.loads(Path("score.json").read_text())


def numbers(cells):
    """What the page says of the whole set."""
    return {name: float(cells[f"all-{name}"]) for name in COUNTS}


def expected(score):
    return {name: float("nan") if score[key] is None else score[key] for name, key in COUNTS.items()}


@pytest.mark.parametrize("options", [
    [], ["--method", "greedy"], ["--labels", "side", "--views", "0"],
    ["--labels", "side", "--ignore-labels", "top,unsure"],
], ids=" ".join)
def test_the_numbers_are_those_of_score(folder, browser, options):
    thresholds = [-1, 0.3, 0.31, 0.55, 0.8, 5]
    page = view("picks.star", "--truth", "truth.csv", "--radius", "9", *options)
    said = browser(page, f"{READ} return {{cells: {thresholds}.map(at), "
                         "command: document.getElementById('command').textContent}")
    for threshold, cells in zip(thresholds, said["cells"], strict=True):
        np.testing.assert_equal(numbers(cells), expected(scored(*options, "--threshold", str(threshold))))
    words = shlex.split(said["command"])
    assert words[-2:] == ["--threshold", "5"]
    assert main([*words[1:-1], "0.3", "--json", "by_command.json", "--resamples", "0", "--quiet"]) == 0
    by_command = json.loads(Path("by_command.json").read_text())
    np.testing.assert_equal(numbers(said["cells"][1]), expected(by_command))


@pytest.mark.skipif("GEMBENCH_DATA" not in os.environ, reason="GEMBENCH_DATA is not set")
@pytest.mark.parametrize(("name", "options"), [
    ("klh", ["--labels", "side", "--radius", "40"]), ("apoferritin", ["--radius", "20"]),
])
def test_the_numbers_are_those_of_score_on_real_micrographs(tmp_path, browser, name, options):
    """Picks are the annotations, moved by some pixels or left out, and as many anywhere."""
    data, rng = Path(os.environ["GEMBENCH_DATA"]) / name, np.random.default_rng(3)
    made = []
    for marks in read_coordinates(data / "annotations.csv"):
        kept = marks.xy[rng.random(len(marks)) < 0.9]
        places = np.concatenate([kept + rng.normal(0, 12, kept.shape), rng.uniform(0, 2000, kept.shape)])
        made.append(Picks(marks.micrograph, *places.T, score=rng.random(len(places))))
    write_coordinates(tmp_path / "picks.star", made)
    judged = ["--truth", str(data / "annotations.csv"), *options, "--quiet"]
    assert main(["view", str(tmp_path / "picks.star"), "--micrographs", str(data / "micrographs"), *judged,
                 "-o", str(tmp_path / "page.html")]) == 0
    thresholds = [0, 0.25, 0.5, 0.9]
    said = browser(tmp_path / "page.html", f"{READ} return {thresholds}.map(at)")
    for threshold, cells in zip(thresholds, said, strict=True):
        assert main(["score", "--picks", str(tmp_path / "picks.star"), *judged, "--threshold", str(threshold),
                     "--resamples", "0", "--json", str(tmp_path / "score.json")]) == 0
        np.testing.assert_equal(numbers(cells), expected(json.loads((tmp_path / "score.json").read_text())))
    assert numbers(said[0])["true"] > 100


def test_marks_are_set_undone_kept_and_what_score_takes(folder, browser):
    page = view("picks.star", "--truth", "truth.csv", "--radius", "9")
    said = browser(page, READ + """
      let text = ""; const real = URL.createObjectURL;
      window.Blob = class { constructor(parts) { text = parts.join(""); } };
      URL.createObjectURL = () => "#"; URL.revokeObjectURL = () => {};
      const canvas = document.getElementById("view"), box = canvas.getBoundingClientRect();
      const press = (type, x, y) => canvas.dispatchEvent(new PointerEvent(type, {pointerId: 1,
        clientX: box.left + x, clientY: box.top + y, bubbles: true}));
      const before = at(0.3);
      click("annotate");
      for (const [x, y] of [[.3, .3], [.52, .41], [.7, .6]]) {
        press("pointerdown", box.width * x, box.height * y);
        press("pointerup", box.width * x, box.height * y);
      }
      click("undo");
      press("pointerdown", box.width * .5, box.height * .5);
      press("pointermove", box.width * .5 + 30, box.height * .5);
      press("pointerup", box.width * .5 + 30, box.height * .5);
      const edited = read();
      click("adopt");
      const adopted = read();
      click("marks-csv"); const csv = text;
      click("marks-star"); const star = text;
      click("picks-star"); const picks = text;
      const kept = Object.keys(localStorage).length;
      click("undo"); const after = read();
      while (!document.getElementById("undo").disabled) click("undo");
      return {before, edited, adopted, after, end: read(), csv, star, picks, kept};
    """)
    assert numbers(said["edited"]) != numbers(said["before"])
    assert numbers(said["after"]) == numbers(said["edited"])
    assert numbers(said["end"]) == numbers(said["before"])
    assert said["kept"] == 1
    for file in ("marks.csv", "marks.star"):
        Path(file).write_text(said[file.partition(".")[2]])
        score = expected(scored("--threshold", "0.3", truth=file))
        assert {**numbers(said["adopted"]), "unsure": 0, "false": 0, "precision": 0, "f1": 0} == \
            {**score, "unsure": 0, "false": 0, "precision": 0, "f1": 0}
    Path("above.star").write_text(said["picks"])
    np.testing.assert_equal(expected(scored(picks="above.star")), expected(scored("--threshold", "0.3")))
    for above, all_picks in zip(read_coordinates("above.star"), read_coordinates("picks.star"), strict=True):
        kept = all_picks[all_picks.score >= 0.3]
        for column in ("x", "y", "score", "view"):
            assert getattr(above, column).tolist() == getattr(kept, column).tolist()


def test_without_picks_it_is_for_annotating(folder, browser):
    said = browser(view("--box", "12"), READ + """
      let text = ""; window.Blob = class { constructor(parts) { text = parts.join(""); } };
      URL.createObjectURL = () => "#"; URL.revokeObjectURL = () => {};
      const canvas = document.getElementById("view"), box = canvas.getBoundingClientRect();
      const side = Math.min(box.width, box.height);
      const clientX = box.left + (box.width - side) / 2 + side * .25;
      const clientY = box.top + (box.height - side) / 2 + side * .75;
      for (const type of ["pointerdown", "pointerup"])
        canvas.dispatchEvent(new PointerEvent(type, {pointerId: 1, clientX, clientY}));
      click("marks-csv");
      return text;
    """)
    Path("made.csv").write_text(said)
    (marks,) = read_coordinates("made.csv")
    assert marks.micrograph == "a.mrc"
    assert marks.label.tolist() == ["particle"]
    assert marks.xy[0] == pytest.approx([24.5, 74.5], abs=0.3)


def test_without_annotations_the_command_filters(folder, browser):
    said = browser(view("picks.star"), READ + """
      return {cells: at(0.55), command: document.getElementById("command").textContent};
    """)
    assert main(shlex.split(said["command"])[1:]) == 0
    kept = sum(map(len, read_coordinates("chosen-0.55.star")))
    assert said["cells"] == {"here-picks": said["cells"]["here-picks"], "all-picks": str(kept)}


def test_names_are_never_markup(folder, browser):
    name = HOSTILE.replace("/", "_")
    Path("m", "a.mrc").rename(Path("m", name))
    picks = [Picks(HOSTILE if n == 0 else other, np.array([9.0]), np.array([9.0]), np.array([0.5]),
                   label=np.array(["<i>x</i>"])) for n, other in enumerate(NAMES)]
    picks[0] = Picks(name, picks[0].x, picks[0].y, picks[0].score)
    write_coordinates("hostile.csv", picks)
    page = view("hostile.csv", "--truth", "hostile.csv", "--radius", "5")
    text = page.read_text()
    assert text.count("<script") == 2
    assert "<b id=evil" not in text
    said = browser(page, """
      const names = [...document.querySelectorAll("#list b")].map((b) => b.textContent);
      return [document.getElementById("evil"), names, document.querySelectorAll("i").length];
    """)
    assert said == [None, sorted([name, *NAMES[1:]]), 0]


def test_keys_sorting_and_phone_width(folder, browser):
    page = view("picks.star", "--truth", "truth.csv", "--radius", "9")
    said = browser(page, READ + """
      const key = (k) => document.dispatchEvent(new KeyboardEvent("keydown", {key: k}));
      const name = () => document.getElementById("name").textContent;
      const names = [name()]; for (const k of ["n", "n", "n", "p"]) { key(k); names.push(name()); }
      const list = [...document.querySelectorAll("#list b")].map((b) => b.textContent);
      const start = Number(document.getElementById("number").value); key("]");
      const raised = Number(document.getElementById("number").value);
      return {names, list, start, raised, wide: document.documentElement.scrollWidth, window: innerWidth};
    """, size="500,900")
    assert said["names"] == [*said["list"], said["list"][0], said["list"][-1]]
    errors = {entry["micrograph"]: entry["missed"] + entry["false_positives"]
              for entry in scored()["micrographs"]}
    assert said["list"] == sorted(errors, key=lambda name: (-errors[name], name))
    assert said["raised"] > said["start"]
    assert said["wide"] <= said["window"]


def test_score_and_pick_write_the_page(folder, capsys):
    scored("--micrographs", "m", "--page", "score.html")
    assert Path("score.html").read_text() == view(
        "picks.star", "--truth", "truth.csv", "--radius", "9").read_text()
    write_mrc(Path("t.mrcs"), np.pad(np.ones((1, 4, 4), np.float32), ((0, 0), (5, 5), (5, 5))), 2.0)
    words = "pick m --templates t.mrcs --pixel-size 2 --angle-step 90 --contrast bright --threshold 0.2"
    assert main([*words.split(), "-o", "out", "--page", "pick.html", "--quiet"]) == 0
    data = json.loads(re.search(r'id="data">(.*?)</script>', Path("pick.html").read_text())[1])
    assert sum(len(entry["x"]) for entry in data["micrographs"]) == sum(map(len, read_coordinates("out")))
    assert (data["command"], data["output"]) == ("gembench filter out", "chosen")


def test_pictures_are_sampled_and_counts_are_of_all(folder):
    page = view("picks.star", "--pictures", "2")
    data = json.loads(re.search(r'id="data">(.*?)</script>', page.read_text())[1])
    assert [("image" in entry) for entry in data["micrographs"]] == [True, True, False]
    assert data["without"] == 1
    assert [len(entry["x"]) for entry in data["micrographs"]] == [40, 40, 40]


def test_a_micrograph_that_cannot_be_read_has_no_picture(folder, capsys):
    """The others have theirs, a picture of one value too, and all are counted."""
    (folder / "m" / "a.mrc").write_bytes(b"")
    write_mrc(folder / "m" / "b.mrc", np.ones((100, 100), np.float32), 2.0)
    page = view("picks.star").read_text()
    assert "a.mrc: the file is empty; write or copy it again: it has no picture" in capsys.readouterr().err
    assert page.count("data:image/jpeg") == 4  # a picture and a thumbnail of two
    for name in NAMES:
        (folder / "m" / name).write_bytes(b"")
    capsys.readouterr()
    assert main(["view", "picks.star", "--micrographs", "m", "--quiet", "-o", "none.html"]) == 2
    assert "m: none of its micrographs can be read" in capsys.readouterr().err
    assert not Path("none.html").exists()


def test_pictures_keep_to_their_share_of_the_page(tmp_path):
    pixels = np.random.default_rng(1).normal(size=(600, 500)).astype(np.float32)
    write_mrc(tmp_path / "a.mrc", pixels, 1.0)
    assert picture(tmp_path / "a.mrc", 1).binning == 1
    made = picture(tmp_path / "a.mrc", 1000)
    assert len(made.image) * 3 / 4 < 20_100
    assert made.binning > 1
    assert made.shape == (600, 500)
    pixels[:] = 0
    pixels[200:400, 100:300] = 9
    write_mrc(tmp_path / "b.mrc", pixels, 1.0)
    import base64
    import io
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(
        picture(tmp_path / "b.mrc", 1).image.partition(",")[2]))))
    assert shown.shape == (600, 500)
    assert shown[300, 200] > 250
    assert shown[500, 200] < 5


@pytest.mark.parametrize(("options", "message"), [
    (["picks.star", "--truth", "truth.csv"], "give --radius PX"),
    (["picks.star", "--box", "0"], "--box 0: give a size above 0 px"),
    (["picks.star", "--pictures", "-1"], "--pictures -1: give 0 or more"),
    (["other.csv"], "none of its micrographs is one of the picks"),
])
def test_bad_input_is_one_line(folder, capsys, options, message):
    Path("other.csv").write_text("micrograph,x,y\nz.mrc,1,1\n")
    assert main(["view", *options, "--micrographs", "m", "-o", "page.html"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not Path("page.html").exists()


def test_a_page_of_score_needs_the_micrographs(folder, capsys):
    words = ["score", "--picks", "picks.star", "--truth", "truth.csv", "--radius", "9"]
    assert main([*words, "--page", "p.html"]) == 2
    assert "--page p.html: shows picks on micrographs; give --micrographs DIR" in capsys.readouterr().err


def test_the_page_loads_nothing(folder):
    text = view("picks.star").read_text()
    assert "default-src 'none'" in html.unescape(text)
    assert not re.findall(r"""(?:src|href)=["']?https?:""", text)
