"""Answers as server-sent events: the contract by value, hanging up, and what goes wrong on the way."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from qa import contract, streaming
from qa.engine import Engine
from qa.errors import ModelError
from qa.guards import Gate
from qa.index import BuildReport
from qa.openapi import EXAMPLES
from qa.protocols import Listener
from qa.scorers.encoding import Encoded
from qa.scorers.onnx import OnnxScorer
from qa.server import create_app
from qa.settings import Settings
from qa.types import Begun, Progress
from serving import Sent, events, serving

BASE = "http://127.0.0.1"
TURBINES = "How many turbines did engineers replace at the Oster Dam?"
STAGES = ["searching", "ranking", "writing", "checking"]
FOUND = ["ask.created", "ask.progress", "ask.progress", "ask.sources", "ask.progress", "ask.progress"]
ASKED: dict[str, dict[str, Any]] = {
    "one sentence": {"question": TURBINES, "max_sentences": 1},
    "several": {"question": TURBINES},
    "with passages": {"question": "What did Storm Ulla cut?", "include": ["passages", "scores"], "top_k": 3},
    "context": {"question": "How much did the repair of the dam cost in euros?", "max_sentences": 1},
    "not found": {"question": "Which chess opening did the champion prefer?"},
    "filtered out": {"question": TURBINES, "filters": {"publishers": ["Nobody's Paper"]}},
    "follow-up": {
        "question": "How many turbines did it have?",
        "history": [{"role": "user", "content": "What happened at the Oster Dam?"}],
    },
}


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[TestClient]:
    with TestClient(create_app(engine), base_url=BASE) as opened:
        yield opened


def stream(client: TestClient, **body: Any) -> list[Sent]:
    response = client.post("/v1/ask", json={**body, "stream": True})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache" and response.headers["x-accel-buffering"] == "no"
    return list(events(response.text.split("\n")))


def lasting(reply: dict[str, Any]) -> dict[str, Any]:
    """What is equal between two replies to one question."""
    return {name: value for name, value in reply.items() if name not in ("id", "created_at", "timings_ms")}


def check(sent: list[Sent]) -> dict[str, Any]:
    """All promises of a stream; returns the reply in its last event."""
    models = {model.event: model for model in contract.EVENTS}
    for number, event in enumerate(sent, start=1):
        assert event.id == str(number) and event.data["seq"] == number
        assert models[event.name].model_validate(event.data).model_dump() == event.data
    names = [event.name for event in sent]
    assert names[0] == "ask.created" and names[-1] == "ask.completed" and names.count("ask.completed") == 1
    assert names.count("ask.created") == names.count("ask.sources") == 1 and "ask.failed" not in names
    reply: dict[str, Any] = sent[-1].data["response"]

    created = sent[0].data
    assert [created[name] for name in ("id", "question", "resolved_question")] == [
        reply[name] for name in ("id", "question", "resolved_question")
    ]
    assert created["generation"] == reply["engine"]["generation"]

    progress = [event.data for event in sent if event.name == "ask.progress"]
    assert [one["stage"] for one in progress] == STAGES
    assert [one["elapsed_ms"] for one in progress] == sorted(one["elapsed_ms"] for one in progress)

    (sources,) = [event.data["sources"] for event in sent if event.name == "ask.sources"]
    assert all(source["cited_by"] == [] for source in sources)
    known = {source["article_id"]: source for source in sources}
    for source in reply["sources"]:
        assert {**source, "cited_by": []} == known[source["article_id"]]

    said = ""
    given: list[tuple[int, int]] = []
    for event in sent[names.index("ask.sources") :]:
        if event.name == "answer.delta":
            said += event.data["text"]
        if event.name == "answer.citation":
            segment = reply["answer"]["segments"][event.data["segment"]]
            assert len(said) == segment["end"], "a citation comes right after its segment's text"
            assert event.data["citation"] in reply["citations"]
            given.append((event.data["segment"], event.data["citation"]["n"]))
    assert said == reply["answer"]["text"]
    assert given == [(segment["index"], n) for segment in reply["answer"]["segments"] for n in segment["citations"]]
    assert not any(name.startswith("answer.") for name in names[: names.index("ask.sources")])
    return reply


# The contract


@pytest.mark.parametrize("body", ASKED.values(), ids=ASKED)
def test_the_last_event_has_the_plain_reply(client: TestClient, body: dict[str, Any]) -> None:
    reply = check(stream(client, **body))
    plain = client.post("/v1/ask", json=body).json()
    assert lasting(reply) == lasting(plain)
    assert plain["id"] != reply["id"]


def test_an_answer_event_by_event(client: TestClient) -> None:
    sent = stream(client, question=TURBINES, max_sentences=1)
    assert [event.name for event in sent] == [*FOUND, "answer.delta", "answer.citation", "ask.completed"]
    assert [event.data["message"] for event in sent if event.name == "ask.progress"] == [
        "Searching 6 articles",
        "Reading 6 passages",
        "Writing the answer",
        "Checking 1 sentence",
    ]
    assert [event.data["count"] for event in sent if event.name == "ask.progress"] == [6, 6, None, 1]
    assert sent[3].data["sources"][0]["title"] == "Oster Dam reopens after turbine fault"
    assert sent[6].data == {"seq": 7, "segment": 0, "text": "Engineers replaced 3 of the 8 turbines."}
    assert sent[7].data["citation"]["quote"] == "Engineers replaced 3 of the 8 turbines."


def test_the_space_between_two_sentences_belongs_to_the_second(client: TestClient) -> None:
    sent = stream(client, **ASKED["several"])
    texts = [event.data["text"] for event in sent if event.name == "answer.delta"]
    assert len(texts) > 1 and [text[0] == " " for text in texts] == [False] + [True] * (len(texts) - 1)


@pytest.mark.parametrize(("name", "reason"), [("not found", "low_confidence"), ("filtered out", "filtered_out")])
def test_no_answer_is_a_result(client: TestClient, name: str, reason: str) -> None:
    sent = stream(client, **ASKED[name])
    assert [event.name for event in sent] == [*FOUND, "ask.completed"]
    assert sent[-1].data["response"]["not_found"]["reason"] == reason
    assert bool(sent[3].data["sources"]) == (reason != "filtered_out")


@pytest.mark.parametrize(
    ("accepted", "streamed"),
    [
        ("text/event-stream", True),
        ("application/json;q=0.5, Text/Event-Stream ; q=0.9", True),
        ("application/json", False),
        ("*/*", False),
        ("text/*", False),
        ("", False),
    ],
)
def test_events_can_be_asked_for_by_their_media_type(client: TestClient, accepted: str, streamed: bool) -> None:
    response = client.post("/ask", json={"question": TURBINES}, headers={"Accept": accepted})
    assert response.headers["content-type"].startswith("text/event-stream" if streamed else "application/json")
    if streamed:
        check(list(events(response.text.split("\n"))))


def test_a_streamed_answer_is_remembered_like_any_other(client: TestClient) -> None:
    reply = check(stream(client, question=TURBINES))
    assert client.post(f"/v1/answers/{reply['id']}/share").status_code in (200, 201)


def test_the_document_describes_every_event(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    for path in ("/ask", "/v1/ask"):
        content = document["paths"][path]["post"]["responses"]["200"]["content"]
        assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/AnswerReply"}
        described = {
            one["properties"]["event"]["const"]: one["properties"]["data"]["contentSchema"]["$ref"].rpartition("/")[2]
            for one in content["text/event-stream"]["itemSchema"]["oneOf"]
        }
        assert described == {model.event: model.__name__ for model in contract.EVENTS}
        assert set(described.values()) <= set(document["components"]["schemas"])
    for model in contract.EVENTS:
        assert model.model_validate(EXAMPLES[model.__name__]).model_dump(exclude_unset=True) == EXAMPLES[model.__name__]
    page = client.get("/docs").text
    assert "answer.delta" in page and "ask.failed" in page


# Errors before the first byte


@pytest.mark.parametrize(
    ("body", "headers", "status", "slug"),
    [
        (b'{"question": "?", "stream": true}', {}, 422, "validation"),
        (b'{"question": "dam", "stream": 1}', {}, 422, "validation"),
        (b'{"question": "dam", "stream": true, "top_k": 99}', {}, 422, "validation"),
        (b'{"question": "dam", "stream": true', {}, 400, "malformed-json"),
        (b'{"question": "dam", "stream": true}', {"Content-Type": "text/plain"}, 415, "unsupported-media-type"),
        (b'{"question": "dam", "stream": true, "answerer": "llm"}', {}, 502, "llm-unavailable"),
        (b'{"question": 5}', {"Accept": "text/event-stream"}, 422, "validation"),
    ],
)
def test_what_cannot_begin_is_an_ordinary_problem(
    client: TestClient, body: bytes, headers: dict[str, str], status: int, slug: str
) -> None:
    response = client.post("/ask", content=body, headers={"Content-Type": "application/json", **headers})
    assert (response.status_code, response.json()["type"]) == (status, f"/problems/{slug}")
    assert response.headers["content-type"] == "application/problem+json"


def test_without_an_index_there_is_no_stream(settings: Settings) -> None:
    engine = Engine.open(settings)
    with TestClient(create_app(engine), base_url=BASE) as client:
        response = client.post("/ask", json={"question": "dam", "stream": True})
    assert (response.status_code, response.json()["type"]) == (503, "/problems/index-not-ready")
    assert response.headers["content-type"] == "application/problem+json" and response.headers["retry-after"]


# Over a real connection, with a scorer that reads when it is let


class Turnstile(OnnxScorer):
    """The shipped scorer, one passage at a time, each when it is let through."""

    def begin(self) -> None:
        self._threads = 1
        self.through = threading.Semaphore(0)
        self.waiting = threading.Event()
        self.read = 0
        self.trouble: Exception | None = None

    def _run(self, encoded: Encoded) -> Any:
        self.waiting.set()
        assert self.through.acquire(timeout=60)
        time.sleep(0.02)  # the thread that hears of the end has the time to say so
        self.read += 1
        if self.trouble:
            raise self.trouble
        return super()._run(encoded)

    def open(self) -> None:
        """Let everything through."""
        self.through.release(1000)


PASSAGES = 20
Live = tuple[str, Turnstile, Engine]


@pytest.fixture
def turnstile() -> Turnstile:
    loaded = Turnstile.load()
    assert isinstance(loaded, Turnstile)
    loaded.begin()
    return loaded


@pytest.fixture
def live(
    settings: Settings,
    make_settings: Callable[..., Settings],
    build: Callable[..., BuildReport],
    turnstile: Turnstile,
    request: pytest.FixtureRequest,
) -> Iterator[Live]:
    """A server with one place for questions and many articles to read for one; the address and the scorer."""
    for number in range(2 * PASSAGES):
        text = f"Turbine {number} was replaced on day {number} by engineers of the works in Halm."
        (settings.paths.corpus / f"turbine{number}.txt").write_text(f"Turbine {number}\n\n{text}\n")
    build()
    limits = {"max_concurrent": 1, "max_waiting": 1, "timeout_seconds": 60, **getattr(request, "param", {})}
    folder: Path = settings.paths.index.parent
    engine = Engine(make_settings(folder, server=limits, retrieval={"passages": PASSAGES}))
    engine._scorer = turnstile
    engine.reload_if_changed()
    with serving(create_app(engine)) as address:
        yield address, turnstile, engine
        turnstile.open()
    engine.close()


def until(what: Callable[[], bool]) -> None:
    """Wait for something that has to come to be."""
    for _ in range(3000):
        if what():
            return
        time.sleep(0.01)
    pytest.fail("it did not come to be")


def begin(address: str) -> Any:
    """Ask for events; leaving the block hangs up."""
    body = {"question": "Which turbine was replaced by engineers?", "stream": True}
    return httpx2.stream("POST", f"{address}/ask", json=body, timeout=60)


def is_free(address: str) -> bool:
    """Whether the one place is free: a search waits for it."""
    return httpx2.post(f"{address}/v1/search", json={"question": "turbine"}, timeout=60).status_code == 200


class Ended(logging.Handler):
    """Counts the requests to /ask that the server is done with."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += "POST /ask" in record.getMessage()


@pytest.fixture
def ended() -> Iterator[Ended]:
    handler, logger = Ended(), logging.getLogger("qa.server")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_events_arrive_while_the_answer_is_being_made(live: Live) -> None:
    address, turnstile, _ = live
    with begin(address) as response:
        sent = events(response.iter_lines())
        before = [next(sent) for _ in range(4)]
        assert [event.name for event in before] == FOUND[:4] and turnstile.read == 0
        turnstile.open()
        check([*before, *sent])
    assert turnstile.read == PASSAGES


def test_the_generation_that_was_named_is_the_one_that_answers(
    live: Live, settings: Settings, build: Callable[..., BuildReport]
) -> None:
    address, turnstile, engine = live
    with begin(address) as response:
        sent = events(response.iter_lines())
        created = next(sent)
        assert turnstile.waiting.wait(60)
        for number in range(2 * PASSAGES):
            (settings.paths.corpus / f"turbine{number}.txt").unlink()
        build()
        until(lambda: engine.reload_if_changed() or engine.status().generation == 2)
        turnstile.open()
        reply = check([created, *sent])
    assert created.data["generation"] == reply["engine"]["generation"] == 1
    assert reply["status"] == "answered" and "Turbine" in reply["answer"]["text"]


@pytest.mark.parametrize("streamed", [True, False])
def test_hanging_up_ends_the_reading(live: Live, ended: Ended, streamed: bool) -> None:
    address, turnstile, engine = live
    if streamed:
        with begin(address) as response:
            sent = events(response.iter_lines())
            assert next(sent).name == "ask.created"
            assert turnstile.waiting.wait(60)
    else:
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(f"{address}/ask", json={"question": "Which turbine was replaced?"}, timeout=0.5)
        assert turnstile.waiting.wait(60)
    until(lambda: ended.count == 1)
    turnstile.open()
    until(lambda: is_free(address))
    engine_is_asked = httpx2.post(f"{address}/ask", json={"question": "turbine", "top_k": 1}, timeout=60)
    assert engine_is_asked.status_code == 200
    # One passage was being read when the client left, the next report ended the work; the last question read one more.
    assert turnstile.read < PASSAGES
    assert engine.status().state == "ready"


def test_a_question_that_was_given_up_while_it_waited_never_begins(live: Live, ended: Ended) -> None:
    address, turnstile, _ = live
    with begin(address) as first:
        sent = events(first.iter_lines())
        before = [next(sent)]
        with pytest.raises(httpx2.ReadTimeout), begin_impatiently(address):
            pass
        until(lambda: ended.count == 1)
        # Its place among those that wait is free again, while the first one still reads.
        with pytest.raises(httpx2.ReadTimeout), begin_impatiently(address):
            pass
        until(lambda: ended.count == 2)
        assert turnstile.read == 0
        turnstile.open()
        check([*before, *sent])
    until(lambda: is_free(address))
    assert turnstile.read == PASSAGES


def begin_impatiently(address: str) -> Any:
    return httpx2.stream("POST", f"{address}/ask", json={"question": "turbine", "stream": True}, timeout=0.3)


@pytest.mark.parametrize("live", [{"max_waiting": 0}], indirect=True)
def test_too_many_streams_are_refused_before_the_first_byte(live: Live) -> None:
    address, turnstile, _ = live
    with begin(address) as first:
        sent = events(first.iter_lines())
        before = [next(sent)]
        with begin(address) as second:
            second.read()
            assert (second.status_code, second.json()["type"]) == (503, "/problems/overloaded")
            assert int(second.headers["retry-after"]) >= 1
        turnstile.open()
        check([*before, *sent])


@pytest.mark.parametrize("live", [{"timeout_seconds": 1.0}], indirect=True)
def test_an_answer_that_takes_too_long_ends_the_stream(live: Live) -> None:
    address, turnstile, _ = live
    with begin(address) as response:
        sent = list(events(response.iter_lines()))
    assert [event.name for event in sent] == [*FOUND[:4], "ask.failed"]
    problem = sent[-1].data["problem"]
    assert (problem["type"], problem["status"], problem["instance"]) == ("/problems/timeout", 504, "/ask")
    assert problem["request_id"] == response.headers["x-request-id"]
    turnstile.open()
    until(lambda: is_free(address))
    assert turnstile.read <= 2, "what nobody waits for is not read to its end"


@pytest.mark.parametrize(
    ("trouble", "slug"),
    [(ModelError("the model file is gone"), "model-unavailable"), (RuntimeError("secret detail"), "internal")],
)
def test_what_goes_wrong_on_the_way_is_the_last_event(live: Live, trouble: Exception, slug: str) -> None:
    address, turnstile, _ = live
    turnstile.trouble = trouble
    turnstile.open()
    with begin(address) as response:
        sent = list(events(response.iter_lines()))
    assert [event.name for event in sent] == [*FOUND[:4], "ask.failed"]
    assert [int(event.id) for event in sent] == [1, 2, 3, 4, 5]
    problem = contract.Problem.model_validate(sent[-1].data["problem"])
    assert problem.type == f"/problems/{slug}" and "secret" not in problem.detail
    until(lambda: is_free(address))


def test_silence_is_filled_with_comments(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    address, turnstile, _ = live
    monkeypatch.setattr(streaming, "PING_SECONDS", 0.05)
    with begin(address) as response:
        lines = response.iter_lines()
        kept = []
        for line in lines:
            kept.append(line)
            if kept.count(": ping") == 3:
                break
        turnstile.open()
        kept += lines
    check(list(events(line for line in kept if not line.startswith(":"))))


def test_a_client_that_is_gone_before_the_first_byte_ends_the_work_too() -> None:
    ended = threading.Event()

    def work(listen: Listener) -> contract.AnswerReply:
        try:
            listen(Begun(TURBINES, None, 1))
            while True:
                listen(Progress("searching"))
                time.sleep(0.001)
        finally:
            ended.set()

    async def run() -> None:
        leave = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await leave.wait()
            return {"type": "http.disconnect"}

        async def send(_: Any) -> None:
            await asyncio.sleep(60)

        scope: dict[str, Any] = {"type": "http", "path": "/ask", "headers": [], "state": {"request_id": "x"}}
        response = await streaming.stream_answer(Gate(1, 0, 60), work, "ans_1", Request(scope, receive))
        leave.set()
        await response(scope, receive, send)
        assert await asyncio.to_thread(ended.wait, 30)

    asyncio.run(run())
