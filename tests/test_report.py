"""Reports: measures of each kind by value, intervals, and the paired comparison of two runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qa.errors import EvaluationError
from qa.metrics import aurc, auroc, bootstrap_interval, wilson_interval
from qa.report import Change, Metric, Report, Scores, changes_table, compare, latency, load_baseline, summarize


def test_ratios_add_up_values_and_sizes() -> None:
    scored: dict[str, Scores] = {
        "a": {"answered": (1, 1), "citation.precision": (1, 3), "citation.precision.macro": (1 / 3, 1)},
        "b": {"answered": (1, 1), "citation.precision": (1, 1), "citation.precision.macro": (1, 1)},
        "c": {"answered": (0, 1)},
    }
    assert summarize(scored) == {
        "citation.precision": Metric(2 / 4, *bootstrap_interval([1, 1], [3, 1]), 2),
        "citation.precision.macro": Metric((1 / 3 + 1) / 2, *bootstrap_interval([1 / 3, 1]), 2),
        "answered": Metric(2 / 3, *wilson_interval(2, 3), 3),
    }


def test_confidences_become_areas_and_risks() -> None:
    confidences, right = [0.9, 0.8, 0.7, 0.2], [1.0, 0.0, 1.0, 0.0]
    wrong = [1 - value for value in right]
    scored: dict[str, Scores] = {
        f"q{number}": {"auroc.right": (c, r), "aurc": (c, w), "risk@50%": (c, w), "risk@75%": (c, w)}
        for number, (c, r, w) in enumerate(zip(confidences, right, wrong, strict=True))
    }
    found = summarize(scored)
    assert found["auroc.right"] == Metric(3 / 4, *bootstrap_interval(confidences, right, auroc), 4)
    assert found["aurc"].value == (0 + 1 / 2 + 1 / 3 + 2 / 4) / 4
    assert (found["aurc"].low, found["aurc"].high) == bootstrap_interval(confidences, wrong, aurc)
    assert (found["risk@50%"].value, found["risk@75%"].value) == (1 / 2, 1 / 3)


def test_a_measure_without_a_value_is_left_out_and_an_unknown_one_refused() -> None:
    assert summarize({"q1": {"auroc.right": (0.5, 1), "answered": (1, 1)}}).keys() == {"answered"}
    with pytest.raises(KeyError, match=r"no such measure: fused\.luck"):
        summarize({"q1": {"fused.luck": (1, 1)}})


def test_latency_is_median_and_p95_of_each_stage() -> None:
    timings = [{"total": float(number)} for number in range(1, 101)]
    assert latency([{"embed": 2.0, "total": 1.0}, *timings[1:]]) == {
        "embed": {"median": 2.0, "p95": 2.0},
        "total": {"median": 50.5, "p95": 95.05},
    }


# Comparing


def report(values: list[float], name: str = "fused.mrr") -> Report:
    scored: dict[str, Scores] = {f"q{number}": {name: (value, 1)} for number, value in enumerate(values)}
    return Report({}, summarize(scored), {}, scored)


def stored(values: list[float], name: str = "fused.mrr") -> dict[str, Any]:
    return json.loads(json.dumps(report(values, name).to_dict()))


HALF = [1.0, 0.0] * 50


def changed(values: list[float], **places: float) -> list[float]:
    """Values with some replaced, as q3=0.5."""
    return [places.get(f"q{number}", value) for number, value in enumerate(values)]


def verdicts(new: list[float], old: list[float], name: str = "fused.mrr") -> list[str]:
    return [change.verdict for change in compare(report(new, name), stored(old, name))]


@pytest.mark.parametrize("name", ["fused.mrr", "false_answer", "answered"])
def test_an_unchanged_system_is_the_same(name: str) -> None:
    assert compare(report(HALF, name), stored(HALF, name)) == [Change(name, 0.5, 0.5, 0, 0, "same")]


def test_a_real_drop_is_worse() -> None:
    (found,) = compare(report(changed(HALF, q0=0, q2=0, q4=0, q6=0, q8=0, q10=0)), stored(HALF))
    assert (found.metric, found.old, found.new, found.verdict) == ("fused.mrr", 0.5, 0.44, "worse")
    assert found.low < -0.06 < found.high < 0
    assert str(found).startswith("fused.mrr: 0.500 → 0.440 (95 % of the change: -0.1")
    assert f"| fused.mrr | 0.500 | 0.440 | {found.low:+.3f} to {found.high:+.3f} | worse |" in changes_table([found])


def test_noise_is_no_change() -> None:
    assert verdicts(changed(HALF, q0=0), HALF) == ["same"]
    assert verdicts(changed(HALF, q0=0, q2=0, q4=0, q6=0, q8=0, q1=1, q3=1, q5=1, q7=1), HALF) == ["same"]


def test_lower_can_be_better_and_some_measures_are_neither() -> None:
    more = changed(HALF, **{f"q{number}": 1.0 for number in range(40)})
    assert verdicts(more, HALF) == ["better"]
    assert verdicts(HALF, more) == ["worse"]
    assert verdicts(more, HALF, "false_answer") == ["worse"]
    assert verdicts(HALF, more, "false_answer") == ["better"]
    assert verdicts(HALF, more, "answered") == ["changed"]


@pytest.mark.parametrize(("name", "flip", "verdict"), [("auroc.right", 1, "worse"), ("aurc", 0, "worse")])
def test_areas_are_paired_by_question_too(name: str, flip: int, verdict: str) -> None:
    label = [float(number % 2 == flip) for number in range(100)]
    good = [(0.9 if number % 2 else 0.1, label[number]) for number in range(100)]
    poor = [(1 - score if number < 60 else score, mark) for number, (score, mark) in enumerate(good)]
    before: dict[str, Scores] = {f"q{number}": {name: pair} for number, pair in enumerate(good)}
    after: dict[str, Scores] = {f"q{number}": {name: pair} for number, pair in enumerate(poor)}
    old = json.loads(json.dumps(Report({}, summarize(before), {}, before).to_dict()))
    (found,) = compare(Report({}, summarize(after), {}, after), old)
    assert found.verdict == verdict
    assert [change.verdict for change in compare(Report({}, summarize(before), {}, before), old)] == ["same"]


def test_only_the_questions_of_the_baseline_are_compared() -> None:
    assert verdicts([*HALF, *[0.0] * 100], HALF) == ["same"]
    with pytest.raises(EvaluationError, match="questions that were not asked: q100, q101"):
        compare(report(HALF), stored([*HALF, 1, 1]))


def test_questions_that_were_refused_before_count_in_what_they_are_cited_with_now() -> None:
    name = "citation.precision"
    before: dict[str, Scores] = {f"q{number}": {name: (1, 1)} if number < 50 else {} for number in range(100)}
    after = before | {f"q{number}": {name: (0, 1)} for number in range(50, 100)}
    old = json.loads(json.dumps(Report({}, summarize(before), {}, before).to_dict()))
    found = compare(Report({}, summarize(after), {}, after), old)
    assert [(change.old, change.new, change.verdict) for change in found] == [(1.0, 0.5, "worse")]


def test_a_measure_that_is_measured_no_more_is_not_compared() -> None:
    assert compare(Report({}, {}, {}, {f"q{number}": {} for number in range(100)}), stored(HALF)) == []


def test_reports_of_different_data_sets_are_not_compared() -> None:
    other = stored(HALF) | {"about": {"dataset": "trecqa"}}
    with pytest.raises(EvaluationError, match="the baseline is a report of trecqa, not of None"):
        compare(report(HALF), other)


@pytest.mark.parametrize(
    "broken",
    [{}, {"about": {}, "questions": [], "metrics": {}}, {"questions": {"q1": 3}, "metrics": {"fused.mrr": 1}}],
)
def test_a_baseline_that_is_no_report_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(EvaluationError, match="the baseline is not a report"):
        compare(report(HALF), broken)


def test_a_baseline_is_a_stored_report(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps(report(HALF).to_dict()), encoding="utf-8")
    assert compare(report(HALF), load_baseline(path))[0].verdict == "same"
    path.write_text('{"format": 0}', encoding="utf-8")
    with pytest.raises(EvaluationError, match="not a report of format 1"):
        load_baseline(path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(EvaluationError, match="not JSON"):
        load_baseline(path)
