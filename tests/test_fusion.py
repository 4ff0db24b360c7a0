"""Reciprocal rank fusion against its formula."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa.fusion import reciprocal_rank_fusion
from qa.settings import load_settings

rankings_of_ids = st.lists(st.lists(st.integers(0, 9), unique=True), max_size=4)


def test_scores_are_those_of_the_formula() -> None:
    assert reciprocal_rank_fusion([[7, 3, 9], [3, 5]]) == [
        (3, 1 / (60 + 2) + 1 / (60 + 1)),
        (7, 1 / (60 + 1)),
        (5, 1 / (60 + 2)),
        (9, 1 / (60 + 3)),
    ]


def test_weights_and_k() -> None:
    fused = reciprocal_rank_fusion([[1, 2], [2, 3]], weights=[2.0, 0.5], k=10)
    assert fused == [(2, 2 / 12 + 0.5 / 11), (1, 2 / 11), (3, 0.5 / 12)]


def test_equal_scores_stand_by_ascending_id() -> None:
    assert [item for item, _ in reciprocal_rank_fusion([[8, 4], [4, 8], [6]])] == [4, 8, 6]
    assert [item for item, _ in reciprocal_rank_fusion([[9], [2], [5]])] == [2, 5, 9]


def test_a_ranking_of_weight_0_counts_as_absent() -> None:
    assert reciprocal_rank_fusion([[1, 2], [3]], weights=[1, 0]) == reciprocal_rank_fusion([[1, 2]])


def test_nothing_in_nothing_out() -> None:
    assert reciprocal_rank_fusion([]) == []
    assert reciprocal_rank_fusion([[], []]) == []


@pytest.mark.parametrize(
    ("rankings", "weights", "k", "message"),
    [
        pytest.param([[1], [2]], [1.0], 60, "1 weights for 2 rankings", id="too few weights"),
        pytest.param([[1]], [-1.0], 60, "must not be negative", id="negative weight"),
        pytest.param([[1]], None, -1, "must not be negative, got k=-1", id="negative k"),
        pytest.param([[1, 2, 1]], None, 60, "stands twice", id="id twice"),
    ],
)
def test_impossible_arguments_are_refused(
    rankings: list[list[int]], weights: list[float] | None, k: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        reciprocal_rank_fusion(rankings, weights, k)


@given(rankings_of_ids)
def test_every_id_comes_out_once_with_its_sum(rankings: list[list[int]]) -> None:
    fused = reciprocal_rank_fusion(rankings)
    assert sorted(item for item, _ in fused) == sorted({item for ranking in rankings for item in ranking})
    for item, score in fused:
        assert score == pytest.approx(sum(1 / (61 + r.index(item)) for r in rankings if item in r), rel=1e-12)
    assert fused == sorted(fused, key=lambda scored: (-scored[1], scored[0]))


@given(rankings_of_ids)
def test_the_order_of_the_rankings_does_not_matter(rankings: list[list[int]]) -> None:
    fused = reciprocal_rank_fusion(rankings)
    assert all(reciprocal_rank_fusion(order) == fused for order in permutations(rankings))


def test_by_default_the_first_of_one_ranking_stands_before_the_middle_of_both() -> None:
    """A rare name is found by words alone: its passage must not lose to passages that both rankings find in passing."""
    name, others = 0, list(range(1, 101))
    dense, lexical = others, [name, *others[:99]]
    order = [item for item, _ in reciprocal_rank_fusion([dense, lexical], k=load_settings().retrieval.rrf_k)]
    assert order.index(name) < load_settings().retrieval.passages
