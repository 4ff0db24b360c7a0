"""What readers said of answers, as questions to ask again: a thumb down becomes a case that must not come back.

A sentence is known again by its text, wherever it stands now. Of several ratings of one thing the last one counts.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date

from qa.cases import Case, case_of, gated
from qa.datasets.base import Evaluated, Request
from qa.datasets.corpus import corpus_engine
from qa.engine import Engine
from qa.errors import EvaluationError
from qa.records import FEEDBACK_FILE, Rating, read_ratings
from qa.replies import filters_from
from qa.report import Report, Scores, describe, index_facts, latency, summarize
from qa.types import Answer, Sentence

__all__ = ["evaluate_feedback"]


def evaluate_feedback(request: Request) -> Evaluated:
    """Ask each rated question again of the index that the settings name, with the filters and the day of then."""
    path = request.questions or request.settings.paths.records / FEEDBACK_FILE
    try:
        ratings = list({(rating.answer_id, rating.citation): rating for rating in read_ratings(path)}.values())
    except OSError as error:
        raise EvaluationError(f"cannot read {path}: {error.strerror}") from None
    if not ratings:
        raise EvaluationError(f"no ratings in {path}: readers rate answers on the page, with server.feedback on")
    threshold = request.settings.answers.min_confidence
    scored: dict[str, Scores] = {}
    cases: list[Case] = []
    answers: list[Answer] = []
    with corpus_engine(request, "feedback", None) as engine:
        for number, rating in enumerate(ratings, start=1):
            found = _ask(engine, rating)
            answers.append(found)
            scored[rating.id], case = _score(rating, found, threshold)
            cases.append(case)
            request.progress("asking", number, len(ratings))
        status = engine.status()
    about = describe(
        "feedback",
        [_kind(rating) for rating in ratings],
        request.settings,
        **index_facts(status, answers),
    )
    report = Report(about, summarize(scored), latency([answer.timings_ms for answer in answers]), scored)
    return Evaluated(report, tuple(cases))


def _ask(engine: Engine, rating: Rating) -> Answer:
    return engine.ask(
        rating.resolved_question or rating.question,
        filters=filters_from(rating.filters),
        as_of=date.fromisoformat(rating.as_of) if rating.as_of else None,
        dates=None if rating.dates else False,
    )


def _kind(rating: Rating) -> str:
    return "liked" if rating.rating == "up" else "disliked"


def _score(rating: Rating, found: Answer, threshold: float) -> tuple[Scores, Case]:
    """Whether what was rated is still so: one of the sentences is cited or, where none was, nothing is found."""
    meant = [cited for cited in rating.cited if rating.citation in (None, cited.n)]
    hashes = {cited.sha256 for cited in meant}
    answer = gated(found, threshold)
    answered = answer.status == "answered"
    kept = any(_sha256(citation.quote) in hashes for citation in answer.citations) if meant else not answered

    def liked(sentence: Sentence) -> bool:
        return _sha256(sentence.text) in hashes

    is_gold = rating.rating == "up" and bool(meant)
    case = case_of(
        ", ".join((rating.id, _kind(rating), *rating.reasons)),
        [cited.quote for cited in meant] if is_gold else (),
        date.fromisoformat(rating.as_of) if rating.as_of else None,
        found,
        threshold,
        liked if is_gold else None,
    )
    if rating.rating == "down":
        case = replace(case, loss=("wrongly answered" if meant else "refused") if kept else None)
    return {"answered": (float(answered), 1), f"{_kind(rating)}.kept": (float(kept), 1)}, case


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
