"""The ledger: the paper's statements, what judges each of them, and what the stored rows say."""

from gembench.study.tell.claims.claim import VERDICTS, Claim, Verdict
from gembench.study.tell.claims.judge import judge, judge_all
from gembench.study.tell.claims.load import load_claims
from gembench.study.tell.claims.summary import Summary, ledger_json, summaries, table_of_machines

__all__ = [
    "VERDICTS", "Claim", "Summary", "Verdict", "judge", "judge_all", "ledger_json", "load_claims",
    "summaries", "table_of_machines",
]
