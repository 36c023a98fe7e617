"""The five lines that open the page: whose machine, did it reproduce, how fast, which library, what next."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gembench.drawing import style
from gembench.study.measure.store import Row
from gembench.study.tell import bands
from gembench.study.tell.claims import Summary
from gembench.study.tell.tables import speed_up
from gembench.study.tell.text import number_text, seconds_text

KLH_STEP = 4  # degrees between the paper's templates of KLH
LOCAL = re.compile(r"this machine has|are here instead|there is one core|libraries together need")


@dataclass(frozen=True)
class Line:
    """One line: the question, its answer, and where in the page there is more."""

    question: str
    answer: str
    anchor: str = ""


def value(row: Row, name: str) -> Any:
    """An axis or a metric, None where the row has neither."""
    return row.case.get(name, row.metrics.get(name))


def chosen(rows: Iterable[Row], **values: Any) -> list[Row]:
    """The measured rows with these values."""
    return [row for row in rows if row.ok and all(value(row, name) == wish for name, wish in values.items())]


def lines(
    machine: str, here: str, facts: Mapping[str, Any], rows: Mapping[str, Sequence[Row]],
    summary: Summary | None,
) -> list[Line]:
    """The five lines for one machine.

    machine: whose results the page shows first, '' if there are none; here: the machine that writes the page
    facts: its run record; rows: its rows by study
    """
    if not machine:
        return [Line("Whose results?", f"None yet. On {here}, this machine: `make experiments`.")]
    return [
        _whose(machine, here, facts, rows),
        _reproduced(summary),
        _speed(rows),
        _library(rows.get("fft_libraries", ())),
        _next(rows),
    ]


def _whose(machine: str, here: str, run: Mapping[str, Any], rows: Mapping[str, Sequence[Row]]) -> Line:
    hardware = run["machine"]
    gpus = ", ".join(str(gpu["name"]) for gpu in hardware["gpus"]) or "no GPU"
    measured = sum(row.ok for own in rows.values() for row in own)
    mark = ", this machine" if machine == here else ""
    text = (f"{machine}{mark}: {hardware['cpu']}, {hardware['cores']} cores, {gpus};"
            f" {measured} cases measured, last on {str(run['started'])[:10]}.")
    if machine != here:
        text += f" This machine, {here}, has no results yet: `make experiments` measures it."
    return Line("Whose results?", text, "machines")


def _reproduced(summary: Summary | None) -> Line:
    question = "Did it reproduce?"
    if summary is None:
        return Line(question, "No statement of the paper is judged.")
    count = summary.of
    text = (f"Of {summary.statements} statements {count('reproduced', 'measured')} are reproduced by"
            f" measurement and {count('reproduced', 'emulated')} by emulation")
    parts = [f"{count(verdict)} {words}" for verdict, words in (
        ("exceeded", "exceeded"), ("partly", "in part"), ("not reproduced", "not reproduced"),
        ("unsettled", "unsettled")) if count(verdict)]
    text += f"; {', '.join(parts)}." if parts else "."
    apart = [f"{count(verdict)} {words}" for verdict, words in (
        ("holds on simulated data", "hold on simulated data"),
        ("follows from the model", "follow from the model")) if count(verdict)]
    text += f" Apart from these, {' and '.join(apart)}." if apart else ""
    rest = [f"{count(verdict)} {words}" for verdict, words in (
        ("not testable here", "cannot be tested here"), ("not judged", "are not judged")) if count(verdict)]
    return Line(question, text + (f" {', '.join(rest)}." if rest else ""), "claims")


def _speed(rows: Mapping[str, Sequence[Row]]) -> Line:
    """Templates a second on all cores and on a GPU, seconds of a KLH micrograph, the paper's beside them."""
    parts = []
    searches = chosen(rows.get("threads", ()), method="exact")
    if searches:
        row = max(searches, key=lambda row: (value(row, "n") or 0, value(row, "threads") or 0))
        parts.append(f"{number_text(1 / row.median)} templates/s on {row['threads']} cores at"
                     f" {row['n']} × {row['n']} (the paper: 2.0 on 8 cores)")
    gpus = chosen(rows.get("gpus", ()), device="gpu", devices=1, n=4096, precision="float32", mask="own",
                  batch="auto", spectra="single")
    parts += [f"{number_text(1 / row.median)} templates/s on one GPU at 4096 × 4096 (the paper: 22.9)"
              for row in gpus[:1]]
    picked = [row for row in rows.get("picking", ()) if row.ok and value(row, "data") in bands.PAPER_SETS
              and value(row, "seconds_per_micrograph")
              and value(row, "angle_step") == KLH_STEP and not value(row, "symmetry")]
    real = [row for row in picked if value(row, "data") == "klh"] or picked
    if real:
        seconds, fastest = min((float(value(row, "seconds_per_micrograph")), row.name) for row in real)
        kind = "KLH" if "data=klh" in fastest else "simulated KLH"
        where = " on a GPU" if "device=gpu" in fastest else ""
        parts.append(f"{seconds_text(seconds)} a micrograph of {kind} with 180 templates{where}"
                     " (the paper: 72.8 s on a core)")
    question = "How fast is it here?"
    if not parts:
        return Line(question, "Not measured yet: `gembench run threads` and `gembench run picking`.")
    return Line(question, "; ".join(parts) + ".", "threads")


def _library(rows: Sequence[Row]) -> Line:
    """The fastest library at KLH's size and at the largest that was measured."""
    question, fastest = "Which FFT library should I use?", {}
    single = [row for row in chosen(rows, precision="float32") if row["library"] != "cufft"]
    for n in sorted({row["n"] for row in single}):
        at = {row["library"]: row for row in single if row["n"] == n}
        if len(at) > 1 and "fftw" in at:
            best = min(at.values(), key=lambda row: row.median)
            fastest[n] = best["library"], speed_up(at["fftw"], best)
    if not fastest:
        return Line(question, "Not measured yet: `gembench run fft_libraries`.")
    shown = {n: fastest[n] for n in fastest if n in (2048, 4096)} or {max(fastest): fastest[max(fastest)]}
    by_name: dict[str, list[str]] = {}
    for n, (name, (middle, low, high)) in shown.items():
        lead = f" {middle:.2f} ({low:.2f}..{high:.2f}) times as fast as FFTW" if name != "fftw" else ""
        by_name.setdefault(name, []).append(f"{lead} at {n} × {n}".strip())
    text = "; ".join(f"{style.label(name)}, {' and '.join(places)}" for name, places in by_name.items())
    return Line(question, f"On one core {text}: `pick --fft {list(by_name)[-1]}`.", "fft_libraries")


def _next(rows: Mapping[str, Sequence[Row]]) -> Line:
    """What skipped cases ask for, the most cases first."""
    asks: dict[str, int] = {}
    for row in (row for own in rows.values() for row in own):
        if row.status == "skipped" and not LOCAL.search(row.reason):
            gpu = "no CUDA device" in row.reason and not row.run["machine"].get("gpus")
            ask = "an NVIDIA GPU with CuPy" if gpu else _remedy(row.reason)
            asks[ask] = asks.get(ask, 0) + 1
    most = sorted(asks.items(), key=lambda item: (-item[1], item[0]))[:4]
    text = "; ".join(f"{ask} ({cases} cases)" for ask, cases in most) or "Nothing: no case waits for anything"
    return Line("What to install to know more?", f"{text}.", "not-measured")


def _remedy(reason: str) -> str:
    """The command that a reason names, else the whole reason."""
    command = re.search(r"`([^`]+)`|(?:Debian: )?\b((?:apt|apt-get|pip) install [\w.\- ]+)", reason)
    return f"`{command[1] or command[2].strip()}`" if command else reason
