"""Retrieval: a question becomes the passages most likely to answer it, by dense and lexical search, fused."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import numpy as np

from qa.catalog import Catalog
from qa.fusion import reciprocal_rank_fusion
from qa.lexical import LexicalIndex, one_slip, terms, words
from qa.protocols import Embedder, FloatArray, IdArray, VectorStore
from qa.settings import RetrievalSettings
from qa.times import find_times, recency, span_fit, week_to
from qa.topics import plain_question
from qa.types import Filters, Hit, Passage, TimeScope

__all__ = ["Retrieval", "Retriever"]

DATE_WEIGHT = 1.0
"""A passage whose article fits the time of the question counts 1 + this times as much as one that does not."""
NEAR_WEIGHT = 0.5
"""Weight of the rankings among the articles near the time, relative to those among all."""
NEAR = 0.5
"""How well an article fits that is near the time."""
COMPARABLE = 0.5
"""Part of the best score of all that a chunk needs in a ranking near the time: a first place among few says little."""
SHORTEST_NAME = 6
"""Letters from which on a word of a question can be a name misspelt: shorter ones are near too many others."""
WRITINGS = 10
"""Passages in which it is looked up how a name is written."""
CURRENT = 7
"""Days for which the newest article makes an archive current: questions are then asked today, else on its day."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """The passages found for a question, best first.

    `filtered_out` is true when the filters left no article to search. `scope` is the time that articles were preferred
    for, None when dates played no part. `timings_ms` has the stages embed and search.
    """

    passages: tuple[Passage, ...]
    filtered_out: bool
    scope: TimeScope | None
    timings_ms: dict[str, float]


@dataclass(frozen=True, slots=True)
class _Rankings:
    dense: Sequence[Hit]
    lexical: Sequence[Hit]


class Retriever:
    """Searches one generation. Safe to use from several threads."""

    def __init__(
        self,
        catalog: Catalog,
        store: VectorStore,
        lexical: LexicalIndex,
        embedder: Embedder,
        settings: RetrievalSettings,
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._lexical = lexical
        self._embedder = embedder
        self._settings = settings
        self._ids, days = catalog.chunk_days()
        # An archive has far fewer days than chunks: what is worked out for a question is worked out by day.
        self._days, self._day_of = np.unique(days, return_inverse=True)

    def retrieve(
        self,
        question: str,
        k: int,
        filters: Filters | None = None,
        *,
        as_of: date | None = None,
        dates: bool | None = None,
    ) -> Retrieval:
        """Return at most k passages, best first by fused score.

        `as_of` is the day that the question is asked on; by default today, or the newest article's day in an archive
        that is not current. `dates` overrides the setting `retrieval.dates`.
        """
        started = time.perf_counter()
        among = self._catalog.chunk_ids(filters) if filters else None
        if among is not None and len(among) == 0:
            return Retrieval((), filtered_out=True, scope=None, timings_ms={})
        scope = self._scope(question, as_of, dates)
        asked = plain_question(question)
        vector = self._embedder.embed_query(asked)
        embedded = time.perf_counter()
        whole, near, scope = self._search(asked, vector, k, among, scope)
        passages = self._passages(self._fuse(whole, near, scope)[:k], whole, near, scope)
        searched = time.perf_counter()
        timings = {"embed": (embedded - started) * 1000, "search": (searched - embedded) * 1000}
        return Retrieval(passages, filtered_out=False, scope=scope, timings_ms=timings)

    def rankings(self, question: str, k: int, *, as_of: date | None = None) -> dict[str, tuple[Passage, ...]]:
        """The first k passages of the dense, the lexical and the fused ranking, for evaluation.

        The fused one is that of `retrieve`, dates included.
        """
        asked = plain_question(question)
        vector = self._embedder.embed_query(asked)
        whole, near, scope = self._search(asked, vector, k, None, self._scope(question, as_of, None))
        ranked = {
            "dense": [(hit.chunk_id, hit.score) for hit in whole.dense],
            "lexical": [(hit.chunk_id, hit.score) for hit in whole.lexical],
            "fused": self._fuse(whole, near, scope),
        }
        return {name: self._passages(scored[:k], whole, near, scope) for name, scored in ranked.items()}

    def respell(self, question: str) -> str:
        """Return a question with the names that it misspells as an article writes them.

        A word is a name misspelt when no article has it, the embedding model does not know it either (so it is no plain
        word that happens to be missing), and one slip makes it a word that articles write with a capital.
        """
        return words().sub(lambda found: self._as_written(found.group()), question)

    def _as_written(self, word: str) -> str:
        term = "".join(terms(word))
        if len(word) < SHORTEST_NAME or not word.isalpha() or not term or term in self._lexical:
            return word
        similar = self._lexical.similar(term, WRITINGS) if self._embedder.count_tokens([word])[0] > 1 else None
        if similar is None:
            return word
        meant, numbers = similar
        texts = [
            f"{article.title}\n{article.text[c.start : c.end]}" for c, article in self._catalog.chunks(numbers).values()
        ]
        written = [found for text in texts for found in words().findall(text) if terms(found) == [meant]]
        if not all(found[0].isupper() for found in written):
            return word
        return next((found for found in written if one_slip(word.casefold(), found.casefold())), word)

    def newest(self, until: date | None = None) -> date | None:
        """The day of the newest article up to a day, by default today; None without one. No news comes from ahead."""
        until = until or datetime.now().astimezone().date()
        past = self._days[(self._days > 0) & (self._days <= until.toordinal())]
        return date.fromordinal(int(past[-1])) if len(past) else None

    def _scope(self, question: str, as_of: date | None, dates: bool | None) -> TimeScope | None:
        """The time that a question calls for, as far as there are articles of it; None if it calls for none."""
        if not (self._settings.dates if dates is None else dates):
            return None
        day = as_of or self._present()
        dated = self._days[self._days > 0]
        told = (dated <= day.toordinal()).any()
        found = tuple(
            e for e in find_times(question, day) if (e.newest and told) or (span_fit(e.span, dated) >= NEAR).any()
        )
        return TimeScope(day, as_of is not None, found) if found or as_of else None

    def _present(self) -> date:
        """Today, or the day of the newest article if that is longer ago than `CURRENT` days."""
        today = datetime.now().astimezone().date()
        newest = self.newest(today) or today
        return today if (today - newest).days <= CURRENT else newest

    def _search(
        self, question: str, vector: FloatArray, k: int, among: IdArray | None, scope: TimeScope | None
    ) -> tuple[_Rankings, _Rankings, TimeScope | None]:
        """The rankings of all chunks in `among`, those of the chunks near the time, and that time.

        Without a time the second are empty.
        """
        depth = max(k, self._settings.candidates)
        whole = _Rankings(self._store.search(vector, depth, among), self._lexical.search(question, depth, among))
        if scope is None:
            return whole, _Rankings((), ()), None
        scope = self._of_subject(scope, whole.lexical or whole.dense)
        fits = recency(self._days, scope) >= NEAR
        near = self._ids[fits[self._day_of]]
        if among is not None:
            near = np.intersect1d(near, among, assume_unique=True)
        if len(near) == 0:
            return whole, _Rankings((), ()), scope
        return (
            whole,
            _Rankings(
                _comparable(self._store.search(vector, depth, near), whole.dense),
                _comparable(self._lexical.search(question, depth, near), whole.lexical),
            ),
            scope,
        )

    def _of_subject(self, scope: TimeScope, hits: Sequence[Hit]) -> TimeScope:
        """The scope in which the newest is the week up to the newest article on the subject, as `hits` show it."""
        if not hits or not any(found.newest for found in scope.expressions):
            return scope
        days = self._days_of([hit.chunk_id for hit in _comparable(hits, hits)])
        newest = int(days[days <= scope.as_of.toordinal()].max(initial=0))
        if newest == 0:
            return scope
        span = week_to(date.fromordinal(newest))
        return replace(
            scope,
            expressions=tuple(replace(found, span=span) if found.newest else found for found in scope.expressions),
        )

    def _days_of(self, ids: Sequence[int]) -> IdArray:
        """The day of each chunk's article, as an ordinal, 0 where it is not known."""
        return self._days[self._day_of[np.searchsorted(self._ids, ids)]]

    def _fuse(self, whole: _Rankings, near: _Rankings, scope: TimeScope | None) -> list[tuple[int, float]]:
        weights = [self._settings.dense_weight, self._settings.lexical_weight]
        fused = reciprocal_rank_fusion(
            [[hit.chunk_id for hit in ranking] for ranking in (whole.dense, whole.lexical, near.dense, near.lexical)],
            weights=[*weights, *(NEAR_WEIGHT * weight for weight in weights)],
            k=self._settings.rrf_k,
        )
        if scope is None:
            return fused
        fits = self._fits([number for number, _ in fused], scope)
        scored = [(number, score * (1 + DATE_WEIGHT * fit)) for (number, score), fit in zip(fused, fits, strict=True)]
        return sorted(scored, key=lambda item: (-item[1], item[0]))

    def _fits(self, ids: Sequence[int], scope: TimeScope | None) -> list[float]:
        """`Passage.recency` of chunks."""
        if scope is None:
            return [1.0] * len(ids)
        return [float(fit) for fit in recency(self._days_of(ids), scope)]

    def _passages(
        self, scored: Sequence[tuple[int, float]], whole: _Rankings, near: _Rankings, scope: TimeScope | None
    ) -> tuple[Passage, ...]:
        dense_ranks = {hit.chunk_id: rank for rank, hit in enumerate(whole.dense, start=1)}
        lexical_ranks = {hit.chunk_id: rank for rank, hit in enumerate(whole.lexical, start=1)}
        dense_scores = {hit.chunk_id: hit.score for hit in (*whole.dense, *near.dense)}
        lexical_scores = {hit.chunk_id: hit.score for hit in (*whole.lexical, *near.lexical)}
        found = self._catalog.chunks([number for number, _ in scored])
        fits = self._fits([number for number, _ in scored], scope)
        passages = []
        for (number, score), fit in zip(scored, fits, strict=True):
            chunk, article = found[number]
            sentences = self._catalog.sentences(article, max(chunk.first - 1, 0), chunk.stop)
            own = sentences[-(chunk.stop - chunk.first) :]
            passages.append(
                Passage(
                    chunk,
                    article,
                    own,
                    score,
                    dense_ranks.get(number),
                    lexical_ranks.get(number),
                    dense_scores.get(number),
                    lexical_scores.get(number),
                    before=sentences[0] if len(sentences) > len(own) else None,
                    recency=fit,
                )
            )
        return tuple(passages)


def _comparable(hits: Sequence[Hit], whole: Sequence[Hit]) -> list[Hit]:
    return [hit for hit in hits if hit.score >= COMPARABLE * whole[0].score]
