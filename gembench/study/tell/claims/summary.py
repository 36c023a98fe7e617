"""The ledger in sum: what was reproduced by measurement, and what rests on less; as sentences and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gembench.study.tell.claims.claim import VERDICTS, Verdict

Judged = Sequence[Sequence[Verdict]]


@dataclass(frozen=True)
class Summary:
    """How many of the statements have which verdict on one machine, '' where nothing was measured.

    counts: (verdict, evidence) -> statements; evidence is '' where no row was read
    """

    machine: str
    statements: int
    counts: Mapping[tuple[str, str], int]

    def of(self, verdict: str, evidence: str | None = None) -> int:
        """How many statements have this verdict, by this evidence or by any."""
        return sum(number for (name, kind), number in self.counts.items()
                   if name == verdict and evidence in (None, kind))

    @property
    def sentence(self) -> str:
        """What is reproduced by measurement and by emulation first, what rests on less after it."""
        by_evidence = {"reproduced", "partly", "exceeded", "not reproduced", "unsettled"}
        parts = []
        for verdict in VERDICTS:
            number = self.of(verdict)
            if not number:
                continue
            kinds = [f"{self.of(verdict, kind)} {kind}" for kind in
                     ("measured", "emulated", "simulated data", "model") if self.of(verdict, kind)]
            shown = f" ({', '.join(kinds)})" if verdict in by_evidence and kinds else ""
            parts.append(f"{number} {verdict}{shown}")
        where = f" on {self.machine}" if self.machine else ""
        return f"Of the paper's {self.statements} statements{where}: {', '.join(parts)}."


def summaries(judged: Judged) -> list[Summary]:
    """One per machine, in the order of the verdicts."""
    counts: dict[str, Counter[tuple[str, str]]] = {}
    for verdict in (verdict for verdicts in judged for verdict in verdicts):
        counts.setdefault(verdict.machine, Counter())[verdict.verdict, verdict.evidence] += 1
    return [Summary(machine, len(judged), verdicts) for machine, verdicts in counts.items()]


def ledger_json(judged: Judged) -> dict[str, Any]:
    """The ledger as JSON can hold it: for each machine its counts, for each claim its verdicts."""
    machines = {
        summary.machine: [{"verdict": verdict, "evidence": evidence or None, "statements": number}
                          for (verdict, evidence), number in sorted(summary.counts.items())]
        for summary in summaries(judged)
    }
    return {"statements": len(judged), "machines": machines, "claims": [_claim(row) for row in judged]}


def _claim(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    claim = verdicts[0].claim
    return {
        **{key: getattr(claim, key) for key in
           ("id", "where", "statement", "paper", "unit", "why", "note", "experiment", "expression")},
        "bands": {key: _finite(getattr(claim, key)) for key in ("reproduced", "partly")}
        if claim.judged else None,
        "verdicts": [
            {key: getattr(verdict, key) for key in
             ("machine", "verdict", "evidence", "value", "low", "high", "reason", "remark", "command")}
            for verdict in verdicts
        ],
    }


def _finite(band: Sequence[float]) -> list[float | None]:
    """A band whose open ends are null."""
    return [None if abs(end) == float("inf") else end for end in band]


@dataclass(frozen=True)
class Machine:
    """A computer beside those of the paper.

    name, cpu, cores, memory, gpu, network: as Table 1 prints them; paper: whether it stands there
    """

    name: str
    cpu: str
    cores: str
    memory: str
    gpu: str
    network: str
    paper: bool = False


TABLE_1 = (
    Machine("Dirac", "i7-965 (3.2 GHz)", "8", "12 Gb", "1 C2075", "–", True),
    Machine("Mbiserv", "X5690 (3.5 GHz)", "12", "64 Gb", "4 C2075", "–", True),
    Machine("Adonis", "E5520 (2.3 GHz)", "8 x 8", "24 Gb a node", "16 C1060", "40 GB/s", True),
    Machine("Griffon", "L5420 (2.5 GHz)", "64 x 8", "16 Gb a node", "–", "20 GB/s", True),
)


def table_of_machines(facts: Mapping[str, Mapping[str, Any]]) -> list[Machine]:
    """Table 1 of the paper with the machines of our results below it.

    facts: the run record of each machine, by its name
    """
    ours = []
    for name, run in facts.items():
        machine = run["machine"]
        gpus = Counter(str(gpu["name"]) for gpu in machine["gpus"])
        ours.append(Machine(
            name, str(machine["cpu"]), str(machine["cores"]), f"{machine['ram'] / 2**30:.0f} GiB",
            ", ".join(f"{number} {gpu}" for gpu, number in gpus.items()) or "–", "–",
        ))
    return [*TABLE_1, *ours]
