"""Hostile articles and questions in a real browser: what reaches the page is text, whatever way it takes there.

The articles carry the payloads in every field, several in each; `browser_all` has one payload an article.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest

from payloads import PAYLOADS, URLS
from qa.settings import Settings
from test_pages import WRITTEN
from watched import Site, Watched

pytestmark = pytest.mark.browser

Watch = Callable[..., Watched]

ADDED = {
    "html": "data-theme",
    "a": "aria-expanded aria-describedby",
    "button": "disabled",
    "details": "open",
    "dialog": "open",
    "div": "aria-busy",
    "h2": "tabindex",
    "output": "",
}
"""What the scripts add to what the templates write, and to any element the names in `ANYWHERE`."""
ANYWHERE = {"class", "dir", "hidden"}
CARD = {"class", "id", "role", "style"}
SCAN = """() => {
    const nodes = [...document.querySelectorAll("*")];
    const links = [...document.links].map((a) => [a.protocol, a.origin === location.origin, a.rel]);
    const ids = nodes.map((node) => node.id).filter(Boolean);
    const comments = document.createTreeWalker(document, NodeFilter.SHOW_COMMENT).nextNode();
    return { links, twice: ids.filter((id, at) => ids.indexOf(id) !== at), comment: comments?.data ?? null,
        shapes: nodes.map((node) => [node.matches(".card") ? "card" : node.tagName, node.namespaceURI,
            node.getAttributeNames()]),
        shadow: nodes.some((node) => node.shadowRoot), scripts: [...document.scripts].map((node) => node.src) };
}"""
TEXTS = "(selector) => [...document.querySelectorAll(selector)].map((node) => node.textContent)"


def check(watched: Watched) -> None:
    """The page holds only what the templates write and the scripts add; every link leads where a link may."""
    found = watched.page.evaluate(SCAN)
    for name, space, attributes in found["shapes"]:
        tag = name.lower()
        allowed = CARD if tag == "card" else WRITTEN.get(tag, set()) | set(ADDED.get(tag, "").split()) | ANYWHERE
        assert tag in {"card", *WRITTEN, *ADDED} and set(attributes) <= allowed, (name, attributes)
        assert space == f"http://www.w3.org/{'2000/svg' if tag in ('svg', 'use') else '1999/xhtml'}", name
    for protocol, ours, rel in found["links"]:
        assert ours or (protocol in ("http:", "https:") and rel == "noopener noreferrer external")
    assert (found["twice"], found["comment"], found["shadow"]) == ([], None, False)
    static = f"{watched.site.address}/static/"
    assert {script.removeprefix(static) for script in found["scripts"]} <= {"theme.js", "app.js"}
    assert watched.faults() == []


def texts(watched: Watched, selector: str) -> list[str]:
    found: list[str] = watched.page.evaluate(TEXTS, selector)
    return found


def get(site: Site, path: str) -> httpx2.Response:
    return httpx2.get(site.address + path)


def batches(size: int) -> list[list[tuple[int, str]]]:
    numbered = list(enumerate(PAYLOADS))
    return [numbered[at : at + size] for at in range(0, len(numbered), size)]


def make_site(settings: Settings, size: int) -> Site:
    settings.paths.corpus.mkdir(parents=True)
    site = Site(settings)
    for at, batch in enumerate(batches(size)):
        joined = " ".join(payload for _, payload in batch)
        said = [f"Sentence{n} begins the story and {payload} it ends here at last." for n, payload in batch]
        article = {"title": f"Titel{at} {joined}", "section": f"Part{at} {joined}", "language": f"e{joined}"}
        site.write(
            f"article{at}",
            **article,
            text="\n\n".join(said),
            publisher=f"Outlet{at} {joined}",
            author=f"Writer{at} {joined}",
            published_at="2024-01-02",
            url=URLS[at] if at < len(URLS) else f"https://news.example/{at}/{joined}",
        )
    site.index()
    site.start()
    return site


@pytest.fixture(scope="module")
def hostile(
    request: pytest.FixtureRequest, make_settings: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Site, int]]:
    size = request.param
    answers = {"min_confidence": 0.0, "scorer": "none", "max_sentences": 10}
    site = make_site(make_settings(tmp_path_factory.mktemp(f"hostile{size}"), answers=answers), size)
    yield site, size
    site.stop()


SIZES = [pytest.param(12, id="many"), pytest.param(1, id="one", marks=pytest.mark.browser_all)]


@pytest.mark.parametrize("hostile", SIZES, indirect=True)
def test_hostile_articles_and_questions_are_text(watch: Watch, hostile: tuple[Site, int]) -> None:
    """Ask so that they are cited, open card and panel, copy; in the end the history has all the questions."""
    site, size = hostile
    watched = watch(site)
    page = watched.open()
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(); }")
    asked, cited = [], 0
    for batch in batches(size):
        names = " ".join(f"Sentence{n}" for n, _ in batch)
        page.fill("#q", f"What begins the story {names} {' '.join(payload for _, payload in batch)}"[:1990])
        asked.append(page.evaluate("document.getElementById('q').value.trim()"))
        page.press("#q", "Enter")
        page.wait_for_selector(".exchange[data-id]")
        reply = get(site, f"/v1/answers/{page.get_attribute('.exchange', 'data-id')}").json()
        assert texts(watched, ".exchange .question") == [reply["question"]]
        assert texts(watched, ".exchange .segment") == [segment["text"] for segment in reply["answer"]["segments"]]
        cited += bool(reply["citations"])
        if reply["citations"]:
            see_source(watched, reply)
        page.click(".exchange [data-copy]")
        page.wait_for_selector(".exchange .actions output")
        assert texts(watched, ".exchange .actions output") == [get(site, f"/a/{reply['id']}.md").text]
        check(watched)
        page.evaluate("document.querySelector('.exchange').remove()")
    assert cited >= 0.9 * len(asked)
    page.click("#past")
    assert texts(watched, "#history li a") == asked[:-101:-1]
    check(watched)
    page.click("#history li button >> nth=0")
    page.click("#history li a >> nth=0")
    page.wait_for_selector(".exchange[data-id]")
    check(watched)


def see_source(watched: Watched, reply: dict[str, Any]) -> None:
    """The card and the panel of the first citation, and the article's own page."""
    page, citation, source = watched.page, reply["citations"][0], reply["sources"][0]
    chip = page.locator(".exchange .answer .chip").first
    chip.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    page.wait_for_selector(".card")
    assert texts(watched, ".card q") == [citation["quote"]] and texts(watched, ".card strong") == [source["title"]]
    check(watched)
    chip.click()
    page.wait_for_selector("#panel .sentence.active")
    assert texts(watched, "#panel .sentence.active mark") == [citation["quote"]]
    assert texts(watched, "#panel h2") == [source["title"]]
    article = get(watched.site, f"/v1/articles/{source['article_id']}").json()
    sentences = [article["text"][sentence["start"] : sentence["end"]] for sentence in article["sentences"]]
    assert texts(watched, "#panel .sentence") == sentences
    byline = [", ".join(article["authors"]), article["publisher"]]
    assert texts(watched, "#panel .byline bdi") == list(filter(None, byline))
    check(watched)
    page.click("#shut")


@pytest.mark.parametrize("hostile", SIZES[:1], indirect=True)
def test_hostile_text_is_text_on_the_pages_that_the_server_renders(watch: Watch, hostile: tuple[Site, int]) -> None:
    site, size = hostile
    watched = watch(site)
    for article_id in site.engine.article_ids():
        article = site.engine.article(article_id)
        page = watched.open(f"/articles/{article_id}?cite=0,1#s1")
        assert texts(watched, ".sentence") == [sentence.text for sentence in article.sentences]
        assert texts(watched, "h1") == [article.article.title]
        assert page.title() == " ".join(f"{article.article.title} · Sourceline".split())
        check(watched)
    for batch in batches(size):
        joined = " ".join(payload for _, payload in batch)
        for query in (
            {"q": joined, "after": joined, "outlet": joined[:200]},
            {"q": joined, "from": joined, "to": joined},
        ):
            watched.expected = ("Failed to load resource",)  # the status of what is refused
            watched.open(f"/?{urlencode(query)}")
            check(watched)
        rating = {"answer_id": site.ask(f"Why {joined}")["id"], "rating": "down", "comment": joined}
        assert httpx2.post(f"{site.address}/v1/feedback", json=rating).status_code == 201
    watched.open("/status")
    check(watched)
    shown = watched.page.inner_text("main")
    assert "Low ratings" in shown and "alert(1)" in shown


def test_hostile_events_are_text(watch: Watch) -> None:
    """What an answer says while it is made, from a server that says whatever it likes: the draft, then the failure."""
    watched = watch()
    page = watched.open()
    said = [*PAYLOADS, *URLS]
    problem = {"title": " ".join(said), "detail": " ".join(said), "request_id": said[0]}
    problem["errors"] = [{"pointer": text, "detail": text} for text in said]
    events = [("ask.progress", {"message": text}) for text in said]
    events += [
        ("ask.sources", {"sources": [{"title": text} for text in said[at : at + 3]]}) for at in range(0, len(said), 3)
    ]
    events += [("answer.delta", {"segment": n, "text": text}) for n, text in enumerate(said)]
    events += [("answer.citation", {"segment": n, "citation": {"n": text}}) for n, text in enumerate(said)]
    # Held open, so that the draft can be looked at; then it ends in a failure.
    body = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)
    page.evaluate(
        """(body) => { const encoder = new TextEncoder(); const real = window.fetch;
            window.fetch = () => Promise.resolve(new Response(new ReadableStream({ start(c) {
                window.more = (text) => c.enqueue(encoder.encode(text)); window.more(body); } })));
            window.again = () => { window.fetch = real; }; }""",
        body,
    )
    watched.send(said[0])
    page.wait_for_selector(".exchange .segment")
    assert texts(watched, ".exchange .segment") == said and texts(watched, ".exchange .chip") == said
    assert sorted(texts(watched, ".exchange .reading li")) == sorted(said)
    assert texts(watched, ".exchange .working")[0].startswith(f"{said[-1]}…")
    check(watched)
    failed = json.dumps({"problem": problem})
    page.evaluate("(text) => window.more(text)", f"event: ask.failed\ndata: {failed}\n\n")
    page.wait_for_selector(".failure")
    assert texts(watched, ".failure li") == said
    assert texts(watched, ".failure .verdict, .failure .detail") == [problem["title"], problem["detail"]]
    check(watched)
