"""RealTime QA, first quarter of 2023: weekly news quizzes, asked of the articles that were retrieved for them.

Kasai et al., RealTime QA: What's the Answer Right Now? (NeurIPS 2023). Gold is an answer string, so it is silver: a
sentence that says the same in other words is not counted, and one that holds the string by chance is. A question is
answerable when its string stands in the text of any article (see `qa.datasets.strings`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

from qa.cases import Case, case_of, gated
from qa.datasets.base import Evaluated, Request
from qa.datasets.corpus import corpus_engine, write_corpus
from qa.datasets.files import Record, data_file, read_records, read_text
from qa.datasets.strings import bears, folded, stands_in
from qa.engine import Engine
from qa.errors import EvaluationError
from qa.evaluation import DEPTH, score_chosen, score_confidence, score_refusal, score_short
from qa.metrics import reciprocal_rank
from qa.report import Report, Scores, describe, index_facts, latency, summarize
from qa.types import Answer, Passage, Sentence

__all__ = ["QuizQuestion", "evaluate_realtimeqa", "load_quiz", "quiz_engine"]

FOLDER = "realtimeqa-2023q1"
ARTICLES = "articles.jsonl.gz"
PASSAGES = (1, 3, 5, 10, 20)
SENTENCES = (1, 3)
MORE_SENTENCES = 5


class _Question(Record):
    id: str
    date: str
    question: str
    answer: tuple[str, ...]


class _Article(Record):
    text: str


@dataclass(frozen=True, slots=True)
class QuizQuestion:
    """A question, the day on which it was asked, and the strings of which each is its answer."""

    id: str
    question: str
    as_of: date
    answers: tuple[str, ...]


def load_quiz(request: Request) -> list[QuizQuestion]:
    """Read the questions. Raises `DataMissing` and `EvaluationError`."""
    path = data_file(request.data, FOLDER, "questions.jsonl.gz")
    try:
        return [
            QuizQuestion(record.id, record.question, date.fromisoformat(record.date.replace("/", "-")), record.answer)
            for record in read_records(path, _Question)
        ]
    except ValueError as error:
        raise EvaluationError(f"{path}: {error}") from None


def evaluate_realtimeqa(request: Request) -> Evaluated:
    """Ask every question of all articles, as of its day."""
    questions = load_quiz(request)
    path = data_file(request.data, FOLDER, ARTICLES)
    texts = [folded(record.text) for record in read_records(path, _Article)]
    answerable = {
        question.id: any(stands_in(text, answer) for answer in question.answers for text in texts)
        for question in questions
    }
    with quiz_engine(request) as engine:
        return _ask(engine, questions, answerable, request)


@contextmanager
def quiz_engine(request: Request) -> Iterator[Engine]:
    """An engine over an index of the articles. Raises `DataMissing` and `EvaluationError`."""
    articles = read_text(data_file(request.data, FOLDER, ARTICLES)).encode("utf-8")
    corpus = write_corpus(request.settings.paths.cache, FOLDER, [("articles.jsonl", articles)])
    with corpus_engine(request, FOLDER, corpus) as engine:
        yield engine


def _ask(engine: Engine, questions: Sequence[QuizQuestion], answerable: dict[str, bool], request: Request) -> Evaluated:
    threshold = request.settings.answers.min_confidence
    scored: dict[str, Scores] = {}
    cases: list[Case] = []
    answers: list[Answer] = []
    for number, question in enumerate(questions, start=1):
        found = engine.ask(question.question, as_of=question.as_of)
        answers.append(found)
        scored[question.id], case = _score(engine, question, found, answerable[question.id], threshold)
        cases.append(case)
        request.progress("asking", number, len(questions))
    status = engine.status()
    about = describe(
        "realtimeqa",
        ["answerable" if answerable[question.id] else "unanswerable" for question in questions],
        request.settings,
        **index_facts(status, answers),
    )
    report = Report(about, summarize(scored), latency([answer.timings_ms for answer in answers]), scored)
    return Evaluated(report, tuple(cases))


def _score(
    engine: Engine, question: QuizQuestion, found: Answer, answerable: bool, threshold: float
) -> tuple[Scores, Case]:
    def bearing(sentence: Sentence) -> bool:
        return bears(sentence.text, question.answers)

    gold = bearing if answerable else None
    case = case_of(question.id, question.answers, question.as_of, found, threshold, gold)
    answer = gated(found, threshold)
    # SQuAD's comparison drops straight quotation marks alone.
    given = folded(answer.short_answer.text) if answer.short_answer else ""
    short = score_short(given, tuple(map(folded, question.answers)) if answerable else ())
    if not answerable:
        return score_refusal(answer) | score_confidence(case, answerable=False) | short, case
    refused = answer.status != "answered"
    scores: Scores = {"answered": (float(not refused), 1), "false_refusal": (float(refused), 1)}
    scores |= _score_passages(engine.rankings(question.question, DEPTH, as_of=question.as_of), question.answers)
    more = engine.ask(question.question, max_sentences=MORE_SENTENCES, as_of=question.as_of)
    wider = case_of(question.id, question.answers, None, more, threshold, bearing)
    scores |= score_chosen(case, SENTENCES) | score_chosen(wider, (MORE_SENTENCES,))
    if answer.citations:
        right = sum(map(bearing, (sentence for sentence, _ in case.chosen)))
        scores["citation.precision"] = (right, len(case.chosen))
    return scores | score_confidence(case, answerable=True) | short, case


def _score_passages(rankings: dict[str, tuple[Passage, ...]], answers: tuple[str, ...]) -> Scores:
    scores: Scores = {}
    for name, passages in rankings.items():
        ranks = [rank for rank, passage in enumerate(passages, start=1) if bears(passage.text, answers)]
        for k in PASSAGES:
            scores[f"{name}.hit@{k}"] = (float(bool(ranks) and ranks[0] <= k), 1)
        scores[f"{name}.mrr"] = (reciprocal_rank(range(1, len(passages) + 1), ranks), 1)
    return scores
