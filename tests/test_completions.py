"""The routes for OpenAI's clients, asked with the `openai` package, and read as Open WebUI reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st
from starlette.testclient import TestClient

from qa import contract
from qa.engine import Engine
from qa.errors import ModelError
from qa.index import BuildReport
from qa.server import create_app
from qa.settings import Settings
from serving import serving

TURBINES = "How many turbines did engineers replace at the Oster Dam?"
CHESS = "Which chess opening did the champion prefer?"
DAM = "Oster Dam reopens after turbine fault"
STORM = "What did Storm Ulla cut?"


@pytest.fixture(scope="module")
def address(engine: Engine) -> Iterator[str]:
    with serving(create_app(engine)) as address:
        yield address


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{address}/v1", api_key="unused", max_retries=0) as opened:
        yield opened


def complete(client: openai.OpenAI, *said: str, **options: Any) -> Any:
    """Ask, the user and the assistant taking turns."""
    roles = ("user", "assistant")
    messages = [{"role": roles[place % 2], "content": text} for place, text in enumerate(said)]
    return client.chat.completions.create(model="sourceline", messages=messages, **options)  # type: ignore[call-overload]


def plain(address: str, question: str, **more: Any) -> dict[str, Any]:
    return dict(httpx2.post(f"{address}/v1/ask", json={"question": question, **more}).json())


def check_message(address: str, content: str, annotations: list[Any], reply: dict[str, Any]) -> None:
    """Every marker has its annotation, which leads to the sentence."""
    assert content == reply["answer"]["text_with_markers"]
    markers = list(re.finditer(r"\[(\d+)\]", content))
    assert len(markers) == len(annotations) > 0
    titles = {source["article_id"]: source["title"] for source in reply["sources"]}
    for marker, annotation in zip(markers, annotations, strict=True):
        cited = reply["citations"][int(marker[1]) - 1]
        assert annotation == {
            "type": "url_citation",
            "url_citation": {
                "start_index": marker.start(),
                "end_index": marker.end(),
                "title": titles[cited["article_id"]],
                "url": cited["original_url"] or f"{address}{cited['url']}",
            },
        }


# Answers


def test_an_answer_is_a_message_with_annotations(client: openai.OpenAI, address: str) -> None:
    completion = complete(client, TURBINES, temperature=0.3, max_tokens=50, seed=1, user="somebody")
    (choice,) = completion.choices
    assert (completion.model, completion.object, choice.finish_reason) == ("sourceline", "chat.completion", "stop")
    assert choice.message.content == (
        "The Oster Dam reopened on Monday after a turbine fault kept it shut for 11 days.[1]"
        " Engineers replaced 3 of the 8 turbines.[2]"
    )
    assert completion.usage.model_dump(exclude_unset=True) == {
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "total_tokens": 0,
    }
    annotations = [one.model_dump() for one in choice.message.annotations]
    check_message(address, choice.message.content, annotations, plain(address, TURBINES))
    first = annotations[0]["url_citation"]
    assert first["title"] == DAM and choice.message.content[first["start_index"] : first["end_index"]] == "[1]"


def test_the_id_leads_to_the_whole_answer(client: openai.OpenAI, address: str) -> None:
    for answer_id in (complete(client, TURBINES).id, list(complete(client, TURBINES, stream=True))[0].id):
        reply = httpx2.get(f"{address}/v1/answers/{answer_id}").json()
        assert (reply["id"], reply["question"]) == (answer_id, TURBINES)


def test_an_article_without_an_address_is_cited_on_this_server(client: openai.OpenAI, address: str) -> None:
    seen = set()
    for question in (TURBINES, STORM, "How many passengers had booked the ferry?", "How many suspects were arrested?"):
        completion = complete(client, question)
        for one in completion.choices[0].message.annotations:
            url = one.url_citation.url
            seen.add(url.startswith(f"{address}/articles/"))
            if url.startswith(address):
                page = httpx2.get(url)
                assert page.status_code == 200 and f'id="{url.rpartition("#")[2]}"' in page.text
    assert seen == {True, False}


def test_a_refusal_is_a_message_without_annotations(client: openai.OpenAI, address: str) -> None:
    completion = complete(client, CHESS)
    not_found = plain(address, CHESS)["not_found"]
    assert completion.choices[0].message.content == " ".join([not_found["message"], *not_found["suggestions"]])
    assert completion.choices[0].message.content.startswith("No article here answers that")
    assert completion.choices[0].message.annotations == [] and completion.choices[0].finish_reason == "stop"


def test_the_last_question_is_asked_and_the_turns_before_are_its_history(client: openai.OpenAI, address: str) -> None:
    asked = "How many turbines did it have?"
    first = complete(client, "What happened at the Oster Dam?").choices[0].message.content
    said = ["What happened at the Oster Dam?", first, asked]
    completion = complete(client, *said)
    turns = [{"role": "user", "content": said[0]}, {"role": "assistant", "content": re.sub(r"\[\d+\]", "", first)}]
    expected = plain(address, asked, history=turns)
    assert expected["resolved_question"] and "Oster Dam" in expected["resolved_question"]
    assert (
        httpx2.get(f"{address}/v1/answers/{completion.id}").json()["resolved_question"]
        == (expected["resolved_question"])
    )
    assert completion.choices[0].message.content == expected["answer"]["text_with_markers"]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.just(STORM)
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool", "function"])},
    optional={
        "content": st.none() | TEXTS | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": TEXTS})),
        "name": TEXTS,
    },
)


@profile(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=st.lists(MESSAGES, min_size=1, max_size=6), streamed=st.booleans())
def test_any_chat_is_answered_or_refused(engine: Engine, messages: list[Any], streamed: bool) -> None:
    body = {"model": "sourceline", "messages": messages, "stream": streamed}
    with TestClient(create_app(engine), base_url="http://127.0.0.1") as opened:
        response = opened.post("/v1/chat/completions", json=body)
    asked = [message.get("content") for message in messages if message["role"] == "user"][-1:]
    text = "".join(asked[0] if isinstance(asked[0], str) else [p["text"] for p in asked[0] or []]) if asked else ""
    assert response.status_code == (200 if any(c.isalnum() for c in text) else 422)
    if response.status_code == 200 and streamed:
        assert response.text.endswith('"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": [{"type": "text", "text": TURBINES}]}],
        [
            {
                "role": "user",
                "content": [{"type": "text", "text": TURBINES[:20]}, {"type": "text", "text": TURBINES[20:]}],
            }
        ],
        [{"role": "system", "content": "Answer as a pirate."}, {"role": "user", "content": TURBINES}],
        [{"role": "user", "content": TURBINES}, {"role": "assistant", "content": "Let me see."}],
        [{"role": "user", "content": TURBINES, "name": "Ute"}, {"role": "tool", "tool_call_id": "1", "content": "x"}],
        [{"role": "assistant", "content": None, "tool_calls": []}, {"role": "user", "content": TURBINES}],
    ],
)
def test_what_clients_send_is_read(client: openai.OpenAI, address: str, messages: list[Any]) -> None:
    completion = client.chat.completions.create(model="sourceline", messages=messages)
    assert "Engineers replaced 3 of the 8 turbines." in (completion.choices[0].message.content or "")


def test_many_turns_are_cut_to_those_that_count(client: openai.OpenAI) -> None:
    completion = complete(client, *[f"What about day {n}?" for n in range(60)], TURBINES)
    assert "Engineers replaced 3 of the 8 turbines." in completion.choices[0].message.content


# Streams


@pytest.mark.parametrize("question", [TURBINES, STORM, CHESS])
def test_the_chunks_make_the_message(client: openai.OpenAI, address: str, question: str) -> None:
    whole = complete(client, question).choices[0].message
    chunks = list(complete(client, question, stream=True))
    assert len({(chunk.id, chunk.created, chunk.model, chunk.object) for chunk in chunks}) == 1
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert all(chunk.usage is None for chunk in chunks)
    sentences = len(plain(address, question)["answer"]["segments"])
    assert sum(bool(chunk.choices[0].delta.content) for chunk in chunks) == (sentences or 1)
    annotated = [chunk.choices[0].delta for chunk in chunks if "annotations" in chunk.choices[0].delta.model_extra]
    if question == CHESS:
        assert annotated == []
    else:
        assert annotated == [chunks[-2].choices[0].delta]
        assert annotated[0].model_extra["annotations"] == [one.model_dump() for one in whole.annotations]


def test_usage_comes_last_when_it_is_asked_for(client: openai.OpenAI) -> None:
    chunks = list(complete(client, TURBINES, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens == 0
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-2].choices[0].finish_reason == "stop"


def test_sources_as_open_webui_takes_them(address: str) -> None:
    """It reads lines, takes what follows ``data:`` until ``[DONE]``, and makes a source of each annotation."""
    body = {"model": "sourceline", "messages": [{"role": "user", "content": STORM}], "stream": True}
    content, sources, done = "", [], False
    with httpx2.stream("POST", f"{address}/v1/chat/completions", json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        for line in response.iter_lines():
            if not line.startswith("data:"):
                assert line == "" or line.startswith(":")
                continue
            assert not done, "nothing comes after [DONE]"
            data = line.removeprefix("data:").strip()
            done = data == "[DONE]"
            if done:
                continue
            chunk = json.loads(data)
            assert contract.ChatChunk.model_validate(chunk).model_dump(exclude_unset=True) == chunk
            delta = chunk["choices"][0].get("delta", {})
            content += delta.get("content") or ""
            for annotation in delta.get("annotations") or []:
                if annotation.get("type") == "url_citation" and "url_citation" in annotation:
                    sources.append((annotation["url_citation"]["url"], annotation["url_citation"]["title"]))
    assert done and "[1]" in content
    reply = plain(address, STORM)
    titles = {source["article_id"]: source["title"] for source in reply["sources"]}
    assert sources == [
        (cited["original_url"] or address + cited["url"], titles[cited["article_id"]]) for cited in reply["citations"]
    ]


# Models and errors


def test_the_model_is_listed(client: openai.OpenAI) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.object, model.owned_by) == ("sourceline", "model", "sourceline")
    assert model.created > 1_700_000_000


def test_another_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="gpt-9", messages=[{"role": "user", "content": TURBINES}])
    assert refused.value.body == {
        "message": "Use the model `sourceline`.",
        "type": "invalid_request_error",
        "param": None,
        "code": "model_not_found",
    }
    assert refused.value.response.json()["type"] == "/problems/model-not-found"


USER = {"role": "user", "content": TURBINES}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no messages": ({"messages": []}, "/messages"),
    "nothing from the user": ({"messages": [{"role": "system", "content": "x"}]}, "/messages"),
    "empty question": ({"messages": [{"role": "user", "content": ""}]}, "/messages/0/content"),
    "no words": ({"messages": [USER, {"role": "user", "content": "?!"}]}, "/messages/1/content"),
    "null question": ({"messages": [{"role": "user", "content": None}]}, "/messages/0/content"),
    "long question": ({"messages": [{"role": "user", "content": "why " * 501}]}, "/messages/0/content"),
    "unknown role": ({"messages": [{"role": "pirate", "content": "x"}]}, "/messages/0/role"),
    "content of a number": ({"messages": [{"role": "user", "content": 5}]}, "/messages/0/content/str"),
    "an image": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        "/messages/0/content/str",
    ),
    "messages of text": ({"messages": "hello"}, "/messages"),
    "stream of text": ({"stream": "yes"}, "/stream"),
    "stream options": ({"stream_options": {"include_usage": "yes"}}, "/stream_options/include_usage"),
    "model of a number": ({"model": 5}, "/model"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("streamed", [True, False])
def test_what_does_not_fit_is_refused_in_both_forms(address: str, name: str, streamed: bool) -> None:
    more, pointer = REFUSED[name]
    body = {"model": "sourceline", "messages": [USER], "stream": streamed, **more}
    response = httpx2.post(f"{address}/v1/chat/completions", json=body)
    assert response.status_code == 422, response.text
    problem = contract.ChatProblem.model_validate(response.json())
    assert problem.errors[0].pointer == problem.error.param == pointer
    assert (problem.error.code, problem.error.type) == ("validation", "invalid_request_error")
    assert problem.error.message == problem.detail


def test_errors_raise_what_the_client_knows(client: openai.OpenAI, address: str) -> None:
    with pytest.raises(openai.UnprocessableEntityError):
        complete(client, "?!")
    # The server answers before it has read all of it, and hangs up: a client that is still sending may see only that.
    with pytest.raises(openai.APIStatusError) as large:
        complete(client.with_options(max_retries=10), "x" * 70_000)
    assert large.value.status_code == 413 and large.value.body["code"] == "payload_too_large"  # type: ignore[index]
    response = httpx2.post(f"{address}/v1/chat/completions", content=b"{", headers={"Content-Type": "application/json"})
    assert response.status_code == 400 and response.json()["error"]["code"] == "malformed_json"
    assert "error" not in httpx2.post(f"{address}/v1/ask", json={}).json(), "other routes have problems alone"


def test_without_an_index_the_client_raises(settings: Settings) -> None:
    with serving(create_app(Engine.open(settings))) as address:
        client = openai.OpenAI(base_url=f"{address}/v1", api_key="unused", max_retries=0)
        for streamed in (True, False):
            with pytest.raises(openai.InternalServerError) as missing:
                complete(client, TURBINES, stream=streamed)
            assert missing.value.status_code == 503 and missing.value.code == "index_not_ready"
            assert missing.value.type == "server_error"
        assert client.models.list().data[0].created == 0
        client.close()


class Failing:
    """A scorer that fails while it reads."""

    name = "failing"

    def score(self, question: str, passages: object) -> Any:
        raise ModelError("the model file is gone")
        yield


def test_what_goes_wrong_on_the_way_raises(settings: Settings, build: Callable[..., BuildReport]) -> None:
    build()
    engine = Engine(settings)
    engine._scorer = Failing()
    engine.reload_if_changed()
    with serving(create_app(engine)) as address:
        client = openai.OpenAI(base_url=f"{address}/v1", api_key="unused", max_retries=0)
        chunks = complete(client, TURBINES, stream=True)
        assert next(chunks).choices[0].delta.role == "assistant"
        with pytest.raises(openai.APIError, match="the model file is gone"):
            list(chunks)
        with pytest.raises(openai.InternalServerError, match="the model file is gone"):
            complete(client, TURBINES)
        client.close()
    engine.close()


def test_the_host_of_the_request_is_the_host_of_the_links(engine: Engine) -> None:
    with TestClient(create_app(engine), base_url="http://localhost:4321") as client:
        body = {"model": "sourceline", "messages": [{"role": "user", "content": STORM}]}
        message = client.post("/v1/chat/completions", json=body).json()["choices"][0]["message"]
    urls = [one["url_citation"]["url"] for one in message["annotations"]]
    assert urls and all(re.match(r"http://localhost:4321/articles/|https?://[^/]*(?<!4321)/", url) for url in urls)
