"""The default answerer: the best sentences of the best passages, word for word, or a refusal.

Every sentence of the passages gets cheap features (how much of the question it covers, whether it holds the kind of
thing that was asked for, where its passage ranks); the most promising ones are also compared with the question by
embedding. A logistic model turns the features into the probability that the sentence answers; the best sentence's
probability is the answer's confidence. `eval/fit_extractive.py` fits the weights on the development questions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from qa.chunks import embedding_text
from qa.lexical import terms
from qa.protocols import Embedder, FloatArray
from qa.types import Draft, Passage, Sentence, Statement

__all__ = ["FEATURES", "ExtractiveAnswerer", "ScoredSentence"]

FEATURES = ("coverage", "context", "type", "rank", "position", "cosine")
WEIGHTS = np.array([1.65, 1.62, 0.41, 0.88, 0.2, 3.67], dtype=np.float64)
BIAS = -5.49

EMBEDDED_SENTENCES = 6
"""Sentences that are compared with the question by embedding, the dearest step of an answer; ten chose no better."""
KEEP_RATIO = 0.75
"""A further sentence joins the answer when it is at least this probable, relative to the best one."""
NEAR_COPY = 0.7
"""Share of common terms (Jaccard) from which one sentence repeats another: wire copies are not cited twice."""
MIN_TERMS = 3

_NUMBER = (
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen"
    r"|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|half|dozens?|hundreds?|thousands?|millions?|billions?)\b"
)
_EXPECTED = (
    (re.compile(r"\bwho(?:se|m)?\b", re.I), re.compile(r"\b[^\W\d_a-z]\w+ (?:[^\W\d_a-z]\w*\.? )?[^\W\d_a-z]\w+")),
    (
        re.compile(r"\bwhen\b|\b(?:what|which) (?:year|date|day|month)\b", re.I),
        re.compile(
            r"\b(?:1[5-9]|20)\d\d\b|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|\b(?:january|february|march|april|may"
            r"|june|july|august|september|october|november|december)\b",
            re.I,
        ),
    ),
    (
        re.compile(
            r"\bhow (?:many|much|long|old|often|far|large|big)\b|\b(?:number|percent|share|amount|level|fine|count)\b",
            re.I,
        ),
        re.compile(_NUMBER, re.I),
    ),
    (
        re.compile(r"\bwhere\b|\b(?:what|which|whose) (?:city|country|countries|place|town|state|capital)\b", re.I),
        re.compile(r"\b(?:in|at|from|near|to|across|of) (?:the )?[^\W\d_a-z]\w+"),
    ),
    (
        re.compile(r"\bwhy\b", re.I),
        re.compile(r"\b(?:because|after|due to|since|to (?:protect|prevent|avoid|stop))\b", re.I),
    ),
)
_REFERS_BACK = re.compile(
    r"[“\"'‘]?(?:he|she|they|it|this|these|those|that|his|her|their|its|such|both|the (?:former|latter))\b", re.I
)
_LIST_ITEM = re.compile(r"[-*•–]\s|\(?\w{1,2}[.)]\s")
_BOILERPLATE = re.compile(
    r"^(?:read more|sign up|subscribe|click here|related:|photo(?:graph)?:|image:|file photo|advertisement|share this"
    r"|all rights reserved|follow us|watch:|copyright\b|correction:)",
    re.I,
)


@dataclass(frozen=True, slots=True)
class ScoredSentence:
    """A candidate: its passage, its features in the order of `FEATURES`, and the probability that it answers."""

    sentence: Sentence
    passage: Passage
    terms: frozenset[str]
    features: FloatArray
    probability: float


class ExtractiveAnswerer:
    """Chooses sentences; never writes any. `idf` weighs an index term in the generation that is searched."""

    name = "extractive"

    def __init__(self, embedder: Embedder, idf: Callable[[str], float], min_confidence: float) -> None:
        self._embedder = embedder
        self._idf = idf
        self._min_confidence = min_confidence

    def answer(self, question: str, passages: Sequence[Passage], max_statements: int) -> Draft:
        """Return the best sentences in reading order, or none when the best is less probable than the threshold."""
        scored = self.score(question, passages)
        if not scored or scored[0].probability < self._min_confidence:
            return Draft((), scored[0].probability if scored else 0.0)
        chosen = _readable(_choose(scored, max_statements))
        return Draft(tuple(_statement(item) for item in chosen), scored[0].probability)

    def score(self, question: str, passages: Sequence[Passage]) -> list[ScoredSentence]:
        """Every usable sentence of the passages with its probability, best first; ties by article and position."""
        asked = _Question(question, self._idf)
        candidates = _candidates(asked, passages)
        if not candidates:
            return []
        ranked = sorted(candidates, key=_order, reverse=True)
        near, rest = ranked[:EMBEDDED_SENTENCES], ranked[EMBEDDED_SENTENCES:]
        vectors = self._embedder.embed_documents(
            [embedding_text(item.passage.article.title, item.sentence.text) for item in near]
        )
        cosines = vectors @ self._embedder.embed_query(question)
        compared = [_with_cosine(item, float(cosine)) for item, cosine in zip(near, cosines, strict=True)]
        # The rest were not compared: they keep a cosine of zero, and so cannot overtake what was.
        return sorted(compared, key=_order, reverse=True) + rest


class _Question:
    """What a question asks for: its terms with weights, and the kind of thing that answers it."""

    def __init__(self, text: str, idf: Callable[[str], float]) -> None:
        self.weights = {term: max(idf(term), 0.1) for term in terms(text)}
        self.total = sum(self.weights.values()) or 1.0
        self.expected = next((pattern for asked, pattern in _EXPECTED if asked.search(text)), None)

    def coverage(self, found: frozenset[str] | set[str]) -> float:
        """The share of the question's weight that some terms cover."""
        return sum(weight for term, weight in self.weights.items() if term in found) / self.total


def _candidates(asked: _Question, passages: Sequence[Passage]) -> list[ScoredSentence]:
    """Score each usable sentence once, in the best passage that holds it, without the embedding."""
    found: dict[tuple[str, int], ScoredSentence] = {}
    for rank, passage in enumerate(passages, start=1):
        title = set(terms(passage.article.title))
        own = [frozenset(terms(sentence.text)) for sentence in passage.sentences]
        for place, sentence in enumerate(passage.sentences):
            if sentence.key in found or not _usable(sentence, own[place]):
                continue
            around = title.union(*own[max(place - 1, 0) : place + 2])
            features = _features(asked, rank, sentence, own[place], around)
            found[sentence.key] = ScoredSentence(sentence, passage, own[place], features, _probability(features))
    return list(found.values())


def _usable(sentence: Sentence, found: frozenset[str]) -> bool:
    """Whether a sentence can be a statement: no question, no boilerplate, no headline or link among the paragraphs."""
    end = sentence.text.rstrip("”’\"')]")[-1:]
    unfinished = end.isalnum() and not _LIST_ITEM.match(sentence.text)
    return len(found) >= MIN_TERMS and end != "?" and not unfinished and not _BOILERPLATE.match(sentence.text)


def _features(asked: _Question, rank: int, sentence: Sentence, own: frozenset[str], around: set[str]) -> FloatArray:
    """The features of one sentence in the order of `FEATURES`, its cosine still zero."""
    fits = 0.0
    if asked.expected is not None:
        # A name or number that the question itself gives is no answer to it.
        fits = 1.0 if any(_new(match, asked) for match in asked.expected.finditer(sentence.text)) else -1.0
    return np.array(
        [asked.coverage(own), asked.coverage(around), fits, 1.0 / rank, 1.0 / (1 + sentence.index), 0.0],
        dtype=np.float32,
    )


def _new(match: re.Match[str], asked: _Question) -> bool:
    return any(term not in asked.weights for term in terms(match.group())) or not terms(match.group())


def _with_cosine(item: ScoredSentence, cosine: float) -> ScoredSentence:
    features = item.features.copy()
    features[-1] = cosine
    return ScoredSentence(item.sentence, item.passage, item.terms, features, _probability(features))


def _probability(features: FloatArray) -> float:
    return 1.0 / (1.0 + math.exp(-(float(features @ WEIGHTS) + BIAS)))


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
