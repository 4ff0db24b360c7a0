"""The HTTP API: the answer's promises, the other routes, and what every response carries."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st
from starlette.testclient import TestClient

from qa import contract
from qa.engine import Engine
from qa.errors import QAError, SettingsError
from qa.guards import CONTENT_SECURITY_POLICY
from qa.index import BuildReport
from qa.jobs import rebuild_in_child
from qa.openapi import EXAMPLES
from qa.problems import KINDS
from qa.server import create_app
from qa.settings import Settings

BASE = "http://127.0.0.1"
QUESTION = "How many turbines did engineers replace at the Oster Dam?"
WORDS = [
    *(
        "Oster",
        "Dam",
        "turbine",
        "fault",
        "reopened",
        "repair",
        "euros",
        "ferry",
        "Halm",
        "cancelled",
        "shaft",
        "storm",
    ),
    *(
        "Ulla",
        "power",
        "homes",
        "Vestnett",
        "telescopes",
        "library",
        "boat",
        "engines",
        "arrested",
        "police",
        "how many",
    ),
]
ADDRESS = {"host": "127.0.0.1"}


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[TestClient]:
    with TestClient(create_app(engine), base_url=BASE) as opened:
        yield opened


def ask(client: TestClient, **body: Any) -> dict[str, Any]:
    response = client.post("/v1/ask", json=body)
    assert response.status_code == 200, response.text
    return dict(response.json())


def check_answer(client: TestClient, body: dict[str, Any]) -> None:
    """All promises of an answer body."""
    text, segments = body["answer"]["text"], body["answer"]["segments"]
    assert text == " ".join(segment["text"] for segment in segments)
    for index, segment in enumerate(segments):
        assert segment["index"] == index
        assert text[segment["start"] : segment["end"]] == segment["text"]
        assert segment["citations"], "a segment without a citation"
    marked = " ".join(s["text"] + "".join(f"[{n}]" for n in s["citations"]) for s in segments)
    assert body["answer"]["text_with_markers"] == marked

    first_use = list(dict.fromkeys(n for segment in segments for n in segment["citations"]))
    assert [citation["n"] for citation in body["citations"]] == first_use == list(range(1, len(first_use) + 1))
    for citation in body["citations"]:
        article = client.get(f"/v1/articles/{citation['article_id']}").json()
        quote = citation["quote"]
        assert article["text"][citation["source_start"] : citation["source_end"]] == quote
        assert hashlib.sha256(quote.encode()).hexdigest() == citation["quote_sha256"]
        assert citation["verified"] is True and citation["support"]["label"] == "supported"
        assert citation["segments"] == [s["index"] for s in segments if citation["n"] in s["citations"]]
        number = int(citation["sentence_ids"][0].removeprefix(f"{citation['article_id']}#s"))
        sentence = article["sentences"][number]
        assert (sentence["start"], sentence["end"]) == (citation["source_start"], citation["source_end"])
        assert citation["url"] == f"/articles/{citation['article_id']}#s{number}"

    short = body["short_answer"]
    if short is not None:
        (citation,) = [c for c in body["citations"] if c["n"] == short["citation"]]
        article = client.get(f"/v1/articles/{citation['article_id']}").json()
        assert short["text"] and article["text"][short["start"] : short["end"]] == short["text"]
        assert citation["source_start"] <= short["start"] < short["end"] <= citation["source_end"]

    cited_by = [n for source in body["sources"] for n in source["cited_by"]]
    assert sorted(cited_by) == first_use and all(source["cited_by"] for source in body["sources"])
    assert (body["status"] == "not_found") == (text == "") == (body["not_found"] is not None)
    assert contract.AnswerReply.model_validate(body)


def test_ask_answers_with_the_sentence_that_says_it(client: TestClient) -> None:
    body = ask(client, question=QUESTION)
    assert body["status"] == "answered"
    cited = {citation["quote"]: citation for citation in body["citations"]}
    assert "Engineers replaced 3 of the 8 turbines." in cited
    assert body["sources"][0]["title"] == "Oster Dam reopens after turbine fault"
    assert cited["Engineers replaced 3 of the 8 turbines."]["original_url"] == (
        "https://river-post.example/2024/oster-dam-reopens#:~:text=Engineers%20replaced%203%20of%20the%208%20turbines."
    )
    assert re.fullmatch(r"ans_[0-9A-HJKMNP-TV-Z]{26}", body["id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body["created_at"])
    assert list(body) == list(EXAMPLES["AnswerReply"])
    check_answer(client, body)


def test_both_paths_answer_alike(client: TestClient) -> None:
    volatile = ("id", "created_at", "timings_ms")
    short, long = (client.post(path, json={"question": QUESTION}).json() for path in ("/ask", "/v1/ask"))
    assert {k: v for k, v in short.items() if k not in volatile} == {k: v for k, v in long.items() if k not in volatile}


@profile(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=8),
    sentences=st.integers(1, 10),
    passages=st.integers(1, 50),
)
def test_the_promises_hold_for_any_question(
    client: TestClient, words: list[str], sentences: int, passages: int
) -> None:
    body = ask(client, question=" ".join(words), max_sentences=sentences, top_k=passages)
    check_answer(client, body)
    assert len(body["answer"]["segments"]) <= sentences


def test_not_found_says_what_came_closest(client: TestClient) -> None:
    body = ask(client, question="What is the price of saffron in Lisbon?")
    assert body["status"] == "not_found" and body["citations"] == [] and body["sources"] == []
    assert body["not_found"]["reason"] in ("no_evidence", "low_confidence")
    for close in body["not_found"]["closest"]:
        article = client.get(f"/v1/articles/{close['article_id']}").json()
        assert close["quote"] in article["text"] and close["title"] == article["title"]
    check_answer(client, body)


def test_the_reply_has_the_time_that_was_asked_for(client: TestClient) -> None:
    def dates(path: str, **body: Any) -> Any:
        return client.post(path, json=body).json()["dates"]

    for path in ("/v1/ask", "/v1/search"):
        assert dates(path, question=QUESTION) is None
        assert dates(path, question="What broke last week at the dam?", as_of="2024-03-06") == {
            "as_of": "2024-03-06",
            "given": True,
            "ranges": [
                {"text": "last week", "published_from": "2024-02-26", "published_to": "2024-03-03"},
                {"text": None, "published_from": "2024-02-29", "published_to": "2024-03-06"},
            ],
        }
        told = dates(path, question="What broke before April 2024 at the dam?")
        assert told["given"] is False and told["ranges"] == [
            {"text": "before April 2024", "published_from": None, "published_to": "2024-03-31"}
        ]
        assert dates(path, question="What broke before April 2024?", dates=False) is None


def test_also_found_are_articles_that_were_read_and_are_not_cited(client: TestClient) -> None:
    found = 0
    for question in (QUESTION, "How many police arrests in the boat-engine case?", "What was cut by the storm?"):
        body = ask(client, question=question, max_sentences=1, include=["passages"])
        read = [passage["article_id"] for passage in body["passages"]]
        ids = [one["article_id"] for one in body["also_found"]]
        assert body["status"] == "answered" and len(ids) == len(set(ids)) <= 5
        assert set(ids) <= set(read) - {source["article_id"] for source in body["sources"]}
        for one in body["also_found"]:
            article = client.get(f"/v1/articles/{one['article_id']}").json()
            assert {key: article[key] for key in ("title", "publisher", "published_at")} == {
                key: one[key] for key in ("title", "publisher", "published_at")
            }
            path, _, place = one["url"].partition("#s")
            assert path == f"/articles/{one['article_id']}" and int(place) < len(article["sentences"])
        found += len(ids)
    assert found, "another article came close"
    assert ask(client, question="What is the price of saffron in Lisbon?")["also_found"] == []


def test_filters_admit_only_what_they_name(client: TestClient) -> None:
    body = ask(client, question="What did the police say?", filters={"publishers": ["coast courier"]}, top_k=50)
    assert {source["publisher"] for source in body["sources"]} <= {"Coast Courier"}
    gone = ask(client, question=QUESTION, filters={"published_to": "1999-01-01"})
    assert gone["not_found"]["reason"] == "filtered_out"
    assert "without the filters" in gone["not_found"]["suggestions"][0]
    none = ask(client, question=QUESTION, filters={"published_from": "2024-06-01", "published_to": "2024-05-01"})
    assert none["not_found"]["reason"] == "filtered_out"


def test_passages_and_scores_come_only_when_asked_for(client: TestClient) -> None:
    assert ask(client, question=QUESTION)["passages"] is None
    plain = ask(client, question=QUESTION, include=["passages"], top_k=2)["passages"]
    assert len(plain) == 2 and all(passage["scores"] is None for passage in plain)
    scored = ask(client, question=QUESTION, include=["passages", "scores"])["passages"]
    assert [passage["rank"] for passage in scored] == list(range(1, len(scored) + 1))
    assert all(passage["scores"]["score"] > 0 for passage in scored)


def test_notes(client: TestClient) -> None:
    codes = [note["code"] for note in ask(client, question=QUESTION, max_sentences=1)["notes"]]
    assert codes == ["single_source"]


def test_the_day_of_the_question(client: TestClient) -> None:
    told = "Articles from about 29 February to 6 March 2024 (the day given) were preferred."
    for path in ("/ask", "/v1/search"):
        notes = {}
        for more in ({}, {"as_of": None}, {"as_of": "2024-03-06"}, {"as_of": "2024-03-06", "dates": False}):
            body = client.post(path, json={"question": QUESTION} | more).json()
            notes[json.dumps(more)] = [note["message"] for note in body["notes"] if note["code"] == "dates"]
        assert list(notes.values()) == [[], [], [told], []]
    body = client.post("/v1/search", json={"question": QUESTION, "as_of": "2024-03-06"}).json()
    assert body["passages"][0]["scores"]["recency"] == 1.0
    assert {passage["scores"]["recency"] for passage in body["passages"]} >= {0.0, 1.0}


def test_engine_block_names_the_generation_that_answered(client: TestClient, engine: Engine) -> None:
    status = engine.status()
    block = ask(client, question=QUESTION)["engine"]
    assert block["generation"] == status.generation and block["articles"] == status.articles == 6
    assert block["passages"] == status.passages and block["embedding_model"] == "hashing"
    assert block["answerer"] == "extractive" and block["answer_model"] is None
    assert block["index_built_at"].endswith("Z")


def test_a_language_model_that_is_not_there(client: TestClient) -> None:
    response = client.post("/ask", json={"question": QUESTION, "answerer": "llm"})
    assert (response.status_code, response.json()["type"]) == (502, "/problems/llm-unavailable")
    assert ask(client, question=QUESTION, answerer="auto")["status"] == "answered"


def test_search(client: TestClient, engine: Engine) -> None:
    body = client.post("/v1/search", json={"question": QUESTION, "top_k": 3}).json()
    assert body["generation"] == engine.status().generation
    assert [passage["rank"] for passage in body["passages"]] == [1, 2, 3]
    assert "turbines" in body["passages"][0]["text"]
    for passage in body["passages"]:
        article = client.get(f"/v1/articles/{passage['article_id']}").json()
        assert article["text"][passage["source_start"] : passage["source_end"]] == passage["text"]


def test_article_and_its_etag(client: TestClient, engine: Engine) -> None:
    article_id = engine.article_ids()[0]
    response = client.get(f"/v1/articles/{article_id}")
    article = response.json()
    stored = engine.article(article_id)
    assert article["text"] == stored.article.text and article["content_sha256"] == stored.article.content_sha256
    assert [article["text"][s["start"] : s["end"]] for s in article["sentences"]] == [s.text for s in stored.sentences]
    etag = response.headers["etag"]
    for header in (etag, f'"other", {etag}', f"W/{etag}"):
        again = client.get(f"/v1/articles/{article_id}", headers={"If-None-Match": header})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag and again.headers["content-security-policy"]
    assert client.get(f"/v1/articles/{article_id}", headers={"If-None-Match": '"other"'}).status_code == 200


STRANGE_IDS = [
    *("a_0000000000000000", "...", "%2e%2e%2e", "..%2f..%2fetc%2fpasswd", "a%00b", "%ff%fe", "%ED%A0%80", "a" * 5000),
    *("' OR 1=1 --", "%0d%0aSet-Cookie:x", "con", "a_%F0%9F%98%80", "%E2%80%AE", "a;b", "*", "%20", "~root"),
]


@pytest.mark.parametrize("article_id", STRANGE_IDS, ids=lambda s: repr(s[:24]))
@pytest.mark.parametrize("path", ["/v1/articles/", "/articles/"])
def test_no_strange_id_is_an_article(client: TestClient, path: str, article_id: str) -> None:
    response = client.get(path + article_id, follow_redirects=False)
    assert response.status_code in (404, 422)
    assert response.headers["content-type"] == "application/problem+json"


def test_index_and_health(client: TestClient, engine: Engine) -> None:
    body = client.get("/v1/index").json()
    assert (body["state"], body["articles"], body["generation"]) == ("ready", 6, engine.status().generation)
    assert body["publishers"] == ["Coast Courier", "River Post"]
    assert client.get("/livez").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready", "reasons": [], "generation": body["generation"]}


def test_without_an_index(settings: Settings) -> None:
    engine = Engine.open(settings)
    with TestClient(create_app(engine), base_url=BASE) as client:
        for path in ("/v1/ask", "/v1/search"):
            response = client.post(path, json={"question": "Anything?"})
            assert (response.status_code, response.json()["type"]) == (503, "/problems/index-not-ready")
            assert int(response.headers["retry-after"]) > 0 and "qa index" in response.json()["detail"]
        assert client.get("/v1/articles/a_1").status_code == 503
        ready = client.get("/readyz")
        assert ready.status_code == 503 and "qa index" in ready.json()["reasons"][0]
        assert client.get("/livez").status_code == 200
        assert client.get("/v1/index").json()["state"] == "unavailable"
    engine.close()


def test_a_new_generation_is_followed(
    make_settings: Callable[..., Settings], settings: Settings, build: Callable[..., BuildReport]
) -> None:
    quick = make_settings(settings.paths.index.parent, server={"follow_seconds": 0.05})
    engine = Engine.open(quick)
    with TestClient(create_app(engine), base_url=BASE) as client:
        assert client.get("/readyz").status_code == 503
        build()
        wait_until(lambda: client.get("/readyz").status_code == 200)
        article_id = ask(client, question=QUESTION)["sources"][0]["article_id"]
        (settings.paths.corpus / "dam.md").unlink()
        build()
        wait_until(lambda: client.get(f"/v1/articles/{article_id}").status_code == 404)
        assert article_id not in json.dumps(ask(client, question=QUESTION))
    engine.close()


def wait_until(true: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


class TestRebuild:
    """POST /v1/index/rebuild."""

    TOKEN = "correct horse battery staple"
    AUTH = {"Authorization": f"Bearer {TOKEN}"}

    @pytest.fixture
    def open_engine(self, make_settings: Callable[..., Settings], settings: Settings) -> Iterator[Engine]:
        folder = settings.paths.index.parent
        engine = Engine.open(make_settings(folder, server={"admin_token": self.TOKEN}))
        yield engine
        engine.close()

    def test_there_is_no_such_route_without_a_token(self, client: TestClient) -> None:
        assert client.post("/v1/index/rebuild").status_code == 404
        assert client.get("/v1/jobs/job_1").status_code == 404

    def test_the_token_is_asked_for(self, open_engine: Engine) -> None:
        calls: list[int] = []
        with TestClient(create_app(open_engine, lambda: calls.append(1) or {}), base_url=BASE) as client:
            wrong = ["", "Bearer", "Bearer x", f"Basic {self.TOKEN}", f"Bearer {self.TOKEN}x", "Bearer \xff"]
            for header in wrong:
                response = client.post("/v1/index/rebuild", headers={"Authorization": header.encode("latin-1")})
                assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
                assert response.json()["type"] == "/problems/unauthorized"
                assert client.get("/v1/jobs/x", headers={"Authorization": header.encode("latin-1")}).status_code == 401
        assert not calls

    def test_one_at_a_time(self, open_engine: Engine) -> None:
        go = threading.Event()

        def rebuild() -> dict[str, Any]:
            assert go.wait(10)
            return {"generation": 2}

        with TestClient(create_app(open_engine, rebuild), base_url=BASE) as client:
            first = client.post("/v1/index/rebuild", headers=self.AUTH)
            assert first.status_code == 202 and first.json()["status"] == "running"
            second = client.post("/v1/index/rebuild", headers=self.AUTH)
            assert (second.status_code, second.json()["type"]) == (409, "/problems/rebuild-running")
            go.set()
            place = first.headers["location"]
            wait_until(lambda: client.get(place, headers=self.AUTH).json()["status"] == "succeeded")
            assert client.get(place, headers=self.AUTH).json()["result"] == {"generation": 2}
            wait_until(lambda: client.post("/v1/index/rebuild", headers=self.AUTH).status_code == 202)
            assert client.get("/v1/jobs/other", headers=self.AUTH).status_code == 404

    @pytest.mark.parametrize(
        ("error", "said"), [(QAError("disk full"), "disk full"), (RuntimeError("secret"), "the rebuild failed")]
    )
    def test_a_failure_is_told_and_does_not_block(self, open_engine: Engine, error: Exception, said: str) -> None:
        def rebuild() -> dict[str, Any]:
            raise error

        with TestClient(create_app(open_engine, rebuild), base_url=BASE) as client:
            for _ in range(2):
                place = client.post("/v1/index/rebuild", headers=self.AUTH).headers["location"]
                wait_until(lambda place=place: client.get(place, headers=self.AUTH).json()["status"] == "failed")
                assert client.get(place, headers=self.AUTH).json()["error"].startswith(said)

    def test_the_child_builds_with_the_same_settings(self, settings: Settings) -> None:
        assert not settings.paths.index.exists()
        report = rebuild_in_child(settings)
        assert report["generation"] == 1
        engine = Engine.open(settings)
        assert engine.status().embedding_model == "hashing", "the settings did not reach the child"
        engine.close()

    def test_a_child_that_fails_says_why(self, settings: Settings) -> None:
        settings.paths.index.write_text("not a folder")
        with pytest.raises(QAError, match=r"\w"):
            rebuild_in_child(settings)


def test_every_response_carries_the_headers(client: TestClient, engine: Engine) -> None:
    article = engine.article_ids()[0]
    gets = ["/", "/?q=dam", "/docs", "/openapi.json", "/problems", "/problems/timeout", f"/articles/{article}", "/nope"]
    gets += [f"/v1/articles/{article}", "/v1/index", "/livez", "/readyz", "/static/style.css", "/static/no", "/v1/ask"]
    responses = [client.get(path) for path in gets]
    responses += [client.post("/v1/ask", content=b"{", headers={"Content-Type": "application/json"})]
    for response in responses:
        headers = response.headers
        assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        assert re.fullmatch(r"req_[0-9a-f]{16}", headers["x-request-id"])
        assert not [name for name in headers if name.startswith("access-control")]
        assert "server" not in headers


def test_the_policy_is_the_agreed_one() -> None:
    assert CONTENT_SECURITY_POLICY == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    )


@pytest.mark.parametrize("given_id", ["abc", "A-1_b.9", "x" * 64])
def test_a_request_id_is_echoed(client: TestClient, given_id: str) -> None:
    assert client.get("/nope", headers={"X-Request-Id": given_id}).json()["request_id"] == given_id
    assert client.get("/livez", headers={"X-Request-Id": given_id}).headers["x-request-id"] == given_id


@pytest.mark.parametrize("given_id", ["", "x" * 65, "a b", "<script>", "a\xe9", "a,b", "a/b"])
def test_a_request_id_that_could_do_harm_is_not(client: TestClient, given_id: str) -> None:
    response = client.get("/livez", headers={"X-Request-Id": given_id.encode("latin-1")})
    assert response.headers["x-request-id"].startswith("req_")


def test_wrong_paths_and_methods(client: TestClient) -> None:
    for method, path, status in [
        ("GET", "/v1/nope", 404),
        ("POST", "/nope", 404),
        ("GET", "/v1/ask", 405),
        ("DELETE", "/v1/index", 405),
        ("PUT", "/ask", 405),
        ("OPTIONS", "/ask", 405),
        ("TRACE", "/", 405),
        ("GET", "/v1/ask/", 404),
        ("GET", "/static/../server.py", 404),
        ("GET", "/static/%2e%2e/%2e%2e/pyproject.toml", 404),
        ("GET", "/problems/nope", 404),
    ]:
        response = client.request(method, path)
        assert response.status_code == status, (method, path)
        assert response.headers["content-type"] == "application/problem+json"
        assert contract.Problem.model_validate(response.json()).status == status
        assert status != 405 or response.headers["allow"]


def test_every_problem_has_its_page(client: TestClient) -> None:
    for slug, kind in KINDS.items():
        page = client.get(f"/problems/{slug}")
        assert page.status_code == 200 and kind.title in page.text


def test_a_defect_is_a_problem_document_that_tells_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the secret is 4711")

    monkeypatch.setattr(Engine, "search", broken)
    with TestClient(create_app(engine), base_url=BASE) as client:
        response = client.post("/v1/search", json={"question": "x"}, headers={"X-Request-Id": "find-me"})
    assert (response.status_code, response.json()["type"]) == (500, "/problems/internal")
    assert "4711" not in response.text and response.headers["content-security-policy"]
    assert "find-me" in caplog.text and "4711" in caplog.text


def test_the_question_stays_out_of_the_log(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "qa")
    client.get("/?q=sentinel-question")
    client.post("/ask", json={"question": "sentinel-question"})
    client.get("/a%0Ab%1B[31m")
    assert "POST /ask 200" in caplog.text and "sentinel" not in caplog.text
    assert "\x1b" not in caplog.text and all("a%0Ab" in r.message for r in caplog.records if "/a" in r.message[:6])


HOSTS_OURS = [
    "127.0.0.1",
    "127.0.0.1:8000",
    "localhost",
    "LocalHost:1",
    "[::1]",
    "[::1]:8000",
    "127.8.9.1",
    "news.test",
]
HOSTS_FOREIGN = [
    *(
        "",
        "evil.example",
        "localhost.evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "localhost.",
        "0.0.0.0",
    ),
    *(
        "10.0.0.1",
        "[::]",
        "[::1",
        "::1",
        "localhost@evil.example",
        "evil.example#localhost",
        "localhost/evil",
        "local host",
    ),
    *(
        "127.0.0.1:abc",
        "127.0.0.1:",
        "127.1",
        "2130706433",
        "0x7f.1",
        "localhost:80:80",
        "[fe80::1]",
        "news.test.evil.example",
    ),
    *("xnews.test", "localhost,evil.example", "[::ffff:10.0.0.1]", "169.254.169.254", "127.0.0.1\\evil.example", "*"),
]


@pytest.mark.parametrize("host", HOSTS_OURS)
def test_our_hosts(make_settings: Callable[..., Settings], tmp_path: Any, host: str) -> None:
    engine = Engine.open(make_settings(tmp_path, server={"allowed_hosts": ["News.test"]}))
    response = TestClient(create_app(engine), base_url=BASE).get("/livez", headers={"Host": host})
    assert response.status_code == 200


@pytest.mark.parametrize("host", HOSTS_FOREIGN)
def test_foreign_hosts(make_settings: Callable[..., Settings], tmp_path: Any, host: str) -> None:
    engine = Engine.open(make_settings(tmp_path, server={"allowed_hosts": ["news.test"]}))
    client = TestClient(create_app(engine), base_url=BASE)
    for response in (
        client.get("/livez", headers={"Host": host}),
        client.post("/ask", json={"question": "x"}, headers={"Host": host}),
    ):
        assert (response.status_code, response.json()["type"]) == (421, "/problems/host-not-allowed")


def test_two_host_headers_are_refused(client: TestClient) -> None:
    response = client.get("/livez", headers=[("Host", "127.0.0.1"), ("Host", "evil.example")])
    assert response.status_code == 421


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "news.example", "127.0.0.1.example"])
def test_an_open_address_needs_a_token(make_settings: Callable[..., Settings], tmp_path: Any, host: str) -> None:
    with pytest.raises(SettingsError, match=r"server\.admin_token"):
        create_app(Engine.open(make_settings(tmp_path, server={"host": host})))
    assert create_app(Engine.open(make_settings(tmp_path, server={"host": host, "admin_token": "t"})))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_a_loopback_address_needs_none(make_settings: Callable[..., Settings], tmp_path: Any, host: str) -> None:
    assert create_app(Engine.open(make_settings(tmp_path, server={"host": host})))


def test_no_other_site_may_read_or_post(client: TestClient) -> None:
    origin = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    assert client.options("/ask", headers=origin).status_code == 405
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "text/json"):
        response = client.post("/ask", content=b'{"question":"x"}', headers={"Content-Type": kind, **origin})
        assert (response.status_code, response.json()["type"]) == (415, "/problems/unsupported-media-type")


def test_the_openapi_document_has_an_example_everywhere(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        model = getattr(contract, name)
        for example in schema["examples"]:
            assert model.model_validate(example), name
    assert set(schemas) <= set(EXAMPLES)
    for path, methods in document["paths"].items():
        for item in methods.values():
            assert item["description"] and item["responses"]["500"]["content"]["application/problem+json"], path
    assert "ValidationError" not in json.dumps(document)


def test_the_token_is_in_no_document(make_settings: Callable[..., Settings], tmp_path: Any) -> None:
    engine = Engine.open(make_settings(tmp_path, server={"admin_token": "sentinel-4711"}))
    with TestClient(create_app(engine, dict), base_url=BASE) as client:
        for path in ("/openapi.json", "/docs", "/v1/index", "/readyz"):
            assert "sentinel-4711" not in client.get(path).text
        assert "/v1/index/rebuild" in client.get("/openapi.json").text
