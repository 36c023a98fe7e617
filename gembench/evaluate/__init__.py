"""Picks judged against annotations: matching, precision and recall, curves, intervals."""

from gembench.evaluate.evaluation import best_threshold, evaluate, threshold_for_recall
from gembench.evaluate.matching import Matching, match
from gembench.evaluate.result import Evaluation
from gembench.evaluate.splits import field_of, split_halves

__all__ = [
    "Evaluation", "Matching", "best_threshold", "evaluate", "field_of", "match", "split_halves",
    "threshold_for_recall",
]
