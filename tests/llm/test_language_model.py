"""The language model in the engine: when it is asked, what it costs, who sees the key, what is told on the way."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from starlette.testclient import TestClient

from llm.hostile import (
    BEHAVIOURS,
    HONEST,
    KEY,
    NOBODY,
    PART,
    Answered,
    Asked,
    Hostile,
    delta,
    forever,
    items,
    says,
)
from llm.safety import check_reply
from qa.engine import Engine
from qa.errors import LanguageModelError, SettingsError, Stopped
from qa.server import create_app
from qa.settings import load_settings
from qa.types import Begun, Progress, Written
from serving import events, serving

QUESTION = "How many turbines did engineers replace at the Oster Dam?"
NOTHING = "Which chess opening did the champion prefer?"

Open = Callable[..., Engine]


@pytest.fixture
def opened(stub: Hostile, engine: Engine) -> Iterator[Open]:
    """Open engines over the small corpus with the stub as language model."""
    stub.requests.clear()
    stub.behave = HONEST
    engines: list[Engine] = []

    def open_engine(answerer: str = "auto", quotes_from: float | None = None, **llm: object) -> Engine:
        before = engine.settings
        least = before.answers.min_confidence if quotes_from is None else quotes_from
        given = stub.settings(**{"timeout_seconds": 5, **llm})
        answers = before.answers.model_copy(update={"answerer": answerer, "min_confidence": least})
        settings = before.model_copy(update={"llm": type(before.llm).model_validate(given), "answers": answers})
        engines.append(Engine.open(settings))
        return engines[-1]

    yield open_engine
    for one in engines:
        one.close()


# Who writes


def test_without_a_model_nothing_is_connected_to(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [engine.ask(QUESTION, answerer=how) for how in ("auto", "extractive")]
    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(f"socket.socket.{name}", lambda *_: pytest.fail("asked the network"))
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: pytest.fail("looked a name up"))
    for answer in (engine.ask(QUESTION), *before):
        assert (answer.answerer, answer.answer_model, answer.notes) == ("extractive", None, before[0].notes)
        assert answer.statements == before[0].statements
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (0, 0)
    with pytest.raises(LanguageModelError, match="llm.base_url"):
        engine.ask(QUESTION, answerer="llm")


@pytest.mark.parametrize(
    ("setting", "asked", "writes"),
    [
        ("auto", "auto", "llm"),
        ("auto", "extractive", "extractive"),
        ("extractive", "auto", "extractive"),
        ("extractive", "llm", "llm"),
        ("llm", "auto", "llm"),
        ("llm", "extractive", "extractive"),
    ],
)
def test_the_asker_comes_before_the_setting(opened: Open, stub: Hostile, setting: str, asked: Any, writes: str) -> None:
    answer = opened(setting).ask(QUESTION, answerer=asked)
    assert answer.answerer == writes and bool(stub.requests) == (writes == "llm")


def test_what_the_articles_do_not_answer_is_not_sent(opened: Open, stub: Hostile) -> None:
    answer = opened().ask(NOTHING)
    assert (answer.status, answer.answerer, stub.requests) == ("not_found", "extractive", [])


def test_the_model_is_asked_from_a_confidence_of_its_own(opened: Open, stub: Hostile) -> None:
    confidence = opened().ask(QUESTION, answerer="extractive").confidence
    assert opened(min_confidence=confidence + 0.001).ask(QUESTION).answerer == "extractive"
    assert stub.requests == []
    for quotes in (0.0, 1.0):  # whether or not the articles would be quoted
        answer = opened(min_confidence=confidence - 0.001, quotes_from=quotes).ask(QUESTION)
        assert (answer.status, answer.answerer, answer.confidence) == ("answered", "llm", confidence)


def test_what_would_not_be_quoted_is_not_quoted_for_want_of_the_model(opened: Open, stub: Hostile) -> None:
    stub.behave = BEHAVIOURS["status 429 Too Many Requests"][0]
    answer = opened(min_confidence=0.0, quotes_from=1.0).ask(QUESTION)
    assert (answer.status, answer.statements, answer.answerer) == ("not_found", (), "extractive")
    (note,) = answer.notes
    assert note.code == "llm_fallback" and note.message.startswith("Nothing is answered, because the language model")
    assert answer.closest, "what came closest is shown as for any refusal"


def test_questions_to_begin_with_are_not_sent(opened: Open, stub: Hostile) -> None:
    opened().suggestions(5)
    for thread in threading.enumerate():
        if thread.name == "suggestions":
            thread.join(30)
    assert stub.requests == []


# What an answer holds


def test_an_answer_names_its_model_and_counts_its_tokens(opened: Open, stub: Hostile) -> None:
    answer = opened().ask(QUESTION, max_sentences=1)
    assert answer.text == "Engineers replaced 3 of the 8 turbines."
    assert (answer.answer_model, answer.dropped, [note.code for note in answer.notes]) == ("stub", 0, [])
    assert answer.usage.prompt_tokens > 200 > answer.usage.completion_tokens > 10
    cited = {article.id for article in answer.articles}
    assert not cited & {close.article.id for close in answer.closest}


def test_what_was_left_out_is_counted_and_told(opened: Open, stub: Hostile) -> None:
    stub.behave = lambda a: says(items((NOBODY, [1]), ("No source.", []), (a.find(PART)[0], [a.find(PART)[1]])))
    with TestClient(create_app(opened()), base_url="http://127.0.0.1") as client:
        reply = client.post("/v1/ask", json={"question": QUESTION, "include": ["passages"]}).json()
        page = client.get("/", params={"q": QUESTION}).text
    check_reply(client, reply)
    (note,) = [note["message"] for note in reply["notes"] if note["code"] == "unsupported_dropped"]
    assert note.startswith("2 sentences were left out") and note in page
    assert NOBODY not in str(reply)


def test_a_fallback_is_told_on_the_page(opened: Open, stub: Hostile) -> None:
    stub.behave = BEHAVIOURS["status 429 Too Many Requests"][0]
    engine = opened()
    quoted = engine.ask(QUESTION, answerer="extractive")
    for how in ("auto", "llm"):
        answer = engine.ask(QUESTION, answerer=how)
        assert (answer.statements, answer.closest, answer.short_answer) == (
            quoted.statements,
            quoted.closest,
            quoted.short_answer,
        )
        (note,) = answer.notes
        assert note.code == "llm_fallback" and "status 429" in note.message
    with TestClient(create_app(engine), base_url="http://127.0.0.1") as client:
        assert f'<p class="note">{note.message}</p>' in client.get("/", params={"q": QUESTION}).text


def test_a_refusal_of_the_model_is_told_on_the_page(opened: Open, stub: Hostile) -> None:
    stub.behave = BEHAVIOURS["nothing to say"][0]
    with TestClient(create_app(opened()), base_url="http://127.0.0.1") as client:
        page = client.get("/", params={"q": QUESTION}).text
    assert '<p class="note">The language model found no answer in the sentences that were found.</p>' in page


def test_the_second_try_sees_the_first(opened: Open, stub: Hostile) -> None:
    stub.behave = lambda a: says("x" * 9000) if a.before == 0 else HONEST(a)
    answer = opened().ask(QUESTION)
    assert answer.answerer == "llm"
    first, second = (asked.body["messages"] for asked in stub.requests)
    assert second[:2] == first and [message["role"] for message in second[2:]] == ["assistant", "user"]
    assert second[2]["content"] == "x" * 2000
    assert stub.requests[0].body["response_format"]["json_schema"]["schema"]["required"] == ["items"]


def fields(stub: Hostile) -> list[set[str]]:
    """The fields of the requests besides those that every request has."""
    return [{*asked.body} - {"model", "messages", "stream"} for asked in stub.requests]


FULL = {"temperature", "max_tokens", "response_format"}
REASONING = {"max_completion_tokens", "response_format"}


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("as asked", [FULL, FULL]),
        ("a model that reasons", [FULL, REASONING, REASONING]),
        ("no schema here", [FULL, REASONING, set(), set()]),
    ],
)
def test_what_a_server_refuses_is_left_out_from_then_on(
    opened: Open, stub: Hostile, name: str, asked: list[set[str]]
) -> None:
    stub.behave = BEHAVIOURS[name][0]
    engine = opened(max_tokens=77)
    for _ in range(2):
        assert engine.ask(QUESTION).answerer == "llm"
    assert fields(stub) == asked
    limits = [asked.body.get("max_tokens", asked.body.get("max_completion_tokens")) for asked in stub.requests]
    assert limits == [77 if more else None for more in asked]


def test_a_request_that_is_too_long_takes_nothing_from_the_next(opened: Open, stub: Hostile) -> None:
    """vLLM 0.20 counts `max_tokens` against its context: it refuses a long prompt with it, and takes it without."""
    engine = opened()
    engine.ask(QUESTION)
    stub.behave = BEHAVIOURS["no schema here"][0]
    assert engine.ask(QUESTION).answerer == "llm"
    stub.behave = HONEST
    engine.ask(QUESTION)
    assert fields(stub) == [FULL, FULL, REASONING, set(), FULL]


@pytest.mark.parametrize(
    ("name", "told", "requests"),
    [
        (
            "status 400 Bad Request",
            "it refused the request, as one that is too long or for a model that it does not have (status 400)",
            3,
        ),
        ("status 401 Unauthorized", "it did not accept the key (status 401)", 1),
        ("status 404 Not Found", "it has no such model, or the address is not that of its API (status 404)", 1),
        ("status 500 Error", "it failed (status 500)", 1),
        ("cut off while it thinks", "its reply reached llm.max_tokens, or the end of its context, too early", 1),
        ("a refusal of its own", "a filter of its provider ended its reply", 1),
    ],
)
def test_a_fallback_says_what_to_look_at(opened: Open, stub: Hostile, name: str, told: str, requests: int) -> None:
    stub.behave = BEHAVIOURS[name][0]
    (note,) = opened().ask(QUESTION).notes
    assert note.code == "llm_fallback" and note.message.endswith(f": {told}.")
    assert len(stub.requests) == requests


# On the way


def one_at_a_time(told: threading.Event) -> Callable[[Asked], Answered]:
    """A model that says a second sentence only once the first was told."""

    def behave(asked: Asked) -> Answered:
        def pieces() -> Iterator[bytes]:
            text, n = asked.find(PART)
            other, m = asked.find("valve")
            yield delta(items((text, [n]))[:-2])
            assert told.wait(30)
            yield delta("," + items((other, [m])).partition("[")[2])

        return Answered(pieces())

    return behave


def test_a_statement_is_told_while_the_next_is_awaited(opened: Open, stub: Hostile) -> None:
    told = threading.Event()
    stub.behave = one_at_a_time(told)
    reports: list[Begun | Progress | Written] = []

    def listen(report: Begun | Progress | Written) -> None:
        reports.append(report)
        if isinstance(report, Written):
            told.set()

    answer = opened(timeout_seconds=25).ask(QUESTION, listen=listen)
    written = [report for report in reports if isinstance(report, Written)]
    assert [report.statement for report in written] == list(answer.statements)
    assert len(written) == 2 and PART in written[0].statement.text
    for report in written:
        assert report.index == written.index(report)
        numbers = [citation.number for citation in answer.citations if report.index in citation.segments]
        assert [citation.number for citation in report.citations] == numbers
    assert isinstance(reports[-1], Progress) and reports[-1].stage == "checking"


def test_whoever_stops_ends_the_request(opened: Open, stub: Hostile) -> None:
    stub.behave = lambda _: Answered(forever(delta("a"), 0.02))

    def listen(_: object) -> None:
        if stub.open:
            raise Stopped("enough")

    with pytest.raises(Stopped):
        opened(timeout_seconds=25).ask(QUESTION, listen=listen)
    until = time.monotonic() + 10
    while stub.open and time.monotonic() < until:
        time.sleep(0.01)
    assert stub.open == 0, "the model is not left writing"


def test_no_more_requests_at_once_than_the_settings_say(opened: Open, stub: Hostile) -> None:
    most = []

    def behave(asked: Asked) -> Answered:
        most.append(stub.open)
        time.sleep(0.05)
        return HONEST(asked)

    stub.behave = behave
    engine = opened(max_concurrent=2, timeout_seconds=25)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: engine.ask(QUESTION), range(16)))
    assert {answer.answerer for answer in answers} == {"llm"}
    # The stub counts a request a moment longer than the client does.
    assert max(most) <= 3


def test_events_come_with_the_citations_of_the_reply(opened: Open, stub: Hostile) -> None:
    with TestClient(create_app(opened()), base_url="http://127.0.0.1") as client:
        response = client.post("/v1/ask", json={"question": QUESTION, "stream": True})
    sent = list(events(response.text.split("\n")))
    names = [event.name for event in sent]
    assert names.index("answer.delta") < len(names) - 1 - names[::-1].index("ask.progress"), "before it is all checked"
    reply = sent[-1].data["response"]
    given = [event.data["citation"] for event in sent if event.name == "answer.citation"]
    assert given == reply["citations"]


def test_a_chat_streams_the_sentences_that_its_answer_keeps(opened: Open, stub: Hostile) -> None:
    told = threading.Event()
    stub.behave = one_at_a_time(told)
    asked = [{"role": "user", "content": QUESTION}]
    with (
        serving(create_app(opened(timeout_seconds=25))) as address,
        openai.OpenAI(base_url=f"{address}/v1", api_key="unused", max_retries=0) as client,
    ):
        content, annotations, pieces = "", [], 0
        for chunk in client.chat.completions.create(model="sourceline", messages=asked, stream=True):  # type: ignore[call-overload]
            delta_ = chunk.choices[0].delta
            content += delta_.content or ""
            annotations += delta_.model_extra.get("annotations") or []
            pieces += bool(delta_.content)
            if pieces == 1:
                assert PART in content and content.endswith("[1]")
                told.set()
        reply = httpx2.get(f"{address}/v1/answers/{chunk.id}").json()
    assert (pieces, content) == (2, reply["answer"]["text_with_markers"])
    cited = [annotation["url_citation"] for annotation in annotations]
    assert [content[one["start_index"] : one["end_index"]] for one in cited] == ["[1]", "[2]"]
    assert [one["url"] for one in cited] == [one["original_url"] or address + one["url"] for one in reply["citations"]]


# The key


def test_the_key_goes_to_the_server_and_nowhere_else(
    opened: Open, stub: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    engine = opened(timeout_seconds=1)
    seen = [repr(engine.settings), str(engine.settings), engine.settings.model_dump_json(), repr(vars(engine))]
    with TestClient(create_app(engine), base_url="http://127.0.0.1") as client:
        for name in ("as asked", "status 401 Unauthorized", "an error in the stream", "no HTTP at all", "redirect 307"):
            stub.behave = BEHAVIOURS[name][0]
            seen.append(client.post("/v1/ask", json={"question": QUESTION}).text)
        seen += [client.get(path).text for path in ("/openapi.json", "/status", "/v1/index", "/docs", "/readyz")]
    assert stub.authorizations == {f"Bearer {KEY}"}
    for record in caplog.records:
        seen.append(f"{record.getMessage()} {record.args} {record.exc_text}")
    assert not any(KEY in text or KEY[3:] in text for text in seen)


def test_the_key_can_be_in_a_file(opened: Open, stub: Hostile, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-a-file\n")
    stub.authorizations.clear()
    assert opened(api_key=None, api_key_file=tmp_path / "key").ask(QUESTION).answerer == "llm"
    assert stub.authorizations == {"Bearer from-a-file"}
    stub.authorizations.clear()
    assert opened(api_key=None).ask(QUESTION).answerer == "llm"
    assert stub.authorizations == {None}


@pytest.mark.parametrize(
    ("llm", "message"),
    [
        ({"model": ""}, "llm.base_url is set and llm.model is not"),
        ({"base_url": ""}, "llm.model is set and llm.base_url is not"),
        ({"api_key_file": "/"}, "both set"),
        ({"api_key": None, "api_key_file": "no-such-file"}, "no-such-file"),
        ({"api_key": "s3cret\nX-More: 1"}, "header"),
        ({"api_key": "s3crét"}, "header"),
        ({"timeout_seconds": 30}, "server.timeout_seconds"),
    ],
)
def test_settings_that_do_not_go_together_are_named(opened: Open, llm: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        opened(**llm)
    assert "s3cr" not in str(caught.value)


def test_a_model_that_is_asked_for_in_the_settings_must_be_set(opened: Open) -> None:
    with pytest.raises(SettingsError, match="answers.answerer"):
        opened("llm", base_url="", model="")


@pytest.mark.parametrize(
    "address",
    [
        "ftp://host/v1",
        "host:11434",
        "http://",
        "http://name:s3cret@host/v1",
        "https://host/v1?key=s3cret",
        "http://host/v1#s3cret",
        "http://[s3cret/v1",
        "http://host:s3cret/v1",
    ],
)
def test_an_address_is_plain_and_not_repeated(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("QA_LLM__BASE_URL", address)
    monkeypatch.setenv("QA_LLM__API_KEY", "s3cret")
    with pytest.raises(SettingsError, match="llm.base_url") as caught:
        load_settings()
    assert "s3cret" not in str(caught.value)
