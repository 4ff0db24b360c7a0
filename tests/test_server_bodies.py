"""Bodies that no client should send: each ends in a problem document that repeats nothing of it, never in a 500."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st
from starlette.testclient import TestClient

from qa.contract import Problem
from qa.engine import Engine
from qa.server import create_app

SECRET = "s3cr3t-sentinel"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[TestClient]:
    with TestClient(create_app(engine), base_url="http://127.0.0.1") as opened:
        yield opened


def question(**more: Any) -> bytes:
    return json.dumps({"question": SECRET, **more}).encode()


MALFORMED: dict[str, bytes] = {
    "empty": b"",
    "space": b"  \n",
    "open brace": b"{",
    "open string": b'{"question": "x',
    "trailing comma": b'{"question": "x",}',
    "single quotes": b"{'question': 'x'}",
    "comment": b'{"question": "x"} // x',
    "two values": b'{"question": "x"}{"question": "y"}',
    "bare word": b"question",
    "NaN": b'{"question": "x", "top_k": NaN}',
    "NaN as question": b'{"question": NaN}',
    "Infinity": b'{"question": "x", "top_k": Infinity}',
    "minus Infinity": b'{"question": "x", "top_k": -Infinity}',
    "number too large for a float": b'{"question": "x", "top_k": 1e999}',
    "integer of 5,000 digits": b'{"question": "x", "top_k": ' + b"9" * 5000 + b"}",
    "lone high surrogate": b'{"question": "\\ud800"}',
    "lone low surrogate": b'{"question": "a\\udc00b"}',
    "swapped surrogates": b'{"question": "\\udc00\\ud800"}',
    "lone surrogate in a key": b'{"question": "x", "\\ud800": 1}',
    "lone surrogate in the history": b'{"question": "x", "history": [{"role": "user", "content": "\\udfff"}]}',
    "lone surrogate deep in an unknown field": b'{"question": "x", "a": [{"b": "\\ud800"}]}',
    "raw surrogate bytes": b'{"question": "\xed\xa0\x80"}',
    "latin-1": b'{"question": "caf\xe9"}',
    "overlong UTF-8": b'{"question": "\xc0\xaf"}',
    "cut UTF-8": b'{"question": "\xe2\x82"}',
    "UTF-16 with mark": '{"question": "x"}'.encode("utf-16"),
    "UTF-16 without mark": '{"question": "x"}'.encode("utf-16-le"),
    "UTF-32": '{"question": "x"}'.encode("utf-32"),
    "UTF-8 mark": b'\xef\xbb\xbf{"question": "x"}',
    "raw NUL": b'{"question": "a\x00b"}',
    "raw newline": b'{"question": "a\nb"}',
    "only NUL": b"\x00",
    "half an escape": b'{"question": "\\u00"}',
    "unknown escape": b'{"question": "\\x41"}',
    "20,000 deep list": b"[" * 20_000 + b"]" * 20_000,
    "20,000 deep object": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "60,000 open brackets": b"[" * 60_000,
    "deep in the question": b'{"question": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "form": b"question=x",
    "multipart": b'--x\r\nContent-Disposition: form-data; name="question"\r\n\r\nx\r\n--x--',
    "xml": b"<question>x</question>",
}

UNFIT: dict[str, bytes] = {
    "null": b"null",
    "true": b"true",
    "number": b"1",
    "string": b'"question"',
    "list": b'[{"question": "x"}]',
    "empty object": b"{}",
    "question null": b'{"question": null}',
    "question number": b'{"question": 5}',
    "question list": b'{"question": ["x"]}',
    "question object": b'{"question": {"text": "x"}}',
    "question bool": b'{"question": true}',
    "question empty": b'{"question": ""}',
    "question of spaces": b'{"question": " \\t\\n "}',
    "question of odd spaces": '{"question": "\u2003\u3000"}'.encode(),
    "question of controls": b'{"question": "\\u0000\\u0001"}',
    "question of invisible characters": b'{"question": "\\u200b\\u2060"}',
    "question of marks": b'{"question": "?!..."}',
    "question of 2,001 characters": json.dumps({"question": "x" * 2001}).encode(),
    "question of 2,001 emoji": json.dumps({"question": "😀" * 2001}).encode(),
    "question in capitals": json.dumps({"Question": SECRET}).encode(),
    "unknown field": question(model=SECRET),
    "unknown field with a strange name": json.dumps({"question": "x", f"<{SECRET}>": 1}).encode(),
    "unknown field __proto__": question(__proto__={"x": 1}),
    "stream text": question(stream="false"),
    "stream number": question(stream=0),
    "top_k 0": question(top_k=0),
    "top_k 51": question(top_k=51),
    "top_k -1": question(top_k=-1),
    "top_k text": question(top_k="8"),
    "top_k float": question(top_k=8.5),
    "top_k float too large": question(top_k=51.0),
    "top_k bool": question(top_k=True),
    "top_k 4,000 digits": b'{"question": "x", "top_k": ' + b"9" * 4000 + b"}",
    "max_sentences 0": question(max_sentences=0),
    "max_sentences 11": question(max_sentences=11),
    "answerer unknown": question(answerer=SECRET),
    "answerer null": question(answerer=None),
    "include unknown": question(include=[SECRET]),
    "include text": question(include="passages"),
    "include too long": question(include=["scores"] * 3),
    "history text": question(history=SECRET),
    "history of 21": question(history=[{"role": "user", "content": "x"}] * 21),
    "history role": question(history=[{"role": SECRET, "content": "x"}]),
    "history without content": question(history=[{"role": "user"}]),
    "history with more": question(history=[{"role": "user", "content": "x", "name": SECRET}]),
    "history content list": question(history=[{"role": "user", "content": [SECRET]}]),
    "filters list": question(filters=[]),
    "filters null": question(filters=None),
    "filters unknown": question(filters={"publisher": SECRET}),
    "date words": question(filters={"published_from": SECRET}),
    "date 30 February": question(filters={"published_from": "2026-02-30"}),
    "date month 13": question(filters={"published_to": "2026-13-01"}),
    "date with time": question(filters={"published_to": "2026-01-01T00:00:00Z"}),
    "date short": question(filters={"published_to": "20260101"}),
    "date in other digits": question(filters={"published_to": "٢٠٢٦-٠١-٠١"}),
    "date number": question(filters={"published_to": 20260101}),
    "as_of words": question(as_of=SECRET),
    "as_of 30 February": question(as_of="2026-02-30"),
    "as_of year 0": question(as_of="0000-01-01"),
    "as_of number": question(as_of=20260101),
    "dates text": question(dates="yes"),
    "dates null": question(dates=None),
    "publishers text": question(filters={"publishers": SECRET}),
    "publishers of 51": question(filters={"publishers": ["x"] * 51}),
    "publisher empty": question(filters={"publishers": [""]}),
    "publisher of 201": question(filters={"publishers": ["x" * 201]}),
    "publisher null": question(filters={"publishers": [None]}),
    "ids number": question(filters={"article_ids": [1]}),
}


def check_problem(response: Any, status: int, slug: str) -> dict[str, Any]:
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    body = response.json()
    assert Problem.model_validate(body) and body["type"] == f"/problems/{slug}"
    assert body["status"] == status and body["request_id"] == response.headers["x-request-id"]
    assert body["instance"] in ("/ask", "/v1/ask", "/v1/search")
    assert SECRET not in response.text
    return dict(body)


def test_there_are_enough_of_them() -> None:
    assert len(MALFORMED) + len(UNFIT) >= 100


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("path", ["/ask", "/v1/search"])
def test_malformed(client: TestClient, path: str, name: str) -> None:
    check_problem(client.post(path, content=MALFORMED[name], headers=JSON), 400, "malformed-json")


@pytest.mark.parametrize("name", UNFIT)
def test_unfit(client: TestClient, name: str) -> None:
    body = check_problem(client.post("/v1/ask", content=UNFIT[name], headers=JSON), 422, "validation")
    assert body["errors"] and all(error["detail"] for error in body["errors"])


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/question"),
        ({"question": "x", "top_k": 99}, "/top_k"),
        ({"question": "x", "topk": 9}, "/topk"),
        ({"question": "x", "a b": 9}, ""),
        ({"question": "x", "filters": {"publishers": ["ok", 5]}}, "/filters/publishers/1"),
        ({"question": "x", "history": [{"role": "user", "content": "x"}, {"role": "user"}]}, "/history/1/content"),
    ],
)
def test_the_pointer_names_the_field(client: TestClient, body: dict[str, Any], pointer: str) -> None:
    errors = client.post("/ask", json=body).json()["errors"]
    assert [error["pointer"] for error in errors] == [pointer]


def test_a_whole_number_may_be_written_as_a_float(client: TestClient) -> None:
    response = client.post("/ask", content=b'{"question": "dam", "top_k": 2.0, "include": ["passages"]}', headers=JSON)
    assert len(response.json()["passages"]) == 2


@pytest.mark.parametrize(
    "text", ["a\x00b turbine", "İstanbul ﷽ turbine", "turbine 😀", "e\u0301 turbine", "‮turbine‬", "x" * 2000]
)
def test_strange_questions_are_still_questions(client: TestClient, text: str) -> None:
    response = client.post("/ask", json={"question": text})
    assert response.status_code == 200 and response.json()["status"] in ("answered", "not_found")


def test_repeated_keys_and_content_types(client: TestClient) -> None:
    assert client.post("/ask", content=b'{"question": 1, "question": "dam"}', headers=JSON).status_code == 200
    for kind in ("application/json; charset=utf-8", "Application/JSON", "application/json;x=y"):
        assert client.post("/ask", content=b'{"question":"dam"}', headers={"Content-Type": kind}).status_code == 200
    for kind in ("application/problem+json", "application/jsonx", "text/json", "*/*", "application/x-json", "json"):
        response = client.post("/ask", content=b'{"question":"dam"}', headers={"Content-Type": kind})
        check_problem(response, 415, "unsupported-media-type")


@pytest.mark.parametrize("path", ["/ask", "/v1/search", "/nope", "/v1/index"])
def test_a_declared_large_body_is_refused_unread(client: TestClient, path: str) -> None:
    for length in ("65537", "1073741824", "9" * 40, "-1", "abc"):
        response = client.post(path, content=b"{}", headers={**JSON, "Content-Length": length})
        assert (response.status_code, response.json()["type"]) == (413, "/problems/payload-too-large")


def test_a_large_body_in_pieces_is_refused(client: TestClient) -> None:
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 1024
            yield b" " * 1024

    check_problem(client.post("/ask", content=pieces(), headers=JSON), 413, "payload-too-large")
    body = b'{"question":"dam"}'
    fits = body + b" " * (64 * 1024 - len(body))
    assert client.post("/ask", content=fits, headers=JSON).status_code == 200
    assert client.post("/ask", content=fits + b" ", headers=JSON).status_code == 413


@profile(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda t: t.encode("utf-8", "surrogatepass")))
def test_no_bytes_are_a_defect(client: TestClient, body: bytes) -> None:
    assert client.post("/ask", content=body, headers=JSON).status_code in (200, 400, 422)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ["question", "stream", "history", "filters", "top_k", "max_sentences", "answerer", "include", "x"]


@profile(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=5), st.booleans())
def test_no_json_is_a_defect(client: TestClient, body: dict[str, Any], whole: bool) -> None:
    if whole:
        body = {"question": "dam", **{key: value for key, value in body.items() if key != "question"}}
    response = client.post("/ask", content=json.dumps(body).encode(), headers=JSON)
    assert response.status_code in (200, 400, 422, 502)
