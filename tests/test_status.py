"""The operator's page: what everybody sees of the index, and what only the operator sees of readers."""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.testclient import TestClient

from payloads import PAYLOADS
from qa import index, records
from qa.engine import Engine
from qa.index import BuildReport
from qa.server import create_app
from qa.settings import Settings
from test_pages import BASE, BROWSER, QUESTION, Page

TOKEN = "t0ken-ünïque"
NOTHING = "What is the price of saffron in Lisbon?"
PRIVATE = ("Questions without an answer", "Low ratings")


@contextmanager
def opened(settings: Settings, rebuild: Callable[[], dict[str, Any]] = dict) -> Iterator[TestClient]:
    engine = Engine.open(settings)
    with TestClient(create_app(engine, rebuild), base_url=BASE, headers=BROWSER) as client:
        yield client
    engine.close()


@pytest.fixture
def guarded(settings: Settings, make_settings: Callable[..., Settings]) -> Settings:
    """The same settings with an admin token."""
    return make_settings(settings.paths.corpus.parent, server={"admin_token": TOKEN})


def look(client: TestClient) -> Page:
    response = client.get("/status")
    assert response.status_code == 200
    return Page(response.text)


def cells(page: Page) -> str:
    """The text with a space between the cells of a table."""
    return " ".join(" ".join(page.texts).split())


def operate(client: TestClient, do: str, token: str = TOKEN, status: int = 200) -> Page:
    body = urlencode({"token": token, "do": do})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    response = client.post("/status", content=body, headers=headers, follow_redirects=False)
    assert response.status_code == status, response.text
    assert TOKEN not in response.text and "set-cookie" not in response.headers
    return Page(response.text)


def ask(client: TestClient, question: str, comment: str = "", **down: Any) -> str:
    """Ask, give a thumb down if there is anything to say, and return the id of the answer."""
    body = client.post("/ask", json={"question": question}).json()
    if comment or down:
        given = {"answer_id": body["id"], "rating": "down", "comment": comment, **down}
        assert client.post("/v1/feedback", json=given).status_code == 201
    return str(body["id"])


def test_everybody_sees_what_is_indexed(guarded: Settings, build: Callable[..., BuildReport]) -> None:
    report = build()
    with opened(guarded) as client:
        page = look(client)
    engine = Engine.open(guarded)
    articles = [engine.article(article_id).article for article_id in engine.article_ids()]
    engine.close()
    outlets = Counter(article.publisher for article in articles if article.publisher)
    assert len(outlets) > 1
    ordered = sorted(outlets.items(), key=lambda item: (-item[1], item[0]))
    for told in (
        "State ready",
        f"Generation {report.generation}, built",
        f"Articles {report.counts['articles']}",
        f"Sentences {report.counts['sentences']}",
        f"Passages {report.counts['passages']}",
        "Oldest article 9 January 2024",
        "Newest article 24 May 2024",
        "Embedding model hashing",
        " ".join(f"{outlet} {count}" for outlet, count in ordered),
        "None when this generation was built.",
    ):
        assert told in cells(page), told


def test_without_an_index(settings: Settings) -> None:
    with opened(settings) as client:
        page = look(client)
        assert "unavailable: no index in" in page.text and "Outlets" not in page.text


def test_files_that_failed_are_named(
    settings: Settings, build: Callable[..., BuildReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [json.dumps({"headline": f"Head {n}", "body": f"Body {n} is here."}) if n % 2 else "{" for n in range(1, 8)]
    (settings.paths.corpus / "broken.jsonl").write_text("\n".join(lines))
    (settings.paths.corpus / "<b>bold.json").write_text("not json")
    (settings.paths.corpus / "link.txt").symlink_to("/etc/passwd")
    report = build()
    with opened(settings) as client:
        page = look(client)
        for failure in report.failed:
            shown = " ".join(str(part) for part in (failure.path, failure.line, failure.reason) if part)
            assert shown in cells(page), shown
        assert len(report.failed) == 5 and "more." not in page.text

    monkeypatch.setattr(index, "FAILED_KEPT", 2)
    (settings.paths.corpus / "more.txt").write_text("More\n\nMore is here to read.")
    report = build()
    with opened(settings) as client:
        page = look(client)
        assert [failure.path in page.text for failure in report.failed] == [True, True, False, False, False]
        assert "And 3 more." in page.text


def test_a_generation_that_names_no_failures_is_told_from_one_without(
    settings: Settings, build: Callable[..., BuildReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an index that an earlier version built; tests/storage/format-1 holds some."""
    build()
    engine = Engine.open(settings)
    assert engine.status().failures == 0
    assert engine._live is not None
    monkeypatch.delitem(engine._live.snapshot.generation.about, "failed")
    with TestClient(create_app(engine), base_url=BASE, headers=BROWSER) as client:
        assert "did not write them down" in look(client).text
    engine.close()


def test_what_readers_asked_is_for_the_operator(guarded: Settings, build: Callable[..., BuildReport]) -> None:
    build()
    with opened(guarded) as client:
        ask(client, NOTHING)
        rated = ask(client, QUESTION, "It was four.", citation=1, reasons=["not_in_source"])
        pages = [look(client), *(operate(client, do, token, 403) for do in ("show", "rebuild") for token in ("", "x"))]
        for page in pages:
            assert not any(part in page.text for part in (*PRIVATE, NOTHING, QUESTION, "four", "Rebuild running"))
            assert page.find("input", type="password", name="token", autocomplete="current-password")
        assert ["That is not the token." in page.text for page in pages] == [False] + [True] * 4
        page = operate(client, "show")
        assert all(part in page.text for part in PRIVATE)
        assert NOTHING in page.text and "saffron" in page.text and page.find("q")
        assert "Citation 1. not in source It was four." in page.text
        assert page.find("a", href=f"/a/{rated}") and client.get(f"/a/{rated}").status_code == 200
        assert page.find("button", value="rebuild") and "Refresh" in page.text
    with opened(guarded) as restarted:
        page = operate(restarted, "show")
        assert NOTHING not in page.text and QUESTION in page.text
        assert not page.find("a", href=f"/a/{rated}")


@pytest.mark.parametrize(
    ("server", "shown"),
    [
        ({}, True),
        ({"host": "localhost"}, True),
        ({"allowed_hosts": ["news.example"]}, False),
        ({"admin_token": TOKEN}, False),
        ({"host": "0.0.0.0", "admin_token": TOKEN}, False),
    ],
)
def test_without_a_token_only_this_machine_sees_it(
    settings: Settings,
    make_settings: Callable[..., Settings],
    build: Callable[..., BuildReport],
    server: Any,
    shown: bool,
) -> None:
    build()
    with opened(make_settings(settings.paths.corpus.parent, server=server)) as client:
        ask(client, NOTHING)
        page = look(client)
        assert (NOTHING in page.text) == shown
        assert bool(page.find("button", value="rebuild")) == ("admin_token" in server)
        if "admin_token" not in server:
            assert client.post("/status", headers={"Accept": "*/*"}).status_code == 405


def test_a_rebuild_is_started_and_shown(guarded: Settings, build: Callable[..., BuildReport]) -> None:
    build()
    go, started = threading.Event(), []

    def rebuild() -> dict[str, Any]:
        started.append(1)
        assert go.wait(30)
        return {}

    with opened(guarded, rebuild) as client:
        assert "Rebuild " not in operate(client, "show").text.replace("Rebuild now", "")
        assert "Rebuild running" in operate(client, "rebuild").text
        assert "Rebuild running" in operate(client, "rebuild").text, "one runs at a time"
        assert "Rebuild running" in operate(client, "show").text and "Rebuild running" not in look(client).text
        go.set()
        for _ in range(1000):
            if "Rebuild succeeded" in operate(client, "show").text:
                break
        else:
            raise AssertionError("the rebuild did not end")
    assert started == [1]


def test_the_token_stays_out_of_the_log(
    guarded: Settings, build: Callable[..., BuildReport], caplog: pytest.LogCaptureFixture
) -> None:
    build()
    caplog.set_level(logging.DEBUG)
    with opened(guarded) as client:
        operate(client, "rebuild")
        operate(client, "show", TOKEN[:-1], 403)
    assert TOKEN[:-1] not in caplog.text and "%C3%BC" not in caplog.text


def test_a_removed_article_is_gone_from_the_page(settings: Settings, build: Callable[..., BuildReport]) -> None:
    build()
    engine = Engine.open(settings)
    with TestClient(create_app(engine), base_url=BASE, headers=BROWSER) as client:
        ask(client, "What is the price of turbines in Lisbon?")
        assert "Oster Dam reopens" in look(client).text
        (settings.paths.corpus / "dam.md").unlink()
        report = build()
        engine.reload_if_changed()  # unless the server's own follower was faster
        assert engine.status().generation == report.generation
        page = look(client)
        assert "price of turbines" in page.text and "Oster Dam" not in page.text
        engine.close()
        assert "unavailable" in look(client).text


def test_as_many_refusals_as_promised(
    settings: Settings, build: Callable[..., BuildReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "REFUSALS", 3)
    build()
    with opened(settings) as client:
        for number in range(5):
            ask(client, f"Zyxwv qponm number{number}?")
        text = look(client).text
    assert [f"number{number}?" in text for number in range(5)] == [False, False, True, True, True]
    assert text.index("number4?") < text.index("number3?") < text.index("number2?")


def test_hostile_text_is_text(settings: Settings, build: Callable[..., BuildReport]) -> None:
    build()
    with opened(settings) as client:
        given = [f"Zyxwv {payload}" for payload in PAYLOADS[::10]]  # every one in every place: tests/test_hostile.py
        asked = [client.get(f"/v1/answers/{ask(client, text, text)}").json()["question"] for text in given]
        page = look(client)
        for text in (*given, *asked):
            assert " ".join(text.split()) in page.text, text
