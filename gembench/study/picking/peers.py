"""The same work on every peer: its pace on a planted micrograph, and its picks of annotated ones."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import Any

from gembench.data import klh
from gembench.data.annotated import SIMULATED, annotated, not_asked_for
from gembench.engine.peaks import PeakSettings
from gembench.machine import cores
from gembench.peers import PEERS
from gembench.peers.picking import Picking, rules
from gembench.peers.program import memory_here
from gembench.peers.speed import Task, speed_task, turns_for
from gembench.picking.prepare import load_bank
from gembench.picking.settings import PickSettings
from gembench.study.declare.cases import Case

THRESHOLD = 0.3  # the paper's, for gEMpicker and FindEM alike
GEMPICKER = PeakSettings("gempicker", THRESHOLD, 0.9, max_picks=100)  # the rules for peaks of 2013
FURTHER = 3.5  # times the resolution of our filter, which has left nothing there: what RELION reduces to
ROUNDS = 4  # at the most; a round of the picks is a share of the micrographs
# Turned templates that show the pace of each; RELION needs most, since its pace is a difference of two runs
TURNS = {"gembench": 36, "gembench-paper": 9, "pytme": 9, "opencv": 4, "scikit-image": 3, "relion": 12,
         "gempicker": 10, "findem": 10, "transforms": 12}
LOWPASSED = {"gembench": 36, "gembench-banded": 180, "relion": 180}


def threads(case: Case) -> int:
    """What a case may use."""
    return 1 if case.cores == "one" else cores()


def skip(case: Case) -> str:
    """Why the picker cannot do this here."""
    if case.cores == "all" and cores() == 1:
        return "there is one core, which the other cases use"
    here = "" if case.task == "speed" else not_asked_for(case.data, klh.NAME)
    return PEERS[case.picker].unavailable() or here


def evidence(case: Case) -> str:
    """Picks on micrographs of our simulator say nothing of real ones; speed does not depend on pixels."""
    return "measured" if case.task == "speed" or case.data != SIMULATED else "simulated data"


def setup(case: Case) -> Task | Picking:
    """A peer with its templates, and its micrographs."""
    return _speed_setup(case) if case.task == "speed" else _picks_setup(case)


def _speed_setup(case: Case) -> Task:
    """One planted micrograph, and as many turns of one template as show the picker's pace."""
    least = (LOWPASSED if case.lowpass else TURNS).get(case.picker, 36)
    task = speed_task(
        PEERS[case.picker], case.n, case.template, case.mask, turns_for(least, threads(case)),
        lowpass=case.lowpass, threads=threads(case),
    )
    if task.peer.prepares:
        task.peer.match(task.work.micrograph)
    return task


def _picks_setup(case: Case) -> Picking:
    """Annotated micrographs, and their views turned; symmetry spares what looks the same."""
    data, kind = annotated(case.data, case.micrographs), PEERS[case.picker]
    target, as_in_2013 = data.target, case.task == "picks-2013"
    settings = PickSettings(
        data.pixel_size, case.angle_step, target.contrast,
        symmetry=target.symmetry if case.symmetry else None,
        **({"average": 4} if as_in_2013 else {"average": 1, "lowpass": target.lowpass}),
    )
    bank, _ = load_bank(data.templates, data.masks, settings)
    peaks = rules(kind, bank, target)
    if as_in_2013:
        peaks = GEMPICKER if case.picker == "gembench" else replace(peaks, threshold=THRESHOLD)
    peer = kind(bank, threads=threads(case), pixel_size=data.pixel_size, lowpass=target.lowpass / FURTHER,
                peaks=peaks)
    share = ceil(len(data.micrographs) / ROUNDS)
    return Picking(peer, data, settings, share, peaks, THRESHOLD if as_in_2013 else None)


def run(inputs: Any, case: Case) -> Any:
    """One micrograph searched with all templates, or a share of the micrographs picked."""
    return inputs.peer.match(inputs.work.micrograph) if case.task == "speed" else inputs.next_share()


def check(output: Any, inputs: Any, case: Case) -> dict[str, Any] | None:
    """Scores at planted and other places beside the direct sum; a peer that scores otherwise is compared."""
    return inputs.check(output) if case.task == "speed" else None


def seconds(output: Any, inputs: Any, case: Case) -> float:
    """Seconds a template at the steady pace, or a micrograph."""
    return float(output.pace if case.task == "speed" else sum(output) / len(output))


def metrics(output: Any, inputs: Any, case: Case) -> dict[str, Any]:
    """What was used, how much memory it took, and what was found."""
    held = (output if case.task == "speed" else inputs).memory or memory_here()
    values = {"version": inputs.peer.version(), "templates_turned_by": inputs.peer.turns,
              "memory_mib": held / 2**20}
    return values | ({"templates": output.templates} if case.task == "speed" else inputs.metrics())
