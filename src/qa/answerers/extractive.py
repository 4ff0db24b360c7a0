"""The default answerer: the best sentences of the best passages, word for word, or a refusal.

Every sentence of the passages gets cheap signals (`qa.answerers.signals`). The scorer reads the best passages and says
how well each sentence answers and which of its words do; without a scorer the most promising sentences are compared
with the question by embedding. A logistic model turns all of it into the probability that a sentence answers, a second
one into the confidence that the answer is right. `eval/fit_extractive.py` fits both on development questions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import dataclass, replace

from qa.answerers.signals import Candidate, Question, candidates, spell_out, words
from qa.chunks import embedding_text
from qa.protocols import Embedder, Listener, Scorer
from qa.topics import plain_question
from qa.types import Closest, Draft, Passage, Progress, Sentence, SentenceScore, ShortAnswer, Statement

__all__ = ["CONFIDENCE", "WEIGHTS", "ExtractiveAnswerer", "ScoredSentence", "beside", "refused"]

Model = Mapping[str, float]
"""A logistic model: a weight for each feature by name, and its "bias"."""

WEIGHTS: dict[str, Model] = {
    "scorer": {"coverage": 0.76, "context": 1.64, "recency": 1.06, "dense": 1.29, "reading": 0.14, "bias": -4.07},
    "embedding": {
        "coverage": 2.23, "context": 2.13, "type": 0.6, "rank": 0.7, "recency": 0.76, "cosine": 2.79, "bias": -6.6
    },
}  # fmt: skip
"""What makes a sentence an answer, by what has compared it with the question."""
CONFIDENCE: dict[str, Model] = {
    "scorer": {"best": 0.75, "missing": -1.78, "dense": 0.72, "bias": 0.57},
    "embedding": {"best": 0.67, "missing": -1.78, "dense": 1.92, "bias": -0.57},
}
"""What makes an answer right."""

READ_PASSAGES = 20
"""Passages that the scorer reads at most, the dearest step of an answer; `retrieval.passages` gives it fewer."""
EMBEDDED_SENTENCES = 6
"""Sentences that are compared with the question by embedding where there is no scorer; ten chose no better."""
KEEP_RATIO = 0.5
"""A further sentence joins the answer when it is at least this probable, relative to the best one."""
CLOSEST, ALSO_FOUND = 3, 5
"""Articles at most whose best sentence is shown when nothing answers, and beside an answer that does not cite them."""
TO_THE_POINT = 0.02
"""Least probability of such a sentence: below it most speak of something else."""
COMPARABLE = 0.25
"""Least probability of a further one when nothing answers, relative to the first."""
NEAR_COPY = 0.7
"""Share of common terms (Jaccard) from which one sentence repeats another: wire copies are not cited twice."""
SURE_MARGIN = 4.0
"""Margin of the span from which on it is given as the short answer."""

_REFERS_BACK = re.compile(
    r"[“\"'‘]?(?:he|she|they|it|this|these|those|that|his|her|their|its|such|both|the (?:former|latter))\b", re.I
)


@dataclass(frozen=True, slots=True)
class ScoredSentence:
    """A candidate with its features by name, the probability that it answers, and the words that do, if known."""

    sentence: Sentence
    passage: Passage
    terms: frozenset[str]
    features: Mapping[str, float]
    probability: float
    span: tuple[int, int] | None = None


class ExtractiveAnswerer:
    """Chooses sentences; never writes any. `idf` weighs an index term in the generation that is searched."""

    name = "extractive"

    def __init__(
        self, embedder: Embedder, idf: Callable[[str], float], scorer: Scorer | None, min_confidence: float
    ) -> None:
        self._embedder = embedder
        self._idf = idf
        self._scorer = scorer
        self._model = "scorer" if scorer else "embedding"
        self._min_confidence = min_confidence

    def answer(
        self, question: str, passages: Sequence[Passage], max_statements: int, listen: Listener = lambda _: None
    ) -> Draft:
        """Return the best sentences in reading order, or none when the confidence is below the threshold."""
        scored = self.score(question, passages, listen)
        listen(Progress("writing"))
        return self.draft(question, scored, max_statements)

    def draft(self, question: str, scored: Sequence[ScoredSentence], max_statements: int) -> Draft:
        """Return the answer that `answer` makes of `score`'s sentences."""
        confidence = _logistic(CONFIDENCE[self._model], self.doubts(question, scored[0])) if scored else 0.0
        if not scored or confidence < self._min_confidence:
            return Draft((), confidence, closest=refused(scored) if scored else ())
        chosen = _choose(scored, max_statements)
        return Draft(
            tuple(_statement(item) for item in _readable(chosen)),
            confidence,
            _short_answer(chosen[0]),
            beside(scored, {item.sentence.article_id for item in chosen}),
        )

    def score(
        self, question: str, passages: Sequence[Passage], listen: Listener = lambda _: None
    ) -> list[ScoredSentence]:
        """Every usable sentence of the passages with its probability, best first; ties by article and position."""
        asked = self._asked(question, [sentence.text for passage in passages for sentence in passage.sentences])
        found = candidates(asked, passages)
        read = passages[:READ_PASSAGES]
        scored = self._read(asked, found, read, listen) if self._scorer else self._embed(asked, found)
        return sorted(scored, key=_order, reverse=True)

    def doubts(self, question: str, best: ScoredSentence) -> dict[str, float]:
        """Features of `CONFIDENCE` for an answer that begins with the best of `score`'s sentences."""
        article = best.passage.article
        missing = self._asked(question, [article.text]).missing(words(article))
        return {**best.features, "best": _log_odds(best.probability), "missing": missing}

    def _asked(self, question: str, texts: Sequence[str]) -> Question:
        """A question as these texts can answer it: of a request what it asks, and acronyms as they write them."""
        return Question(spell_out(plain_question(question), texts), self._idf)

    def _read(
        self, asked: Question, found: Sequence[Candidate], passages: Sequence[Passage], listen: Listener
    ) -> list[ScoredSentence]:
        assert self._scorer is not None
        scores: dict[tuple[int, tuple[str, int]], SentenceScore] = {}
        with closing(self._scorer.score(asked.text, passages)) as rows:
            for passage, row in zip(passages, rows, strict=True):
                listen(Progress("ranking", len(passages)))
                scores |= {(passage.chunk.id, s.key): score for s, score in zip(passage.sentences, row, strict=True)}
        scored = []
        for item in found:
            score = scores.get((item.passage.chunk.id, item.sentence.key))
            if score:
                # Where a span was looked for, its margin says more than the sentence as a whole.
                reading = score.answers if score.margin is None else score.margin
                scored.append(_scored(item, {**item.features, "reading": reading}, WEIGHTS["scorer"], score.span))
        return scored

    def _embed(self, asked: Question, found: Sequence[Candidate]) -> list[ScoredSentence]:
        model = WEIGHTS["embedding"]
        scored = [_scored(item, {**item.features, "cosine": 0.0}, model) for item in found]
        # The rest are not compared: they keep a cosine of zero, and so cannot overtake what was.
        near = sorted(scored, key=_order, reverse=True)[:EMBEDDED_SENTENCES]
        if not near:
            return []
        vectors = self._embedder.embed_documents(
            [embedding_text(item.passage.article.title, item.sentence.text) for item in near]
        )
        cosines = vectors @ self._embedder.embed_query(asked.text)
        compared = {}
        for item, cosine in zip(near, cosines, strict=True):
            features = {**item.features, "cosine": float(cosine)}
            compared[item.sentence.key] = replace(item, features=features, probability=_logistic(model, features))
        return [compared.get(item.sentence.key, item) for item in scored]


def _scored(
    item: Candidate, features: Mapping[str, float], model: Model, span: tuple[int, int] | None = None
) -> ScoredSentence:
    return ScoredSentence(item.sentence, item.passage, item.terms, features, _logistic(model, features), span)


def _logistic(model: Model, features: Mapping[str, float]) -> float:
    return _sigmoid(model["bias"] + sum(weight * features[name] for name, weight in model.items() if name != "bias"))


def _sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(min(value, 500.0), -500.0)))


def _log_odds(probability: float) -> float:
    inside = min(max(probability, 1e-9), 1 - 1e-9)
    return math.log(inside / (1 - inside))


def _order(item: ScoredSentence) -> tuple[float, str, int]:
    return (item.probability, item.sentence.article_id, -item.sentence.index)


def _choose(scored: Sequence[ScoredSentence], limit: int) -> list[ScoredSentence]:
    """The best sentence and those nearly as probable that say something else."""
    chosen = [scored[0]]
    for item in scored[1:]:
        if len(chosen) == limit or item.probability < KEEP_RATIO * scored[0].probability:
            break
        if all(_overlap(item.terms, other.terms) < NEAR_COPY for other in chosen):
            chosen.append(item)
    return chosen


def _closest(scored: Sequence[ScoredSentence], cited: Set[str]) -> tuple[Closest, ...]:
    """The best sentence of each article that is not cited, best first."""
    best: dict[str, Closest] = {}
    for item in scored:
        if item.sentence.article_id not in cited:
            best.setdefault(item.sentence.article_id, Closest(item.passage.article, item.sentence, item.probability))
    return tuple(best.values())


def refused(scored: Sequence[ScoredSentence]) -> tuple[Closest, ...]:
    """What is shown instead of an answer: the very closest, and what is nearly as close."""
    first, *others = _closest(scored, set())
    floor = max(TO_THE_POINT, COMPARABLE * first.score)
    return (first, *(close for close in others if close.score >= floor))[:CLOSEST]


def beside(scored: Sequence[ScoredSentence], cited: Set[str]) -> tuple[Closest, ...]:
    """What is shown beside an answer that cites these articles."""
    return tuple(close for close in _closest(scored, cited) if close.score >= TO_THE_POINT)[:ALSO_FOUND]


def _overlap(first: frozenset[str], second: frozenset[str]) -> float:
    return len(first & second) / len(first | second)


def _readable(chosen: Sequence[ScoredSentence]) -> list[ScoredSentence]:
    """Best article first; the sentences of one article in the order in which it tells them."""
    articles = list(dict.fromkeys(item.sentence.article_id for item in chosen))
    return sorted(chosen, key=lambda item: (articles.index(item.sentence.article_id), item.sentence.index))


def _statement(item: ScoredSentence) -> Statement:
    """A verbatim statement; with the preceding sentence as context when it opens by referring back."""
    context = None
    if _REFERS_BACK.match(item.sentence.text):
        place = item.sentence.index - item.passage.chunk.first
        context = item.passage.sentences[place - 1] if place > 0 else item.passage.before
    return Statement(item.sentence.text, (item.sentence,), context)


def _short_answer(best: ScoredSentence) -> ShortAnswer | None:
    if best.span is None or best.features["reading"] < SURE_MARGIN:
        return None
    start, end = best.span
    return ShortAnswer(best.sentence, best.sentence.start + start, best.sentence.start + end)
