"""Gold: the questions of an evaluation and the sentences that answer them, found again in the stored articles."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from qa.engine import ArticleView
from qa.errors import EvaluationError

__all__ = ["Gold", "Key", "Question", "Relevant", "Swap", "load_questions", "read_file", "resolve"]

Key = tuple[str, int]
"""Article id and index of a stored sentence."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Relevant(_Line):
    """Gold sentences of one article; `title` tells apart the articles of a file that holds several."""

    path: str
    title: str | None = None
    sentences: tuple[str, ...] = Field(min_length=1)


class Swap(_Line):
    """What sets a near miss apart from `original`, the id of the answerable question that it was made from.

    `changed`: a name (person, organisation, product, operation), place, number or date was exchanged; `relation`:
    another event or tie; `attribute`: a detail that the article does not give; `negation`: the opposite.
    """

    original: str = Field(min_length=1)
    changed: Literal["name", "place", "number", "date", "relation", "attribute", "negation"]


class Question(_Line):
    """One line of a questions file. `needs`: how many gold sentences make a whole answer, 1 unless it says more.

    `after` has the questions that a follow-up was asked after, `standalone` what it asks by itself; None: it says so.
    """

    id: str = Field(min_length=1)
    split: Literal["dev", "test"]
    question: str = Field(min_length=1)
    answer: str = ""
    kind: Literal["single", "multi", "unanswerable"]
    needs: int = Field(1, ge=1)
    relevant: tuple[Relevant, ...] = ()
    as_of: date | None = None
    swap: Swap | None = None
    after: tuple[str, ...] = ()
    standalone: str | None = None

    @model_validator(mode="after")
    def _fits(self) -> Question:
        gold = sum(len(relevant.sentences) for relevant in self.relevant)
        if self.kind == "unanswerable" and gold:
            raise ValueError("an unanswerable question has no gold sentences")
        if self.kind != "unanswerable" and self.swap:
            raise ValueError("only an unanswerable question is a swap of another")
        if self.kind != "unanswerable" and gold < self.needs:
            raise ValueError(f"it needs {self.needs} gold sentences and has {gold}")
        if self.kind == "multi" and "needs" not in self.model_fields_set:
            raise ValueError("a multi question says how many sentences it needs")
        return self


@dataclass(frozen=True, slots=True)
class Gold:
    """For each gold sentence of a question, the stored sentences that it overlaps, wherever the article has it."""

    pieces: tuple[frozenset[Key], ...]
    needs: int

    @property
    def keys(self) -> frozenset[Key]:
        """Every stored sentence that is gold."""
        return frozenset().union(*self.pieces)


def load_questions(path: Path) -> list[Question]:
    """Read a questions file, one JSON object a line; blank lines are skipped.

    Raises `EvaluationError` with path and line for what is not a question or has an id that stood before.
    """
    questions: dict[str, Question] = {}
    for number, line in enumerate(read_file(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            question = Question.model_validate_json(line)
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(str(part) for part in problem["loc"])
            raise EvaluationError(
                f"{path}:{number}: {where + ': ' if where else ''}{problem['msg'].removeprefix('Value error, ')}"
            ) from None
        if question.id in questions:
            raise EvaluationError(f"{path}:{number}: question id {question.id!r} stood before")
        questions[question.id] = question
    if not questions:
        raise EvaluationError(f"{path}: no questions")
    return list(questions.values())


def read_file(path: Path) -> str:
    """Return the text of a file. Raises `EvaluationError`."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"cannot read {path}: {error}") from None


def resolve(question: Question, articles: Mapping[str, Sequence[ArticleView]]) -> Gold:
    """Find the gold sentences of a question in the stored articles, given by source path.

    A gold text matches where the article reads the same but for white space; it may be part of a stored sentence or
    span several. Raises `EvaluationError` that names question and text when one is nowhere.
    """
    pieces: list[frozenset[Key]] = []
    for relevant in question.relevant:
        views = [
            view
            for view in articles.get(relevant.path, ())
            if relevant.title is None or _plain(view.article.title) == _plain(relevant.title)
        ]
        if not views:
            title = f" with the title {relevant.title!r}" if relevant.title is not None else ""
            raise EvaluationError(f"question {question.id}: no indexed article {relevant.path}{title}")
        for text in relevant.sentences:
            found = frozenset(key for view in views for key in _overlapping(view, text))
            if not found:
                raise EvaluationError(f"question {question.id}: {relevant.path} does not say {text!r}")
            pieces.append(found)
    return Gold(tuple(pieces), question.needs)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _overlapping(view: ArticleView, text: str) -> Iterator[Key]:
    words = _plain(text).split(" ")
    # Whole words only: "He won." does not stand in "She won."
    before = r"(?<!\w)" if words[0][:1].isalnum() else ""
    after = r"(?!\w)" if words[-1][-1:].isalnum() else ""
    pattern = before + r"\s+".join(map(re.escape, words)) + after
    for match in re.finditer(pattern, view.article.text) if any(words) else ():
        for sentence in view.sentences:
            if sentence.start < match.end() and match.start() < sentence.end:
                yield sentence.key
