"""The questions that come with the project, on the starter corpus: with gold sentences, typed plainly, or changed."""

from __future__ import annotations

from pathlib import Path

from qa.datasets.base import Evaluated, Request
from qa.datasets.corpus import corpus_engine
from qa.errors import EvaluationError
from qa.evaluation import evaluate
from qa.gold import load_questions
from qa.resources import starter_corpus

__all__ = ["evaluate_plain", "evaluate_starter", "evaluate_swapped"]

QUESTIONS = Path("eval/questions.jsonl")
SWAPPED = Path("eval/swapped.jsonl")
PLAIN = Path("eval/plain.jsonl")


def evaluate_starter(request: Request) -> Evaluated:
    """Ask the questions file of the index that the settings name; it is not built."""
    return _evaluate(request, "starter", request.questions or QUESTIONS, None)


def evaluate_swapped(request: Request) -> Evaluated:
    """Ask questions whose name, place or number was exchanged, so that no article of the starter corpus answers."""
    return _evaluate(request, "swapped", request.questions or SWAPPED, starter_corpus())


def evaluate_plain(request: Request) -> Evaluated:
    """Ask questions in the forms in which people type them, of the starter corpus."""
    return _evaluate(request, "plain", request.questions or PLAIN, starter_corpus())


def _evaluate(request: Request, dataset: str, path: Path, corpus: Path | None) -> Evaluated:
    questions = [question for question in load_questions(path) if request.split in ("all", question.split)]
    if not questions:
        raise EvaluationError(f"{path} has no questions of split {request.split}: dev, test or all")
    with corpus_engine(request, "starter", corpus) as engine:
        report, cases = evaluate(
            engine,
            questions,
            dataset=dataset,
            threshold=request.settings.answers.min_confidence,
            progress=lambda done, total: request.progress("asking", done, total),
        )
    return Evaluated(report, tuple(cases))
