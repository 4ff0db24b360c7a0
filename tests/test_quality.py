"""The answers on the test questions are not worse than the stored report says, and worse ones would be noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from qa.embedders import load_embedder
from qa.engine import Engine
from qa.evaluation import Report, compare, evaluate, load_baseline, load_questions
from qa.index import build_index
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
    """Evaluate the test questions with some of the answer settings changed."""
    questions = [question for question in load_questions(EVAL / "questions.jsonl") if question.split == "test"]

    def run(**answers: float) -> Report:
        changed = starter.model_copy(update={"answers": starter.answers.model_copy(update=answers)})
        engine = Engine.open(changed)
        try:
            return evaluate(engine, questions)
        finally:
            engine.close()

    yield run


@pytest.fixture(scope="module")
def report(ask: Callable[..., Report]) -> Report:
    return ask()


def test_nothing_is_worse_than_the_stored_report(report: Report) -> None:
    assert [str(regression) for regression in compare(report, load_baseline(EVAL / "baseline.json"))] == []


def test_answering_everything_would_be_noticed(report: Report, ask: Callable[..., Report]) -> None:
    regressions = compare(ask(min_confidence=0.0), report.to_dict())
    assert "false_answer" in {regression.metric for regression in regressions}


def test_refusing_everything_would_be_noticed(report: Report, ask: Callable[..., Report]) -> None:
    regressions = compare(ask(min_confidence=1.0), report.to_dict())
    assert {"false_refusal", "citation.recall"} <= {regression.metric for regression in regressions}


def test_a_ranking_that_finds_less_would_be_noticed(report: Report) -> None:
    blind = {
        key: {name: (0.0 if number % 4 == 0 else value, size) for name, (value, size) in scores.items()}
        for number, (key, scores) in enumerate(report.questions.items())
    }
    worse = replace(report, questions=blind)
    assert "fused.recall@5" in {regression.metric for regression in compare(worse, report.to_dict())}
