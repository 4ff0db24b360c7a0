"""Metrics of rankings, citations and answers, and how sure one can be of them. Pure functions.

A ranking is a sequence of ids, best first, each once. Relevance is binary, but for nDCG, which takes a gain per id.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Statistic",
    "aurc",
    "auroc",
    "average_precision",
    "balanced_accuracy",
    "bootstrap_difference",
    "bootstrap_interval",
    "citation_precision",
    "citation_recall",
    "correlation",
    "exact_match",
    "ndcg_at",
    "over_all",
    "ratio",
    "recall_at",
    "reciprocal_rank",
    "risk_at",
    "token_f1",
    "wilson_interval",
]

RESAMPLES = 2000
SEED = 20_240_501
TAILS = (2.5, 97.5)
"""Percentiles that hold a 95 % interval."""
Z95 = 1.959963984540054
"""The 97.5 % point of the standard normal distribution."""

Floats = NDArray[np.float64]
Picks = NDArray[np.int64]
Statistic = Callable[[Floats, Floats, Picks], Floats]
"""(n,) and (n,) numbers of n questions, and (samples, n) the questions that each sample takes, to one value a sample.

NaN stands for a sample that has no value. `over_all` gives the value over the questions themselves.
"""

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


def over_all(statistic: Statistic, first: Sequence[float], second: Sequence[float]) -> float:
    """The value of a statistic over all questions; NaN where it has none."""
    return float(_of(statistic, first, second, np.arange(len(first))[None])[0])


def ratio(values: Floats, sizes: Floats, picks: Picks) -> Floats:
    """Σ values / Σ sizes: a mean, where the sizes are 1. NaN where the sizes add up to 0."""
    return _quotient(values[picks].sum(axis=1), sizes[picks].sum(axis=1))


def auroc(scores: Floats, labels: Floats, picks: Picks) -> Floats:
    """Area under the ROC curve: how often a positive (label 1) scores above a negative (0), ties counted half.

        AUROC = (|pairs with the positive above| + ½ |ties|) / (positives · negatives)

    The Mann-Whitney form of Hanley & McNeil, The Meaning and Use of the Area under a ROC Curve (Radiology 1982). NaN
    without positives or without negatives.
    """
    distinct, places = np.unique(scores, return_inverse=True)
    shape = (len(picks), len(distinct))
    cells = places[picks] + np.arange(len(picks))[:, None] * len(distinct)
    positive = labels[picks] > 0
    ups, downs = (
        np.bincount(cells[which], minlength=shape[0] * shape[1]).reshape(shape) for which in (positive, ~positive)
    )
    below = np.cumsum(downs, axis=1) - downs / 2
    return _quotient((ups * below).sum(axis=1), ups.sum(axis=1) * downs.sum(axis=1))


def balanced_accuracy(verdicts: Floats, labels: Floats, picks: Picks) -> Floats:
    """Mean of the shares of positives (label 1) with verdict 1 and of negatives (0) with verdict 0; chance is 0.5.

    Brodersen et al., The Balanced Accuracy and Its Posterior Distribution (ICPR 2010). NaN without one of the classes.
    """
    right, positive = verdicts[picks], labels[picks] > 0
    hits = _quotient((right * positive).sum(axis=1), positive.sum(axis=1))
    passes = _quotient((right * ~positive).sum(axis=1), (~positive).sum(axis=1))
    return np.asarray((hits + 1 - passes) / 2)


def correlation(values: Floats, others: Floats, picks: Picks) -> Floats:
    """Pearson's r: covariance / product of the standard deviations. NaN where one of them is 0."""
    first, second = (_centred(column[picks]) for column in (values, others))
    spread = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    return _quotient((first * second).sum(axis=1), spread)


def _centred(rows: Floats) -> Floats:
    """Rows less their means; exactly 0 where all of a row is equal, which the mean as it is rounded may not be."""
    varied = rows.min(axis=1, keepdims=True) < rows.max(axis=1, keepdims=True)
    return np.where(varied, rows - rows.mean(axis=1, keepdims=True), 0.0)


def aurc(confidences: Floats, errors: Floats, picks: Picks) -> Floats:
    """Area under the risk-coverage curve: the mean over k = 1 … n of the risk of answering the k most confident.

    The risk is the share of errors (1) among them. Of equally confident answers the wrong ones count as answered first,
    because no threshold tells them apart. Geifman et al., Bias-Reduced Uncertainty Estimation for Deep Neural
    Classifiers (ICLR 2019).
    """
    return np.asarray(_risks(confidences, errors, picks).mean(axis=1))


def risk_at(coverage: float) -> Statistic:
    """The point of the risk-coverage curve (see `aurc`) where ⌈coverage · n⌉ questions are answered."""

    def risk(confidences: Floats, errors: Floats, picks: Picks) -> Floats:
        answered = max(math.ceil(coverage * picks.shape[1]), 1)
        return _risks(confidences, errors, picks)[:, answered - 1]

    return risk


def _risks(confidences: Floats, errors: Floats, picks: Picks) -> Floats:
    """(samples, n) the risk of answering the k most confident, for k = 1 … n."""
    order = np.lexsort((-errors, -confidences))
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    wrong = errors[order][np.sort(places[picks], axis=1)]
    return np.asarray(np.cumsum(wrong, axis=1) / np.arange(1, picks.shape[1] + 1))


def bootstrap_interval(
    values: Sequence[float], sizes: Sequence[float] | None = None, statistic: Statistic = ratio
) -> tuple[float, float]:
    """95 % interval of a statistic by resampling questions (the ratio with sizes 1: of the mean), always the same.

    The percentile method of Efron & Tibshirani, An Introduction to the Bootstrap (1993), 2,000 resamples. Resamples
    without a value are left out. Raises `ValueError` when there are no values, none of the samples has a value (all
    sizes are 0), or the numbers differ.
    """
    second = np.ones(len(values)) if sizes is None else sizes
    return _tails(_of(statistic, values, second, _picks(len(values))))


def bootstrap_difference(
    new: tuple[Sequence[float], Sequence[float]],
    old: tuple[Sequence[float], Sequence[float]],
    statistic: Statistic = ratio,
) -> tuple[float, float]:
    """95 % interval of a statistic of `new` minus that of `old`, both (values, sizes) of the same questions.

    Each resample takes the same questions from both, so what makes a question hard cancels out: a paired comparison
    sees differences far smaller than either interval. Raises as `bootstrap_interval` does.
    """
    if len(new[0]) != len(old[0]):
        raise ValueError(f"{len(new[0])} questions against {len(old[0])}")
    picks = _picks(len(new[0]))
    return _tails(_of(statistic, *new, picks) - _of(statistic, *old, picks))


def _picks(n: int) -> Picks:
    """(resamples, n): which questions each resample takes."""
    if n == 0:
        raise ValueError("no values")
    return np.random.default_rng(SEED).integers(0, n, (RESAMPLES, n))


def _of(statistic: Statistic, first: Sequence[float], second: Sequence[float] | Floats, picks: Picks) -> Floats:
    if len(second) != len(first):
        raise ValueError(f"{len(second)} sizes for {len(first)} values")
    return statistic(np.asarray(first, np.float64), np.asarray(second, np.float64), picks)


def _tails(samples: Floats) -> tuple[float, float]:
    if np.isnan(samples).all():
        raise ValueError("no sample has a value: all sizes are 0, or one of two classes is missing")
    low, high = np.nanpercentile(samples, TAILS)
    return float(low), float(high)


def _quotient(above: NDArray[Any], below: NDArray[Any]) -> Floats:
    """(samples,) above / below, NaN where below is 0."""
    found = np.full(len(below), np.nan)
    np.divide(above, below, out=found, where=below > 0)
    return found


def _size(ids: Collection[Hashable], what: str = "relevant") -> int:
    if not ids:
        raise ValueError(f"nothing is {what}")
    return len(set(ids))
