"""Citations: the one place that makes them, from sentences that were carried along, never searched for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qa.errors import CitationError
from qa.protocols import SupportCheck
from qa.types import Article, Citation, Passage, Sentence, ShortAnswer, Statement, Support

__all__ = ["Cited", "cite", "cited_short_answer"]


@dataclass(frozen=True, slots=True)
class Cited:
    """What is left of a draft after the check.

    `statements` passed it or could not be checked; `citations` are numbered from 1 by first use; `articles` are the
    cited ones in that order; `dropped` counts the statements that failed.
    """

    statements: tuple[Statement, ...]
    citations: tuple[Citation, ...]
    articles: tuple[Article, ...]
    dropped: int


def cite(statements: Sequence[Statement], passages: Sequence[Passage], check: SupportCheck) -> Cited:
    """Check each statement, drop what fails, number the sources of the rest.

    What could not be checked stays and says so: a citation has the support of the weakest statement that carries it.

    Raises `CitationError` if a statement has no source, or one that is not among the passages' sentences: an answerer
    that does so is broken, and no answer may leave.
    """
    articles = {passage.article.id: passage.article for passage in passages}
    retrieved = {sentence.key: sentence for passage in passages for sentence in passage.sentences}
    kept: list[Statement] = []
    supports: dict[tuple[str, int], Support] = {}
    segments: dict[tuple[str, int], list[int]] = {}
    dropped = 0
    for statement in statements:
        _require_retrieved(statement, retrieved)
        support = check(statement, articles)
        if support.label == "unsupported":
            dropped += 1
            continue
        for source in statement.sources:
            segments.setdefault(source.key, []).append(len(kept))
            supports[source.key] = min(supports.get(source.key, support), support, key=_strength)
        kept.append(statement)
    citations = tuple(
        _citation(number, retrieved[key], tuple(dict.fromkeys(used)), supports[key], articles[key[0]])
        for number, (key, used) in enumerate(segments.items(), start=1)
    )
    cited = tuple(articles[article_id] for article_id in dict.fromkeys(c.article_id for c in citations))
    return Cited(tuple(kept), citations, cited, dropped)


def _strength(support: Support) -> tuple[bool, float]:
    return support.label == "supported", support.score


def cited_short_answer(short: ShortAnswer | None, cited: Cited) -> ShortAnswer | None:
    """Return a short answer if the sentence that it stands in is cited.

    Raises `CitationError` when it is not a part of what is cited.
    """
    if short is None:
        return None
    source = next((c for c in cited.citations if (c.article_id, c.sentence_index) == short.sentence.key), None)
    if source is None:
        return None
    inside = source.start <= short.start < short.end <= source.end
    if not inside or source.quote[short.start - source.start : short.end - source.start] != short.text:
        raise CitationError(f"short answer {short.start}:{short.end} is no part of citation {source.number}")
    return short


def _require_retrieved(statement: Statement, retrieved: dict[tuple[str, int], Sentence]) -> None:
    if not statement.sources:
        raise CitationError(f"statement without a source: {statement.text[:80]!r}")
    for source in statement.sources:
        if retrieved.get(source.key) != source:
            raise CitationError(f"sentence {source.index} of article {source.article_id} was not retrieved")


def _citation(number: int, source: Sentence, segments: tuple[int, ...], support: Support, article: Article) -> Citation:
    quote = article.text[source.start : source.end]
    if quote != source.text:
        raise CitationError(f"sentence {source.index} of article {article.id} is not what its offsets say")
    return Citation(number, segments, article.id, source.index, source.start, source.end, quote, support)
