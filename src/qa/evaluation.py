"""Evaluation: questions with gold sentences against an engine, as a report that two builds can be compared by.

Every metric is Σ values / Σ sizes over its questions, with a 95 % interval; a mean is the case of sizes 1. A report
keeps value and size of every question, so that `compare` can pair two reports question by question.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from qa import __version__
from qa.engine import ArticleView, Engine
from qa.errors import EvaluationError
from qa.gold import Gold, Key, Question, load_questions, read_file, resolve
from qa.metrics import (
    bootstrap_difference,
    bootstrap_interval,
    citation_precision,
    citation_recall,
    ndcg_at,
    reciprocal_rank,
    token_f1,
    wilson_interval,
)
from qa.types import Answer, Passage

__all__ = [
    "Gold",
    "Metric",
    "Question",
    "Regression",
    "Report",
    "articles_by_path",
    "compare",
    "evaluate",
    "load_baseline",
    "load_questions",
    "resolve",
]

FORMAT = 1
DEPTH = 50
"""Passages looked at in each ranking; MRR is 0 beyond it."""
CUTS = (1, 3, 5, 10)
RANKINGS = ("dense", "lexical", "fused")
METRICS = (
    *(f"{ranking}.{measure}" for ranking in RANKINGS for measure in (*(f"recall@{k}" for k in CUTS), "mrr", "ndcg@10")),
    *("citation.precision", "citation.precision.macro", "citation.recall", "citation.recall.macro", "answer.f1"),
    *("answered", "false_answer", "false_refusal"),
)
"""In the order of a report."""
LOWER_IS_BETTER = frozenset({"false_answer", "false_refusal"})
NEITHER_IS_BETTER = frozenset({"answered"})
SHARES = LOWER_IS_BETTER | NEITHER_IS_BETTER
"""Metrics that count questions: their interval is Wilson's, which holds at 0 and 1 too."""

Scores = dict[str, tuple[float, float]]
"""Metric to (value, size) of one question."""


@dataclass(frozen=True, slots=True)
class Metric:
    """Σ values / Σ sizes over n questions, with a 95 % interval."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Regression:
    """A metric that got worse than chance explains: `change` is new minus old, between `low` and `high` at 95 %."""

    metric: str
    old: float
    new: float
    low: float
    high: float

    def __str__(self) -> str:
        return (
            f"{self.metric}: {self.old:.3f} → {self.new:.3f} (95 % of the change: {self.low:+.3f} to {self.high:+.3f})"
        )


@dataclass(frozen=True, slots=True)
class Report:
    """What `evaluate` found: `about` says of what and when, `latency_ms` has median and p95 of each stage."""

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
        lines = [
            f"{about['questions']} questions ({', '.join(f'{n} {kind}' for kind, n in about['kinds'].items())}), "
            f"{about['articles']:,} articles, {about['passages']:,} passages, generation {about['generation']}, "
            f"{about['embedding_model']}, {about['answerer']}, version {about['version']}, {about['date']}",
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


def load_baseline(path: Path) -> dict[str, Any]:
    """Read a report that was stored as JSON. Raises `EvaluationError`."""
    try:
        report = json.loads(read_file(path))
    except ValueError as error:
        raise EvaluationError(f"{path}: not JSON: {error}") from None
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        raise EvaluationError(f"{path}: not a report of format {FORMAT}: store a new one")
    return report


def score_rankings(rankings: Mapping[str, Sequence[Passage]], gold: Gold) -> Scores:
    """Score each ranking of passages by the gold sentences that they hold.

    Recall@k is `citation_recall` of the sentences in the first k passages. For MRR and nDCG a passage is relevant when
    it holds a gold sentence; the ideal has all relevant passages seen in any of the rankings, and one for each gold
    sentence in none of them.
    """
    held = {
        passage.chunk.id: frozenset(sentence.key for sentence in passage.sentences)
        for ranking in rankings.values()
        for passage in ranking
    }
    relevant = {chunk for chunk, keys in held.items() if keys & gold.keys}
    seen = frozenset[Key]().union(*held.values())
    missing = sum(piece.isdisjoint(seen) for piece in gold.pieces)
    gains = {**dict.fromkeys(relevant, 1.0), **{-1 - number: 1.0 for number in range(missing)}}
    scores: Scores = {}
    for name, passages in rankings.items():
        ranking = [passage.chunk.id for passage in passages]
        for k in CUTS:
            first = frozenset[Key]().union(*(held[chunk] for chunk in ranking[:k]))
            scores[f"{name}.recall@{k}"] = (citation_recall(first, gold.pieces, gold.needs), 1)
        scores[f"{name}.mrr"] = (reciprocal_rank(ranking, relevant), 1)
        scores[f"{name}.ndcg@10"] = (ndcg_at(ranking, gains, 10), 1)
    return scores


def score_answer(answer: Answer, gold: Gold, expected: str) -> Scores:
    """Score the answer to an answerable question. A refusal has no precision, and a recall of 0."""
    cited = {(citation.article_id, citation.sentence_index) for citation in answer.citations}
    answered = answer.status == "answered"
    recall = citation_recall(cited, gold.pieces, gold.needs)
    scores: Scores = {"answered": (float(answered), 1), "false_refusal": (float(not answered), 1)}
    if cited:
        precision = citation_precision(cited, gold.keys)
        scores["citation.precision"] = (precision * len(cited), len(cited))
        scores["citation.precision.macro"] = (precision, 1)
    scores["citation.recall"] = (recall * gold.needs, gold.needs)
    scores["citation.recall.macro"] = (recall, 1)
    if answered and expected:
        scores["answer.f1"] = (token_f1(answer.text, expected), 1)
    return scores


def score_refusal(answer: Answer) -> Scores:
    """Score the answer to an unanswerable question: any is false."""
    answered = float(answer.status == "answered")
    return {"answered": (answered, 1), "false_answer": (answered, 1)}


def evaluate(
    engine: Engine,
    questions: Sequence[Question],
    *,
    passages: int | None = None,
    max_sentences: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Ask every question and measure the rankings, the answers and the time.

    `progress` is called with how many are done and how many there are. Raises `EvaluationError` when a gold sentence
    is not in the index or the index changes meanwhile, and as `Engine.ask` does.
    """
    status = engine.status()
    articles = articles_by_path(engine, {relevant.path for question in questions for relevant in question.relevant})
    golds = [resolve(question, articles) for question in questions]
    scored: dict[str, Scores] = {}
    answers: list[Answer] = []
    for number, (question, gold) in enumerate(zip(questions, golds, strict=True), start=1):
        answer = engine.ask(question.question, passages=passages, max_sentences=max_sentences)
        if answer.generation != status.generation:
            raise EvaluationError(f"the index changed from generation {status.generation} to {answer.generation}")
        answers.append(answer)
        if gold.pieces:
            rankings = engine.rankings(question.question, DEPTH)
            scored[question.id] = score_rankings(rankings, gold) | score_answer(answer, gold, question.answer)
        else:
            scored[question.id] = score_refusal(answer)
        if progress:
            progress(number, len(questions))
    about = _about(engine, questions, answers) | {"passages_asked": passages, "max_sentences": max_sentences}
    return Report(about, summarize(scored), latency(answers), scored)


def articles_by_path(engine: Engine, paths: set[str]) -> dict[str, list[ArticleView]]:
    """Return the indexed articles of some source files, for `resolve`."""
    found: dict[str, list[ArticleView]] = {path: [] for path in paths}
    for article_id in engine.article_ids() if paths else ():
        view = engine.article(article_id)
        if view.article.source_path in found:
            found[view.article.source_path].append(view)
    return found


def _about(engine: Engine, questions: Sequence[Question], answers: Sequence[Answer]) -> dict[str, Any]:
    status = engine.status()
    kinds = sorted({question.kind for question in questions})
    return {
        "version": __version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "questions": len(questions),
        "kinds": {kind: sum(question.kind == kind for question in questions) for kind in kinds},
        "splits": sorted({question.split for question in questions}),
        "articles": status.articles,
        "sentences": status.sentences,
        "passages": status.passages,
        "generation": status.generation,
        "embedding_model": status.embedding_model,
        "answerer": ", ".join(sorted({answer.answerer for answer in answers})),
        "dropped": sum(answer.dropped for answer in answers),
        # Where things lie and who may connect changes no metric, and is nobody's business in a stored report.
        "settings": engine.settings.model_dump(mode="json", exclude={"paths", "server"}),
    }


def latency(answers: Sequence[Answer]) -> dict[str, dict[str, float]]:
    """Median and 95th percentile of the milliseconds that each stage took."""
    stages = dict.fromkeys(stage for answer in answers for stage in answer.timings_ms)
    found = {}
    for stage in stages:
        times = [answer.timings_ms[stage] for answer in answers if stage in answer.timings_ms]
        median, p95 = np.percentile(times, (50, 95))
        found[stage] = {"median": round(float(median), 2), "p95": round(float(p95), 2)}
    return found


def summarize(questions: Mapping[str, Scores]) -> dict[str, Metric]:
    """Add up the scores of all questions; metrics that no question has are left out."""
    summary = {}
    for name in METRICS:
        keys = [key for key, scores in questions.items() if name in scores]
        if not keys:
            continue
        values, sizes = _columns(questions, name, keys)
        if name in SHARES:
            low, high = wilson_interval(round(sum(values)), len(values))
        else:
            low, high = bootstrap_interval(values, sizes)
        summary[name] = Metric(sum(values) / sum(sizes), low, high, len(values))
    return summary


def _columns(questions: Mapping[str, Any], name: str, keys: Iterable[str]) -> tuple[list[float], list[float]]:
    pairs = [questions[key].get(name, (0.0, 0.0)) for key in keys]
    return [float(value) for value, _ in pairs], [float(size) for _, size in pairs]


def compare(report: Report, baseline: Mapping[str, Any]) -> list[Regression]:
    """Return the metrics that got worse than chance explains; latency is not compared, for it is the machine's.

    Both reports are paired question by question: a metric regressed when the whole 95 % interval of its change lies on
    the worse side. An unchanged system has changes of 0 alone, so it never fails. Raises `EvaluationError` when
    questions of the baseline were not asked or the baseline is no report.
    """
    try:
        old: Mapping[str, Any] = baseline["questions"]
        names = [name for name in METRICS if name in baseline["metrics"] and name not in NEITHER_IS_BETTER]
        if missing := sorted(old.keys() - report.questions.keys()):
            raise EvaluationError(f"the baseline has questions that were not asked: {', '.join(missing[:5])}")
        found = [_regression(name, report.questions, old) for name in names]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise EvaluationError(f"the baseline is not a report ({error!r}): store a new one") from None
    return [regression for regression in found if regression]


def _regression(name: str, new: Mapping[str, Scores], old: Mapping[str, Any]) -> Regression | None:
    keys = [key for key in old if name in old[key] or name in new[key]]
    fresh, stored = _columns(new, name, keys), _columns(old, name, keys)
    if not sum(fresh[1]) or not sum(stored[1]):
        return None
    low, high = bootstrap_difference(fresh, stored)
    worse = low > 0 if name in LOWER_IS_BETTER else high < 0
    if not worse:
        return None
    return Regression(name, sum(stored[0]) / sum(stored[1]), sum(fresh[0]) / sum(fresh[1]), low, high)
