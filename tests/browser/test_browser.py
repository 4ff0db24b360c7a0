"""The chat in a real browser: asking, citations, the marked sentence, the keyboard; nothing leaves the page."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn

from qa.embedders import load_embedder
from qa.engine import Engine
from qa.index import build_index
from qa.server import create_app
from qa.settings import Settings
from test_short_answers import page_of, reply_of

pytestmark = pytest.mark.browser

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
QUESTION = "How many turbines did engineers replace at the Oster Dam?"
QUOTE = "Engineers replaced 3 of the 8 turbines."
CORPUS = Path(__file__).parents[1] / "corpus"
# Characters outside the first plane count twice in JavaScript: a slice by UTF-16 units would miss the sentence.
EMOJI = {
    "title": "Kites 🪁🪁 over <b>Brisk</b> & Halm",
    "text": "🪁🎏🪁 The kite festival 🎉 began. "
    + "Many came 🙂. " * 40
    + "\n\nMayor Ute Falk flew a 🪁 of nine metres. "
    + "It rained. " * 200,
    "publisher": "Brisk <i>Bote</i>",
    "published_at": "2024-04-30",
    "url": "javascript:alert(1)",
}


@pytest.fixture(scope="module")
def site(make_settings: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server on a loopback port, over the small corpus and an article full of emoji."""
    folder = tmp_path_factory.mktemp("browser")
    shutil.copytree(CORPUS, folder / "corpus")
    (folder / "corpus" / "kites.json").write_text(json.dumps(EMOJI))
    settings = make_settings(folder)
    build_index(settings, load_embedder(settings.embedding, settings.paths.cache, prepare=True))
    engine = Engine.open(settings)
    server = uvicorn.Server(uvicorn.Config(create_app(engine), port=0, log_config=None, ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)
    engine.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api")
    # None: the one that Playwright may have downloaded.
    path = next(filter(None, map(shutil.which, NAMES)), None)
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
    with api.sync_playwright() as playwright:
        try:
            opened = playwright.chromium.launch(executable_path=path, args=flags)
        except api.Error as error:
            if path or os.environ.get("CI"):
                raise
            pytest.skip(f"NO BROWSER, so no page was tested: {error.message.splitlines()[0]}")
        yield opened
        opened.close()


class Watched:
    """A page that notes every request off its origin, every script error and every CSP report."""

    def __init__(self, browser: Any, site: str, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        self.page = self.context.new_page()
        self.site = site
        self.wrong: list[str] = []
        self.expected: tuple[str, ...] = ()
        self.page.on("request", lambda r: self.origin_of(r.url) == site or self.wrong.append(f"request {r.url}"))
        self.page.on("pageerror", lambda error: self.wrong.append(f"error {error}"))
        self.page.on("console", lambda m: m.type in ("error", "warning") and self.wrong.append(f"console {m.text}"))
        self.page.on("dialog", lambda dialog: (self.wrong.append("a dialog"), dialog.dismiss()))

    @staticmethod
    def origin_of(url: str) -> str:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc}"

    def open(self, path: str = "/") -> Any:
        self.page.goto(self.site + path)
        return self.page

    def ask(self, question: str) -> None:
        self.page.fill("#q", question)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector(".exchange:last-child details.how")


@pytest.fixture
def watch(browser: Any, site: str) -> Iterator[Callable[..., Watched]]:
    """Pages that fail the test if anything leaves the origin, breaks the policy or throws."""
    made: list[Watched] = []

    def new(**options: Any) -> Watched:
        made.append(Watched(browser, site, **options))
        return made[-1]

    yield new
    for watched in made:
        watched.context.close()
        left = [text for text in watched.wrong if not any(known in text for known in watched.expected)]
        assert not left, left


def in_view(page: Any, selector: str, within: str | None = None) -> bool:
    """Whether an element is on the screen, at the top of the pile, and inside `within`."""
    script = """([selector, within]) => {
        const box = document.querySelector(selector).getBoundingClientRect();
        const frame = within ? document.querySelector(within).getBoundingClientRect()
                             : { top: 0, bottom: innerHeight, left: 0, right: innerWidth };
        const hit = document.elementFromPoint(box.left + Math.min(20, box.width / 2), box.top + 8);
        return box.top >= frame.top && box.bottom <= frame.bottom && box.left >= frame.left - 1
            && box.right <= frame.right + 1 && box.height > 0
            && document.querySelector(selector).contains(hit);
    }"""
    return bool(page.evaluate(script, [selector, within]))


def test_ask_and_land_on_the_marked_sentence(watch: Callable[..., Watched]) -> None:
    watched = watch()
    page = watched.open()
    watched.ask(QUESTION)
    assert QUOTE in page.inner_text(".answer") and page.input_value("#q") == ""
    assert page.inner_text("#status").startswith("Answer ready: ")
    page.click(f'.answer .chip[data-quote="{QUOTE}"]')
    page.wait_for_selector("#panel .sentence.active")
    assert page.inner_text("#panel .sentence.active mark") == QUOTE
    assert page.inner_text("#panel h2") == "Oster Dam reopens after turbine fault"
    assert page.evaluate("document.activeElement.tagName") == "H2"
    page.wait_for_timeout(400)
    assert in_view(page, "#panel .sentence.active", ".panel-body")


def test_the_sentence_is_found_past_emoji_and_scrolled_to(watch: Callable[..., Watched]) -> None:
    watched = watch(viewport={"width": 1000, "height": 600}, reduced_motion="reduce")
    page = watched.open()
    watched.ask("Who flew a kite of nine metres, the mayor Ute Falk?")
    page.click('.answer .chip[data-quote*="nine metres"]')
    page.wait_for_selector("#panel .sentence.active")
    assert page.inner_text("#panel .sentence.active") == "Mayor Ute Falk flew a 🪁 of nine metres."
    assert page.inner_text("#panel h2") == EMOJI["title"], "the title is text, not markup"
    assert in_view(page, "#panel .sentence.active", ".panel-body")
    assert page.evaluate("document.querySelector('.panel-body').scrollTop") > 0
    assert page.query_selector("#panel .panel-bar a[href^='javascript']") is None


def test_the_article_page_opens_at_the_sentence(watch: Callable[..., Watched]) -> None:
    watched = watch(viewport={"width": 800, "height": 500})
    page = watched.open()
    watched.ask("Who flew a kite of nine metres, the mayor Ute Falk?")
    watched.open(page.get_attribute('.answer .chip[data-quote*="nine metres"]', "href"))
    assert page.inner_text(".sentence:target mark") == "Mayor Ute Falk flew a 🪁 of nine metres."
    page.wait_for_timeout(300)
    assert in_view(page, ".sentence:target")
    ground = page.evaluate("getComputedStyle(document.querySelector('.sentence:target mark')).backgroundColor")
    assert ground == "rgb(255, 235, 156)"


def test_without_javascript(watch: Callable[..., Watched]) -> None:
    watched = watch(java_script_enabled=False)
    page = watched.open()
    page.fill("#q", QUESTION)
    page.click("#send")
    page.wait_for_selector(".answer")
    assert QUOTE in page.inner_text(".answer")
    page.click(f'.answer .chip[data-quote="{QUOTE}"]')
    page.wait_for_selector("article h1")
    assert page.inner_text("mark >> nth=0") in page.content()
    assert QUOTE in [page.inner_text(f"mark >> nth={n}") for n in range(page.locator("mark").count())]


SHAPE = """() => { const clean = (node) => node.nodeType === 3 ? node.data.replace(/\\s+/g, "") :
        [node.tagName, [...node.attributes].map((a) => [a.name, a.value]).sort(),
         [...node.childNodes].map(clean).filter((c) => c !== "")];
        const one = document.querySelector(".exchange").cloneNode(true);
        one.querySelector(".how").remove();
        return JSON.stringify(clean(one)); }"""
"""The elements of the first exchange without white space."""


def test_script_and_server_build_the_same_answer(watch: Callable[..., Watched]) -> None:
    """The elements of answer.js and of _answer.html, for answers of each kind."""
    both = "What did the police in Norland do, and who was arrested?"
    for question in (
        QUESTION,
        both,
        "The price of saffron?",
        f"{QUESTION[:-1]} in 2024?",
        "The price of saffron today?",
    ):
        watched = watch()
        page = watched.open()
        watched.ask(question)
        scripted = page.evaluate(SHAPE)
        assert page.url.startswith(f"{watched.site}/?q=")
        page.reload()
        assert json.loads(page.evaluate(SHAPE)) == json.loads(scripted)


@pytest.mark.parametrize(
    ("before", "words", "after"),
    [
        ("🪁🎏 Mayor Ute 🙂 flew a ", "🪁 of nine metres", " on 🎉."),
        ("", "<b>Mayor</b> & Ute", " flew."),
        ("They flew ", "nine metres.", ""),
    ],
)
def test_script_and_server_emphasise_the_same_words(
    watch: Callable[..., Watched], before: str, words: str, after: str
) -> None:
    reply = reply_of(before, words, after)
    watched = watch()
    page = watched.open()
    page.route("**/ask", lambda route: route.fulfill(json=reply.model_dump(mode="json")))
    watched.ask("Which?")
    assert page.locator("strong.short-answer").all_text_contents() == [words]
    assert page.inner_text(".segment >> nth=1") == f"{before}{words}{after}2"
    scripted = page.evaluate(SHAPE)
    page.route("**/?q=*", lambda route: route.fulfill(body=page_of(reply), content_type="text/html; charset=utf-8"))
    page.reload()
    assert json.loads(page.evaluate(SHAPE)) == json.loads(scripted)
    weights = "Array.from(document.querySelectorAll('.segment, .short-answer'), (e) => getComputedStyle(e).fontWeight)"
    assert page.evaluate(weights) == ["400", "400", "600"]


def test_the_conversation_grows_and_the_address_can_be_shared(watch: Callable[..., Watched]) -> None:
    watched = watch()
    page = watched.open(f"/?q={QUESTION.replace(' ', '+')}")
    watched.ask("What did Storm Ulla cut?")
    watched.ask("The price of saffron?")
    assert page.locator(".exchange").count() == 3
    assert "saffron" in page.url and "saffron" in page.title()
    assert page.inner_text("#status") == "No answer found."
    page.click(".closest a")
    page.wait_for_selector("#panel .sentence.active mark")


def test_the_card_on_hover_and_focus_goes_with_escape(watch: Callable[..., Watched]) -> None:
    watched = watch()
    page = watched.open()
    watched.ask(QUESTION)
    page.hover(".answer .chip >> nth=0")
    page.wait_for_selector(".card")
    assert page.inner_text(".card q") == page.get_attribute(".answer .chip >> nth=0", "data-quote")
    assert "River Post · 4 March 2024" in page.inner_text(".card")
    page.hover(".card")
    page.wait_for_timeout(400)
    assert page.is_visible(".card"), "the pointer may go into the card"
    page.keyboard.press("Escape")
    assert page.query_selector(".card") is None
    page.mouse.move(2, 2)
    page.focus("#q")
    page.keyboard.press("Shift+Tab")
    while page.evaluate("!document.activeElement.matches('.chip')"):
        page.keyboard.press("Shift+Tab")
    page.wait_for_selector(".card")
    assert page.evaluate("document.activeElement.getAttribute('aria-describedby')") == "card"


def test_the_keyboard(watch: Callable[..., Watched]) -> None:
    watched = watch()
    page = watched.open()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "q" and page.input_value("#q") == ""
    watched.ask("What did the police in Norland do, and who was arrested in the boat-engine case?")
    page.keyboard.press("ArrowUp")
    assert page.input_value("#q").startswith("What did the police")
    page.focus(".answer .chip >> nth=0")
    page.keyboard.press("Enter")
    page.wait_for_selector("#panel .sentence.active")
    page.keyboard.press("Escape")
    assert page.is_hidden("#panel")
    assert page.evaluate("document.activeElement.matches('.answer .chip')"), "focus goes back to the citation"


def test_next_and_previous_citation(watch: Callable[..., Watched]) -> None:
    watched = watch()
    page = watched.open()
    watched.ask("What did engineers do at the dam?")
    assert page.locator(".answer .chip").count() >= 2
    page.click(".answer .chip >> nth=0")
    page.wait_for_selector("#panel .sentence.active")
    first = page.inner_text("#panel .sentence.active")
    page.keyboard.press("n")
    second = page.inner_text("#panel .sentence.active")
    assert second != first and "Cited 2 of" in page.inner_text(".panel-bar")
    page.click("#panel button[aria-label='Previous cited sentence']")
    assert page.inner_text("#panel .sentence.active") == first


def test_a_slow_answer_can_be_stopped_and_asked_again(watch: Callable[..., Watched]) -> None:
    watched = watch()
    watched.expected = ("net::ERR", "Failed to load resource")
    page = watched.open()
    held: list[Any] = []
    page.route("**/ask", lambda route: held.append(route))
    page.fill("#q", QUESTION)
    page.keyboard.press("Enter")
    page.wait_for_selector(".working")
    assert page.is_visible("#stop") and page.is_hidden("#send")
    assert page.get_attribute("#log", "aria-busy") == "true"
    page.wait_for_timeout(1300)
    assert "1 s" in page.inner_text(".working")
    page.keyboard.press("Escape")
    page.wait_for_selector(".failure")
    assert "Stopped" in page.inner_text(".failure") and page.input_value("#q") == QUESTION
    page.unroute("**/ask")
    page.click(".failure button")
    page.wait_for_selector(".answer")
    assert page.is_visible("#send")


@pytest.mark.parametrize("status", [500, 503])
def test_an_error_keeps_the_question(watch: Callable[..., Watched], status: int) -> None:
    watched = watch()
    watched.expected = ("Failed to load resource",)
    page = watched.open()
    problem = {"title": "It <b>broke</b>", "detail": "Sorry.", "request_id": "req_7", "errors": [], "status": status}
    headers = {"Retry-After": "1"} if status == 503 else {}
    page.route("**/ask", lambda route: route.fulfill(status=status, json=problem, headers=headers))
    page.fill("#q", QUESTION)
    page.keyboard.press("Enter")
    page.wait_for_selector(".failure")
    assert "It <b>broke</b>" in page.inner_text(".failure") and "req_7" in page.inner_text(".failure")
    assert page.input_value("#q") == QUESTION
    assert page.is_disabled(".failure button") == (status == 503)
    page.wait_for_selector(".failure button:enabled")


def test_a_lost_server(watch: Callable[..., Watched]) -> None:
    watched = watch()
    watched.expected = ("net::ERR", "Failed to load resource")
    page = watched.open()
    page.route("**/ask", lambda route: route.abort())
    page.fill("#q", QUESTION)
    page.keyboard.press("Enter")
    page.wait_for_selector(".failure")
    assert "cannot be reached" in page.inner_text(".failure") and page.input_value("#q") == QUESTION


def test_filters_are_sent(watch: Callable[..., Watched]) -> None:
    watched = watch()
    page = watched.open()
    page.click(".filters summary")
    page.select_option("select[name=outlet]", "Coast Courier")
    page.fill("input[name=to]", "2020-01-01")
    watched.ask(QUESTION)
    assert "No article is left after the filters" in page.inner_text(".nothing")
    assert "outlet=Coast+Courier" in page.url


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("path", ["/", "/docs", "/problems", "answer", "article", "panel"])
def test_nothing_is_wider_than_the_screen(watch: Callable[..., Watched], path: str, width: int) -> None:
    watched = watch(viewport={"width": width, "height": 700})
    page = watched.open(path if path.startswith("/") else "/")
    if not path.startswith("/"):
        watched.ask(QUESTION)
    if path == "article":
        watched.open(page.get_attribute(".answer .chip >> nth=0", "href"))
    if path == "panel":
        page.click(".answer .chip >> nth=0")
        page.wait_for_selector("#panel .sentence.active")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_citations_can_be_hit(watch: Callable[..., Watched]) -> None:
    watched = watch(viewport={"width": 390, "height": 800})
    page = watched.open()
    watched.ask(QUESTION)
    for n in range(page.locator(".chip").count()):
        box = page.locator(".chip").nth(n).bounding_box()
        assert box["width"] >= 24 and box["height"] >= 24


def test_the_policy_would_stop_a_script(watch: Callable[..., Watched]) -> None:
    """That the other tests see no violation means something only if this one sees some."""
    watched = watch()
    watched.expected = ("",)
    page = watched.open()
    refused = page.evaluate(
        "(() => { try { document.body.innerHTML = '<b>x</b>'; return false } catch { return true } })()"
    )
    assert refused, "require-trusted-types-for is not in force"
    page.evaluate("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.2:9/x.png'}))")
    page.wait_for_timeout(300)
    assert any("Content Security Policy" in text for text in watched.wrong)


def test_print_shows_answer_and_addresses(watch: Callable[..., Watched]) -> None:
    watched = watch()
    page = watched.open()
    watched.ask(QUESTION)
    page.emulate_media(media="print")
    assert page.is_hidden("#ask") and page.is_visible(".answer")
    assert page.is_visible(".print-only >> nth=0")
