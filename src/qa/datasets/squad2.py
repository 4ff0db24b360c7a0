"""SQuAD 2.0: questions on paragraphs of Wikipedia, half of them without an answer there.

Rajpurkar, Jia & Liang, Know What You Don't Know (ACL 2018). Only articles that no shipped model was trained on are
asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from qa.datasets.base import Evaluated, Request
from qa.datasets.files import Record, data_file, read_text
from qa.datasets.ranking import Asked, Document, Ranked, evaluate_ranking, score_ranking
from qa.errors import EvaluationError
from qa.evaluation import score_short
from qa.report import Scores
from qa.sentences import split_sentences

__all__ = ["HELD_OUT", "Article", "Paragraph", "Question", "Span", "evaluate_squad2", "read_articles"]

HELD_OUT = frozenset({"Warsaw", "Huguenot", "Packet_switching"})
"""Titles of the articles that are for measuring; the others are for training."""


class Span(Record):
    """A text of the paragraph, and the code point that it begins with."""

    text: str
    answer_start: int


class Question(Record):
    """A question with an answer from each annotator; one that is impossible may have plausible wrong ones."""

    id: str
    question: str
    answers: tuple[Span, ...]
    plausible_answers: tuple[Span, ...] = ()
    is_impossible: bool


class Paragraph(Record):
    """A paragraph with its questions."""

    context: str
    qas: tuple[Question, ...]


class Article(Record):
    """An article; its title has underscores for spaces."""

    title: str
    paragraphs: tuple[Paragraph, ...]


class _File(Record):
    data: tuple[Article, ...]


def read_articles(data: Path | None) -> tuple[Article, ...]:
    """Read all articles, held out or not. Raises `DataMissing`, and `EvaluationError` for another format."""
    path = data_file(data, "squad2-half", "dev-half-v2.0.json.gz")
    try:
        return _File.model_validate_json(read_text(path)).data
    except ValidationError as error:
        raise EvaluationError(f"{path}: not SQuAD 2.0: {error.errors()[0]['msg']}") from None


def evaluate_squad2(request: Request) -> Evaluated:
    """Rank the sentences of each question's paragraph; those that an answer's span touches are gold."""
    articles = read_articles(request.data)
    pairs = [pair for article in articles if article.title in HELD_OUT for pair in _paragraphs(article)]
    documents = [document for document, _ in pairs]
    questions = [asked for _, asked_here in pairs for asked in asked_here]
    return evaluate_ranking("squad2", documents, questions, request, _score)


def _paragraphs(article: Article) -> Iterator[tuple[Document, list[Asked]]]:
    for number, paragraph in enumerate(article.paragraphs):
        name = f"{article.title}:{number}"
        spans = split_sentences(paragraph.context)
        texts = tuple(paragraph.context[start:end] for start, end in spans)
        questions = []
        for record in paragraph.qas:
            answers = () if record.is_impossible else record.answers
            gold = frozenset(
                (name, index)
                for index, (start, end) in enumerate(spans)
                for answer in answers
                if start < answer.answer_start + len(answer.text) and answer.answer_start < end
            )
            kind = "answerable" if gold else "unanswerable"
            given = tuple(dict.fromkeys(answer.text for answer in answers))
            questions.append(Asked(record.id, record.question, (name,), gold, kind, given))
        yield Document(name, article.title.replace("_", " "), texts), questions


def _score(asked: Asked, ranked: Ranked) -> Scores:
    scores = score_short(ranked.short, asked.answers)
    scores["auroc.answerable"] = (ranked.probability, float(bool(asked.gold)))
    return scores | score_ranking(ranked, asked.gold) if asked.gold else scores
