"""The manual: every page is shown, its options, pictures, paths and tables are true; tests/guide runs it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from gembench.cli import main
from gembench.commands.guide import ORDER, page
from gembench.engine.exact.plan import Plan
from gembench.engine.picks import Picks
from gembench.engine.search import Method
from gembench.engine.turning import rotate
from gembench.io.coordinates import read_coordinates, write_coordinates

GUIDE = Path(__file__).parents[1] / "gembench" / "guide"


def test_every_page_is_a_topic() -> None:
    assert {path.stem for path in GUIDE.glob("*.md")} == set(ORDER)


@pytest.mark.parametrize("topic", ORDER)
def test_a_page_is_shown(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guide", topic]) == 0
    shown = capsys.readouterr().out
    assert page(topic).splitlines()[0].lstrip("# ") in shown
    assert "```" not in shown
    assert main(["guide"]) == 0
    assert re.search(rf"^{topic} +\S", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize("topic", ORDER)
def test_options_and_topics_are_gembenchs(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    helps = ""
    for command in ("pick", "score", "view", "filter", "templates", "convert", "run", "tune"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        helps += capsys.readouterr().out
    others = {"--data", "--results", "--minutes", "--no-tests", "--cpu-bind", "--mpi"}  # bundle, Slurm
    for option in set(re.findall(r"`(--[a-z-]+)", page(topic))) - others:
        assert option in helps, option
    for name in set(re.findall(r"gembench guide ([a-z]+)", page(topic))):
        assert name in ORDER, name


def test_another_topic_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guide", "stars"]) == 2
    assert capsys.readouterr().err == (
        f"gembench: error: guide stars: no such topic; choose one of {', '.join(ORDER)}\n")


@pytest.mark.parametrize("topic", ORDER)
def test_pictures_are_there_with_their_text(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every picture has a ground of its own, says what it shows, and is text in a terminal."""
    text = page(topic)
    pictures = re.findall(r"^!\[([^\n]*)\]\((\S*)\)\n\n<details>[^\n]*\n\n```text\n(.*?)```\n\n</details>$",
                          text, re.DOTALL | re.MULTILINE)
    assert len(pictures) == text.count("![")
    main(["guide", topic])
    shown = capsys.readouterr().out
    assert not re.search("details|summary>|\\.svg", shown)
    for says, name, drawn in pictures:
        assert len(says) > 40
        picture = ElementTree.fromstring((GUIDE / name).read_text(encoding="utf-8"))
        _, _, width, height = map(int, picture.attrib["viewBox"].split())
        ground = picture.find("{http://www.w3.org/2000/svg}rect")
        assert ground is not None
        assert ground.attrib["fill"] == "#ffffff"
        assert (int(ground.attrib["width"]), int(ground.attrib["height"])) == (width - 2, height - 2)
        for line in drawn.splitlines():
            assert line.rstrip() in shown


def test_every_picture_is_shown_and_packed() -> None:
    """All files of the manual lie in the package, whose wheel takes whatever git does not ignore."""
    shown = {name for topic in ORDER for name in re.findall(r"\]\(([a-z]+\.svg)\)", page(topic))}
    assert shown == {path.name for path in GUIDE.glob("*.svg")}
    build = tomllib.loads((GUIDE.parents[1] / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert build["targets"]["wheel"]["packages"] == ["gembench"]
    assert not {"exclude", "only-include", "artifacts"} & {*build, *build["targets"]["wheel"]}
    assert "svg" not in (GUIDE.parents[1] / ".gitignore").read_text()


def test_the_pictures_tell_the_truth(tmp_path: Path) -> None:
    """The corner of a box, a turn by psi, and rows from the bottom, as the page's pictures have them."""
    write_coordinates(tmp_path / "a.box", [Picks("a", [4], [3])], box_size=4)
    assert (tmp_path / "a.box").read_text().split() == ["2", "1", "4", "4"]
    shape = np.zeros((9, 9))
    shape[1:8, 4] = shape[7, 4:7] = 1
    turned = rotate(shape, 90.0)
    assert turned[4, 1:8].tolist() == [1] * 7
    assert turned[2:4, 7].tolist() == [1, 1]
    (flipped,) = read_coordinates(_written(tmp_path / "b.csv", "x,y\n3,4\n"), shape=(6, 6), flip_y=True)
    assert flipped.xy.tolist() == [[3, 1]]


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_tree_and_what_to_copy_are_there() -> None:
    """Every path of the page on contributing exists, and everything named in it."""
    root, text = GUIDE.parents[1], page("contributing")
    tree = re.search(r"```text\n(.*?)```", text, re.DOTALL)
    assert tree is not None
    lines = tree[1].splitlines()
    assert len(lines) == 15
    for line in lines:
        for name in line[:34].rstrip().split(", "):
            assert (root / name).exists() or (root / "gembench" / name).exists(), name
    for name in re.findall(r"`((?:gembench|experiments)/[\w/.]+)`", text):
        assert (root / name).exists(), name
    for name, file in (("_pillow_pixels", "io/images/imageload"), ("IMAGE_EXTENSIONS", "io/names"),
                       ("REDUCTIONS", "engine/mpi/reductions/__init__"), ("ScipyFFT", "engine/fft/pocketfft"),
                       ("FOR_PICKING", "engine/mpi/reductions/__init__")):
        assert name in text
        assert re.search(rf"^(def |class )?{name}\b", (root / "gembench" / f"{file}.py").read_text(), re.M)


def test_the_table_of_memory_is_the_plan_s() -> None:
    """GiB at 12 and at 3 transforms under way, one view with a mask of its own and one with a disc."""
    rows = []
    for size in (2048, 4096):
        for threads in (1, 4, 16):
            ways: tuple[tuple[Method, int, int], ...] = (("exact", 12, 1), ("exact", 3, 1), ("paper", 3, 0))
            plans = [Plan(method, np.dtype(np.float32), (size, size), (272, 272), "mask", 0, (size, size),
                          threads, halves, shared) for method, halves, shared in ways]
            rows.append(f"| {size} x {size} | {threads} | "
                        + " | ".join(f"{plan.bytes / 2**30:.2f}" for plan in plans) + " |")
    assert [line for line in page("memory").splitlines() if re.match(r"\| \d+ x", line)] == rows
