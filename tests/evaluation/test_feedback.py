"""Ratings of readers as questions to ask again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from qa.datasets import Evaluated, Request, evaluate_dataset
from qa.engine import Engine
from qa.errors import EvaluationError
from qa.index import BuildReport
from qa.records import FEEDBACK_FILE
from qa.server import create_app
from qa.settings import Settings

DAM = "How many turbines did engineers replace at the Oster Dam?"
FERRY = "What was found during a routine inspection of the ferry?"
REPLACED = "Engineers replaced 3 of the 8 turbines."
SHAFT = "A cracked shaft was found during a routine inspection."
NOTHING = "What is the price of saffron in Lisbon?"


@pytest.fixture
def client(settings: Settings, build: Callable[..., BuildReport]) -> Iterator[TestClient]:
    build()
    engine = Engine.open(settings)
    with TestClient(create_app(engine), base_url="http://127.0.0.1") as opened:
        yield opened
    engine.close()


def rate(client: TestClient, question: str, rating: str, quote: str = "", **asked: Any) -> str:
    """Ask, rate the answer or its citation of a quote, and return the id of the rating."""
    body = client.post("/ask", json={"question": question, **asked}).json()
    number = next((citation["n"] for citation in body["citations"] if citation["quote"] == quote), None)
    assert (number is None) == (quote == "")
    given = {"answer_id": body["id"], "rating": rating, "citation": number, "reasons": ["wrong"]}
    response = client.post("/v1/feedback", json=given)
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


def evaluated(settings: Settings, path: Path | None = None) -> Evaluated:
    return evaluate_dataset("feedback", Request(settings, questions=path))


def values(found: Evaluated) -> dict[str, tuple[float, int]]:
    return {name: (metric.value, metric.n) for name, metric in found.report.metrics.items()}


def losses(found: Evaluated) -> dict[str, str | None]:
    return {case.id.partition(",")[0]: case.loss for case in found.cases}


def test_ratings_become_cases(
    client: TestClient, settings: Settings, build: Callable[..., BuildReport], tmp_path: Path
) -> None:
    liked, wrong = rate(client, DAM, "up", REPLACED), rate(client, FERRY, "down", SHAFT)
    refused, missed = rate(client, NOTHING, "up"), rate(client, "Who is Zyxwv Qponm?", "down")
    found = evaluated(settings)
    assert values(found) == {"answered": (0.5, 4), "liked.kept": (1, 2), "disliked.kept": (1, 2)}
    assert losses(found) == {liked: None, wrong: "wrongly answered", refused: None, missed: "refused"}
    assert found.report.about["kinds"] == {"liked": 2, "disliked": 2}
    assert set(found.report.questions) == {liked, wrong, refused, missed}
    assert "wrong" in next(case.id for case in found.cases if case.id.startswith(wrong))

    dam, ferry = settings.paths.corpus / "dam.md", settings.paths.corpus / "ferry.txt"
    dam.write_text(dam.read_text().replace(REPLACED, "Nobody knows."))
    ferry.write_text(ferry.read_text().replace("A cracked shaft", "A bent shaft"))
    copy = tmp_path / "kept.jsonl"
    (settings.paths.records / FEEDBACK_FILE).rename(copy)
    build()
    found = evaluated(settings, copy)
    assert values(found)["liked.kept"] == (0.5, 2) and values(found)["disliked.kept"] == (0.5, 2)
    assert losses(found)[liked] in ("not retrieved", "not chosen") and losses(found)[wrong] is None
    assert next(case.gold for case in found.cases if case.id.startswith(liked)) == (REPLACED,)


def test_a_question_is_asked_as_it_was(client: TestClient, settings: Settings) -> None:
    filters: dict[str, Any] = {"filters": {"publishers": ["Coast Courier"]}, "as_of": "2024-05-01"}
    rate(client, DAM, "up", **filters)
    (case,) = evaluated(settings).cases
    assert {passage.article.publisher for passage, _ in case.passages} <= {"Coast Courier"}
    assert str(case.as_of) == "2024-05-01"


def test_the_last_rating_of_a_thing_counts(client: TestClient, settings: Settings) -> None:
    body = client.post("/ask", json={"question": DAM}).json()
    for rating in ("up", "down", "up"):
        client.post("/v1/feedback", json={"answer_id": body["id"], "rating": rating})
    client.post("/v1/feedback", json={"answer_id": body["id"], "rating": "down", "citation": 1})
    assert evaluated(settings).report.about["kinds"] == {"disliked": 1, "liked": 1}


def test_without_ratings_there_is_nothing_to_ask(client: TestClient, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="server.feedback"):
        evaluated(settings)
    with pytest.raises(EvaluationError, match="cannot read"):
        evaluated(settings, tmp_path)
