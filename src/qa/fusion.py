"""Fusion: several rankings of the same things become one."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["reciprocal_rank_fusion"]


def reciprocal_rank_fusion(
    rankings: Sequence[Sequence[int]], weights: Sequence[float] | None = None, k: int = 60
) -> list[tuple[int, float]]:
    """Fuse rankings of ids, each best first, into (id, score), best first, equal scores by ascending id.

        score(d) = Σ over the rankings r that hold d:  weight(r) / (k + rank of d in r), ranks from 1

    Cormack, Clarke & Büttcher, Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods (SIGIR
    2009). It reads ranks alone, so cosines and BM25 scores need no common scale. A ranking of weight 0 counts as
    absent: what only it holds is left out. Raises `ValueError` on a negative weight or k, on another number of weights
    than of rankings, and on an id that stands twice in one ranking.
    """
    weights = [1.0] * len(rankings) if weights is None else weights
    if len(weights) != len(rankings):
        raise ValueError(f"{len(weights)} weights for {len(rankings)} rankings")
    if k < 0 or any(weight < 0 for weight in weights):
        raise ValueError(f"k and weights must not be negative, got k={k}, weights={list(weights)}")
    parts: dict[int, list[float]] = {}
    for ranking, weight in zip(rankings, weights, strict=True):
        if len(set(ranking)) != len(ranking):
            raise ValueError("an id stands twice in one ranking")
        if weight > 0:
            for rank, item in enumerate(ranking, start=1):
                parts.setdefault(item, []).append(weight / (k + rank))
    # fsum: the order of the rankings must not decide between items with the same ranks.
    scores = [(item, math.fsum(part)) for item, part in parts.items()]
    return sorted(scores, key=lambda scored: (-scored[1], scored[0]))
