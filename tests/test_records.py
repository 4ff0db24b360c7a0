"""What the server keeps: answers that are given out again, shared ones, and feedback."""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from payloads import PAYLOADS
from qa import records
from qa.contract import AnswerReply, AskRequest
from qa.engine import Engine
from qa.index import BuildReport
from qa.openapi import EXAMPLES
from qa.records import FEEDBACK_FILE, WITHHELD, Records, compare, read_ratings
from qa.replies import answer_reply
from qa.server import create_app
from qa.settings import Settings
from qa.types import Support
from test_pages import BASE, BROWSER, QUESTION, Page

NOBODY = "ans_00000000000000000000000000"
FORM = {"Content-Type": "application/x-www-form-urlencoded", **BROWSER}


@pytest.fixture
def engine(settings: Settings, build: Callable[..., BuildReport]) -> Iterator[Engine]:
    """An engine over a private corpus, with records of its own."""
    build()
    opened = Engine.open(settings)
    yield opened
    opened.close()


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    with TestClient(create_app(engine), base_url=BASE) as opened:
        yield opened


def ask(client: TestClient, question: str = QUESTION, **more: Any) -> dict[str, Any]:
    response = client.post("/ask", json={"question": question, **more})
    assert response.status_code == 200, response.text
    return dict(response.json())


def recall(client: TestClient, answer_id: str) -> dict[str, Any]:
    response = client.get(f"/v1/answers/{answer_id}")
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-cache"
    return dict(response.json())


def page_of(client: TestClient, answer_id: str, status: int = 200) -> Page:
    response = client.get(f"/a/{answer_id}", headers=BROWSER)
    assert response.status_code == status, response.text
    return Page(response.text)


def problem(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["type"].removeprefix("/problems/")


def rebuilt(engine: Engine, build: Callable[..., BuildReport]) -> None:
    report = build()
    engine.reload_if_changed()  # unless the server's own follower was faster
    assert engine.status().generation == report.generation


# Remembering and sharing


def test_an_answer_is_remembered_as_it_was_given(client: TestClient) -> None:
    for question in (QUESTION, "What is the price of saffron in Lisbon?"):
        body = ask(client, question)
        assert recall(client, body["id"]) == body
        page = page_of(client, body["id"])
        assert body["question"] in page.text and "remembered until the server restarts" in page.text
        for citation in body["citations"]:
            assert citation["quote"] in page.text


def test_the_answers_of_the_page_and_of_the_stream_are_remembered_too(client: TestClient) -> None:
    page = Page(client.get("/", params={"q": QUESTION}, headers=BROWSER).text)
    (shown,) = page.find("article", class_="exchange")
    assert recall(client, shown["data-id"])["question"] == QUESTION
    streamed = client.post("/ask", json={"question": QUESTION}, headers={"Accept": "text/event-stream"})
    data = [json.loads(line.removeprefix("data: ")) for line in streamed.text.split("\n") if line.startswith("data: ")]
    assert recall(client, data[0]["id"])["question"] == QUESTION


def test_passages_and_earlier_turns_are_not_kept(client: TestClient, settings: Settings) -> None:
    turns = [{"role": "user", "content": "Where is Halm?"}]
    body = ask(client, include=["passages"], history=turns)
    assert body["passages"] and recall(client, body["id"]) == {**body, "passages": None}
    client.post(f"/v1/answers/{body['id']}/share")
    (stored,) = (settings.paths.records / "answers").iterdir()
    assert "Where is Halm?" not in stored.read_text()


def test_the_latest_thousand_answers_are_remembered(engine: Engine, client: TestClient) -> None:
    reply = AnswerReply.model_validate(ask(client))
    kept = Records(engine)
    ids = [f"ans_{number:026d}" for number in range(records.REMEMBERED + 5)]
    for answer_id in ids:
        kept.remember(AskRequest(question=QUESTION), reply.model_copy(update={"id": answer_id}))
    assert [kept.knows(answer_id) for answer_id in ids] == [False] * 5 + [True] * records.REMEMBERED


def test_a_shared_answer_survives_a_restart(engine: Engine, client: TestClient, settings: Settings) -> None:
    body, other = ask(client), ask(client)
    shared = client.post(f"/v1/answers/{body['id']}/share")
    assert shared.status_code == 200
    assert shared.json() == {"object": "shared_answer", "answer_id": body["id"], "url": f"/a/{body['id']}"}
    stored = settings.paths.records / "answers" / f"{body['id']}.json"
    before = stored.read_bytes()
    assert client.post(f"/v1/answers/{body['id']}/share").status_code == 200
    assert stored.read_bytes() == before and list(stored.parent.iterdir()) == [stored]
    with TestClient(create_app(engine), base_url=BASE) as restarted:
        assert recall(restarted, body["id"]) == body
        page = page_of(restarted, body["id"])
        assert "Shared answer" in page.text and "until the server restarts" not in page.text
        assert f"from index {body['engine']['generation']}" in page.text and page.find("a", href="/")
        assert page.find("time", datetime=body["created_at"])
        for path in (f"/v1/answers/{other['id']}", f"/a/{other['id']}", f"/a/{other['id']}.md"):
            assert problem(restarted.get(path)) == (404, "answer-not-found")
        assert problem(restarted.post(f"/v1/answers/{other['id']}/share")) == (404, "answer-not-found")


def test_an_answer_that_an_earlier_version_shared_is_still_there(client: TestClient, settings: Settings) -> None:
    """Fails when a new field of a reply or a request has no default: give it one."""
    stored = Path(__file__).parent / "data" / "shared-answer.json"
    answer_id = json.loads(stored.read_text())["reply"]["id"]
    folder = settings.paths.records / "answers"
    folder.mkdir(parents=True)
    (folder / f"{answer_id}.json").write_bytes(stored.read_bytes())
    body = recall(client, answer_id)
    assert body["answer"] == ask(client)["answer"]
    assert {citation["state"] for citation in body["citations"]} == {"current"}
    assert "Shared answer" in page_of(client, answer_id).text


def test_what_is_no_id_finds_nothing(client: TestClient, settings: Settings) -> None:
    settings.paths.records.mkdir()
    (settings.paths.records / "secret.json").write_text("{}")
    body = ask(client)
    client.post(f"/v1/answers/{body['id']}/share")
    stored = settings.paths.records / "answers" / f"{body['id']}.json"
    stored.with_name("x.json").write_text(stored.read_text().replace(body["id"], "x"))
    for odd in (NOBODY, "x", "%00", "..%2Fsecret", "%2E%2E", "ans_", NOBODY.lower(), NOBODY + "%0A", "a" * 100):
        for response in (client.get(f"/v1/answers/{odd}"), client.post(f"/v1/answers/{odd}/share")):
            assert response.status_code == 404, odd
    assert problem(client.get(f"/v1/answers/{'a' * 101}")) == (422, "validation")
    assert "Answers are remembered until the server restarts" in page_of(client, NOBODY, 404).text


@pytest.mark.parametrize("damage", ["cut", "other id", "other shape", "empty", "folder"])
def test_a_damaged_file_is_no_answer(engine: Engine, client: TestClient, settings: Settings, damage: str) -> None:
    body = ask(client)
    client.post(f"/v1/answers/{body['id']}/share")
    path = settings.paths.records / "answers" / f"{body['id']}.json"
    data = path.read_bytes()
    if damage == "folder":
        path.unlink()
        path.mkdir()
    else:
        changed = {
            "cut": data[: len(data) // 2],
            "other id": data.replace(body["id"].encode(), NOBODY.encode()),
            "other shape": data.replace(b'"quote"', b'"quotation"'),
            "empty": b"",
        }[damage]
        path.write_bytes(changed)
    with TestClient(create_app(engine), base_url=BASE) as restarted:
        assert problem(restarted.get(f"/v1/answers/{body['id']}")) == (404, "answer-not-found")


def test_shared_answers_are_counted(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "SHARED", 2)
    ids = [ask(client)["id"] for _ in range(3)]
    assert [client.post(f"/v1/answers/{i}/share").status_code for i in ids] == [200, 200, 507]
    assert client.post(f"/v1/answers/{ids[0]}/share").status_code == 200
    full = client.post(f"/v1/answers/{ids[2]}/share").json()
    assert full["type"] == "/problems/records-full" and "paths.records" in full["detail"]


def test_records_that_cannot_be_written_are_a_problem(client: TestClient, settings: Settings) -> None:
    settings.paths.records.write_text("not a folder")
    body = ask(client)
    rating = {"answer_id": body["id"], "rating": "up"}
    for response in (client.post(f"/v1/answers/{body['id']}/share"), client.post("/v1/feedback", json=rating)):
        assert problem(response) == (507, "records-full")
        assert str(settings.paths.records) not in response.text
    assert recall(client, body["id"]) == body


def test_a_dead_server_leaves_nothing_in_the_way(client: TestClient, settings: Settings) -> None:
    body = ask(client)
    folder = settings.paths.records / "answers"
    folder.mkdir(parents=True)
    (folder / f"{body['id']}.tmp").write_text("half")
    assert client.post(f"/v1/answers/{body['id']}/share").status_code == 200
    assert [path.name for path in folder.iterdir()] == [f"{body['id']}.json"]


# Articles that changed or went away


@pytest.mark.parametrize("shared", [False, True])
def test_nothing_of_a_removed_article_is_given_out(
    engine: Engine, client: TestClient, settings: Settings, build: Callable[..., BuildReport], shared: bool
) -> None:
    body = ask(client)
    refused = ask(client, "What is the price of turbines in Lisbon?")
    own = {article_id for article_id in engine.article_ids() if "Oster" in engine.article(article_id).article.title}
    (view,) = (engine.article(article_id) for article_id in own)
    assert {citation["article_id"] for citation in body["citations"]} == own
    assert own & {close["article_id"] for close in refused["not_found"]["closest"]}
    ids = [body["id"], refused["id"]]
    if shared:
        for answer_id in ids:
            assert client.post(f"/v1/answers/{answer_id}/share").status_code == 200
    (settings.paths.corpus / "dam.md").unlink()
    rebuilt(engine, build)
    secrets = {view.article.title, view.article.url, *(sentence.text for sentence in view.sentences)}
    for answer_id in ids:
        for path in (f"/v1/answers/{answer_id}", f"/a/{answer_id}", f"/a/{answer_id}.md"):
            response = client.get(path, headers=BROWSER)
            assert response.status_code == 200
            told = response.json() if path.startswith("/v1") else Page(response.text) if "." not in path else None
            text = json.dumps(told, ensure_ascii=False) if isinstance(told, dict) else response.text
            assert not [secret for secret in secrets if secret and secret in text.replace("\\", "")], path
    now = recall(client, body["id"])
    assert {segment["text"] for segment in now["answer"]["segments"]} == {WITHHELD}
    for before, after in zip(body["citations"], now["citations"], strict=True):
        assert (after["n"], after["state"], after["verified"]) == (before["n"], "gone", False)
        assert after["quote_sha256"] == hashlib.sha256(before["quote"].encode()).hexdigest()
    page = page_of(client, body["id"])
    assert "A cited article was removed since." in page.text and WITHHELD in page.text
    rating = {"answer_id": body["id"], "rating": "down"}
    assert client.post("/v1/feedback", json=rating).status_code == 201
    assert client.post(f"/v1/answers/{body['id']}/share").status_code == 200
    if not shared:
        for path in settings.paths.records.rglob("*.json*"):
            assert not [secret for secret in secrets if secret and secret in path.read_text()], path


def test_each_sentence_stands_or_falls_with_its_articles() -> None:
    """Every combination of two articles that stay, change or go, under sentences of one or both."""
    quotes = {1: "One says it.", 2: "Two says it.", 3: "One says it."}
    cited_by = {"a": [1, 2], "b": [3]}
    sentences = [([1], quotes[1]), ([2, 3], quotes[2]), ([1, 3], quotes[1]), ([1, 3], "Both say it.")]
    spans = {n: (n * 100, n * 100 + len(quote)) for n, quote in quotes.items()}
    example = EXAMPLES["AnswerReply"]
    reply = AnswerReply.model_validate(
        {
            **example,
            "answer": {
                "text": "?",
                "text_with_markers": "?",
                "segments": [
                    {"index": i, "start": 0, "end": 1, "text": text, "citations": numbers}
                    | {"context": {"article_id": "abca"[i], "sentence_id": "x", "text": "Before it."}}
                    for i, (numbers, text) in enumerate(sentences)
                ],
            },
            "citations": [
                {**example["citations"][0], "n": n, "article_id": article, "quote": quotes[n]}
                | {"source_start": spans[n][0], "source_end": spans[n][1]}
                for article, numbers in cited_by.items()
                for n in numbers
            ],
            "sources": [{**example["sources"][0], "article_id": a, "cited_by": n} for a, n in cited_by.items()],
            "short_answer": {"text": "says", "citation": 3, "start": 304, "end": 308},
            "also_found": [{**example["also_found"][0], "article_id": "c"}],
            "follow_ups": ["And then?"],
        }
    )
    full = "".join(quotes[n].ljust(100) for n in sorted(quotes)).rjust(400)
    texts: dict[str, str | None] = {"same": full, "changed": full.replace("says", "said"), "gone": None}
    for a, b, c in itertools.product(texts, texts, texts):
        now = compare(reply, {"a": texts[a], "b": texts[b], "c": texts[c]}, 7 if c == "same" else 8)
        gone = {n for article, state in (("a", a), ("b", b)) if state == "gone" for n in cited_by[article]}
        said = [
            WITHHELD
            if any(n in gone for n in numbers) and not any(quotes[n] == text and n not in gone for n in numbers)
            else text
            for numbers, text in sentences
        ]
        assert [segment.text for segment in now.answer.segments] == said
        assert now.answer.text == " ".join(said)
        assert [now.answer.text[segment.start : segment.end] for segment in now.answer.segments] == said
        before = [segment.context is None for segment in now.answer.segments]
        assert before == [state == "gone" for state in (a, b, c, a)]
        markers = ["".join(f"[{n}]" for n in numbers) for numbers, _ in sentences]
        assert now.answer.text_with_markers == " ".join(map("".join, zip(said, markers, strict=True)))
        for citation in now.citations:
            state = {"a": a, "b": b}[citation.article_id]
            assert citation.state == {"same": "current"}.get(state, state)
            assert citation.verified == (state == "same")
            assert citation.quote == ("" if state == "gone" else quotes[citation.n])
            assert (citation.original_url is None) == (state == "gone")
        for source in now.sources:
            assert (source.title == "") == ({"a": a, "b": b}[source.article_id] == "gone")
        assert (now.short_answer is None) == (b == "gone")
        assert [found.article_id for found in now.also_found] == ([] if c == "gone" else ["c"])
        assert now.follow_ups == (["And then?"] if c == "same" else [])
        assert compare(now, {"a": full, "b": full, "c": full}, 8).answer == now.answer, "what is gone stays gone"


def test_what_was_not_checked_is_never_verified(engine: Engine) -> None:
    answer = engine.ask(QUESTION)
    first, *others = answer.citations
    unchecked = replace(first, support=Support("not_checked", 0.0))
    reply = answer_reply(replace(answer, citations=(unchecked, *others)), engine.status())
    texts: dict[str, str | None] = {
        article_id: engine.article(article_id).article.text for article_id in engine.article_ids()
    }
    for given in (reply, compare(reply, texts, answer.generation)):
        assert [citation.verified for citation in given.citations] == [False, *(True for _ in others)]
        assert given.citations[0].support.label == "not_checked"
        assert given.citations[0].state == "current"
        assert "not_checked" in [note.code for note in given.notes]
    assert "not_checked" not in [note.code for note in answer_reply(answer, engine.status()).notes]


def test_a_changed_article_is_told(
    engine: Engine, client: TestClient, settings: Settings, build: Callable[..., BuildReport]
) -> None:
    body = ask(client)
    dam = settings.paths.corpus / "dam.md"
    dam.write_text(dam.read_text().replace("Engineers replaced 3 of the 8 turbines.", "Engineers replaced 4 turbines."))
    rebuilt(engine, build)
    now = recall(client, body["id"])
    live = {article_id: engine.article(article_id).article.text for article_id in engine.article_ids()}
    for before, after in zip(body["citations"], now["citations"], strict=True):
        same = live[after["article_id"]][after["source_start"] : after["source_end"]] == before["quote"]
        state = "current" if same else "changed"
        assert after == {**before, "state": state, "verified": same}
    assert "changed" in {citation["state"] for citation in now["citations"]}
    assert now["answer"] == body["answer"] and now["short_answer"] == body["short_answer"]
    assert "A cited article has changed since." in page_of(client, body["id"]).text
    assert "The article has changed since." in client.get(f"/a/{body['id']}.md").text


def test_an_answer_waits_while_there_is_no_index_to_hold_it_against(engine: Engine, client: TestClient) -> None:
    body = ask(client)
    engine.close()
    assert problem(client.get(f"/v1/answers/{body['id']}")) == (503, "index-not-ready")


# Feedback


def test_a_rating_is_written_from_the_servers_own_copy(client: TestClient, settings: Settings) -> None:
    filters = {"published_from": "2024-03-01", "publishers": ["River Post"]}
    body = ask(client, filters=filters, as_of="2024-05-20", dates=False)
    given = {
        "answer_id": body["id"],
        "rating": "down",
        "citation": 1,
        "reasons": ["outdated", "wrong", "outdated"],
        "comment": "“line\nbreak” \u2028 <b>",
    }
    response = client.post("/v1/feedback", json=given)
    assert response.status_code == 201 and response.json()["answer_id"] == body["id"]
    path = settings.paths.records / FEEDBACK_FILE
    (line,) = path.read_text().splitlines()
    written = json.loads(line)
    assert written["id"] == response.json()["id"]
    assert {name: written[name] for name in ("answer_id", "rating", "citation", "comment")} == {
        name: given[name] for name in ("answer_id", "rating", "citation", "comment")
    }
    assert written["reasons"] == ["outdated", "wrong"]
    assert (written["question"], written["resolved_question"]) == (QUESTION, None)
    assert written["filters"] == {**filters, "published_to": None, "sections": [], "languages": [], "article_ids": []}
    assert (written["as_of"], written["dates"]) == ("2024-05-20", False)
    assert (written["generation"], written["status"]) == (body["engine"]["generation"], "answered")
    assert written["cited"] == [
        {
            "n": c["n"],
            "article_id": c["article_id"],
            "sentence_id": c["sentence_ids"][0],
            "quote": c["quote"],
            "sha256": hashlib.sha256(c["quote"].encode()).hexdigest(),
        }
        for c in body["citations"]
    ]
    assert [rating.model_dump(mode="json") for rating in read_ratings(path)] == [written]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"rating": "sideways"}, "/rating"),
        ({"rating": None}, "/rating"),
        ({"citation": 99}, "/citation"),
        ({"citation": 0}, "/citation"),
        ({"citation": "1"}, "/citation"),
        ({"reasons": ["boring"]}, "/reasons/0"),
        ({"reasons": ["wrong"] * 6}, "/reasons"),
        ({"comment": "x" * 1001}, "/comment"),
        ({"question": "mine"}, "/question"),
    ],
)
def test_feedback_that_does_not_fit_is_refused(
    client: TestClient, settings: Settings, change: dict[str, Any], pointer: str
) -> None:
    body = ask(client)
    response = client.post("/v1/feedback", json={"answer_id": body["id"], "rating": "down", **change})
    assert problem(response) == (422, "validation")
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]
    assert not (settings.paths.records / FEEDBACK_FILE).exists()


def test_feedback_on_an_unknown_answer(client: TestClient) -> None:
    assert problem(client.post("/v1/feedback", json={"answer_id": NOBODY, "rating": "up"})) == (404, "answer-not-found")


def test_feedback_of_many_readers_at_once(client: TestClient, settings: Settings) -> None:
    body = ask(client)
    sent = [f"reader {number} " + "x" * 900 for number in range(40)]
    threads = [
        threading.Thread(
            target=client.post,
            args=("/v1/feedback",),
            kwargs={"json": {"answer_id": body["id"], "rating": "up", "comment": comment}},
        )
        for comment in sent
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ratings = read_ratings(settings.paths.records / FEEDBACK_FILE)
    assert sorted(rating.comment for rating in ratings) == sorted(sent)
    assert len({rating.id for rating in ratings}) == len(sent)


def test_a_torn_line_costs_only_itself(client: TestClient, settings: Settings) -> None:
    body = ask(client)
    path = settings.paths.records / FEEDBACK_FILE
    for comment in ("first", "torn", "third"):
        client.post("/v1/feedback", json={"answer_id": body["id"], "rating": "up", "comment": comment})
        if comment == "torn":
            path.write_bytes(path.read_bytes()[:-20])
            assert [rating.comment for rating in read_ratings(path)] == ["first"]
    assert [rating.comment for rating in read_ratings(path)] == ["first", "third"]


def test_the_feedback_file_has_an_end(client: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    body = ask(client)
    given = {"answer_id": body["id"], "rating": "up"}
    client.post("/v1/feedback", json=given)
    path = settings.paths.records / FEEDBACK_FILE
    size = path.stat().st_size
    monkeypatch.setattr(records, "FEEDBACK_BYTES", 2 * size)
    assert client.post("/v1/feedback", json=given).status_code == 201
    assert problem(client.post("/v1/feedback", json=given)) == (507, "records-full")
    assert path.stat().st_size == 2 * size


def test_low_rated_answers_come_newest_first(engine: Engine, client: TestClient) -> None:
    body = ask(client)
    for number in range(6):
        given = {"answer_id": body["id"], "rating": "down" if number % 2 else "up", "comment": str(number)}
        client.post("/v1/feedback", json=given)
    given = {"answer_id": body["id"], "rating": "up", "comment": '"rating":"down"'}
    client.post("/v1/feedback", json=given)
    assert [rating.comment for rating in Records(engine).low_rated(2)] == ["5", "3"]
    assert [rating.comment for rating in Records(engine).low_rated(9)] == ["5", "3", "1"]


# Without JavaScript


def test_an_answer_is_shared_and_rated_by_forms(client: TestClient, settings: Settings) -> None:
    body = ask(client)
    page = page_of(client, body["id"])
    assert page.find("form", action=f"/a/{body['id']}/share", method="post")
    assert page.find("form", action=f"/a/{body['id']}/feedback", method="post")
    shared = client.post(f"/a/{body['id']}/share", headers=FORM, follow_redirects=False)
    assert (shared.status_code, shared.headers["location"]) == (303, f"/a/{body['id']}")
    assert "Shared answer" in page_of(client, body["id"]).text
    form = "rating=down&citation=1&reason=wrong&reason=unclear&comment=Not+%C3%A9%26"
    rated = client.post(f"/a/{body['id']}/feedback", content=form, headers=FORM, follow_redirects=False)
    assert (rated.status_code, rated.headers["location"]) == (303, f"/a/{body['id']}?noted=1")
    noted = client.get(rated.headers["location"], headers=BROWSER)
    assert "Noted, thank you." in Page(noted.text).text
    (rating,) = read_ratings(settings.paths.records / FEEDBACK_FILE)
    assert (rating.rating, rating.citation, rating.reasons) == ("down", 1, ("wrong", "unclear"))
    assert rating.comment == "Not é&"
    plain = client.post(f"/a/{body['id']}/feedback", content="rating=up&citation=", headers=FORM)
    assert plain.status_code == 200
    assert read_ratings(settings.paths.records / FEEDBACK_FILE)[1].citation is None


@pytest.mark.parametrize(
    "form",
    [
        b"",
        b"rating=maybe",
        b"rating=up&citation=one",
        b"rating=up&citation=99",
        b"rating=up&citation=-1",
        b"rating=up&reason=boring",
        b"rating=up&comment=" + b"x" * 1001,
        b"rating=up&comment=%FF",
        b"rating=up&comment=\xff",
        b"rating=up&" + b"&".join(b"x=1" for _ in range(60)),
        b"rating=up&citation=" + b"9" * 5000,
        "rating=up&citation=١".encode(),
    ],
)
def test_a_form_that_does_not_fit_is_a_page(client: TestClient, settings: Settings, form: bytes) -> None:
    body = ask(client)
    response = client.post(f"/a/{body['id']}/feedback", content=form, headers=FORM)
    assert response.status_code == 422
    assert "The request does not fit" in Page(response.text).text
    assert not (settings.paths.records / FEEDBACK_FILE).exists()


def test_a_form_has_to_be_declared_as_one_and_small(client: TestClient) -> None:
    body = ask(client)
    address = f"/a/{body['id']}/feedback"
    assert client.post(address, content="rating=up", headers={**FORM, "Content-Type": "text/plain"}).status_code == 415
    assert client.post(address, content="comment=" + "x" * 70_000, headers=FORM).status_code == 413
    assert client.post(f"/a/{NOBODY}/feedback", content="rating=up", headers=FORM).status_code == 404
    assert client.post(f"/a/{NOBODY}/share", headers=FORM).status_code == 404


def test_sharing_and_feedback_can_be_turned_off(
    client: TestClient, engine: Engine, settings: Settings, make_settings: Callable[..., Settings]
) -> None:
    body = ask(client)
    client.post(f"/v1/answers/{body['id']}/share")
    off = make_settings(settings.paths.corpus.parent, server={"sharing": False, "feedback": False})
    closed = Engine.open(off)
    with TestClient(create_app(closed), base_url=BASE) as other:
        assert problem(other.get(f"/v1/answers/{body['id']}")) == (404, "answer-not-found")
        again = ask(other)
        rating = {"answer_id": again["id"], "rating": "up"}
        for response in (
            other.post(f"/v1/answers/{again['id']}/share"),
            other.post(f"/a/{again['id']}/share", headers={**FORM, "Accept": "*/*"}),
            other.post("/v1/feedback", json=rating),
            other.post(f"/a/{again['id']}/feedback", content="rating=up", headers={**FORM, "Accept": "*/*"}),
        ):
            assert problem(response) == (404, "not-found")
        page = page_of(other, again["id"])
        assert not page.find("form", method="post")
        assert recall(other, again["id"]) == again
    closed.close()


def test_hostile_questions_are_text_on_the_page_of_an_answer(client: TestClient) -> None:
    for payload in PAYLOADS[::10]:  # every one in every place: tests/test_hostile.py
        body = ask(client, f"dam {payload}")
        assert " ".join(body["question"].split()) in page_of(client, body["id"]).text
        Page(client.get(f"/a/{body['id']}", params={"noted": payload}, headers=BROWSER).text)


def test_a_line_that_is_no_rating_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{}\n\xff\n[]\n{"id": 1}\n')
    assert read_ratings(path) == [] and read_ratings(tmp_path / "none.jsonl") == []
