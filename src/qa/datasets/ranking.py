"""Data sets that give the sentences: the answerer ranks those of a question's documents.

A document becomes an article of its sentences joined by single spaces, in chunks as the index has them. All chunks of
the documents of a question are its passages, ordered by BM25 among them, those without a term of it last.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from qa.answerers import load_extractive
from qa.cases import Case, Loss
from qa.chunks import chunk_sentences, embedding_text
from qa.datasets.base import Evaluated, Request
from qa.embedders import load_embedder
from qa.errors import EvaluationError
from qa.lexical import LexicalIndex
from qa.metrics import average_precision, reciprocal_rank
from qa.report import Report, Scores, describe, latency, summarize
from qa.scorers import load_scorer
from qa.types import Article, Chunk, Draft, Passage, Sentence

__all__ = ["Asked", "Document", "Key", "Ranked", "evaluate_ranking", "score_ranking"]

Key = tuple[str, int]
"""Document id and index of a sentence."""


@dataclass(frozen=True, slots=True)
class Document:
    """Sentences in their order; `title` is context, empty where the set has none."""

    id: str
    title: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about the sentences of some documents. `kind` groups questions; without `gold` none answers it."""

    id: str
    question: str
    documents: tuple[str, ...]
    gold: frozenset[Key]
    kind: str
    answers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ranked:
    """All sentences of a question's documents, best first, and the best one's probability.

    Sentences that the answerer leaves out stand last, in the order of the documents; `scored` is how many it did not.
    `draft` is what an answer would have cited, without a threshold; `short` the short answer, empty where it gives none
    or the probability is below the threshold.
    """

    keys: tuple[Key, ...]
    scored: int
    probability: float
    draft: Draft
    short: str = ""


def score_ranking(ranked: Ranked, gold: frozenset[Key]) -> Scores:
    """Score a ranking of sentences by gold ones: whether the first is gold, average precision, reciprocal rank."""
    first = ranked.keys[: min(1, ranked.scored)]
    return {
        "sentence.p@1": (float(bool(gold.intersection(first))), 1),
        "sentence.map": (average_precision(ranked.keys, gold), 1),
        "sentence.mrr": (reciprocal_rank(ranked.keys, gold), 1),
    }


def evaluate_ranking(
    dataset: str,
    documents: Iterable[Document],
    questions: Sequence[Asked],
    request: Request,
    score: Callable[[Asked, Ranked], Scores],
    *,
    pooled: bool = False,
) -> Evaluated:
    """Rank the sentences of every question's documents and `score` them.

    `pooled`: the sentences of all documents compete, too, as far as BM25 finds their passages; what it does not find
    counts as missed. Raises `EvaluationError`.
    """
    ranker = _Ranker(documents, request)
    ranker.check(questions)
    scored: dict[str, Scores] = {}
    cases: list[Case] = []
    timings: list[dict[str, float]] = []
    for number, asked in enumerate(questions, start=1):
        ranked, times = ranker.rank(asked)
        timings.append(times)
        scored[asked.id] = score(asked, ranked)
        if pooled:
            keys = ranker.rank_pooled(asked.question)
            scored[asked.id]["sentence.p@1.pooled"] = (float(bool(asked.gold.intersection(keys[:1]))), 1)
            scored[asked.id]["sentence.map.pooled"] = (average_precision(keys, asked.gold), 1)
        cases.append(ranker.case(asked, ranked))
        request.progress("asking", number, len(questions))
    about = describe(
        dataset,
        [asked.kind for asked in questions],
        request.settings,
        articles=len(ranker.articles),
        sentences=sum(map(len, ranker.sentences.values())),
        passages=sum(map(len, ranker.passages.values())),
        embedding_model=ranker.embedding_model,
        answerer=ranker.answerer.name,
    )
    return Evaluated(Report(about, summarize(scored), latency(timings), scored), tuple(cases))


class _Ranker:
    """The documents of a set in chunks, and the answerer over them."""

    def __init__(self, documents: Iterable[Document], request: Request) -> None:
        settings = request.settings
        embedder = load_embedder(settings.embedding, settings.paths.cache, prepare=True)
        self.embedding_model = embedder.name
        self.articles: dict[str, Article] = {}
        self.sentences: dict[str, tuple[Sentence, ...]] = {}
        self.passages: dict[str, tuple[Passage, ...]] = {}
        self._lexical = LexicalIndex.empty()
        self._threshold = settings.answers.min_confidence
        self._most = settings.retrieval.passages
        count = 0
        for document in documents:
            article, sentences = _article(document)
            budget = min(settings.chunks.max_tokens, embedder.max_tokens)
            passages = []
            for draft in chunk_sentences(article.title, sentences, embedder, budget, settings.chunks.overlap_sentences):
                chunk = Chunk(count, article.id, draft.first, draft.stop, draft.start, draft.end, draft.token_count)
                before = sentences[draft.first - 1] if draft.first else None
                passages.append(Passage(chunk, article, sentences[draft.first : draft.stop], 0.0, before=before))
                count += 1
            self._lexical.add(
                [passage.chunk.id for passage in passages],
                [embedding_text(article.title, passage.text) for passage in passages],
            )
            self.articles[article.id] = article
            self.sentences[article.id] = sentences
            self.passages[article.id] = tuple(passages)
        # Whether to refuse is measured from the confidence, so nothing may be refused here.
        ungated = settings.answers.model_copy(update={"min_confidence": 0.0})
        self.answerer = load_extractive(ungated, embedder, self._lexical.idf, load_scorer(settings.answers.scorer))

    def check(self, questions: Sequence[Asked]) -> None:
        """Raise `EvaluationError` when there is no question, or one names a document or sentence that is not there."""
        if not questions:
            raise EvaluationError("the data set has no questions")
        for asked in questions:
            for document in asked.documents:
                if document not in self.articles:
                    raise EvaluationError(f"question {asked.id} is about {document}, which is no document")
            for document, index in sorted(asked.gold):
                if not 0 <= index < len(self.sentences[document]):
                    raise EvaluationError(
                        f"question {asked.id} names sentence {index} of {document}, which has"
                        f" {len(self.sentences[document])}"
                    )

    def rank(self, asked: Asked) -> tuple[Ranked, dict[str, float]]:
        """Rank the sentences of a question's documents; the stages took so many milliseconds."""
        passages = self._ordered(asked.question, asked.documents)
        started = time.perf_counter()
        scored = self.answerer.score(asked.question, passages)
        ranked = time.perf_counter()
        draft = self.answerer.answer(asked.question, passages, 3)
        answered = time.perf_counter()
        keys = [item.sentence.key for item in scored]
        seen = set(keys)
        rest = [s.key for document in asked.documents for s in self.sentences[document] if s.key not in seen]
        best = scored[0].probability if scored else 0.0
        times = {"score": (ranked - started) * 1000, "answer": (answered - ranked) * 1000}
        short = draft.short_answer.text if draft.short_answer and best >= self._threshold else ""
        return Ranked((*keys, *rest), len(keys), best, draft, short), times

    def rank_pooled(self, question: str) -> tuple[Key, ...]:
        """The sentences of the best passages of all documents, best first; as many passages as an answer takes."""
        passages = self._ordered(question, self.articles)[: self._most]
        return tuple(item.sentence.key for item in self.answerer.score(question, passages))

    def case(self, asked: Asked, ranked: Ranked) -> Case:
        """What happened: the passages and what an answer would have cited."""
        marked = tuple(
            (passage, any(sentence.key in asked.gold for sentence in passage.sentences))
            for passage in self._ordered(asked.question, asked.documents)
        )
        chosen = tuple(
            (source, source.key in asked.gold) for statement in ranked.draft.statements for source in statement.sources
        )
        answered = bool(chosen) and ranked.probability >= self._threshold
        loss: Loss | None = None
        if not asked.gold:
            loss = "wrongly answered" if answered else None
        elif not any(found for _, found in chosen):
            loss = "not chosen"
        elif not answered:
            loss = "refused"
        gold = asked.answers or tuple(self.sentences[document][index].text for document, index in sorted(asked.gold))
        return Case(asked.id, asked.question, gold, None, ranked.probability, answered, loss, marked, chosen)

    def _ordered(self, question: str, documents: Iterable[str]) -> list[Passage]:
        own = {passage.chunk.id: passage for document in documents for passage in self.passages[document]}
        hits = self._lexical.search(question, max(len(own), 1), np.array(sorted(own), np.int64))
        found = [
            replace(own.pop(hit.chunk_id), score=hit.score, lexical_rank=rank, lexical_score=hit.score)
            for rank, hit in enumerate(hits, start=1)
        ]
        return [*found, *own.values()]


def _article(document: Document) -> tuple[Article, tuple[Sentence, ...]]:
    sentences: list[Sentence] = []
    start = 0
    for index, text in enumerate(document.sentences):
        sentences.append(Sentence(document.id, index, start, start + len(text), text))
        start += len(text) + 1
    return Article(document.id, document.title, " ".join(document.sentences)), tuple(sentences)
