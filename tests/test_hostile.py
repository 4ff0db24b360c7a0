"""Text of articles and readers is text in every place that shows it: every payload in every page, document and export.

First the pages as they are rendered, with a payload in every value at once: each must be the page of plain words with
the words exchanged, element by element. Then an index and a server, from files and addresses to what a browser gets.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_plus

import pytest
from hypothesis import example, given
from hypothesis import settings as profile
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from starlette.datastructures import URL, QueryParams
from starlette.responses import HTMLResponse
from starlette.testclient import TestClient

from payloads import PAYLOADS, URLS
from qa.contract import AnswerReply, AskRequest, JobReply, ProblemField
from qa.embedders import load_embedder
from qa.engine import ArticleView, Engine, IndexStatus
from qa.errors import ReaderError
from qa.export import answer_markdown
from qa.index import build_index
from qa.openapi import EXAMPLES
from qa.pages import Operating, Readers, SearchForm
from qa.problems import KINDS, Trouble
from qa.records import Cited, Rating, Recalled
from qa.replies import article_url, safe_url
from qa.server import create_app
from qa.settings import Settings
from qa.types import Article, Sentence
from test_pages import BASE, BROWSER, Page, get, pages

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
WORDS = "plain text"
"""No longer than the shortest cut that a page makes."""
RENDER = pages()
SHARED = "ans_01KAMR3V5Y8M2T0Q4W6Z9B1C3D"


# Every page, made by hand


def reply_with(text: str, *, found: bool) -> AnswerReply:
    """A reply that says one thing wherever text can come from articles, readers or models; or its not found."""
    article = f"a_{text}"
    facts = {"article_id": article, "title": text, "publisher": text, "published_at": text}
    citation = {
        **EXAMPLES["CitationOut"],
        "article_id": article,
        "sentence_ids": [f"{article}#s3"],
        "quote": text,
        "url": article_url(article, 3),
        "original_url": f"https://news.example/?x={quote(text, safe='')}",
        "source_start": 7,
    }
    source = {
        **facts,
        "authors": [text, text],
        "modified_at": text,
        "section": text,
        "url": text,
        "language": f"{text} ",
    }
    source = {**EXAMPLES["SourceOut"], **source}
    segment = {"index": 0, "start": 0, "end": len(text), "text": text, "citations": [1, 2]}
    context = {"article_id": article, "sentence_id": f"{article}#s2", "text": text}
    days = {"text": text, "published_from": text, "published_to": text}
    answer: dict[str, Any] = {
        **EXAMPLES["AnswerReply"],
        "created_at": text,
        "question": text,
        "resolved_question": text,
        "answer": {"text": text, "text_with_markers": text, "segments": [{**segment, "context": context}]},
        "short_answer": {"text": text, "citation": 1, "start": 7, "end": 7 + len(text)},
        "citations": [{**citation, "n": 1}, {**citation, "n": 2, "state": "changed", "quote": f"{text}."}],
        "sources": [{**source, "cited_by": [1]}, *({**source, "cited_by": [2]} for _ in range(6))],
        "also_found": [{**facts, "url": article_url(article, 4)}],
        "notes": [{"code": code, "message": text} for code in ("outdated", "dates", "single_source", text)],
        "dates": {"as_of": text, "given": True, "ranges": [days]},
        "follow_ups": [text],
        "engine": {**EXAMPLES["EngineOut"], "answerer": text, "embedding_model": text, "index_built_at": text},
    }
    if not found:
        close = {"article_id": article, "title": text, "quote": text, "url": article_url(article, 5), "score": 0.1}
        missed = {"reason": "no_evidence", "message": text, "closest": [close], "suggestions": [text]}
        nothing = {"text": "", "text_with_markers": "", "segments": []}
        answer |= {"status": "not_found", "not_found": missed, "answer": nothing, "short_answer": None}
        answer |= {"citations": [], "sources": [], "also_found": []}
    return AnswerReply.model_validate(answer)


def pages_with(text: str) -> Iterator[HTMLResponse]:
    """Every page that shows something that is not its own, with that text in all places."""
    form = SearchForm(text, text, text, (text, f"{text}!"), text, dates=False)
    status = IndexStatus("degraded", text, 7, text, 9, 9, 9, text, text, text, (text,), (ReaderError(text, text),), 3)
    trouble = Trouble(KINDS["validation"], text, (ProblemField(pointer=text, detail=text),))
    found, missed = reply_with(text, found=True), reply_with(text, found=False)
    asked = AskRequest(question="x").model_copy(update={"question": text})
    url = f"https://news.example/?x={quote(text, safe='')}"
    article = Article(f"a_{text}", text, f"{text}\n\n{text}", url, text, (text, text), text, text, text, f"{text} ")
    between = len(text) + 2
    spans = [(0, len(text)), (between, between + len(text))]
    sentences = tuple(Sentence(article.id, n, start, end, text) for n, (start, end) in enumerate(spans))
    cited = Cited(n=1, article_id=text, sentence_id=text, quote=text, sha256=text)
    rating = Rating(
        **{"id": "fb_1", "time": text, "answer_id": SHARED, "rating": "down", "citation": 1, "reasons": ("wrong",)},
        **{"comment": text, "question": text, "resolved_question": text, "filters": asked.filters, "dates": True},
        **{"as_of": "2026-10-05", "generation": 7, "status": "answered", "cited": (cited,)},
    )
    job = JobReply.model_validate({**EXAMPLES["JobReply"], "created_at": text, "error": text})
    readers = Readers([missed], [rating], {SHARED})
    yield from [
        RENDER.home(status, form, reply=found),
        RENDER.home(status, form, reply=missed),
        RENDER.home(status, form, trouble=trouble),
        RENDER.home(status, form, suggestions=[text]),
        RENDER.home(IndexStatus("unavailable", text), form),
        RENDER.answer(status, Recalled(asked, found, shared=True), noted=True),
        RENDER.answer(status, Recalled(asked, missed, shared=False), noted=False),
        RENDER.article(status, ArticleView(article, sentences, 7), "0,1.zz"),
        RENDER.trouble(status, trouble, text),
        RENDER.status(status, Operating({text: 3}, True, True, readers, job)),
    ]


PLAIN = [Page(bytes(page.body).decode()) for page in pages_with(WORDS)]
ENCODED = {"href", "data-address", "data-original"}


def decoded(address: str) -> str:
    """An address as what it was made of. Which words of a sentence a fragment names depends on the words."""
    return unquote_plus(address.partition("#:~:text=")[0])


def check_pages(text: str) -> None:
    """Every page is that of plain words with this text in their place, whole or cut short."""

    def exchanged(value: str) -> set[str]:
        return {value.replace(WORDS, text[:most]) for most in (None, 80, 10)}

    for plain, response in zip(PLAIN, pages_with(text), strict=True):
        page = Page(bytes(response.body).decode())
        assert page.outline == plain.outline
        for (tag, values), (_, expected) in zip(page.elements, plain.elements, strict=True):
            for name, value in values.items():
                read: Callable[[str], str] = decoded if name in ENCODED else str
                assert read(value) in exchanged(read(expected[name])), (tag, name)
        assert len(page.texts) == len(plain.texts)
        for shown, said in zip(page.texts, plain.texts, strict=True):
            assert shown in exchanged(said)


def test_the_pages_made_by_hand_show_what_they_are_given() -> None:
    """Else the tests below would compare nothing."""
    assert all(page.text.count(WORDS) >= 4 for page in PLAIN)


@pytest.mark.parametrize("payload", [*PAYLOADS, *URLS])
def test_a_payload_in_every_value_of_every_page_is_text(payload: str) -> None:
    check_pages(payload)


@profile(max_examples=60)
@given(st.text(min_size=1).filter(str.strip))
@example("\"'<>&`")
def test_any_text_in_every_value_of_every_page_is_text(text: str) -> None:
    check_pages(text)


@pytest.mark.parametrize("found", [True, False])
def test_no_payload_is_markup_in_the_markdown_of_an_answer(found: bool) -> None:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    blocks = {"heading_open", "paragraph_open", "bullet_list_open", "list_item_open", "inline"}
    for payload in [*PAYLOADS, *URLS]:
        reply = reply_with(payload, found=found).model_copy(update={"created_at": "2026-11-22T10:00:00Z"})
        for token in parser.parse(answer_markdown(reply, BASE)):
            assert token.nesting < 0 or token.type in blocks, (payload, token)
            for part in token.children or []:
                assert part.type in ("text", "text_special", "link_open", "link_close"), (payload, part)
                target = str(part.attrs.get("href", BASE))
                assert target.startswith((f"{BASE}/articles/", "https://news.example/", BASE)), (payload, target)


@pytest.mark.parametrize("url", URLS)
def test_no_address_of_an_article_is_a_script(url: str) -> None:
    article = Article("a_1", "T", "A b.", url=url)
    sentence = Sentence("a_1", 0, 0, 4, "A b.")
    for cite in ("", "0"):
        view = ArticleView(article, (sentence,), 1)
        page = Page(bytes(RENDER.article(IndexStatus("ready", None), view, cite).body).decode())
        links = [a["href"] for a in page.find("a", rel="noopener noreferrer external")]
        assert len(links) == bool(safe_url(url))


# From files and addresses to what a browser gets


@pytest.fixture(scope="module")
def engine(make_settings: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An index of articles each of which carries one payload in every field."""
    folder = tmp_path_factory.mktemp("hostile")
    write_articles(folder / "corpus")
    settings = make_settings(folder, answers={"min_confidence": 0.0, "scorer": "none"})
    build_index(settings, load_embedder(settings.embedding, settings.paths.cache, prepare=True))
    opened = Engine.open(settings)
    yield opened
    opened.close()


def write_articles(corpus: Path) -> None:
    corpus.mkdir()
    for n, payload in enumerate(PAYLOADS):
        article = {
            "title": f"Titel{n} {payload}",
            "text": f"Sentence{n} begins and {payload} it ends here.\n\nAnother{n} sentence follows {payload} at once.",
            "publisher": f"Outlet{n} {payload}",
            "authors": [f"Writer{n} {payload}"],
            "section": f"Part{n} {payload}",
            "language": f"e{payload}",
            "published_at": "2024-01-02",
            "url": URLS[n] if n < len(URLS) else f"https://news.example/{n}/{payload}",
        }
        (corpus / f"{n}.json").write_text(json.dumps(article))


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[TestClient]:
    with TestClient(create_app(engine), base_url=BASE, headers=BROWSER) as opened:
        yield opened


def check_headers(response: Any, kind: str) -> None:
    """The policy, to the letter, and a type that no browser takes for another."""
    assert response.headers["content-security-policy"] == POLICY
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-type"] == kind
    assert all(value.isascii() and value.isprintable() for value in response.headers.values())


def test_every_kind_of_response_has_the_policy(client: TestClient) -> None:
    html, problem = "text/html; charset=utf-8", "application/problem+json"
    for path, kind in [
        *(("/", html), ("/?q=x", html), ("/?q=%3F", html), ("/docs", html), ("/status", html), ("/nope", html)),
        *(("/v1/index", "application/json"), ("/openapi.json", "application/json"), ("/v1/nope", problem)),
        *(("/static/app.js", "text/javascript; charset=utf-8"), ("/static/style.css", "text/css; charset=utf-8")),
        ("/static/icons.svg", "image/svg+xml"),
    ]:
        check_headers(client.get(path), kind)
    asked = {"question": "Sentence1 begins"}
    check_headers(client.post("/ask", json=asked), "application/json")
    check_headers(client.post("/ask", json={**asked, "stream": True}), "text/event-stream; charset=utf-8")
    check_headers(client.post("/ask", content="<script>"), problem)


def test_hostile_articles_are_text(client: TestClient, engine: Engine) -> None:
    assert engine.status().articles == len(PAYLOADS)
    for article_id in engine.article_ids():
        article = engine.article(article_id).article
        page = get(client, f"/articles/{article_id}", cite="0,1")
        for value in (article.title, article.text, article.publisher, *article.authors, article.section):
            assert value is None or " ".join(value.split()) in page.text
        languages = [attributes["lang"] for tag, attributes in page.elements if "lang" in attributes]
        assert set(languages) <= {"en", "e"}
        stored = client.get(f"/v1/articles/{article_id}")
        check_headers(stored, "application/json")
        assert stored.json()["text"] == article.text


@pytest.mark.parametrize("n", range(len(PAYLOADS)))
def test_hostile_sentences_are_text_in_answers(client: TestClient, engine: Engine, n: int) -> None:
    (outlet,) = [name for name in engine.status().publishers if name.startswith(f"Outlet{n} ")]
    page = get(client, "/", q=f"What begins Sentence{n} and follows Another{n}?", outlet=outlet)
    (shown,) = page.find("article", class_="exchange")
    reply = client.get(f"/v1/answers/{shown['data-id']}")
    check_headers(reply, "application/json")
    body = reply.json()
    for citation in body["citations"]:
        label = f"Source {citation['n']}: Titel{n} "
        chip = next(a for a in page.find("a", class_="chip") if a["aria-label"].startswith(label))
        assert citation["quote"] in page.texts and chip["data-quote"] == citation["quote"]
        assert body["sources"][0]["title"] == chip["data-title"]
        assert Page(client.get(chip["href"]).text).find("mark")
    for close in body["not_found"]["closest"] if body["not_found"] else ():
        assert close["quote"] in page.texts and close["title"] in page.texts
    in_pieces = len(PAYLOADS[n].splitlines()) > 1  # what is left of the sentence may be too little to be found
    assert body["citations"] or body["not_found"]["closest"] or in_pieces
    kept = client.get(f"/a/{body['id']}.md")
    check_headers(kept, "text/markdown; charset=utf-8")
    assert kept.headers["content-disposition"].startswith('attachment; filename="answer.md"; filename*=')


@pytest.mark.parametrize("payload", [*PAYLOADS, *URLS])
def test_hostile_questions_are_text(client: TestClient, payload: str) -> None:
    for params in ({"q": payload, "after": payload, "outlet": payload}, {"q": payload, "from": payload, "to": payload}):
        response = client.get("/", params=params)
        check_headers(response, "text/html; charset=utf-8")
        page = Page(response.text)
        assert response.status_code in (200, 422) and page.find("article", class_="exchange")
        if response.status_code == 422:
            assert payload.strip() in page.texts, "what was typed is kept"
        else:
            (shown,) = page.find("article", class_="exchange")
            again = client.get(f"/a/{shown['data-id']}")
            assert Page(again.text).find("article", data_asked=shown["data-asked"])
    for path in ("/articles/", "/problems/", "/a/", "/static/", "/"):
        answer = client.get(path + quote(payload, safe=""))
        if answer.headers["content-type"].startswith("text/html"):
            Page(answer.text)
        else:
            assert answer.status_code >= 400 and "<" not in answer.text


def test_hostile_suggestions_are_text(client: TestClient, engine: Engine) -> None:
    page = get(client, "/")
    suggested = [QueryParams(URL(a["href"]).query)["q"] for a in page.find("a") if "data-ask" in a]
    assert len(suggested) == 5 and set(suggested) <= set(page.texts)
    assert len(page.find("option")) == len(engine.status().publishers)
