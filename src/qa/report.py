"""Reports of evaluations: what is measured, with which interval, and how two runs are compared.

A report keeps two numbers of every question for each measure, so that `compare` can pair two reports question by
question. What they are depends on the statistic: value and size of a ratio (a mean is the case of sizes 1), score and
label of an AUROC, confidence and error of a risk.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from qa import __version__
from qa.engine import IndexStatus
from qa.errors import EvaluationError
from qa.gold import read_file
from qa.metrics import (
    Statistic,
    aurc,
    auroc,
    balanced_accuracy,
    bootstrap_difference,
    bootstrap_interval,
    correlation,
    over_all,
    ratio,
    risk_at,
    wilson_interval,
)
from qa.settings import Settings
from qa.types import Answer

__all__ = [
    "MEASURES",
    "RANKINGS",
    "Change",
    "Measure",
    "Metric",
    "Report",
    "Scores",
    "changes_table",
    "compare",
    "describe",
    "index_facts",
    "latency",
    "load_baseline",
    "summarize",
]

FORMAT = 1
RANKINGS = ("dense", "lexical", "fused")
CHANGING_EDITS = (
    *("number", "name", "date", "negation.added", "negation.removed", "speaker.other", "speaker.removed", "direction"),
    *("certainty", "roles", "addition"),
)
KEEPING_EDITS = (
    *("shortened", "reordered", "said", "number.format", "date.format", "contracted", "attributed", "synonyms"),
    *("nationality", "joined"),
)
"""Edits of a sentence that change what it says, and edits that do not (`qa.datasets.edits`)."""
Scores = dict[str, tuple[float, float]]
"""Measure to the two numbers of one question."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Something that a report gives: its name, which way is better, and the statistic over the questions.

    `counts`: it counts questions, so that its interval is Wilson's, which holds at 0 and 1 too; else by bootstrap.
    """

    name: str
    better: Literal["higher", "lower", "neither"] = "higher"
    statistic: Statistic = ratio
    counts: bool = False


MEASURES: Mapping[str, Measure] = {
    measure.name: measure
    for measure in (
        *(
            Measure(f"{ranking}.{name}", counts=name.startswith("hit@"))
            for ranking in RANKINGS
            for name in (
                *(f"recall@{k}" for k in (1, 3, 5, 10)),
                *(f"hit@{k}" for k in (1, 3, 5, 10, 20)),
                *("mrr", "ndcg@10"),
            )
        ),
        *(Measure(f"chosen.hit@{k}", counts=True) for k in (1, 3, 5)),
        *(Measure(f"cited.hit@{k}", counts=True) for k in (1, 3, 5)),
        Measure("sentence.p@1", counts=True),
        Measure("sentence.map"),
        Measure("sentence.mrr"),
        Measure("sentence.p@1.pooled", counts=True),
        Measure("sentence.map.pooled"),
        Measure("sentence.p@1.news", counts=True),
        Measure("sentence.map.news"),
        Measure("sentence.map.raw"),
        Measure("sentence.mrr.raw"),
        Measure("citation.precision"),
        Measure("citation.precision.macro"),
        Measure("citation.recall"),
        Measure("citation.recall.macro"),
        Measure("answer.f1"),
        Measure("short.em"),
        Measure("short.f1"),
        Measure("short.em.answerable"),
        Measure("short.f1.answerable"),
        Measure("short.em.given"),
        Measure("answered", better="neither", counts=True),
        Measure("false_answer", better="lower", counts=True),
        Measure("false_answer.starter", better="lower", counts=True),
        Measure("false_answer.bbc", better="lower", counts=True),
        Measure("false_refusal", better="lower", counts=True),
        Measure("right.answered", counts=True),
        Measure("right.kept", counts=True),
        Measure("liked.kept", counts=True),
        Measure("disliked.kept", better="lower", counts=True),
        Measure("auroc.answerable", statistic=auroc),
        Measure("auroc.right", statistic=auroc),
        Measure("aurc", better="lower", statistic=aurc),
        Measure("followup.resolved", counts=True),
        Measure("followup.kept", counts=True),
        *(
            Measure(f"followup.{name}.{asked}")
            for name in ("recall@5", "cited", "f1", "cosine", "overlap@10")
            for asked in ("last", "previous", "all", "derived", "own", "gain")
        ),
        *(
            Measure(f"followup.{name}.gain.{part}")
            for name in ("f1", "cosine", "overlap@10")
            for part in ("needed", "clapnq", "cloud", "fiqa", "govt")
        ),
        *(
            measure
            for source in ("edits", "frank", "qags", "fever")
            for measure in (
                Measure(f"support.false_pass.{source}", better="lower", counts=True),
                Measure(f"support.false_drop.{source}", better="lower", counts=True),
                Measure(f"support.balanced_accuracy.{source}", statistic=balanced_accuracy),
                Measure(f"support.correlation.{source}", statistic=correlation),
            )
        ),
        *(Measure(f"support.correlation.frank.{part}", statistic=correlation) for part in ("bbc", "cnndm")),
        *(Measure(f"support.false_pass.edits.{kind}", better="lower", counts=True) for kind in CHANGING_EDITS),
        *(Measure(f"support.false_drop.edits.{kind}", better="lower", counts=True) for kind in KEEPING_EDITS),
        *(Measure(f"risk@{share}%", better="lower", statistic=risk_at(share / 100)) for share in (10, 25, 50, 75)),
    )
}
"""Every measure, in the order of a report; eval/README.md says what each means."""


@dataclass(frozen=True, slots=True)
class Metric:
    """The value of a measure over n questions, with a 95 % interval."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Change:
    """A measure in two runs: the 95 % interval of new minus old, and whether chance explains it."""

    metric: str
    old: float
    new: float
    low: float
    high: float
    verdict: Literal["better", "worse", "changed", "same"]
    """What the whole interval says; `changed` for a measure of which neither way is better."""

    def __str__(self) -> str:
        return (
            f"{self.metric}: {self.old:.3f} → {self.new:.3f} (95 % of the change: {self.low:+.3f} to {self.high:+.3f})"
        )


@dataclass(frozen=True, slots=True)
class Report:
    """What an evaluation found: `about` says of what and when, `latency_ms` has median and p95 of each stage."""

    about: dict[str, Any]
    metrics: dict[str, Metric]
    latency_ms: dict[str, dict[str, float]]
    questions: dict[str, Scores]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; `compare` takes it as a baseline."""
        return {"format": FORMAT, **asdict(self)}

    def markdown(self) -> str:
        """Return the report as short Markdown tables."""
        about = self.about
        places = [f"{about[name]:,} {name}" for name in ("articles", "sentences", "passages") if name in about]
        lines = [
            f"{about['dataset']}: {about['questions']} questions"
            f" ({', '.join(f'{n} {kind}' for kind, n in about['kinds'].items())}), {', '.join(places)},"
            f" {about['embedding_model']}, {about['answerer']}, version {about['version']}, {about['date']}",
            "",
            "| metric | value | 95 % interval | questions |",
            "|---|---:|---:|---:|",
            *(f"| {name} | {m.value:.3f} | {m.low:.3f} to {m.high:.3f} | {m.n} |" for name, m in self.metrics.items()),
            "",
            "| stage | median ms | p95 ms |",
            "|---|---:|---:|",
            *(f"| {stage} | {times['median']:.1f} | {times['p95']:.1f} |" for stage, times in self.latency_ms.items()),
        ]
        return "\n".join(lines) + "\n"


def describe(dataset: str, kinds: Sequence[str], settings: Settings, **found: Any) -> dict[str, Any]:
    """The `about` of a report: the data set, how many questions of which kind, when, by what; and what was `found`."""
    return {
        "dataset": dataset,
        "version": __version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "questions": len(kinds),
        "kinds": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
        **found,
        # Where things lie and who may connect changes no metric, and is nobody's business in a stored report.
        "settings": settings.model_dump(mode="json", exclude={"paths", "server"}),
    }


def index_facts(status: IndexStatus, answers: Sequence[Answer]) -> dict[str, Any]:
    """For `describe`: the index that was asked, and what answered."""
    return {
        "articles": status.articles,
        "sentences": status.sentences,
        "passages": status.passages,
        "embedding_model": status.embedding_model,
        "answerer": ", ".join(sorted({answer.answerer for answer in answers})) or "none",
    }


def latency(timings: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Median and 95th percentile of the milliseconds that each stage took."""
    found = {}
    for stage in dict.fromkeys(stage for times in timings for stage in times):
        median, p95 = np.percentile([times[stage] for times in timings if stage in times], (50, 95))
        found[stage] = {"median": round(float(median), 2), "p95": round(float(p95), 2)}
    return found


def summarize(questions: Mapping[str, Scores]) -> dict[str, Metric]:
    """The value of every measure over all questions that have it; one that has no value is left out.

    Raises `KeyError` for a measure that is not in `MEASURES`.
    """
    if unknown := {name for scores in questions.values() for name in scores} - MEASURES.keys():
        raise KeyError(f"no such measure: {', '.join(sorted(unknown))}")
    summary = {}
    for name, measure in MEASURES.items():
        first, second = _columns(questions, name, [key for key, scores in questions.items() if name in scores])
        value = over_all(measure.statistic, first, second) if first else math.nan
        if math.isnan(value):
            continue
        if measure.counts:
            low, high = wilson_interval(round(sum(first)), len(first))
        else:
            low, high = bootstrap_interval(first, second, measure.statistic)
        summary[name] = Metric(value, low, high, len(first))
    return summary


def _columns(questions: Mapping[str, Any], name: str, keys: Iterable[str]) -> tuple[list[float], list[float]]:
    pairs = [questions[key].get(name, (0.0, 0.0)) for key in keys]
    return [float(first) for first, _ in pairs], [float(second) for _, second in pairs]


def load_baseline(path: Path) -> dict[str, Any]:
    """Read a report that was stored as JSON. Raises `EvaluationError`."""
    try:
        report = json.loads(read_file(path))
    except ValueError as error:
        raise EvaluationError(f"{path}: not JSON: {error}") from None
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        raise EvaluationError(f"{path}: not a report of format {FORMAT}: store a new one")
    return report


def changes_table(changes: Sequence[Change]) -> str:
    """Compared measures as a Markdown table."""
    rows = [
        f"| {c.metric} | {c.old:.3f} | {c.new:.3f} | {c.low:+.3f} to {c.high:+.3f} | {c.verdict} |" for c in changes
    ]
    head = ["| metric | old | new | 95 % of the change | verdict |", "|---|---:|---:|---:|---|"]
    return "\n".join([*head, *rows]) + "\n"


def compare(report: Report, baseline: Mapping[str, Any]) -> list[Change]:
    """Pair two reports question by question; latency is not compared, for it is the machine's.

    A measure got worse (better) when the whole 95 % interval of its change lies on that side: more than chance
    explains. An unchanged system has changes of 0 alone, so nothing of it ever does. Measures that only one of the
    reports has are left out. Raises `EvaluationError` when questions of the baseline were not asked, it is of another
    data set, or it is no report.
    """
    try:
        old: Mapping[str, Any] = baseline["questions"]
        names = [name for name in MEASURES if name in baseline["metrics"]]
        asked, stored = report.about.get("dataset"), baseline["about"].get("dataset")
        if asked != stored:
            raise EvaluationError(f"the baseline is a report of {stored}, not of {asked}")
        if missing := sorted(old.keys() - report.questions.keys()):
            raise EvaluationError(f"the baseline has questions that were not asked: {', '.join(missing[:5])}")
        found = [_change(MEASURES[name], report.questions, old) for name in names]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise EvaluationError(f"the baseline is not a report ({error!r}): store a new one") from None
    return [change for change in found if change]


def _change(measure: Measure, new: Mapping[str, Scores], old: Mapping[str, Any]) -> Change | None:
    if measure.statistic is ratio:
        # A question that has no such value weighs nothing.
        keys = [key for key in old if measure.name in old[key] or measure.name in new[key]]
    else:
        keys = [key for key in old if measure.name in old[key] and measure.name in new[key]]
    fresh, stored = _columns(new, measure.name, keys), _columns(old, measure.name, keys)
    if not keys:
        return None
    before, after = over_all(measure.statistic, *stored), over_all(measure.statistic, *fresh)
    if math.isnan(before) or math.isnan(after):
        return None
    low, high = bootstrap_difference(fresh, stored, measure.statistic)
    verdict: Literal["better", "worse", "changed", "same"] = "same"
    if low > 0 or high < 0:
        up: Literal["better", "worse"] = "better" if (low > 0) == (measure.better == "higher") else "worse"
        verdict = "changed" if measure.better == "neither" else up
    return Change(measure.name, before, after, low, high, verdict)
