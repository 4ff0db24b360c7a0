"""The values that travel along the data path, one type per stage, all frozen.

    Article → Sentence → Chunk → (vector) → Hit → Passage → Statement → Citation → Answer

All offsets count Unicode code points and are half-open: ``article.text[start:end]``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import date
from typing import Literal

__all__ = [
    "Answer",
    "Article",
    "Begun",
    "Check",
    "Chunk",
    "Citation",
    "Closest",
    "Draft",
    "Filters",
    "Hit",
    "Note",
    "Passage",
    "Progress",
    "Reason",
    "Sentence",
    "SentenceScore",
    "ShortAnswer",
    "Span",
    "Stage",
    "Statement",
    "Status",
    "Support",
    "TimeExpression",
    "TimeScope",
    "Turn",
    "Usage",
    "Writer",
    "Written",
]

Status = Literal["answered", "not_found"]
Writer = Literal["auto", "extractive", "llm"]
"""What writes an answer, or `auto`: what the settings say."""
Stage = Literal["searching", "ranking", "writing", "checking"]
Check = Literal[
    "number", "date", "name", "order", "negation", "possibility", "quantity", "direction", "attribution", "words",
    "entailment",
]  # fmt: skip
Reason = Literal["no_evidence", "low_confidence", "filtered_out", "empty_index"]


@dataclass(frozen=True, slots=True)
class Article:
    """One news article as a reader made it.

    `text` is normalised once, by the reader (NFC, line ends as ``\\n``, paragraphs separated by a blank line, nothing
    unsafe), and never changed again: every offset in the system refers to it. Times are ISO 8601 with the zone that
    the source gave, or a bare date where it gave no more.
    """

    id: str
    title: str
    text: str
    url: str | None = None
    publisher: str | None = None
    authors: tuple[str, ...] = ()
    published_at: str | None = None
    modified_at: str | None = None
    section: str | None = None
    language: str | None = None
    source_format: str = "text"
    source_path: str = ""

    @property
    def content_sha256(self) -> str:
        """SHA-256 (hex) over every field: equal hash, equal article; it decides what is indexed again."""
        record = json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(record.encode("utf-8")).hexdigest()


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of an article; ``article.text[start:end] == text``."""

    article_id: str
    index: int
    start: int
    end: int
    text: str

    @property
    def key(self) -> tuple[str, int]:
        """What identifies a sentence within one generation."""
        return (self.article_id, self.index)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of whole sentences of one article, the unit of retrieval; sentences ``first`` to ``stop - 1``.

    `id` is the row in the catalog and the vector's id in every store. `token_count` is in word pieces of the embedding
    model, title context included.
    """

    id: int
    article_id: str
    first: int
    stop: int
    start: int
    end: int
    token_count: int


@dataclass(frozen=True, slots=True)
class Filters:
    """Which articles may answer; empty fields admit all. Dates are ISO 8601 days, both ends included.

    An article without a date is outside every date range. Publishers, sections and languages compare case-folded.
    """

    published_from: str | None = None
    published_to: str | None = None
    publishers: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    article_ids: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self != Filters()


@dataclass(frozen=True, slots=True)
class Hit:
    """One row of one ranking; a larger score is better, always."""

    chunk_id: int
    score: float


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk retrieved for a question, with all that is needed to quote it.

    Ranks are 1-based; None means that the chunk was not in that ranking. `dense_score` is a cosine. `before` is the
    sentence that precedes the chunk in its article, for context only: it was not retrieved and cannot be cited.
    `recency` in [0, 1] is how well the article's date fits the time that the question calls for, 1 when it calls for
    none (`qa.times`).
    """

    chunk: Chunk
    article: Article
    sentences: tuple[Sentence, ...]
    score: float
    dense_rank: int | None = None
    lexical_rank: int | None = None
    dense_score: float | None = None
    lexical_score: float | None = None
    before: Sentence | None = None
    recency: float = 1.0

    @property
    def text(self) -> str:
        """The chunk's own text, an exact slice of the article."""
        return self.article.text[self.chunk.start : self.chunk.end]


@dataclass(frozen=True, slots=True)
class Begun:
    """What will be answered, and from which generation, with the fields of `Answer`.

    The first report on an answer but for `Progress`, which may come while a follow-up is being rewritten.
    """

    question: str
    resolved_question: str | None
    generation: int


@dataclass(frozen=True, slots=True)
class Progress:
    """A further report: a stage, and how many articles, passages or statements it is about.

    The same stage once more means that it goes on. `passages` are those found, best first; they come with the first
    "ranking".
    """

    stage: Stage
    count: int | None = None
    passages: tuple[Passage, ...] = ()


@dataclass(frozen=True, slots=True)
class SentenceScore:
    """What a scorer says of one sentence: `answers` is a logit, comparable between the sentences of one question.

    `span` is the part that answers, in code points of the sentence's text, and `margin` the logit by which it beats
    "no answer here"; None where the scorer looks for no spans.
    """

    answers: float
    margin: float | None = None
    span: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class ShortAnswer:
    """The words of a sentence that answer: ``article.text[start:end] == text``, inside the sentence."""

    sentence: Sentence
    start: int
    end: int

    @property
    def text(self) -> str:
        """The words themselves."""
        return self.sentence.text[self.start - self.sentence.start : self.end - self.sentence.start]


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence of an answer before it is cited: its text and the source sentences that say it (never none).

    `context` is shown beside the first source so that it can be read (who "he" is); it is not part of the claim.
    """

    text: str
    sources: tuple[Sentence, ...]
    context: Sentence | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens sent to a language model and received from it, as `qa.tokens` counts them; 0 without one."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.prompt_tokens + other.prompt_tokens, self.completion_tokens + other.completion_tokens)


@dataclass(frozen=True, slots=True)
class Draft:
    """What an answerer returns: statements in reading order (none: it refuses) and its confidence in [0, 1].

    `short_answer` stands in a source of one of the statements; None where the answerer is not sure of one. `closest`
    are what came nearest to an answer in articles that it does not cite, best first. `model` is the language model
    whose answer this is, None for an answer without one; `usage` counts its tokens, `dropped` what it said and the
    answerer did not let pass.
    """

    statements: tuple[Statement, ...]
    confidence: float
    short_answer: ShortAnswer | None = None
    closest: tuple[Closest, ...] = ()
    model: str | None = None
    usage: Usage = Usage()
    dropped: int = 0
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Support:
    """The outcome of the support check on one statement: its label and a score in [0, 1].

    "not_checked": the rules do not hold for its language. `failed` says what an unsupported statement has that its
    sources have not, or otherwise.
    """

    label: Literal["supported", "unsupported", "not_checked"]
    score: float
    failed: Check | None = None


@dataclass(frozen=True, slots=True)
class Citation:
    """A pointer to one source sentence; ``article.text[start:end] == quote`` in the generation that answered.

    `number` is 1-based, by first use in the answer. `segments` are the 0-based statements that carry it.
    """

    number: int
    segments: tuple[int, ...]
    article_id: str
    sentence_index: int
    start: int
    end: int
    quote: str
    support: Support


@dataclass(frozen=True, slots=True)
class Written:
    """A further report: the next statement, while those after it are still being written. It will not be taken back.

    An answerer reports the statement alone; the engine adds `index` (0-based), the citations that it carries, with the
    segments that are known by now, and their articles.
    """

    statement: Statement
    index: int = 0
    citations: tuple[Citation, ...] = ()
    articles: tuple[Article, ...] = ()


@dataclass(frozen=True, slots=True)
class Closest:
    """The sentence that came closest in an article that is not cited: shown, never cited itself."""

    article: Article
    sentence: Sentence
    score: float


@dataclass(frozen=True, slots=True)
class Turn:
    """Something that was said before the question, by the user or by the assistant."""

    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something a reader of an answer should know: a stable code, and a sentence to show."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Span:
    """Days of publication, both ends included; `first` is None where there is no beginning."""

    first: date | None
    last: date


@dataclass(frozen=True, slots=True)
class TimeExpression:
    """Words of a question that call for a span of days; ``question[start:end] == text``.

    `newest`: they call for the newest there is on the subject; `span` is then the present until that is known.
    """

    text: str
    start: int
    end: int
    span: Span
    newest: bool = False


@dataclass(frozen=True, slots=True)
class TimeScope:
    """The day that a question is asked on and what it calls for. `given`: the asker named the day."""

    as_of: date
    given: bool
    expressions: tuple[TimeExpression, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer: checked statements, their citations, and what a reader needs to judge them.

    `reason` says why nothing was found; it is None when something was.
    `articles` are the cited ones in order of first citation. `dropped` counts statements that failed the support
    check. `timings_ms` maps a stage to milliseconds. `notes` tell what else a reader should know. `scope` is the time
    that articles were preferred for, None when dates played no part. `follow_ups` are further questions that what was
    read answers. `resolved_question` is what was asked in place of a question that depends on earlier turns or has a
    name misspelt, None for any other. `answer_model` is the language model that wrote the statements or refused, None
    where none did; `usage` counts its tokens.
    """

    question: str
    status: Status
    reason: Reason | None
    statements: tuple[Statement, ...]
    citations: tuple[Citation, ...]
    articles: tuple[Article, ...]
    passages: tuple[Passage, ...]
    closest: tuple[Closest, ...]
    answerer: str
    confidence: float
    dropped: int
    generation: int
    timings_ms: dict[str, float]
    notes: tuple[Note, ...] = ()
    short_answer: ShortAnswer | None = None
    scope: TimeScope | None = None
    resolved_question: str | None = None
    follow_ups: tuple[str, ...] = ()
    answer_model: str | None = None
    usage: Usage = Usage()

    @property
    def text(self) -> str:
        """The statements joined by single spaces; empty when nothing was found."""
        return " ".join(statement.text for statement in self.statements)
