"""The manual: every page is shown, every command is understood, those of the first page run as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from gembench.cli import build_parser, main
from gembench.commands.guide import ORDER, page

GUIDE = Path(__file__).parents[1] / "gembench" / "guide"


def commands(topic: str) -> list[list[str]]:
    """The words of every gembench command in a page's blocks and lines, without `gembench`."""
    text = page(topic)
    lines = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("gembench ")]


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
def test_commands_and_options_are_gembenchs(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in commands(topic):
        assert callable(build_parser().parse_args(words).run)
    helps = ""
    for command in ("pick", "score", "view", "filter", "templates", "convert", "run"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        helps += capsys.readouterr().out
    of_the_bundle = {"--data", "--results", "--minutes", "--no-tests"}
    for option in set(re.findall(r"`(--[a-z-]+)", page(topic))) - of_the_bundle:
        assert option in helps, option
    for name in set(re.findall(r"gembench guide ([a-z]+)", page(topic))):
        assert name in ORDER, name


def test_the_first_page_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in commands("start"):
        assert main(words) == 0, words
    assert re.search(r"\d+ picks: \d+ true, \d+ false", capsys.readouterr().out)
    assert Path("page.html").stat().st_size > 10_000
    assert {path.name for path in Path("better").glob("*.star")} >= {"picks.star"}


def test_another_topic_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guide", "stars"]) == 2
    assert capsys.readouterr().err == (
        f"gembench: error: guide stars: no such topic; choose one of {', '.join(ORDER)}\n")
