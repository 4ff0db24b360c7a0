"""Data sets that answers are measured on. The only place that knows them by name."""

from __future__ import annotations

from qa.datasets.base import Dataset, Evaluated, Request
from qa.datasets.feedback import evaluate_feedback
from qa.datasets.fever import evaluate_fever
from qa.datasets.followups import evaluate_conversations, evaluate_followups
from qa.datasets.multirc import evaluate_multirc
from qa.datasets.questions import evaluate_plain, evaluate_starter, evaluate_swapped
from qa.datasets.realtimeqa import evaluate_realtimeqa
from qa.datasets.squad2 import evaluate_squad2
from qa.datasets.support import evaluate_support
from qa.datasets.trecqa import evaluate_trecqa
from qa.datasets.unrelated import evaluate_out_of_corpus
from qa.errors import EvaluationError

__all__ = ["DATASETS", "Evaluated", "Request", "evaluate_dataset"]

DATASETS: dict[str, Dataset] = {
    "starter": evaluate_starter,
    "realtimeqa": evaluate_realtimeqa,
    "multirc": evaluate_multirc,
    "trecqa": evaluate_trecqa,
    "squad2": evaluate_squad2,
    "fever": evaluate_fever,
    "out-of-corpus": evaluate_out_of_corpus,
    "swapped": evaluate_swapped,
    "plain": evaluate_plain,
    "conversations": evaluate_conversations,
    "followups": evaluate_followups,
    "support": evaluate_support,
    "feedback": evaluate_feedback,
}


def evaluate_dataset(name: str, request: Request) -> Evaluated:
    """Measure a data set by name. Raises `EvaluationError` when there is none of this name, and as `Dataset` does."""
    if name not in DATASETS:
        raise EvaluationError(f"no data set {name!r}: there are {', '.join(DATASETS)}")
    return DATASETS[name](request)
