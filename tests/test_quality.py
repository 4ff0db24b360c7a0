"""The answers on the test questions are not worse than the stored report says, and worse ones would be noticed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qa.embedders import load_embedder
from qa.engine import Engine
from qa.evaluation import evaluate
from qa.gold import load_questions
from qa.index import build_index
from qa.report import Report, compare, load_baseline
from qa.resources import starter_corpus
from qa.settings import Settings, load_settings

pytestmark = pytest.mark.model

EVAL = Path(__file__).parents[1] / "eval"


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of an index over the starter corpus, made with the real model."""
    settings = load_settings({"paths": {"corpus": starter_corpus(), "index": tmp_path_factory.mktemp("starter")}})
    build_index(settings, load_embedder(settings.embedding, settings.paths.cache, prepare=True))
    return settings


@pytest.fixture(scope="module")
def ask(starter: Settings) -> Iterator[Callable[..., Report]]:
    """Evaluate the test questions with a threshold of confidence, by default that of the settings."""
    questions = [question for question in load_questions(EVAL / "questions.jsonl") if question.split == "test"]
    ungated = starter.model_copy(update={"answers": starter.answers.model_copy(update={"min_confidence": 0.0})})
    engine = Engine.open(ungated)

    def run(threshold: float = starter.answers.min_confidence) -> Report:
        return evaluate(engine, questions, threshold=threshold)[0]

    yield run
    engine.close()


@pytest.fixture(scope="module")
def report(ask: Callable[..., Report]) -> Report:
    return ask()


def worse(report: Report, baseline: Mapping[str, Any]) -> dict[str, str]:
    """What got worse than chance explains, by measure."""
    return {change.metric: str(change) for change in compare(report, baseline) if change.verdict == "worse"}


def test_nothing_is_worse_than_the_stored_report(report: Report) -> None:
    assert worse(report, load_baseline(EVAL / "baseline.json")) == {}


def test_the_trust_table_shows_the_stored_report() -> None:
    shown = json.loads((EVAL / "trust.json").read_text())["starter"]
    stored = load_baseline(EVAL / "baseline.json")
    assert shown["metrics"] == {name: stored["metrics"][name] for name in shown["metrics"]}
    assert shown["about"]["date"] == stored["about"]["date"]


def test_answering_everything_would_be_noticed(report: Report, ask: Callable[..., Report]) -> None:
    assert "false_answer" in worse(ask(threshold=0.0), report.to_dict())


def test_refusing_everything_would_be_noticed(report: Report, ask: Callable[..., Report]) -> None:
    assert {"false_refusal", "citation.recall"} <= worse(ask(threshold=1.0), report.to_dict()).keys()


def test_a_ranking_that_finds_less_would_be_noticed(report: Report) -> None:
    blind = {
        key: {name: (0.0 if number % 4 == 0 else value, size) for name, (value, size) in scores.items()}
        for number, (key, scores) in enumerate(report.questions.items())
    }
    assert "fused.recall@5" in worse(replace(report, questions=blind), report.to_dict())
