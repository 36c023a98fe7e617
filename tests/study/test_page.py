"""The page: its five lines, the gallery, the reader's machine before all others, and figures of few bytes."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gembench.cli import main
from gembench.errors import InputError
from gembench.study.declare.experiment import experiment_files, load_all, load_experiment
from gembench.study.measure.runner import Settings, run_experiment
from gembench.study.measure.store import Row
from gembench.study.tell.claims import Summary, load_claims
from gembench.study.tell.code import Code
from gembench.study.tell.figures import draw, write_figures
from gembench.study.tell.page.answers import lines
from gembench.study.tell.page.gallery import load_figures
from gembench.study.tell.page.inline import shrunk
from gembench.study.tell.report import render
from gembench.study.tell.tables import table_of

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
HOSTILE = "</title><script>x</script> $\\frac{$ [/b] ../../x"
CLAIM = '''
[[claim]]
id = "sums"
where = "Fig. 9"
statement = "Sums are sums."
paper = "45"
experiment = "toy"
expression = 'max(total, n=10)'
reproduced = [45, 45]
partly = [40, 50]
why = "A sum is right or wrong."
holds = [{ n = 10, total = 45 }]
fails = [{ n = 10, total = 4 }]
'''
FIGURE = '''
[[figure]]
name = "Fig. 9"
says = "Sums grow."
experiment = "toy"
drawings = ["none*", ""]
lead = "sums"
'''


@pytest.fixture
def measured(toy: Callable[..., Path], tmp_path: Path) -> Path:
    """A folder with a toy study measured on `planned`, its rows again as those of other machines."""
    folder = toy('grid(arm=["slow", "fast"], n=[10, 20])')
    (folder / "claims.toml").write_text(CLAIM)
    (folder / "figures.toml").write_text(FIGURE)
    results = tmp_path / "results"
    run_experiment(load_experiment(folder / "toy.py"), results, Settings(), tell=lambda line: None)
    (stored,) = (results / "planned" / "toy").glob("*.jsonl")
    head, *rows = stored.read_text().splitlines()
    for number, name in enumerate(["another", HOSTILE]):
        run = json.loads(head)
        run["machine"]["name"] = name
        run["source_hash"] = "other"
        copied = results / f"other{number}" / "toy" / stored.name
        copied.parent.mkdir(parents=True)
        copied.write_text("\n".join([json.dumps(run), *rows]) + "\n")
    return folder


def page(folder: Path, here: str = "planned") -> str:
    return render(load_all(folder), folder.parent / "results", folder / "claims.toml", here=here)


def test_the_readers_machine_comes_first_is_marked_and_the_others_are_folded(measured: Path) -> None:
    for here, other in (("planned", "another"), ("another", "planned")):
        text = page(measured, here)
        assert f"<dd>{here}, this machine: " in text
        assert f'<th>{here}, and others</th>' in text
        section = text[text.index('<section id="toy">'):text.index('<section id="not-measured">')]
        assert f"<details><summary>{other}</summary>" in section
        assert f"<details><summary>{here}</summary>" not in section
        gallery = text[text.index('<article class="row" id="fig-9">'):text.index('<section id="claims">')]
        assert gallery.index("<svg") < gallery.index(f"<summary>The same on {other}: reproduced, measured")


def test_a_machine_without_results_is_told_so(measured: Path) -> None:
    text = page(measured, "nowhere")
    assert "This machine, nowhere, has no results yet: <code>make experiments</code> measures it." in text
    assert ", this machine: " not in text


def test_each_figure_stands_in_the_page_once(measured: Path) -> None:
    text = page(measured)
    assert len(re.findall(r'<svg[^>]*aria-label="toy', text)) == 3
    assert 'Drawn above: <a href="#fig-9">Fig. 9</a>' in text
    assert '<p class="says">Sums grow.</p>' in text
    (measured / "figures.toml").unlink()
    text = page(measured)
    assert len(re.findall(r'<svg[^>]*aria-label="toy', text)) == 3
    assert "Drawn above" not in text


def test_the_ledger_can_be_filtered_and_is_whole_without_a_script(measured: Path) -> None:
    text = page(measured)
    assert '<tr id="claim-sums" data-verdict="reproduced" data-evidence="measured">' in text
    assert 'data-kind="verdict" data-value="reproduced"' in text
    assert 'data-kind="verdict" data-value="partly"' not in text
    assert '<div class="filters" id="filters" hidden>' in text
    assert text.count("<script>") == 1


def test_the_page_says_where_the_code_has_changed_since(measured: Path) -> None:
    own, other = (page(measured, here) for here in ("planned", "another"))
    assert "Measured as of this code." in own
    assert re.search(r"Measured as of commit \w+, code changed since\.", own) is None or "<details>" in own
    row = other[other.index('id="claim-sums"'):]
    assert row.index("code changed since") < row.index("2 other machines")
    row = own[own.index('id="claim-sums"'):]
    assert row.index("2 other machines") < row.index("code changed since")


def test_names_of_machines_are_text_and_nothing_else(measured: Path, tmp_path: Path) -> None:
    text = page(measured, HOSTILE)
    assert "<script>x" not in text
    assert "&lt;script&gt;x" in text
    experiment = load_experiment(measured / "toy.py")
    rows = [row for row in rows_of(measured) if row.machine == HOSTILE]
    assert "\\frac{" in "".join(made.get_text() for made in draw(experiment, rows)[""].texts)
    folder = tmp_path / "deep" / "figures"
    folder.parent.mkdir()
    written = write_figures(experiment, rows_of(measured), folder)
    assert len(written) == 3
    assert all(path.parent == folder and path.is_file() for path in written)


def test_names_are_no_markup_of_the_terminal(
    measured: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, folders = measured / "toy.py", ["--experiments", str(measured), "--results",
                                          str(measured.parent / "results")]
    file.write_text(file.read_text().replace('title="A toy"', 'title="A [/b] toy"'))
    for words in (["list"], ["list", "toy"], ["claims"]):
        assert main([*words, *folders]) == 0
        assert "[/b]" in capsys.readouterr().out
    (measured.parent / "[" / "b]").mkdir(parents=True)
    monkeypatch.setenv("GEMBENCH_DATA", str(measured.parent / "[/b]"))
    assert main(["data", "list"]) == 0
    assert main(["machine"]) == 0


def rows_of(folder: Path) -> list[Row]:
    from gembench.study.tell.figures import declared_rows

    return declared_rows(folder.parent / "results", load_experiment(folder / "toy.py"), "default")


FACTS = {"started": "2026-01-02T", "machine": {"name": "planned", "cpu": "Toy CPU", "cores": 4, "gpus": []}}


def answers(rows: dict[str, list[Row]], summary: Summary | None = None) -> dict[str, str]:
    return {line.question: line.answer for line in lines("planned", "planned", FACTS, rows, summary)}


def test_five_lines_answer_five_questions(row: Callable[..., Row]) -> None:
    library = {"precision": "float32", "n": 4096}
    search = {"method": "exact", "n": 4096}
    klh = {"angle_step": 4, "symmetry": False}
    answered = answers({
        "threads": [row([2.0], threads=1, **search), row([0.5], threads=4, **search),
                    row([9.0], method="paper", n=4096, threads=4)],
        "fft_libraries": [row([3.0], library="fftw", **library), row([1.5], library="ducc0", **library),
                          row([0.01], library="cufft", **library)],
        "picking": [row([1.0], metrics={"seconds_per_micrograph": 0.25}, data="klh", **klh),
                row([1.0], metrics={"seconds_per_micrograph": 0.1}, data="simulated", **klh)],
        "gpus": [row(status="skipped", reason="no CUDA device: x", device="gpu"),
                 row(status="skipped", reason="this machine has 4 cores", device="cpu")],
        "peers": [row(status="skipped", reason="relion_autopick is not on PATH: apt install relion", picker=n)
                  for n in range(2)],
    }, Summary("planned", 9, {
        ("reproduced", "measured"): 3, ("reproduced", "emulated"): 1, ("not reproduced", "measured"): 1,
        ("holds on simulated data", "simulated data"): 2, ("follows from the model", "model"): 1,
        ("not testable here", ""): 1}))
    assert list(answered) == ["Whose results?", "Did it reproduce?", "How fast is it here?",
                              "Which FFT library should I use?", "What to install to know more?"]
    assert answered["Whose results?"].startswith("planned, this machine: Toy CPU, 4 cores, no GPU; 8 cases")
    assert answered["Did it reproduce?"] == (
        "Of 9 statements 3 are reproduced by measurement and 1 by emulation; 1 not reproduced. Apart from"
        " these, 2 hold on simulated data and 1 follow from the model. 1 cannot be tested here.")
    fast = answered["How fast is it here?"]
    assert fast.startswith("2 templates/s on 4 cores at 4096 × 4096 (the paper: 2.0")
    assert "250 ms a micrograph of KLH" in fast
    assert answered["Which FFT library should I use?"] == (
        "On one core ducc0, 2.00 (2.00..2.00) times as fast as FFTW at 4096 × 4096: `pick --fft ducc0`.")
    assert answered["What to install to know more?"] == (
        "`apt install relion` (2 cases); an NVIDIA GPU with CuPy (1 cases).")


def test_a_time_on_a_gpu_is_said_to_be_one(row: Callable[..., Row]) -> None:
    klh = {"angle_step": 4, "symmetry": False, "data": "klh"}
    picked = [row([1.0], metrics={"seconds_per_micrograph": 0.25}, **klh),
              row([1.0], metrics={"seconds_per_micrograph": 0.1}, device="gpu", **klh)]
    for rows, expected in ((picked[:1], "250 ms a micrograph of KLH with 180 templates (the"),
                           (picked, "100 ms a micrograph of KLH with 180 templates on a GPU (the")):
        assert expected in answers({"picking": rows})["How fast is it here?"]


def test_lines_without_rows_name_the_commands_that_measure() -> None:
    answered = answers({})
    assert "`gembench run threads`" in answered["How fast is it here?"]
    assert "`gembench run fft_libraries`" in answered["Which FFT library should I use?"]
    assert answered["What to install to know more?"].startswith("Nothing")


def test_the_papers_figures_are_all_there_and_answered_by_studies_and_claims() -> None:
    figures = load_figures(EXPERIMENTS / "figures.toml")
    assert [figure.name for figure in figures] == [
        "Fig. 2", "Fig. 3a", "Fig. 3b", "Fig. 4", "Fig. 5", "Fig. 6", "Fig. 7", "Fig. 8"]
    assert {figure.experiment for figure in figures} <= set(experiment_files(EXPERIMENTS))
    claims = {claim.id for claim in load_claims(EXPERIMENTS / "claims.toml")}
    assert {figure.lead for figure in figures} <= claims


@pytest.mark.parametrize("text", ["[[figure]]\nname = 1", "[", "[[figure]]\nname = 'Fig. 9'\nmore = 2"])
def test_a_broken_list_of_figures_is_one_clear_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "figures.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"figures\.toml"):
        load_figures(path)


def test_a_table_leaves_out_what_every_case_has(row: Callable[..., Row], toy: Callable[..., Path]) -> None:
    experiment = load_experiment(toy() / "toy.py")
    several = [row([1.0], arm=arm, n=10) for arm in ("slow", "fast")]
    table, same = table_of(experiment, several, ["planned"]).narrowed()
    assert (table.axes, same) == (["arm"], "n=10")
    assert [axes for axes, _ in table.rows] == [["slow"], ["fast"]]
    table, same = table_of(experiment, several[:1], ["planned"]).narrowed()
    assert (table.axes, same) == (["n", "arm"], "")


def test_rows_of_two_codes_are_told_apart(row: Callable[..., Row], toy: Callable[..., Path]) -> None:
    experiment = load_experiment(toy() / "toy.py")
    old, new = row([1.0], arm="slow", n=10), row([1.0], arm="fast", n=10)
    new = replace(new, run={**new.run, "source_hash": "now"})
    table = table_of(experiment, [old, new], ["planned"], Code("now"))
    assert table.columns[-1] == "code"
    assert [cells[-1].text for _, cells in table.rows] == [
        "as of commit 0123456789, code changed since", "as of this code"]
    assert table_of(experiment, [new], ["planned"], Code("now")).columns[-1] == "peak memory"


def picture(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return f'xlink:href="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"'


def test_a_figure_keeps_its_words_and_loses_digits_and_large_noise() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (200, 200, 4), dtype=np.uint8)
    clear = noise.copy()
    noise[..., 3] = 255
    small = noise[:8, :8]
    text = '<g id="axes_1"><path d="M 1.234567 -0.50001 L 10 20.000"/><text>0.123456 s</text></g>'
    drawn = shrunk(f"{text}<image {picture(noise)}/><image {picture(clear)}/><image {picture(small)}/>")
    assert drawn.startswith('<g><path d="M 1.23 -0.5 L 10 20"/>')
    kinds = re.findall(r"data:image/(\w+)", drawn)
    assert kinds == ["jpeg", "png", "png"]
    assert picture(clear) in drawn
