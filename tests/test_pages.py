"""The pages: what each state shows, with nothing but what their templates write, and all of it without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import URL, QueryParams
from starlette.testclient import TestClient

from qa.contract import AnswerReply, AskRequest, FiltersIn, Turn
from qa.engine import Engine, IndexStatus
from qa.index import BuildReport
from qa.openapi import EXAMPLES
from qa.pages import Pages, SearchForm, cited_sentences
from qa.resources import web_folder
from qa.server import create_app
from qa.settings import LLMSettings, ServerSettings, Settings
from qa.types import Sentence

BASE = "http://127.0.0.1"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
QUESTION = "How many turbines did engineers replace at the Oster Dam?"
QUOTE = "Engineers replaced 3 of the 8 turbines."
NOTHING = "What is the price of saffron in Lisbon?"

TOKEN = re.compile(r'<!doctype html>|</([a-z][a-z0-9]*)>|<([a-z][a-z0-9]*)((?:\s+[a-z-]+(?:="[^"<>]*")?)*)(/?)>')
"""Every tag is written so plainly that no parser can read it in another way."""
ATTRIBUTE = re.compile(r'\s+([a-z-]+)(?:="([^"]*)")?')


def written() -> dict[str, set[str]]:
    """Every element that the templates write, with its attributes."""
    found: dict[str, set[str]] = {}
    for path in (web_folder() / "templates").glob("*.html"):
        text = re.sub(r"\{#.*?#\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        text = re.sub(r"\{\{.*?\}\}", "x", re.sub(r"\s*\{%.*?%\}", "", text, flags=re.DOTALL), flags=re.DOTALL)
        for token in TOKEN.finditer(text):
            if token[2]:
                found.setdefault(token[2], set()).update(name for name, _ in ATTRIBUTE.findall(token[3]))
        assert "<" not in TOKEN.sub("", text), f"{path.name}: a tag that is not plain"
    return found


WRITTEN = written()
VOID = {"meta", "link", "input"}
ALONE = {"a", "button", "form", "label", "option", "select", "textarea", "dialog", "datalist", "summary"}
"""Elements that a parser closes, or drops, when they begin inside one of their own kind."""
BLOCKS = """
article aside blockquote details dialog div dl form h1 h2 h3 header main nav ol p pre section table ul
"""
NOT_IN_P = set(BLOCKS.split())
NEVER = """
iframe frame frameset object embed applet base style img image picture video audio source track math portal
style= srcdoc= srcset= target= formaction= http-equiv= ping= background= is= slot=
"""
SCRIPTS = [{"src": "/static/theme.js"}, {"type": "module", "src": "/static/app.js"}]
SYMBOLS = set(re.findall(r'<symbol id="([a-z]+)"', (web_folder() / "static" / "icons.svg").read_text()))


class Page:
    """Reads a page and fails on anything that its templates do not write."""

    def __init__(self, html: str) -> None:
        self.texts: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self._stack: list[str] = []
        at = 0
        for token in TOKEN.finditer(html):
            self._text(html[at : token.start()])
            at = token.end()
            if token[1]:
                assert self._stack and self._stack.pop() == token[1], token[1]
            elif token[2]:
                self._begin(token[2], ATTRIBUTE.findall(token[3]), closed=bool(token[4]))
        self._text(html[at:])
        assert self._stack == [], f"left open: {self._stack}"
        ids = [values["id"] for _, values in self.elements if "id" in values]
        assert len(ids) == len(set(ids)), "an id twice"

    def _text(self, text: str) -> None:
        assert not re.search("[<>]", text), f"no plain tag: {text}"
        assert not text.strip() or "script" not in self._stack, "an inline script"
        if text:
            self.texts.append(unescape(text))

    def _begin(self, tag: str, attributes: list[tuple[str, str]], *, closed: bool) -> None:
        assert tag in WRITTEN, tag
        assert not (tag in ALONE and tag in self._stack) and not (tag in NOT_IN_P and "p" in self._stack), tag
        values = {name: unescape(value) for name, value in attributes}
        assert len(values) == len(attributes) and set(values) <= WRITTEN[tag], (tag, attributes)
        for name in ("href", "src", "action"):
            target = values.get(name, "/")
            assert re.match(r"/(?![/\\])|#|https?://[^/\\]", target) and target.isprintable(), target
            assert (tag, name) == ("a", "href") or target.startswith("/"), target
        if tag == "script":
            assert values in SCRIPTS
        elif tag == "link":
            assert values["href"].startswith("/static/")
        elif tag == "use":
            path, _, symbol = values["href"].partition("#")
            assert path == "/static/icons.svg" and symbol in SYMBOLS
        elif values.get("href", "").startswith("http"):
            assert values.get("rel") == "noopener noreferrer external"
        assert re.fullmatch(r"|https?://[^/\\\s]\S*", values.get("data-original", "")), "scripts make a link of it"
        assert values.get("data-address", "/?").startswith("/?")
        self.elements.append((tag, values))
        if tag not in VOID and not closed:
            self._stack.append(tag)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    @property
    def outline(self) -> list[tuple[str, list[str]]]:
        """The elements and the names of their attributes, without any text."""
        return [(tag, list(values)) for tag, values in self.elements]

    def find(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in wanted.items()}
        return [a for t, a in self.elements if t == tag and all(a.get(n) == v for n, v in wanted.items())]

    def fields(self, **wanted: str) -> dict[str, str]:
        """What the first form with these attributes would send if nobody touched it; buttons left out."""
        form = self.find("form", **wanted)[0]
        at = next(n for n, (_, values) in enumerate(self.elements) if values is form)
        found: dict[str, str] = {}
        for tag, values in self.elements[at + 1 :]:
            if tag == "form":
                break
            if tag == "input" and "name" in values and (values.get("type") != "checkbox" or "checked" in values):
                found[values["name"]] = values.get("value", "")
        return found


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[TestClient]:
    with TestClient(create_app(engine), base_url=BASE, headers=BROWSER) as opened:
        yield opened


def get(client: TestClient, path: str, status: int = 200, **params: Any) -> Page:
    response = client.get(path, params=params or None)
    assert (response.status_code, response.headers["content-type"]) == (status, "text/html; charset=utf-8")
    return Page(response.text)


def pages(**server: object) -> Pages:
    return Pages(web_folder(), ServerSettings.model_validate(server))


def show(reply: AnswerReply, form: SearchForm | None = None, **server: object) -> Page:
    """The chat with an answer that was made by hand."""
    form = form or SearchForm(reply.question)
    return Page(bytes(pages(**server).home(IndexStatus("ready", None), form, reply=reply).body).decode())


def reply_of(sources: int) -> AnswerReply:
    """The example answer with so many sources, one sentence each."""
    answer: dict[str, Any] = EXAMPLES["AnswerReply"]
    numbers = range(1, sources + 1)
    segment, citation, source = answer["answer"]["segments"][0], answer["citations"][0], answer["sources"][0]
    segments = [{**segment, "index": n - 1, "text": f"Sentence {n}.", "citations": [n]} for n in numbers]
    cited = [{"n": n, "segments": [n - 1], "article_id": f"a_{n}", "quote": f"Quote {n}."} for n in numbers]
    return AnswerReply.model_validate(
        {
            **answer,
            "answer": {**answer["answer"], "segments": segments},
            "citations": [{**citation, **facts} for facts in cited],
            "sources": [{**source, "article_id": f"a_{n}", "title": f"Title {n}", "cited_by": [n]} for n in numbers],
        }
    )


# What the pages may be made of


def test_the_templates_write_nothing_that_runs_or_loads() -> None:
    names = set().union(*WRITTEN.values())
    assert not (WRITTEN.keys() | {f"{name}=" for name in names}) & set(NEVER.split())
    assert not [name for name in names if name.startswith("on")]
    assert WRITTEN["script"] == {"src", "type"} and WRITTEN["link"] == {"rel", "href", "type"}
    assert WRITTEN["svg"] == {"class", "aria-hidden"} and WRITTEN["use"] == {"href"}


@pytest.mark.parametrize(
    "html",
    [
        *(
            "<b>x</b>",
            "<p>x",
            "x</p>",
            "<p><ul></ul></p>",
            "<p class='x'></p>",
            "<P></P>",
            "<p onclick=x></p>",
            "a < b",
        ),
        *("<p class=x></p>", '<p href="/"></p>', '<p class="x" class="y"></p>', "<!-- x -->", "<script>x</script>"),
        *('<script src="/static/app.js"></script>', '<a href="javascript:x"></a>', '<a href="//evil.example"></a>'),
        *(
            '<a href="/\\evil.example"></a>',
            '<a href="https://x.example/"></a>',
            '<form action="https://x.example/"></form>',
        ),
        *('<p id="x"></p><p id="x"></p>', '<use href="/static/icons.svg#none"/>', "<form><form></form></form>"),
        '<a data-original="javascript:x"></a>',
    ],
)
def test_the_reader_of_pages_refuses(html: str) -> None:
    with pytest.raises(AssertionError):
        Page(html)


SOURCES = sorted([*web_folder().rglob("*.html"), *web_folder().rglob("*.js"), *web_folder().rglob("*.css")])
KEPT = {"past.js", "theme.js"}
"""Scripts that may keep something in the browser."""


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.name)
def test_nothing_in_the_pages_can_turn_text_into_markup(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    sinks = [
        *("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "createContextualFragment"),
        *("setHTML", "parseHTML", "XSLTProcessor", "trustedTypes", "importNode", "srcdoc", "javascript:", "import("),
        *("eval(", "Function(", 'setTimeout("', "setTimeout('", "setTimeout(`", 'setInterval("', "WebAssembly"),
        *("| safe", "|safe", "autoescape", "Markup", "<style", " style=", " onclick", " onload", ".onclick", "cssText"),
        *("sessionStorage", "indexedDB", "document.cookie", "caches.", "serviceWorker", "postMessage", "window.open"),
        *("sendBeacon", "WebSocket", "EventSource(", "http://", "https://", "url(", "window.name", "document.domain"),
        *([] if path.name in KEPT else ["localStorage"]),
    ]
    assert [sink for sink in sinks if sink in text] == []


def test_the_python_side_marks_nothing_safe() -> None:
    source = Path(__file__).parents[1] / "src" / "qa"
    for path in source.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"Markup\b|markupsafe|autoescape=(?!True)", text), path
    assert "autoescape=True" in (source / "pages.py").read_text(encoding="utf-8")


def test_the_pages_stay_small() -> None:
    sizes = {kind: sum(p.stat().st_size for p in web_folder().rglob(f"*.{kind}")) for kind in ("css", "js")}
    assert sizes["css"] <= 15_000 and sizes["js"] <= 25_000


def test_colours_have_contrast() -> None:
    """WCAG AA (4.5 : 1) for every pair of text and ground, in both themes."""
    style = (web_folder() / "static" / "style.css").read_text()
    found = re.findall(r"--([a-z-]+): light-dark\((#[0-9a-f]{3,6}), (#[0-9a-f]{3,6})\);", style)
    for theme in (1, 2):
        colours = {entry[0]: entry[theme] for entry in found}
        for ink, ground in [
            *(("ink", "paper"), ("ink", "raised"), ("ink", "mark"), ("ink", "rule"), ("muted", "paper")),
            *(("muted", "raised"), ("accent", "paper"), ("accent", "raised"), ("on-accent", "accent")),
        ]:
            assert contrast(colours[ink], colours[ground]) >= 4.5, (theme, ink, ground)


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(c * 2 for c in colour[1:])
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


# The form and its address

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
WORDS = TEXT.filter(bool)
FORMS = st.builds(
    SearchForm,
    question=TEXT.map(str.strip),
    published_from=TEXT,
    published_to=TEXT,
    publishers=st.lists(WORDS, max_size=4, unique=True).map(tuple),
    after=TEXT,
    dates=st.booleans(),
)


def read(address: str) -> SearchForm:
    return SearchForm.read(QueryParams(URL(address).query))


@given(FORMS)
def test_an_address_asks_for_exactly_what_the_form_had(form: SearchForm) -> None:
    assert form.address.isascii() and form.address.startswith("/?")
    assert read(form.address) == form


@given(FORMS, WORDS.map(str.strip).filter(bool))
def test_a_form_with_something_changed_is_the_same_but_for_that(form: SearchForm, other: str) -> None:
    assert read(form.but(question=other).address) == SearchForm(
        other, form.published_from, form.published_to, form.publishers, form.after, form.dates
    )
    assert read(form.but(publishers=()).address).publishers == ()
    assert form.but(published_from="", published_to="", publishers=()).filtered is False
    assert form.filtered == bool(form.published_from or form.published_to or form.publishers)


@pytest.mark.parametrize(
    ("query", "form"),
    [
        ("", SearchForm()),
        ("q=+a+b+", SearchForm("a b")),
        ("q=a&from=&from=2024-01-01&from=2024-02-02&from=", SearchForm("a", published_from="2024-02-02")),
        ("q=a&outlet=B&outlet=&outlet=A&outlet=B", SearchForm("a", publishers=("B", "A"))),
        ("q=a&dates=off", SearchForm("a", dates=False)),
        ("q=a&dates=", SearchForm("a", dates=False)),
        ("q=a&after=b%26c&unknown=1", SearchForm("a", after="b&c")),
        ("q=%FF%C3", SearchForm("\ufffd\ufffd")),
    ],
)
def test_what_an_address_asks_for(query: str, form: SearchForm) -> None:
    assert SearchForm.read(QueryParams(query)) == form


def test_the_form_of_a_request_is_what_a_page_can_ask() -> None:
    earlier = [Turn(role="user", content="First?"), Turn(role="user", content="Then?")]
    said = [*earlier, Turn(role="assistant", content="Yes.")]
    filters = FiltersIn(published_from="2024-01-01", published_to="2024-02-02", publishers=["A", "B"], languages=["en"])
    asked = AskRequest(question="Why?", history=said, filters=filters, dates=False)
    assert SearchForm.of(asked) == SearchForm("Why?", "2024-01-01", "2024-02-02", ("A", "B"), "Then?", dates=False)
    assert SearchForm.of(AskRequest(question="Why?")) == SearchForm("Why?")


# What is marked

SENTENCES = tuple(Sentence("a", n, 10 * n, 10 * n + 5, f"S. {n}.") for n in range(12))
MARKS = [sha256(sentence.text.encode()).hexdigest() for sentence in SENTENCES]


@pytest.mark.parametrize(
    ("cite", "marked", "same"),
    [
        (f"3.{MARKS[3][:8]}", {3}, True),
        (f"3.{MARKS[3]},11.{MARKS[11][:1]},5", {3, 5, 11}, True),
        (f"3.{MARKS[4][:8]}", set(), False),
        (f"3.{MARKS[3][:8]},4.{MARKS[3][:8]}", {3}, False),
        (f"12.{MARKS[3][:8]}", set(), False),
        (f"3.{MARKS[3][:8].upper()}" if MARKS[3][:8].upper() != MARKS[3][:8] else "3.g", set(), False),
        ("3.zz", set(), False),
        (f"3.{MARKS[3]}0", set(), False),
        ("3,5,3", {3, 5}, True),
        ("3.", {3}, True),
        ("12,99999999999999999999,1234567890123", set(), True),
        *((junk, set(), True) for junk in ("", ",", ".", ".ab", "x", "-1", "+1", "1e3", "١", "²", " 3", "3 ", "0x1")),
        ("a" * 5000, set(), True),
    ],
)
def test_the_sentences_that_an_address_names(cite: str, marked: set[int], same: bool) -> None:
    assert cited_sentences(cite, SENTENCES) == (frozenset(marked), same)


@given(TEXT | st.text("0123456789.,abcdef", max_size=40))
def test_any_address_marks_only_sentences_that_it_names(cite: str) -> None:
    marked, _ = cited_sentences(cite, SENTENCES)
    assert marked <= {int(n) for n in re.findall("[0-9]+", cite[:1000]) if len(n) < 20}


# Each state


def test_the_empty_page_says_what_there_is(client: TestClient, engine: Engine) -> None:
    page = get(client, "/")
    assert "6 articles 9 January 2024 to 24 May 2024" in page.text
    assert f"index {engine.status().generation}" in page.text
    examples = [URL(a["href"]).query for a in page.find("a") if "data-ask" in a]
    suggested = [QueryParams(query)["q"] for query in examples]
    headlines = {engine.article(article_id).article.title for article_id in engine.article_ids()}
    assert len(suggested) == 5 and set(suggested) <= {*headlines, *engine.suggestions(5)}
    assert all(text in page.texts for text in suggested)
    assert [option["value"] for option in page.find("option")] == ["Coast Courier", "River Post"]
    assert page.find("input", name="outlet", list="outlets") and page.find("datalist", id="outlets")
    assert "Works offline" in page.text and not page.find("article")


def test_with_a_language_model_the_foot_says_what_leaves_the_machine() -> None:
    for rewritten, told in ((False, "Questions, and sentences"), (True, "Questions, what was said before them, and")):
        llm = LLMSettings(model="a-model", rewrite_follow_ups=rewritten)
        home = Pages(web_folder(), ServerSettings(), llm).home(IndexStatus("ready", None), SearchForm())
        page = Page(bytes(home.body).decode())
        assert "go to the language model a-model" in page.text and "Works offline" not in page.text
        assert told in page.text


def test_an_example_leads_to_an_answer(client: TestClient) -> None:
    link = next(a["href"] for a in get(client, "/").find("a") if "data-ask" in a)
    assert get(client, link).find("article", class_="exchange", data_status="answered")


def test_an_answer_without_javascript(client: TestClient, engine: Engine) -> None:
    page = get(client, "/", q=QUESTION)
    body = client.post("/ask", json={"question": QUESTION}).json()
    for segment in body["answer"]["segments"]:
        assert segment["text"] in page.text
    chips = page.find("a", class_="chip")
    assert {chip["href"].partition("?")[0] for chip in chips} == {c["url"].partition("#")[0] for c in body["citations"]}
    for chip in chips:
        assert chip["aria-label"].startswith("Source ") and "River Post" in chip["aria-label"]
        assert chip["data-title"] in page.text and chip["data-byline"] in page.text
        address, _, target = chip["href"].partition("#")
        landed = get(client, address)
        assert landed.find("span", id=target) and "has changed since" not in landed.text
        marked = re.search(rf'<span id="{target}" class="sentence"><mark>(.*?)</mark>', client.get(address).text)
        assert marked and unescape(marked[1]) == chip["data-quote"]
        assert landed.find("a", rel="noopener noreferrer external")
    assert page.find("textarea", id="q", placeholder="Ask on") and page.texts.count(QUESTION) == 1, "the box is empty"


def test_an_answer_says_what_scripts_need_to_know(client: TestClient) -> None:
    (shown,) = get(client, "/", q=QUESTION).find("article", class_="exchange")
    body = client.get(f"/v1/answers/{shown['data-id']}").json()
    assert shown["data-status"] == "answered" and shown["data-asked"] == QUESTION
    assert int(shown["data-sentences"]) == len(body["answer"]["segments"])
    assert int(shown["data-sources"]) == len(body["sources"])
    assert int(shown["data-generation"]) == body["engine"]["generation"]
    assert read(shown["data-address"]) == SearchForm(QUESTION)


def test_the_page_of_an_answer_has_the_same_answer(client: TestClient) -> None:
    """The scripts load it in place of what they showed meanwhile."""
    html = client.get("/", params={"q": QUESTION}).text
    (shown,) = Page(html).find("article", class_="exchange")
    again = client.get(f"/a/{shown['data-id']}").text
    assert exchange_of(again) == exchange_of(html)


def exchange_of(html: str) -> str:
    return html[html.index('<article class="exchange"') : html.index("</article>")]


@pytest.mark.parametrize("question", [QUESTION, "What is the price of saffron?"])
def test_the_time_that_was_preferred_is_told_and_can_be_dropped(client: TestClient, question: str) -> None:
    told = "Articles from about 1 January to 24 May 2024 (“this year”) were preferred."
    asked = f"{question[:-1]} this year?"
    page = get(client, "/", q=asked)
    assert page.text.count(told) == 1
    ways = [read(a["href"]) for a in page.find("a", class_="tag")]
    only, alike = SearchForm(asked, "2024-01-01", "2024-05-24"), SearchForm(asked, dates=False)
    assert ways == [only, alike]
    assert told not in get(client, alike.address).text and not get(client, alike.address).find("a", class_="tag")
    assert get(client, only.address).find("input", type="checkbox", name="from", value="2024-01-01")
    assert not get(client, "/", q=question).find("a", class_="tag")


def test_the_page_of_an_article_shows_all_of_it(client: TestClient, engine: Engine) -> None:
    for article_id in engine.article_ids():
        view = engine.article(article_id)
        page = get(client, f"/articles/{article_id}")
        assert " ".join(view.article.text.split()) in page.text and view.article.title in page.text
        assert [a["id"] for a in page.find("span", class_="sentence")] == [f"s{s.index}" for s in view.sentences]
        assert not page.find("mark")
        assert page.text.count("By ") >= bool(view.article.authors)
        html = client.get(f"/articles/{article_id}").text
        assert html.count('<p dir="auto"><span') == view.article.text.count("\n\n") + 1


def test_cited_sentences_are_marked_and_others_not(client: TestClient, engine: Engine) -> None:
    article_id = engine.article_ids()[0]
    text = engine.article(article_id).sentences
    page = get(client, f"/articles/{article_id}", cite="1,0,99,x,-1,1")
    assert len(page.find("mark")) == 2 and len(text) > 2
    assert page.find("a", href="#s0") and page.find("a", href="#s1")
    digest = sha256(text[1].text.encode()).hexdigest()[:8]
    assert len(get(client, f"/articles/{article_id}", cite=f"1.{digest}").find("mark")) == 1
    changed = get(client, f"/articles/{article_id}", cite=f"0.{digest}")
    assert "has changed since it was cited" in changed.text and not changed.find("mark")


def test_an_article_that_changed_says_so_and_marks_nothing_else(
    settings: Settings, build: Callable[..., BuildReport]
) -> None:
    build()
    engine = Engine.open(settings)
    with TestClient(create_app(engine), base_url=BASE, headers=BROWSER) as client:
        page = get(client, "/", q=QUESTION)
        chip = next(a for a in page.find("a", class_="chip") if a["data-quote"] == QUOTE)
        dam = settings.paths.corpus / "dam.md"
        dam.write_text(dam.read_text().replace("3 of the 8", "5 of the 8"))
        build()
        engine.reload_if_changed()  # unless the server's own follower was faster
        address = chip["href"].partition("#")[0]
        landed = get(client, address)
        assert "has changed since it was cited" in landed.text and "5 of the 8" in landed.text
        assert QUOTE not in landed.text and "<mark>Engineers" not in client.get(address).text
        again = get(client, f"/a/{page.find('article', class_='exchange')[0]['data-id']}")
        assert QUOTE in again.text and "A cited article has changed since" in again.text
    engine.close()


def test_nothing_found_shows_ways_out(client: TestClient) -> None:
    page = get(client, "/", q=NOTHING)
    assert "No article here answers that" in page.text and "Closest, but no answer" in page.text
    assert not page.find("a", class_="chip") and "Searched 6 articles" in page.text
    closest = [a for a in page.find("a") if "/articles/" in a["href"]]
    assert closest and all("#s" in a["href"] and "data-open" in a for a in closest)
    (edit,) = [a for a in page.find("a") if "data-edit" in a]
    assert edit["href"] == "#q" and page.find("textarea", id="q") and NOTHING in page.texts
    assert not [a for a in page.find("a") if "data-ask" in a], "without filters there is none to drop"
    assert not page.find("input", name="after"), "what was not answered carries no conversation"


def test_nothing_found_after_filters_offers_to_drop_them(client: TestClient) -> None:
    form = SearchForm(QUESTION, "2019-01-01", "2020-01-01", ("Coast Courier",))
    page = get(client, form.address)
    assert "No article is left after the filters" in page.text
    ways = [read(a["href"]) for a in page.find("a") if "data-ask" in a]
    assert ways == [form.but(publishers=()), form.but(published_from="", published_to="")]


def test_a_not_found_reply_drops_only_what_is_set(client: TestClient) -> None:
    page = get(client, "/", q=QUESTION, outlet="Nobody")
    assert [read(a["href"]) for a in page.find("a") if "data-ask" in a] == [SearchForm(QUESTION)]
    assert get(client, SearchForm(QUESTION).address).find("a", class_="chip")


def test_filters_work_without_javascript(client: TestClient) -> None:
    form = SearchForm(QUESTION, "2024-03-01", "2024-03-31", ("River Post", "Coast Courier"))
    page = get(client, form.address)
    assert page.find("a", class_="chip") and "From 1 March 2024" in page.text and "Until 31 March 2024" in page.text
    ticked = [(a["name"], a["value"]) for a in page.find("input", type="checkbox") if "checked" in a]
    assert ticked == [
        *(("from", "2024-03-01"), ("to", "2024-03-31"), ("outlet", "River Post"), ("outlet", "Coast Courier"))
    ]
    # As a browser sends the form: the empty fields first, then what is ticked.
    sent = [("q", "What did Storm Ulla cut?"), ("from", ""), ("to", ""), ("outlet", ""), *ticked]
    asked = client.get("/?" + urlencode(sent))
    (shown,) = Page(asked.text).find("article", class_="exchange")
    assert read(shown["data-address"]) == form.but(question="What did Storm Ulla cut?")
    # A new day takes the place of the old one.
    sent = [("q", QUESTION), ("from", "2024-02-01"), *ticked[1:]]
    assert Page(client.get("/?" + urlencode(sent)).text).find("input", type="checkbox", name="from", value="2024-02-01")


@pytest.mark.parametrize("outlets", [["River Post"], ["river post", "Nobody"], ["Nobody", "River Post", "River Post"]])
def test_any_of_several_outlets_may_answer(client: TestClient, outlets: list[str]) -> None:
    page = get(client, "/", q=QUESTION, outlet=outlets)
    assert page.find("a", class_="chip")
    assert len(page.find("input", type="checkbox", name="outlet")) == len(set(outlets))


def test_a_follow_up_without_javascript(client: TestClient) -> None:
    """The hidden field carries the question before; what the follow-up was understood as can be corrected."""
    first = get(client, "/", q=QUESTION)
    assert not first.find("form", class_="resolved")
    asked: dict[str, Any] = {**first.fields(id="ask"), "q": "When did it reopen?"}
    assert asked["after"] == QUESTION
    page = get(client, "/", **asked)
    history = [{"role": "user", "content": QUESTION}]
    body = client.post("/ask", json={"question": "When did it reopen?", "history": history}).json()
    understood = body["resolved_question"]
    assert understood and "The Oster Dam reopened on Monday" in page.text
    assert page.fields(class_="resolved") == {"q": understood}
    (shown,) = page.find("article", class_="exchange")
    assert shown["data-asked"] == understood == page.fields(id="ask")["after"]
    assert read(shown["data-address"]) == SearchForm(understood)
    # Corrected: the form of the line asks the sentence as it stands.
    corrected = get(client, "/", q="When did the Oster Dam reopen?")
    assert not corrected.find("form", class_="resolved") and "reopened on Monday" in corrected.text
    assert page.find("a", id="new", href="/")


def test_an_answer_given_again_asks_what_it_was_understood_as(client: TestClient) -> None:
    page = get(client, "/", q="When did it reopen?", after=QUESTION)
    (shown,) = page.find("article", class_="exchange")
    (again,) = get(client, f"/a/{shown['data-id']}").find("article", class_="exchange")
    assert read(again["data-address"]) == SearchForm(shown["data-asked"])


def test_sharing_and_rating_without_javascript(settings: Settings, build: Callable[..., BuildReport]) -> None:
    build()
    engine = Engine.open(settings)
    with TestClient(create_app(engine), base_url=BASE, headers=BROWSER) as client:
        page = get(client, "/", q=QUESTION)
        answer = page.find("article", class_="exchange")[0]["data-id"]
        shared = client.post(f"/a/{answer}/share", data={})
        assert shared.url.path == f"/a/{answer}" and "Shared answer" in Page(shared.text).text
        up, down = page.find("form", action=f"/a/{answer}/feedback")
        assert up["method"] == down["method"] == "post"
        numbers = [a["value"] for a in page.find("option") if a["value"].isdecimal()]
        labels = {a["aria-label"].partition(":")[0] for a in page.find("a", class_="chip")}
        assert labels == {f"Source {n}" for n in numbers}
        reasons = [a["value"] for a in page.find("input", type="checkbox", name="reason")]
        for data in (
            {"rating": "up"},
            {"rating": "down", "citation": "", "comment": ""},
            {"rating": "down", "citation": "1", "reason": reasons, "comment": "Not so."},
        ):
            noted = client.post(f"/a/{answer}/feedback", data=data)
            assert noted.url.path == f"/a/{answer}" and "Noted, thank you" in Page(noted.text).text
        lines = (settings.paths.records / "feedback.jsonl").read_text().splitlines()
        assert len(lines) == 3
    engine.close()


def test_every_way_out_of_an_answer_leads_somewhere(client: TestClient) -> None:
    page = get(client, "/", q=QUESTION)
    for link in page.find("a"):
        if link["href"].startswith("/"):
            assert client.get(link["href"]).status_code == 200, link
    actions = [a for a in page.find("a") if "download" in a]
    assert [client.get(a["href"]).headers["content-type"] for a in actions] == [
        "text/markdown; charset=utf-8",
        "application/json",
    ]


def test_the_actions_are_those_that_the_server_offers() -> None:
    reply = reply_of(1)
    paths = [f"/a/{reply.id}/share", f"/a/{reply.id}/feedback", f"/a/{reply.id}/feedback"]
    assert [a["action"] for a in show(reply).find("form", method="post")] == paths
    assert show(reply).find("button", id="dispute")
    assert [a["action"] for a in show(reply, sharing=False).find("form", method="post")] == paths[1:]
    quiet = show(reply, feedback=False)
    assert [a["action"] for a in quiet.find("form", method="post")] == paths[:1]
    assert not quiet.find("button", id="dispute")


@pytest.mark.parametrize("count", [1, 5, 6, 9])
def test_sources_after_the_fifth_are_folded(count: int) -> None:
    reply = reply_of(count)
    page = show(reply)
    assert page.text.count("Title ") == len(reply.sources) and len(page.find("a", class_="headline")) == count
    more = {6: "1 more source", 9: "4 more sources"}.get(count)
    assert ("more source" in page.text) == bool(more) and (more or "") in page.text
    shown = [a["data-title"] for a in page.find("a", class_="chip")]
    assert shown == [f"Title {n}" for n in range(1, count + 1)] * 2
    folded = "".join(page.texts).partition("more source")[2]
    assert [n for n in range(1, count + 1) if f"Title {n}" in folded] == list(range(6, count + 1))


def test_what_was_also_found_is_told_apart_from_the_sources() -> None:
    facts = {"title": "Elsewhere", "publisher": "Post", "published_at": "2024-05-01"}
    found = {"article_id": "a_x", "url": "/articles/a_x#s2", **facts}
    assert "Also found" not in show(reply_of(1).model_copy(update={"also_found": []})).text
    for count, said in ((1, "Also found, not cited: 1 article "), (2, "Also found, not cited: 2 articles ")):
        reply = AnswerReply.model_validate({**reply_of(1).model_dump(), "also_found": [found] * count})
        page = show(reply)
        assert said in page.text and "Elsewhere Post · 1 May 2024" in page.text
        assert len([a for a in page.find("a", href="/articles/a_x#s2") if "data-open" in a]) == count


def test_questions_that_the_articles_also_answer_keep_the_filters_and_leave_the_conversation() -> None:
    reply = reply_of(1).model_copy(update={"follow_ups": ["Who built it?", "What & why?"]})
    form = SearchForm("Then?", "2024-01-01", "", ("A", "B"), "First?", dates=False)
    page = show(reply, form)
    asked = [read(a["href"]) for a in page.find("a") if "data-ask" in a and "class" not in a]
    assert asked == [form.but(question=question, after="") for question in reply.follow_ups]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"q": "x" * 2001}, "2000"),
        ({"q": "?!"}, "Ask in words"),
        ({"q": "dam", "from": "yesterday"}, "The request does not fit"),
        ({"q": "dam", "to": "2024-02-31"}, "calendar"),
        ({"q": "dam", "outlet": "x" * 201}, "200"),
        ({"q": "dam", "outlet": [f"o{n}" for n in range(51)]}, "50"),
        ({"q": "dam", "after": "x" * 20_001}, "20000"),
    ],
)
def test_a_question_that_does_not_fit_is_kept(client: TestClient, params: dict[str, Any], said: str) -> None:
    page = get(client, "/", 422, **params)
    assert said in page.text and page.texts.count(params["q"]) == 2, "the heading, and in the box to be corrected"
    again = next(a for a in page.find("a") if "data-ask" in a)
    assert read(again["href"]).question == params["q"]
    assert page.find("a", href="/problems/validation")


def test_without_an_index_the_page_says_what_to_do(settings: Settings) -> None:
    engine = Engine.open(settings)
    with TestClient(create_app(engine), base_url=BASE, headers=BROWSER) as client:
        for path, status in (("/", 200), ("/?q=dam", 503)):
            page = get(client, path, status)
            assert "No index yet" in page.text and "qa index" in page.text and "Traceback" not in page.text
        assert "No index yet" in get(client, "/articles/a_1", 503).text
        assert get(client, "/docs") and get(client, "/problems")
    engine.close()


def test_people_get_pages_and_programs_get_documents(client: TestClient) -> None:
    for path in ("/articles/a_none", "/nope", "/problems/nope", "/a/nope"):
        page = get(client, path, 404)
        assert "Request req_" in page.text
        plain = client.get(path, headers={"Accept": "*/*"})
        assert plain.headers["content-type"] == "application/problem+json"
    assert client.get("/v1/articles/a_none").headers["content-type"] == "application/problem+json"


def test_the_docs_page_shows_every_route(client: TestClient) -> None:
    page = get(client, "/docs")
    document = client.get("/openapi.json").json()
    for path in document["paths"]:
        assert path in page.text
    for field in ("question", "filters.published_from", "history[].role", "max_sentences"):
        assert field in page.text
    assert "curl http://127.0.0.1:8000/v1/ask" in page.text
    assert get(client, "/problems").find("a", href="/problems/overloaded")
