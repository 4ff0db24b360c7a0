"""The pages, rendered on the server so that all of it works without JavaScript.

Jinja escapes everything; article and question text is never marked as markup. What the scripts in `web/static` add is
the same page, faster.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from qa.contract import AnswerReply
from qa.engine import ArticleView, IndexStatus
from qa.openapi import Operation
from qa.problems import KINDS, Kind, Trouble
from qa.replies import around_short_answer, article_url, original_url, safe_url
from qa.types import Sentence

__all__ = ["Chip", "Pages", "Piece", "SearchForm", "chips", "paragraphs", "readable_date", "readable_time"]

EXAMPLES_SHOWN = 5
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[T ]([0-9]{2}:[0-9]{2}))?")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")


@dataclass(frozen=True, slots=True)
class SearchForm:
    """What was typed: shown again in the form."""

    question: str = ""
    published_from: str = ""
    published_to: str = ""
    publisher: str = ""

    @property
    def filtered(self) -> bool:
        """Whether any filter is set."""
        return bool(self.published_from or self.published_to or self.publisher)


@dataclass(frozen=True, slots=True)
class Chip:
    """A citation as a link, with what its card shows."""

    n: int
    href: str
    label: str
    article_id: str
    sentence: int
    cited: str
    quote: str
    title: str
    byline: str
    repeats_answer: bool
    original: str | None


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of an article's text: a sentence if `index` is set, else what stands between two."""

    text: str
    index: int | None = None
    cited: bool = False


@dataclass(slots=True)
class Pages:
    """Renders the templates of one `web` folder."""

    web: Path
    _environment: Environment = field(init=False)

    def __post_init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(self.web / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            date=readable_date,
            count=lambda number: f"{number:,}",
            seconds=readable_time,
            around_short_answer=around_short_answer,
        )

    def home(
        self,
        status: IndexStatus,
        form: SearchForm,
        *,
        reply: AnswerReply | None = None,
        trouble: Trouble | None = None,
        suggestions: Sequence[str] = (),
    ) -> HTMLResponse:
        """The chat: empty, with an answer, or with what went wrong."""
        return self._render(
            "chat.html",
            trouble.kind.status if trouble else 200,
            dict(trouble.headers) if trouble else None,
            status=status,
            form=form,
            reply=reply,
            chips=chips(reply) if reply else {},
            trouble=trouble,
            suggestions=suggestions,
        )

    def article(self, status: IndexStatus, view: ArticleView, cited: Collection[int]) -> HTMLResponse:
        """A whole article, every sentence addressable, the cited ones marked."""
        article = view.article
        marked = [sentence for sentence in view.sentences if sentence.index in cited]
        language = article.language or ""
        return self._render(
            "article.html",
            status=status,
            article=article,
            paragraphs=paragraphs(article.text, view.sentences, cited),
            marked=marked,
            original=original_url(article.url, marked[0].text) if marked else safe_url(article.url),
            language=language if _LANGUAGE.fullmatch(language) else None,
        )

    def trouble(self, status: IndexStatus, trouble: Trouble, request_id: str) -> HTMLResponse:
        """A page instead of a problem document, for people."""
        headers = dict(trouble.headers)
        return self._render(
            "trouble.html", trouble.kind.status, headers, status=status, trouble=trouble, request_id=request_id
        )

    def problem(self, status: IndexStatus, kind: Kind | None) -> HTMLResponse:
        """What a problem's `type` points to; without a kind, the whole catalogue."""
        return self._render("problem.html", status=status, kind=kind, kinds=list(KINDS.values()))

    def docs(self, status: IndexStatus, operations: Sequence[Operation]) -> HTMLResponse:
        """The description of the API."""
        return self._render("docs.html", status=status, operations=operations)

    def _render(self, name: str, code: int = 200, headers: dict[str, str] | None = None, **values: Any) -> HTMLResponse:
        return HTMLResponse(self._environment.get_template(name).render(values), code, headers)


def chips(reply: AnswerReply) -> dict[int, Chip]:
    """The citations of an answer by number."""
    sources = {source.article_id: source for source in reply.sources}
    said = {segment.text for segment in reply.answer.segments}
    sentences = {citation.n: int(citation.sentence_ids[0].rpartition("#s")[2]) for citation in reply.citations}
    made = {}
    for citation in reply.citations:
        source = sources[citation.article_id]
        cited = ",".join(str(sentences[n]) for n in source.cited_by)
        date = readable_date(source.published_at)
        made[citation.n] = Chip(
            n=citation.n,
            href=f"{article_url(citation.article_id)}?cite={cited}#s{sentences[citation.n]}",
            label=", ".join(filter(None, (f"Source {citation.n}: {source.title}", source.publisher, date))),
            article_id=citation.article_id,
            sentence=sentences[citation.n],
            cited=cited,
            quote=citation.quote,
            title=source.title,
            byline=" · ".join(filter(None, (source.publisher, date))),
            repeats_answer=citation.quote in said,
            original=citation.original_url,
        )
    return made


def paragraphs(text: str, sentences: Sequence[Sentence], cited: Collection[int]) -> list[list[Piece]]:
    """The whole text in paragraphs of pieces: a blank line between two sentences ends a paragraph, nothing is lost."""
    found: list[list[Piece]] = [[]]
    at = 0
    for sentence in sentences:
        _add_between(found, text[at : sentence.start])
        found[-1].append(Piece(text[sentence.start : sentence.end], sentence.index, sentence.index in cited))
        at = sentence.end
    _add_between(found, text[at:])
    return [pieces for pieces in found if any(piece.text.strip() for piece in pieces)]


def _add_between(found: list[list[Piece]], between: str) -> None:
    first, *more = between.split("\n\n")
    for count, part in enumerate((first, *more)):
        if count:
            found.append([])
        if part:
            found[-1].append(Piece(part))


def readable_date(value: str | None) -> str:
    """``2 October 2026, 08:30`` in the zone of the source, or the text itself when it is no date."""
    match = _DATE.match(value or "")
    if match is None or not 1 <= int(match[2]) <= 12:
        return value or ""
    day = f"{int(match[3])} {_MONTHS[int(match[2]) - 1]} {match[1]}"
    return f"{day}, {match[4]}" if match[4] else day


def readable_time(milliseconds: float) -> str:
    """``12 ms``, or ``1.25 s``."""
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.2f} s"
