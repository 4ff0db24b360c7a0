"""From the engine's values to the bodies of the HTTP contract. Pure functions: nothing is looked up or searched for."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from urllib.parse import quote, urlsplit

from qa.contract import (
    AnswerReply,
    AnswerText,
    ArticleReply,
    CitationOut,
    ClosestOut,
    ContextOut,
    DatesOut,
    EngineOut,
    FiltersIn,
    FoundOut,
    IndexReply,
    NoteOut,
    NotFoundOut,
    PassageOut,
    RangeOut,
    ScoresOut,
    SearchReply,
    SegmentOut,
    SentenceOut,
    ShortAnswerOut,
    SourceOut,
    SupportOut,
    UsageOut,
)
from qa.contract import Turn as TurnIn
from qa.engine import ArticleView, IndexStatus, SearchResult
from qa.fragments import text_fragment
from qa.times import ranges
from qa.types import Answer, Article, Citation, Closest, Filters, Note, Passage, Reason, TimeScope, Turn, Written

__all__ = [
    "answer_reply",
    "around_short_answer",
    "article_reply",
    "article_url",
    "day_from",
    "filters_from",
    "found_sources",
    "history_from",
    "index_reply",
    "new_id",
    "now_utc",
    "original_url",
    "safe_url",
    "search_reply",
    "written_citations",
]

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

_MESSAGES: dict[Reason, str] = {
    "no_evidence": "No article here answers that.",
    "low_confidence": "No article here answers that: nothing that was found says it clearly enough to be cited.",
    "filtered_out": "No article is left after the filters.",
    "empty_index": "The index holds no articles.",
}
_ADVICE = "Ask with names or words that an article would use."
_ADVICE_FILTERS = "Ask again without the filters."


def now_utc() -> str:
    """The time in UTC as the contract writes it, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_id(prefix: str) -> str:
    """An id that nobody can guess and that sorts by time: 48 bits of milliseconds, then 80 random ones."""
    number = (int(time.time() * 1000) << 80) | secrets.randbits(80)
    return prefix + "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


def article_url(article_id: str, sentence: int | None = None) -> str:
    """Our own page of an article, at a sentence if one is given."""
    path = f"/articles/{quote(article_id, safe='')}"
    return path if sentence is None else f"{path}#s{sentence}"


def safe_url(url: str | None) -> str | None:
    """The URL if a browser may follow it: http or https, with a host, and nothing invisible inside; else None."""
    if not url or any(c.isspace() or not c.isprintable() for c in url):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme.lower() in ("http", "https") and parts.hostname else None


def original_url(article: Article, start: int, end: int) -> str | None:
    """The publisher's page, or None without a web address; a text fragment marks ``text[start:end]`` if one can."""
    base = safe_url(article.url)
    fragment = base and text_fragment(article.text, start, end)
    if base is None or fragment is None:
        return base
    base = base.partition(":~:")[0].rstrip("#")
    return f"{base}{'' if '#' in base else '#'}:~:text={fragment}"


def filters_from(given: FiltersIn) -> Filters:
    """The engine's filters."""
    return Filters(
        published_from=given.published_from,
        published_to=given.published_to,
        publishers=tuple(given.publishers),
        sections=tuple(given.sections),
        languages=tuple(given.languages),
        article_ids=tuple(given.article_ids),
    )


def history_from(given: Sequence[TurnIn]) -> tuple[Turn, ...]:
    """The engine's earlier turns."""
    return tuple(Turn(turn.role, turn.content) for turn in given)


def day_from(given: str | None) -> date | None:
    """A day that the contract has checked."""
    return date.fromisoformat(given) if given else None


def answer_reply(
    answer: Answer,
    status: IndexStatus | None,
    *,
    answer_id: str | None = None,
    include: Collection[str] = (),
    filtered: bool = False,
) -> AnswerReply:
    """The body of ``POST /v1/ask``.

    `status` describes the generation that answered, None when it is gone already. `answer_id` is a new one by default.
    `filtered` says that the request had filters.
    """
    articles = {article.id: article for article in answer.articles}
    return AnswerReply(
        id=answer_id or new_id("ans_"),
        created_at=now_utc(),
        question=answer.question,
        resolved_question=answer.resolved_question,
        status=answer.status,
        answer=_answer_text(answer),
        short_answer=_short_answer(answer),
        citations=[_citation_out(citation, articles[citation.article_id]) for citation in answer.citations],
        sources=[_source(article, answer.citations) for article in answer.articles],
        also_found=[_found(close) for close in answer.closest] if answer.status == "answered" else [],
        not_found=_not_found(answer, filtered) if answer.status == "not_found" else None,
        dates=_dates(answer.scope),
        notes=_notes(answer),
        follow_ups=list(answer.follow_ups),
        engine=_engine(answer, status),
        usage=UsageOut(**asdict(answer.usage)),
        timings_ms=answer.timings_ms,
        passages=_passages(answer.passages, "scores" in include) if "passages" in include else None,
    )


def found_sources(passages: Sequence[Passage]) -> list[SourceOut]:
    """The articles of some passages, in their order; nothing cites them yet."""
    articles = {passage.article.id: passage.article for passage in passages}
    return [_source(article, ()) for article in articles.values()]


def around_short_answer(segment: SegmentOut, reply: AnswerReply) -> tuple[str, str, str]:
    """A segment's text before, in and after the short answer; all of it is before where there is none."""
    short = reply.short_answer
    cited = next((c for c in reply.citations if short and c.n == short.citation), None)
    if short is None or cited is None or cited.n not in segment.citations or cited.quote != segment.text:
        return segment.text, "", ""
    start, end = short.start - cited.source_start, short.end - cited.source_start
    return segment.text[:start], segment.text[start:end], segment.text[end:]


def search_reply(question: str, found: SearchResult) -> SearchReply:
    """The body of ``POST /v1/search``."""
    return SearchReply(
        question=question,
        resolved_question=found.resolved_question,
        generation=found.generation,
        passages=_passages(found.passages, scores=True),
        dates=_dates(found.scope),
        notes=[_note(note) for note in found.notes],
        timings_ms={stage: round(value, 2) for stage, value in found.timings_ms.items()},
    )


def article_reply(view: ArticleView) -> ArticleReply:
    """The body of ``GET /v1/articles/{id}``."""
    article = view.article
    return ArticleReply(
        **_facts(article),
        generation=view.generation,
        text=article.text,
        sentences=[
            SentenceOut(id=_sentence_id(article.id, s.index), index=s.index, start=s.start, end=s.end)
            for s in view.sentences
        ],
    )


def index_reply(status: IndexStatus) -> IndexReply:
    """The body of ``GET /v1/index``."""
    return IndexReply(
        state=status.state,
        reason=status.reason,
        generation=status.generation,
        built_at=_utc(status.built_at),
        articles=status.articles,
        sentences=status.sentences,
        passages=status.passages,
        newest=status.newest,
        oldest=status.oldest,
        embedding_model=status.embedding_model,
        publishers=list(status.publishers),
    )


def _utc(time_of: str | None) -> str | None:
    return time_of.replace("+00:00", "Z") if time_of else None


def _sentence_id(article_id: str, index: int) -> str:
    return f"{article_id}#s{index}"


def _answer_text(answer: Answer) -> AnswerText:
    segments: list[SegmentOut] = []
    marked: list[str] = []
    at = 0
    for index, statement in enumerate(answer.statements):
        numbers = [citation.number for citation in answer.citations if index in citation.segments]
        context = statement.context
        segments.append(
            SegmentOut(
                index=index,
                start=at,
                end=at + len(statement.text),
                text=statement.text,
                citations=numbers,
                context=context
                and ContextOut(
                    article_id=context.article_id,
                    sentence_id=_sentence_id(context.article_id, context.index),
                    text=context.text,
                ),
            )
        )
        marked.append(statement.text + "".join(f"[{number}]" for number in numbers))
        at += len(statement.text) + 1
    return AnswerText(text=answer.text, text_with_markers=" ".join(marked), segments=segments)


def _short_answer(answer: Answer) -> ShortAnswerOut | None:
    short = answer.short_answer
    if short is None:
        return None
    number = next(c.number for c in answer.citations if (c.article_id, c.sentence_index) == short.sentence.key)
    return ShortAnswerOut(text=short.text, citation=number, start=short.start, end=short.end)


def _citation_out(citation: Citation, article: Article) -> CitationOut:
    """One citation of an answer."""
    return CitationOut(
        n=citation.number,
        segments=list(citation.segments),
        article_id=citation.article_id,
        sentence_ids=[_sentence_id(citation.article_id, citation.sentence_index)],
        quote=citation.quote,
        source_start=citation.start,
        source_end=citation.end,
        quote_sha256=hashlib.sha256(citation.quote.encode()).hexdigest(),
        verified=citation.support.label == "supported",
        support=SupportOut.model_validate({"label": citation.support.label, "score": citation.support.score}),
        url=article_url(citation.article_id, citation.sentence_index),
        original_url=original_url(article, citation.start, citation.end),
    )


def written_citations(report: Written) -> list[CitationOut]:
    """The citations of a statement that is reported while those after it are being written."""
    articles = {article.id: article for article in report.articles}
    return [_citation_out(citation, articles[citation.article_id]) for citation in report.citations]


def _facts(article: Article) -> dict[str, object]:
    return {
        "article_id": article.id,
        "title": article.title,
        "publisher": article.publisher,
        "authors": list(article.authors),
        "url": safe_url(article.url),
        "published_at": article.published_at,
        "modified_at": article.modified_at,
        "section": article.section,
        "language": article.language,
        "content_sha256": article.content_sha256,
    }


def _source(article: Article, citations: Sequence[Citation]) -> SourceOut:
    cited_by = [citation.number for citation in citations if citation.article_id == article.id]
    return SourceOut.model_validate({**_facts(article), "cited_by": cited_by, "duplicates": []})


def _found(close: Closest) -> FoundOut:
    article = close.article
    return FoundOut(
        article_id=article.id,
        title=article.title,
        publisher=article.publisher,
        published_at=article.published_at,
        url=article_url(article.id, close.sentence.index),
    )


def _dates(scope: TimeScope | None) -> DatesOut | None:
    if scope is None:
        return None
    return DatesOut(
        as_of=scope.as_of.isoformat(),
        given=scope.given,
        ranges=[
            RangeOut(
                text=text,
                published_from=span.first.isoformat() if span.first else None,
                published_to=span.last.isoformat(),
            )
            for text, span in ranges(scope)
        ],
    )


def _notes(answer: Answer) -> list[NoteOut]:
    notes = [_note(note) for note in answer.notes]
    if len(answer.articles) == 1:
        notes.append(NoteOut(code="single_source", message="Only one article is cited."))
    if answer.dropped:
        left_out = "1 sentence was" if answer.dropped == 1 else f"{answer.dropped} sentences were"
        notes.append(NoteOut(code="unsupported_dropped", message=f"{left_out} left out: the source did not say it."))
    if any(citation.support.label == "not_checked" for citation in answer.citations):
        notes.append(
            NoteOut(code="not_checked", message="Not every sentence could be checked: its language is not English.")
        )
    return notes


def _note(note: Note) -> NoteOut:
    return NoteOut(code=note.code, message=note.message)


def _not_found(answer: Answer, filtered: bool) -> NotFoundOut:
    reason: Reason = answer.reason or "no_evidence"
    return NotFoundOut(
        reason=reason,
        message=_MESSAGES[reason],
        closest=[
            ClosestOut(
                article_id=close.article.id,
                title=close.article.title,
                quote=close.sentence.text,
                url=article_url(close.article.id, close.sentence.index),
                score=close.score,
            )
            for close in answer.closest
        ],
        suggestions=[_ADVICE_FILTERS, _ADVICE] if filtered else [_ADVICE],
    )


def _engine(answer: Answer, status: IndexStatus | None) -> EngineOut:
    return EngineOut(
        answerer=answer.answerer,
        answer_model=answer.answer_model,
        embedding_model=status.embedding_model if status else None,
        generation=answer.generation,
        index_built_at=_utc(status.built_at) if status else None,
        articles=status.articles if status else None,
        passages=status.passages if status else None,
    )


def _passages(passages: Sequence[Passage], scores: bool) -> list[PassageOut]:
    return [
        PassageOut(
            rank=rank,
            article_id=passage.article.id,
            title=passage.article.title,
            sentence_ids=[_sentence_id(passage.article.id, sentence.index) for sentence in passage.sentences],
            source_start=passage.chunk.start,
            source_end=passage.chunk.end,
            text=passage.text,
            url=article_url(passage.article.id, passage.chunk.first),
            scores=_scores(passage) if scores else None,
        )
        for rank, passage in enumerate(passages, start=1)
    ]


def _scores(passage: Passage) -> ScoresOut:
    return ScoresOut(
        score=passage.score,
        dense_rank=passage.dense_rank,
        lexical_rank=passage.lexical_rank,
        dense_score=passage.dense_score,
        lexical_score=passage.lexical_score,
        recency=passage.recency,
    )
