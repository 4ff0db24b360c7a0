"""Whatever a language model or its server does, an answer is safe, cited and in time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from llm.hostile import BEHAVIOURS, Hostile
from llm.safety import check_reply, codes
from qa.engine import Engine
from qa.server import create_app
from serving import events

QUESTION = "How many turbines did engineers replace at the Oster Dam?"
ASK: dict[str, Any] = {"question": QUESTION, "max_sentences": 1, "include": ["passages"]}
TIMEOUT = 1.0


@pytest.fixture(scope="module")
def client(stub: Hostile, engine: Engine) -> Iterator[TestClient]:
    llm = stub.settings(timeout_seconds=TIMEOUT, max_concurrent=4)
    settings = engine.settings.model_copy(update={"llm": engine.settings.llm.model_validate(llm)})
    # Longer than the model's time: an answer that comes too late is a 504.
    settings = settings.model_copy(
        update={"server": settings.server.model_copy(update={"timeout_seconds": 10 * TIMEOUT})}
    )
    opened = Engine.open(settings)
    with TestClient(create_app(opened), base_url="http://127.0.0.1") as started:
        yield started
    opened.close()


def behave(stub: Hostile, name: str) -> str:
    stub.behave, expected = BEHAVIOURS[name]
    stub.requests.clear()
    stub.called.clear()
    return expected


def outcome(reply: dict[str, Any]) -> str:
    told = codes(reply)
    if "llm_fallback" in told:
        assert reply["engine"]["answerer"] == "extractive" and reply["engine"]["answer_model"] is None
        assert reply["status"] == "answered"
        return "fallback"
    assert (reply["engine"]["answerer"], reply["engine"]["answer_model"]) == ("llm", "stub")
    if "llm_refused" in told:
        assert reply["status"] == "not_found" and reply["not_found"]["closest"]
        return "refused"
    return "partial" if "llm_partial" in told else "llm"


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_no_behaviour_gets_anything_past(stub: Hostile, client: TestClient, name: str) -> None:
    expected = behave(stub, name)
    ask = {**ASK, "max_sentences": 2} if expected == "partial" else ASK
    response = client.post("/v1/ask", json=ask)
    assert response.status_code == 200, response.text
    reply = response.json()
    check_reply(client, reply)
    assert outcome(reply) == expected
    assert 1 <= len(stub.requests) <= 4
    assert stub.called == [], "nothing follows to another server"


@pytest.mark.parametrize("name", [name for name in BEHAVIOURS if " without end" not in name])
def test_a_stream_of_events_says_the_same(stub: Hostile, client: TestClient, name: str) -> None:
    expected = behave(stub, name)
    ask = {**ASK, "max_sentences": 2} if expected == "partial" else ASK
    response = client.post("/v1/ask", json={**ask, "stream": True})
    sent = list(events(response.text.split("\n")))
    reply = sent[-1].data["response"]
    check_reply(client, reply)
    assert outcome(reply) == expected
    assert "".join(event.data["text"] for event in sent if event.name == "answer.delta") == reply["answer"]["text"]
    assert "answer.replace" not in {event.name for event in sent}
