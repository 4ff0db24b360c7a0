"""Retrieval: a question becomes the passages most likely to answer it, by dense and lexical search, fused."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from qa.catalog import Catalog
from qa.fusion import reciprocal_rank_fusion
from qa.lexical import LexicalIndex
from qa.protocols import Embedder, FloatArray, IdArray, VectorStore
from qa.settings import RetrievalSettings
from qa.types import Filters, Hit, Passage

__all__ = ["Retrieval", "Retriever"]


@dataclass(frozen=True, slots=True)
class Retrieval:
    """The passages found for a question, best first.

    `filtered_out` is true when the filters left no article to search. `timings_ms` has the stages embed and search.
    """

    passages: tuple[Passage, ...]
    filtered_out: bool
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

    def retrieve(self, question: str, k: int, filters: Filters | None = None) -> Retrieval:
        """Return at most k passages, best first by fused score."""
        started = time.perf_counter()
        among = self._catalog.chunk_ids(filters) if filters else None
        if among is not None and len(among) == 0:
            return Retrieval((), filtered_out=True, timings_ms={})
        vector = self._embedder.embed_query(question)
        embedded = time.perf_counter()
        rankings = self._search(question, vector, k, among)
        passages = self._passages(self._fuse(rankings)[:k], rankings)
        searched = time.perf_counter()
        timings = {"embed": (embedded - started) * 1000, "search": (searched - embedded) * 1000}
        return Retrieval(passages, filtered_out=False, timings_ms=timings)

    def rankings(self, question: str, k: int) -> dict[str, tuple[Passage, ...]]:
        """The first k passages of the dense, the lexical and the fused ranking, for evaluation."""
        rankings = self._search(question, self._embedder.embed_query(question), k, None)
        return {
            "dense": self._passages([(hit.chunk_id, hit.score) for hit in rankings.dense[:k]], rankings),
            "lexical": self._passages([(hit.chunk_id, hit.score) for hit in rankings.lexical[:k]], rankings),
            "fused": self._passages(self._fuse(rankings)[:k], rankings),
        }

    def _search(self, question: str, vector: FloatArray, k: int, among: IdArray | None) -> _Rankings:
        depth = max(k, self._settings.candidates)
        return _Rankings(self._store.search(vector, depth, among), self._lexical.search(question, depth, among))

    def _fuse(self, rankings: _Rankings) -> list[tuple[int, float]]:
        return reciprocal_rank_fusion(
            [[hit.chunk_id for hit in rankings.dense], [hit.chunk_id for hit in rankings.lexical]],
            weights=[self._settings.dense_weight, self._settings.lexical_weight],
            k=self._settings.rrf_k,
        )

    def _passages(self, scored: Sequence[tuple[int, float]], rankings: _Rankings) -> tuple[Passage, ...]:
        dense = {hit.chunk_id: (rank, hit.score) for rank, hit in enumerate(rankings.dense, start=1)}
        lexical = {hit.chunk_id: (rank, hit.score) for rank, hit in enumerate(rankings.lexical, start=1)}
        found = self._catalog.chunks([number for number, _ in scored])
        passages = []
        for number, score in scored:
            chunk, article = found[number]
            sentences = self._catalog.sentences(article, max(chunk.first - 1, 0), chunk.stop)
            dense_rank, dense_score = dense.get(number, (None, None))
            lexical_rank, lexical_score = lexical.get(number, (None, None))
            own = sentences[-(chunk.stop - chunk.first) :]
            before = sentences[0] if len(sentences) > len(own) else None
            passages.append(
                Passage(chunk, article, own, score, dense_rank, lexical_rank, dense_score, lexical_score, before)
            )
        return tuple(passages)
