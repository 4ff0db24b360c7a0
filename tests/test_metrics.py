"""Metrics against their formulas and, for rankings, against ir-measures (trec_eval)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qa import metrics
from qa.metrics import (
    Statistic,
    aurc,
    auroc,
    average_precision,
    balanced_accuracy,
    bootstrap_difference,
    bootstrap_interval,
    citation_precision,
    citation_recall,
    correlation,
    exact_match,
    ndcg_at,
    over_all,
    recall_at,
    reciprocal_rank,
    risk_at,
    token_f1,
    wilson_interval,
)

RANKING = ["a", "b", "c", "d"]


def test_recall_counts_what_the_first_k_hold() -> None:
    assert recall_at(RANKING, {"b", "d", "x"}, 1) == 0
    assert recall_at(RANKING, {"b", "d", "x"}, 2) == 1 / 3
    assert recall_at(RANKING, {"b", "d", "x"}, 4) == 2 / 3
    assert recall_at([], {"b"}, 5) == 0


def test_reciprocal_rank_is_that_of_the_first() -> None:
    assert reciprocal_rank(RANKING, {"c", "d"}) == 1 / 3
    assert reciprocal_rank(RANKING, {"x"}) == 0


def test_average_precision() -> None:
    assert average_precision(RANKING, {"a", "d", "x"}) == (1 / 1 + 2 / 4) / 3


def test_ndcg_with_gains() -> None:
    expected = (1 / math.log2(2) + 3 / math.log2(4)) / (3 / math.log2(2) + 2 / math.log2(3) + 1 / math.log2(4))
    assert ndcg_at(RANKING, {"a": 1, "c": 3, "x": 2}, 3) == pytest.approx(expected, rel=1e-12)
    assert ndcg_at(RANKING, {"a": 1, "c": 3, "x": 2}, 1) == 1 / 3


def test_ndcg_of_the_best_order_is_one_also_when_k_cuts_it() -> None:
    assert ndcg_at(["a", "b"], {"a": 1, "b": 1, "c": 1}, 2) == 1


@pytest.mark.parametrize(
    "measure",
    [
        pytest.param(lambda: recall_at(RANKING, set(), 3), id="recall"),
        pytest.param(lambda: average_precision(RANKING, set()), id="average precision"),
        pytest.param(lambda: ndcg_at(RANKING, {}, 3), id="ndcg"),
        pytest.param(lambda: ndcg_at(RANKING, {"a": 0.0}, 3), id="ndcg without a positive gain"),
        pytest.param(lambda: citation_precision(set(), {"a"}), id="citation precision"),
    ],
)
def test_a_share_of_nothing_is_refused(measure: object) -> None:
    with pytest.raises(ValueError, match="nothing is"):
        measure()  # type: ignore[operator]


@given(
    ranking=st.lists(st.integers(0, 30), unique=True, min_size=1, max_size=20),
    gains=st.dictionaries(st.integers(0, 30), st.integers(1, 3), min_size=1, max_size=8),
    k=st.integers(1, 25),
)
def test_rankings_measure_as_trec_eval_does(ranking: list[int], gains: dict[int, int], k: int) -> None:
    ir_measures = pytest.importorskip("ir_measures")
    run = [ir_measures.ScoredDoc("q", str(item), -rank) for rank, item in enumerate(ranking)]
    judged = [ir_measures.Qrel("q", str(item), gain) for item, gain in gains.items()]
    ours = {
        ir_measures.nDCG @ k: ndcg_at(ranking, gains, k),
        ir_measures.R @ k: recall_at(ranking, gains, k),
        ir_measures.RR: reciprocal_rank(ranking, gains),
        ir_measures.AP: average_precision(ranking, gains),
    }
    theirs = ir_measures.calc_aggregate(list(ours), judged, run)
    assert {measure: pytest.approx(value, abs=1e-4) for measure, value in theirs.items()} == ours


def test_citation_precision_counts_each_sentence_once() -> None:
    assert citation_precision([("a", 1), ("a", 1), ("b", 2)], [("a", 1), ("a", 3)]) == 1 / 2


def test_citation_recall_is_over_what_an_answer_needs() -> None:
    gold = [{1, 2}, {3}, {4}]
    assert citation_recall([2], gold, needs=3) == 1 / 3
    assert citation_recall([1, 2, 9], gold, needs=2) == 1 / 2
    assert citation_recall([1, 3, 4], gold, needs=2) == 1
    assert citation_recall([], gold, needs=1) == 0
    with pytest.raises(ValueError, match="needs must be 1 to 3, got 4"):
        citation_recall([1], gold, needs=4)
    with pytest.raises(ValueError, match="needs must be 1 to 3, got 0"):
        citation_recall([1], gold, needs=0)


@pytest.mark.parametrize(
    ("answer", "gold", "exact", "f1"),
    [
        pytest.param("The  Buffalo Bills!", "buffalo bills", 1, 1, id="case, article, punctuation, spaces"),
        pytest.param("in the city of Buffalo", "Buffalo", 0, 2 * 1 / (4 + 1), id="more than asked"),
        pytest.param("red red blue", "red red green", 0, 2 * 2 / (3 + 3), id="bags, not sets"),
        pytest.param("Theatre", "atre", 0, 0, id="article only as a whole word"),
        pytest.param("the", "", 1, 1, id="both empty"),
        pytest.param("yes", "", 0, 0, id="one empty"),
    ],
)
def test_answers_compare_as_in_squad(answer: str, gold: str, exact: int, f1: float) -> None:
    assert exact_match(answer, gold) == exact
    assert token_f1(answer, gold) == pytest.approx(f1, rel=1e-12)
    assert token_f1(gold, answer) == pytest.approx(f1, rel=1e-12)


def test_wilson_interval_is_where_the_normal_test_turns() -> None:
    # Its ends are the p with |p̂ - p| = z √(p(1 - p)/n).
    for successes, n in [(0, 10), (3, 10), (81, 263), (263, 263)]:
        low, high = wilson_interval(successes, n)
        for end in (low, high):
            if 0 < end < 1:
                z = abs(successes / n - end) / math.sqrt(end * (1 - end) / n)
                assert z == pytest.approx(1.959964, abs=1e-6)
        assert 0 <= low <= successes / n <= high <= 1
    # The worked example of Newcombe, Two-sided confidence intervals for the single proportion (1998): 81 of 263.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 0) == (0, 1)
    with pytest.raises(ValueError, match="3 of 2 is no proportion"):
        wilson_interval(3, 2)


def test_bootstrap_interval_of_a_mean_is_near_the_normal_one() -> None:
    values = np.random.default_rng(1).normal(5, 2, 400)
    low, high = bootstrap_interval(list(values))
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)
    assert bootstrap_interval(list(values)) == (low, high)


def test_bootstrap_interval_of_a_ratio_keeps_value_and_size_together() -> None:
    assert bootstrap_interval([1, 2, 3], [2, 4, 6]) == (0.5, 0.5)
    low, high = bootstrap_interval([0, 0, 1, 1], [1, 1, 1, 7])
    assert low < 2 / 10 < high


def test_bootstrap_leaves_out_resamples_without_size() -> None:
    assert bootstrap_interval([0, 1], [0, 1]) == (1, 1)


def test_bootstrap_difference_is_paired() -> None:
    ones = [1.0] * 100
    hard = [float(number % 2) for number in range(100)]
    better = [min(1.0, value + (number % 20 == 0)) for number, value in enumerate(hard)]
    low, high = bootstrap_difference((better, ones), (hard, ones))
    assert 0 < low < 0.05 < high
    # Each interval alone is far wider than the difference: unpaired, it would not show.
    assert bootstrap_interval(hard)[1] > np.mean(better)
    assert bootstrap_difference((hard, ones), (hard, ones)) == (0, 0)
    assert bootstrap_difference((hard, ones), (better, ones)) == (-high, -low)


labelled = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 1.0]), st.booleans()), min_size=1, max_size=30)


@given(labelled)
def test_auroc_counts_the_pairs(questions: list[tuple[float, bool]]) -> None:
    pairs = [
        1.0 if high > low else 0.5 if high == low else 0.0
        for high, positive in questions
        for low, other in questions
        if positive and not other
    ]
    found = over_all(auroc, [score for score, _ in questions], [float(label) for _, label in questions])
    assert math.isnan(found) if not pairs else found == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)


@given(labelled)
def test_balanced_accuracy_is_the_mean_of_both_shares(questions: list[tuple[float, bool]]) -> None:
    verdicts = [(float(score >= 0.5), label) for score, label in questions]
    shares = [[v == label for v, label in verdicts if label is which] for which in (True, False)]
    found = over_all(balanced_accuracy, [v for v, _ in verdicts], [float(label) for _, label in verdicts])
    if not all(shares):
        assert math.isnan(found)
    else:
        assert found == pytest.approx(sum(sum(share) / len(share) for share in shares) / 2, abs=1e-12)


@given(labelled)
@example([(0.1, False), (0.1, False), (0.1, True)])  # their mean is not 0.1
def test_correlation_is_that_of_numpy(questions: list[tuple[float, bool]]) -> None:
    scores, labels = [score for score, _ in questions], [float(label) for _, label in questions]
    found = over_all(correlation, scores, labels)
    if len(set(scores)) < 2 or len(set(labels)) < 2:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(np.corrcoef(scores, labels)[0, 1], abs=1e-9)


@given(labelled)
def test_risk_and_coverage_by_answering_one_more_at_a_time(questions: list[tuple[float, bool]]) -> None:
    # The most confident first, of equals the wrong ones first.
    wrong = [error for _, error in sorted(questions, key=lambda pair: (-pair[0], not pair[1]))]
    risks = [sum(wrong[:k]) / k for k in range(1, len(wrong) + 1)]
    confidences, errors = [score for score, _ in questions], [float(error) for _, error in questions]
    assert over_all(aurc, confidences, errors) == pytest.approx(sum(risks) / len(risks), abs=1e-12)
    for k, risk in enumerate(risks, start=1):
        assert over_all(risk_at((k - 0.5) / len(risks)), confidences, errors) == pytest.approx(risk, abs=1e-12)


@pytest.mark.parametrize("statistic", [auroc, aurc, risk_at(0.3), balanced_accuracy, correlation])
def test_each_resample_is_what_the_questions_that_it_took_give(statistic: Statistic) -> None:
    draw = np.random.default_rng(2)
    scores, labels = draw.integers(0, 5, 20) / 4, draw.integers(0, 2, 20).astype(np.float64)
    picks = draw.integers(0, 20, (50, 20))
    expected = [over_all(statistic, list(scores[row]), list(labels[row])) for row in picks]
    assert list(statistic(scores, labels, picks)) == pytest.approx(expected, abs=1e-12)


def test_an_interval_holds_an_area_that_is_known() -> None:
    # Scores N(0, 1) and N(1, 1): the area is the chance that one of the second is larger, Φ(1 / √2) = 0.7602.
    draw = np.random.default_rng(3)
    scores = [*draw.normal(0, 1, 300), *draw.normal(1, 1, 300)]
    labels = [0.0] * 300 + [1.0] * 300
    low, high = bootstrap_interval(scores, labels, auroc)
    assert 0.68 < low < 0.7602 < high < 0.82
    assert (low, high) == bootstrap_interval(scores, labels, auroc)


def test_bootstrap_refuses_what_has_no_interval() -> None:
    with pytest.raises(ValueError, match="no values"):
        bootstrap_interval([])
    with pytest.raises(ValueError, match="1 sizes for 2 values"):
        bootstrap_interval([1, 2], [1])
    with pytest.raises(ValueError, match="all sizes are 0"):
        bootstrap_interval([0, 0], [0, 0])
    with pytest.raises(ValueError, match="1 questions against 2"):
        bootstrap_difference(([1], [1]), ([1, 2], [1, 1]))


def test_every_public_function_is_listed() -> None:
    assert all(callable(getattr(metrics, name)) for name in set(metrics.__all__) - {"Statistic"})
