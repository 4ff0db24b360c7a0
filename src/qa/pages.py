"""The pages, rendered on the server so that all of it works without JavaScript.

Jinja escapes everything; article and question text is never marked as markup. What the scripts in `web/static` add is
the same page, faster.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import QueryParams
from starlette.responses import HTMLResponse

from qa.contract import AnswerReply, AskRequest, FoundOut, JobReply, SourceOut
from qa.engine import ArticleView, IndexStatus
from qa.openapi import Operation
from qa.problems import KINDS, Kind, Trouble
from qa.records import Rating, Recalled
from qa.replies import around_short_answer, article_url, original_url, safe_url
from qa.settings import LLMSettings, ServerSettings
from qa.times import MONTH_NAMES
from qa.types import Sentence

__all__ = ["Chip", "Pages", "Piece", "SearchForm", "chips", "paragraphs", "readable_date", "readable_time"]

EXAMPLES_SHOWN = 5
OUTLETS_SHOWN = 30
"""Outlets that the operator's page names."""
SOURCES_SHOWN = 5
"""Sources of an answer that are shown at once."""
PROMINENT = ("outdated", "conflict", "llm_fallback", "llm_partial", "llm_refused", "not_checked", "unsupported_dropped")
"""Codes of the notes that stand under an answer; the others are among its details."""
MARK = 8
"""Hexadecimal digits of a quote's SHA-256 in the address of a citation."""
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[T ]([0-9]{2}:[0-9]{2}))?")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")


@dataclass(frozen=True, slots=True)
class SearchForm:
    """A question as a page asks it: what was typed, the filters, the question before it. Its address asks it again."""

    question: str = ""
    published_from: str = ""
    published_to: str = ""
    publishers: tuple[str, ...] = ()
    after: str = ""
    dates: bool = True

    @classmethod
    def read(cls, query: QueryParams) -> SearchForm:
        """The form in an address; of a day that stands there twice, the last."""
        days = {name: ([value for value in query.getlist(name) if value] or [""])[-1] for name in ("from", "to")}
        outlets = tuple(dict.fromkeys(value for value in query.getlist("outlet") if value))
        return cls(
            query.get("q", "").strip(), days["from"], days["to"], outlets, query.get("after", ""), "dates" not in query
        )

    @classmethod
    def of(cls, asked: AskRequest) -> SearchForm:
        """The form that would ask this, as far as a page can."""
        earlier = [turn.content for turn in asked.history if turn.role == "user"]
        return cls(
            asked.question,
            asked.filters.published_from or "",
            asked.filters.published_to or "",
            tuple(asked.filters.publishers),
            earlier[-1] if earlier else "",
            asked.dates,
        )

    @property
    def filtered(self) -> bool:
        """Whether any filter is set."""
        return bool(self.published_from or self.published_to or self.publishers)

    @property
    def address(self) -> str:
        """The page that asks this."""
        pairs = [
            ("q", self.question),
            ("after", self.after),
            ("from", self.published_from),
            ("to", self.published_to),
            *(("outlet", publisher) for publisher in self.publishers),
            ("dates", "" if self.dates else "off"),
        ]
        return "/?" + urlencode([(name, value) for name, value in pairs if value])

    def but(self, **changes: Any) -> SearchForm:
        """The same with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Chip:
    """A citation as a link, with what its card shows."""

    n: int
    href: str
    label: str
    quote: str
    title: str
    byline: str
    language: str | None
    repeats_answer: bool
    original: str | None
    state: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of an article's text: a sentence if `index` is set, else what stands between two."""

    text: str
    index: int | None = None
    cited: bool = False


@dataclass(frozen=True, slots=True)
class Readers:
    """What readers asked and rated, for the operator alone; `known`: answers that can be looked at again."""

    refusals: Sequence[AnswerReply]
    ratings: Sequence[Rating]
    known: Collection[str]


@dataclass(frozen=True, slots=True)
class Operating:
    """What the operator's page shows besides the status of the index.

    `with_token`: there is one, and a rebuild for it; `refused`: another one was given. `readers` is None for everybody
    else, `job` is the latest rebuild.
    """

    outlets: Mapping[str, int]
    with_token: bool
    refused: bool
    readers: Readers | None
    job: JobReply | None


@dataclass(slots=True)
class Pages:
    """Renders the templates of one `web` folder."""

    web: Path
    settings: ServerSettings
    llm: LLMSettings = LLMSettings()
    """What is sent to a language model, if anything."""
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
            byline=byline,
            tags=_tags,
        )
        self._environment.globals.update(
            sources_shown=SOURCES_SHOWN,
            feedback=self.settings.feedback,
            sharing=self.settings.sharing,
            llm=self.llm,
            prominent=PROMINENT,
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

    def article(self, status: IndexStatus, view: ArticleView, cite: str) -> HTMLResponse:
        """A whole article, every sentence addressable, the cited ones (see `cited_sentences`) marked."""
        article = view.article
        cited, same = cited_sentences(cite, view.sentences)
        marked = [sentence for sentence in view.sentences if sentence.index in cited]
        return self._render(
            "article.html",
            status=status,
            article=article,
            paragraphs=paragraphs(article.text, view.sentences, cited),
            marked=marked,
            changed=not same,
            original=original_url(article, marked[0].start, marked[0].end) if marked else safe_url(article.url),
            language=_language(article.language),
        )

    def answer(self, status: IndexStatus, recalled: Recalled, *, noted: bool) -> HTMLResponse:
        """An answer that was given before; `noted`: a rating of it was written down just now."""
        reply = recalled.reply
        return self._render(
            "shared.html",
            status=status,
            reply=reply,
            chips=chips(reply),
            form=SearchForm.of(recalled.asked),
            shared=recalled.shared,
            noted=noted,
            states=[citation.state for citation in reply.citations],
        )

    def trouble(self, status: IndexStatus, trouble: Trouble, request_id: str) -> HTMLResponse:
        """A page instead of a problem document, for people."""
        headers = dict(trouble.headers)
        return self._render(
            "trouble.html", trouble.kind.status, headers, status=status, trouble=trouble, request_id=request_id
        )

    def status(self, status: IndexStatus, operating: Operating) -> HTMLResponse:
        """The operator's page."""
        code = 403 if operating.refused else 200
        return self._render("status.html", code, status=status, operating=operating, outlets_shown=OUTLETS_SHOWN)

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
    sentences = {citation.n: citation.sentence_ids[0].rpartition("#s")[2] for citation in reply.citations}
    marks = {citation.n: f"{sentences[citation.n]}.{citation.quote_sha256[:MARK]}" for citation in reply.citations}
    made = {}
    for citation in reply.citations:
        source = sources[citation.article_id]
        cited = ",".join(marks[n] for n in source.cited_by)
        date = readable_date(source.published_at)
        made[citation.n] = Chip(
            n=citation.n,
            href=f"{article_url(citation.article_id)}?cite={cited}#s{sentences[citation.n]}",
            label=", ".join(filter(None, (f"Source {citation.n}: {source.title}", source.publisher, date))),
            quote=citation.quote,
            title=source.title,
            byline=byline(source),
            language=_language(source.language),
            repeats_answer=citation.quote in said,
            original=citation.original_url,
            state=citation.state,
        )
    return made


def byline(source: SourceOut | FoundOut) -> str:
    """Who published an article, and when."""
    return " · ".join(filter(None, (source.publisher, readable_date(source.published_at))))


def cited_sentences(cite: str, sentences: Sequence[Sentence]) -> tuple[frozenset[int], bool]:
    """The sentences that the part ``3.9f2c61ab,5`` of an address names, and whether all read as they did when cited.

    After the dot stands the beginning of the quote's SHA-256, as `chips` writes it: of an article that has changed
    since, no other sentence is marked in its place.
    """
    by_index = {sentence.index: sentence for sentence in sentences}
    found: set[int] = set()
    same = True
    for part in cite[:1000].split(","):
        number, _, digest = part.partition(".")
        if not (number.isascii() and number.isdecimal()):
            continue
        sentence = by_index.get(int(number[:9]))
        if digest and (sentence is None or not sha256(sentence.text.encode()).hexdigest().startswith(digest)):
            same = False
        elif sentence is not None:
            found.add(sentence.index)
    return frozenset(found), same


def _language(language: str | None) -> str | None:
    """A language code that may stand in a page, or None."""
    return language if language and _LANGUAGE.fullmatch(language) else None


def _tags(form: SearchForm) -> list[tuple[str, str, str]]:
    """The filters in force: name and value in the form, and what to show."""
    days = [("from", "From", form.published_from), ("to", "Until", form.published_to)]
    outlets = [("outlet", publisher, publisher) for publisher in form.publishers]
    return [(name, day, f"{word} {readable_date(day)}") for name, word, day in days if day] + outlets


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
    day = f"{int(match[3])} {MONTH_NAMES[int(match[2]) - 1]} {match[1]}"
    return f"{day}, {match[4]}" if match[4] else day


def readable_time(milliseconds: float) -> str:
    """``12 ms``, or ``1.25 s``."""
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.2f} s"
