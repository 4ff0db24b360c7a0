"""Metrics of rankings, citations and answers, and how sure one can be of them. Pure functions.

A ranking is a sequence of ids, best first, each once. Relevance is binary, but for nDCG, which takes a gain per id.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "average_precision",
    "bootstrap_difference",
    "bootstrap_interval",
    "citation_precision",
    "citation_recall",
    "exact_match",
    "ndcg_at",
    "recall_at",
    "reciprocal_rank",
    "token_f1",
    "wilson_interval",
]

RESAMPLES = 2000
SEED = 20_240_501
TAILS = (2.5, 97.5)
"""Percentiles that hold a 95 % interval."""
Z95 = 1.959963984540054
"""The 97.5 % point of the standard normal distribution."""

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def recall_at(ranking: Sequence[Hashable], relevant: Collection[Hashable], k: int) -> float:
    """Share of what is relevant that stands among the first k: |first k ∩ relevant| / |relevant|.

    Raises `ValueError` when nothing is relevant.
    """
    return len(set(ranking[:k]) & set(relevant)) / _size(relevant)


def reciprocal_rank(ranking: Sequence[Hashable], relevant: Collection[Hashable]) -> float:
    """1 / rank of the first relevant id, 0 without one; its mean over questions is MRR.

    Voorhees, The TREC-8 Question Answering Track Report (1999).
    """
    return next((1 / rank for rank, item in enumerate(ranking, start=1) if item in relevant), 0.0)


def average_precision(ranking: Sequence[Hashable], relevant: Collection[Hashable]) -> float:
    """Mean over the relevant ids of the precision at their ranks, 0 for one that is missing; its mean is MAP.

        AP = (Σ over the ranks r of relevant ids: |first r ∩ relevant| / r) / |relevant|

    Buckley & Voorhees, Evaluating Evaluation Measure Stability (SIGIR 2000). Raises `ValueError` when nothing is
    relevant.
    """
    ranks = [rank for rank, item in enumerate(ranking, start=1) if item in relevant]
    return sum(found / rank for found, rank in enumerate(ranks, start=1)) / _size(relevant)


def ndcg_at(ranking: Sequence[Hashable], gains: Mapping[Any, float], k: int) -> float:
    """Normalised discounted cumulative gain of the first k; ids without a gain have 0.

        DCG@k = Σ over ranks r ≤ k:  gain / log2(r + 1)        nDCG@k = DCG@k / DCG@k of the best possible order

    Järvelin & Kekäläinen, Cumulated Gain-based Evaluation of IR Techniques (TOIS 2002), with plain gains as trec_eval
    has them. Raises `ValueError` when no gain is positive.
    """
    ideal = _dcg(sorted(gains.values(), reverse=True)[:k])
    if ideal <= 0:
        raise ValueError("nothing is relevant")
    return _dcg([gains.get(item, 0.0) for item in ranking[:k]]) / ideal


def _dcg(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def citation_precision(cited: Collection[Hashable], gold: Collection[Hashable]) -> float:
    """Share of the cited sentences that are gold: |cited ∩ gold| / |cited|.

    Gao et al., Enabling Large Language Models to Generate Text with Citations (EMNLP 2023), with human gold in place of
    an entailment model. Raises `ValueError` when nothing is cited.
    """
    return len(set(cited) & set(gold)) / _size(cited, "cited")


def citation_recall(cited: Collection[Hashable], gold: Sequence[Collection[Hashable]], needs: int) -> float:
    """Share of the needed evidence that is cited: min(met, needs) / needs.

    `gold` has the ids that can stand for each piece of evidence; a piece is met when one of them is cited. `needs` says
    how many pieces make a whole answer: fewer than there are when some say the same. Raises `ValueError` unless
    1 ≤ needs ≤ pieces.
    """
    if not 1 <= needs <= len(gold):
        raise ValueError(f"needs must be 1 to {len(gold)}, got {needs}")
    met = sum(not set(cited).isdisjoint(piece) for piece in gold)
    return min(met, needs) / needs


def normalize_answer(text: str) -> str:
    """Return the text as SQuAD compares it: lower case, no ASCII punctuation, no articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, gold: str) -> float:
    """1 if both are the same after `normalize_answer`, else 0. Rajpurkar et al., SQuAD (EMNLP 2016)."""
    return float(normalize_answer(answer) == normalize_answer(gold))


def token_f1(answer: str, gold: str) -> float:
    """Harmonic mean of precision and recall over the words of both, as bags, after `normalize_answer`.

        F1 = 2 · |common| / (|answer| + |gold|);  two empty texts agree, an empty and another do not

    Rajpurkar et al., SQuAD (EMNLP 2016), and its 2.0 script for the empty cases.
    """
    answered, wanted = normalize_answer(answer).split(), normalize_answer(gold).split()
    if not answered or not wanted:
        return float(answered == wanted)
    common = (Counter(answered) & Counter(wanted)).total()
    return 2 * common / (len(answered) + len(wanted))


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """95 % interval of a proportion; all of [0, 1] when n is 0.

        (p + z²/2n ± z √(p(1 - p)/n + z²/4n²)) / (1 + z²/n),  p = successes / n

    Wilson, Probable Inference, the Law of Succession, and Statistical Inference (JASA 1927). Unlike p ± z√(p(1 - p)/n)
    it stays sensible at 0 and 1 and for small n. Raises `ValueError` unless 0 ≤ successes ≤ n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n} is no proportion")
    if n == 0:
        return 0.0, 1.0
    p, z2 = successes / n, Z95 * Z95
    centre = p + z2 / (2 * n)
    half = Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return max(0.0, (centre - half) / (1 + z2 / n)), min(1.0, (centre + half) / (1 + z2 / n))


def bootstrap_interval(values: Sequence[float], sizes: Sequence[float] | None = None) -> tuple[float, float]:
    """95 % interval of Σ values / Σ sizes by resampling questions (sizes 1: of the mean), always the same.

    The percentile method of Efron & Tibshirani, An Introduction to the Bootstrap (1993), 2,000 resamples. Resamples of
    size 0 are left out. Raises `ValueError` when there are no values, all sizes are 0, or the numbers differ.
    """
    ratios = _resampled(values, sizes, _picks(len(values)))
    low, high = np.nanpercentile(ratios, TAILS)
    return float(low), float(high)


def bootstrap_difference(
    new: tuple[Sequence[float], Sequence[float]], old: tuple[Sequence[float], Sequence[float]]
) -> tuple[float, float]:
    """95 % interval of Σ values / Σ sizes of `new` minus that of `old`, both (values, sizes) of the same questions.

    Each resample takes the same questions from both, so what makes a question hard cancels out: a paired comparison
    sees differences far smaller than either interval. Raises as `bootstrap_interval` does.
    """
    if len(new[0]) != len(old[0]):
        raise ValueError(f"{len(new[0])} questions against {len(old[0])}")
    picks = _picks(len(new[0]))
    low, high = np.nanpercentile(_resampled(*new, picks) - _resampled(*old, picks), TAILS)
    return float(low), float(high)


def _picks(n: int) -> NDArray[np.int64]:
    """(resamples, n): which questions each resample takes."""
    if n == 0:
        raise ValueError("no values")
    return np.random.default_rng(SEED).integers(0, n, (RESAMPLES, n))


def _resampled(values: Sequence[float], sizes: Sequence[float] | None, picks: NDArray[np.int64]) -> NDArray[np.float64]:
    """(resamples,) the ratio of each, NaN where its sizes add up to 0."""
    over = np.ones(len(values)) if sizes is None else np.asarray(sizes, np.float64)
    if len(over) != len(values):
        raise ValueError(f"{len(over)} sizes for {len(values)} values")
    if not over.any():
        raise ValueError("all sizes are 0")
    totals = over[picks].sum(axis=1)
    sums = np.asarray(values, np.float64)[picks].sum(axis=1)
    ratios = np.full(len(totals), np.nan)
    np.divide(sums, totals, out=ratios, where=totals > 0)
    return ratios


def _size(ids: Collection[Hashable], what: str = "relevant") -> int:
    if not ids:
        raise ValueError(f"nothing is {what}")
    return len(set(ids))
