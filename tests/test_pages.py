"""The pages: what each state shows, and that text from articles and readers is text in all of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from qa.engine import Engine
from qa.resources import web_folder
from qa.server import create_app
from qa.settings import Settings

BASE = "http://127.0.0.1"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
QUESTION = "How many turbines did engineers replace at the Oster Dam?"

WRITTEN_TAGS = """
html head meta title link script body header footer main nav section article aside h1 h2 h3 p a span div ul ol li dl dt
dd time bdi mark q blockquote sup details summary form label input button select option table caption thead tbody tr th
td code pre strong
"""
WRITTEN_ATTRIBUTES = """
lang charset name content rel href type src class id role action method for maxlength required autocomplete enterkeyhint
dir placeholder value hidden open selected datetime scope tabindex aria-label aria-labelledby data-articles data-article
data-sentence data-cited data-title data-byline data-quote data-ask
"""
TAGS, ATTRIBUTES = set(WRITTEN_TAGS.split()), set(WRITTEN_ATTRIBUTES.split())
VOID = {"meta", "link", "input"}


class Page(HTMLParser):
    """Parses a page and fails on anything that its templates do not write."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.stack: list[str] = []
        self.feed(html)
        self.close()
        assert self.stack == [], f"left open: {self.stack}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        values = {name: value or "" for name, value in attrs}
        assert len(values) == len(attrs) and set(values) <= ATTRIBUTES, (tag, attrs)
        for name in ("href", "src", "action"):
            target = values.get(name, "/")
            assert re.match(r"/(?!/)|#|https?://[^/]", target), target
            assert name == "href" or target.startswith("/"), target
        if tag == "script":
            assert values == {"type": "module", "src": "/static/app.js"}
        if tag == "link":
            assert values["href"].startswith("/static/")
        if values.get("href", "").startswith("http"):
            assert values["rel"] == "noopener noreferrer external"
        self.elements.append((tag, values))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        assert not (self.stack and self.stack[-1] == "script" and data.strip()), "an inline script"
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def find(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        wanted = {name.rstrip("_"): value for name, value in wanted.items()}
        return [a for t, a in self.elements if t == tag and all(a.get(n) == v for n, v in wanted.items())]


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[TestClient]:
    with TestClient(create_app(engine), base_url=BASE, headers=BROWSER) as opened:
        yield opened


def get(client: TestClient, path: str, status: int = 200, **params: str) -> Page:
    response = client.get(path, params=params or None)
    assert (response.status_code, response.headers["content-type"]) == (status, "text/html; charset=utf-8")
    return Page(response.text)


def test_the_empty_page_says_what_there_is(client: TestClient, engine: Engine) -> None:
    page = get(client, "/")
    assert f"6 articles newest 24 May 2024 index {engine.status().generation}" in page.text
    examples = [attributes["data-ask"] for attributes in page.find("a") if "data-ask" in attributes]
    assert examples and set(examples) <= {engine.article(i).article.title for i in engine.article_ids()}
    assert {option["value"] for option in page.find("option")} == {"", "Coast Courier", "River Post"}
    assert "Works offline" in page.text


def test_an_example_leads_to_an_answer(client: TestClient) -> None:
    link = next(a["href"] for a in get(client, "/").find("a") if "data-ask" in a)
    assert get(client, link).find("article", class_="exchange")


def test_an_answer_without_javascript(client: TestClient, engine: Engine) -> None:
    page = get(client, "/", q=QUESTION)
    body = client.post("/ask", json={"question": QUESTION}).json()
    for segment in body["answer"]["segments"]:
        assert segment["text"] in page.text
    chips = page.find("a", class_="chip")
    assert {chip["href"].partition("?")[0] for chip in chips} == {c["url"].partition("#")[0] for c in body["citations"]}
    for chip in chips:
        assert chip["aria-label"].startswith("Source ") and "River Post" in chip["aria-label"]
        landed = get(client, chip["href"].partition("#")[0])
        target = chip["href"].partition("#")[2]
        assert landed.find("span", id=target)
        html = client.get(chip["href"].partition("#")[0]).text
        marked = re.search(rf'<span id="{target}" class="sentence"><mark>(.*?)</mark>', html)
        assert marked and marked[1] == chip["data-quote"]
    assert page.find("input", name="q")[0]["value"] == ""


@pytest.mark.parametrize("question", [QUESTION, "What is the price of saffron?"])
def test_the_time_that_was_preferred_is_told_under_the_answer(client: TestClient, question: str) -> None:
    told = "Articles from about 1 January to 24 May 2024 (“this year”) were preferred."
    page = get(client, "/", q=f"{question[:-1]} this year?")
    assert len(page.find("p", class_="dates muted")) == 1 and page.texts.count(told) == 1
    assert not get(client, "/", q=question).find("p", class_="dates muted")


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
    html = client.get(f"/articles/{article_id}?cite=1,0,99,x,-1,1").text
    assert html.count("<mark>") == 2
    assert 'href="#s0"' in html and 'href="#s1"' in html and len(text) > 2
    for odd in ("", ",", "99999999999999999999", "١", "a" * 5000, "1e3"):
        assert client.get(f"/articles/{article_id}", params={"cite": odd}).text.count("<mark>") == 0


def test_nothing_found(client: TestClient) -> None:
    page = get(client, "/", q="What is the price of saffron in Lisbon?")
    assert "No article here answers that" in page.text and "Closest, but no answer" in page.text
    assert not page.find("a", class_="chip")
    closest = [a for a in page.find("a") if a.get("data-cited") == ""]
    assert closest and all("#s" in a["href"] for a in closest)


def test_filters_work_without_javascript(client: TestClient) -> None:
    params = {"q": QUESTION, "from": "2024-03-01", "to": "2024-03-31", "outlet": "River Post"}
    page = get(client, "/", **params)
    assert page.find("a", class_="chip")
    assert page.find("option", value="River Post")[0].get("selected") == ""
    assert page.find("input", name="from")[0]["value"] == "2024-03-01" and "open" in page.find("details")[-1]
    gone = get(client, "/", q=QUESTION, outlet="Coast Courier", to="2020-01-01")
    assert "No article is left after the filters" in gone.text


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"q": "x" * 2001}, "2000"),
        ({"q": "?!"}, "Ask in words"),
        ({"q": "dam", "from": "yesterday"}, "The request does not fit"),
        ({"q": "dam", "to": "2024-02-31"}, "calendar"),
    ],
)
def test_a_question_that_does_not_fit_is_kept(client: TestClient, params: dict[str, str], said: str) -> None:
    page = get(client, "/", 422, **params)
    assert said in page.text and page.find("input", name="q")[0]["value"] == params["q"]


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
    for path in ("/articles/a_none", "/nope", "/problems/nope"):
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


PAYLOADS = [
    "<script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    '"><script>alert(1)</script>',
    "'><script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "' onmouseover='alert(1)",
    '" autofocus onfocus=alert(1) x="',
    "` onmouseover=alert(1) `",
    "<a href=javascript:alert(1)>x</a>",
    "<a href='java\tscript:alert(1)'>x</a>",
    "<iframe src=javascript:alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<object data=javascript:alert(1)>",
    "<embed src=//evil.example/x.swf>",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>@import '//evil.example/x.css';</style>",
    "<form action=//evil.example><input name=q></form>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<!--><script>alert(1)</script-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?xml version='1.0'?><x>",
    "<details open ontoggle=alert(1)>",
    "<input onfocus=alert(1) autofocus>",
    "<video><source onerror=alert(1)>",
    "<template><script>alert(1)</script></template>",
    "<plaintext>",
    "<xmp><script>alert(1)</script></xmp>",
    "<textarea></textarea><script>alert(1)</script>",
    "{{ 7 * 7 }} {% raw %} ${7*7} #{7*7} <%= 7 * 7 %>",
    "{{ ''.__class__.__mro__ }}",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "![x](https://evil.example/x.png) [x](javascript:alert(1))",
    "[1] [2][3] according to this sentence [4]",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "\\u003cscript\\u003ealert(1)\\u003c/script\\u003e",
    "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "<a target=_blank rel=opener href=https://evil.example>x</a>",
    "<p style='background:url(//evil.example/x)'>x</p>",
    "x' || alert(1) || '",
    "<mark>not ours</mark> <span id=s0>twin</span>",
]
URLS = [
    "javascript:alert(1)",
    " javascript:alert(1)",
    "JAVASCRIPT:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:msgbox(1)",
    "//evil.example/x",
    "file:///etc/passwd",
    'https://news.example/"onmouseover="alert(1)',
    "https://news.example/'><script>alert(1)</script>",
    "https://news.example/<script>",
    "https://user:pass@news.example/",
]


@pytest.fixture(scope="module")
def hostile(
    make_settings: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[TestClient, Engine]]:
    """An index of articles each of which carries one payload in every field."""
    from qa.embedders import load_embedder
    from qa.index import build_index

    folder = tmp_path_factory.mktemp("hostile")
    (folder / "corpus").mkdir()
    articles: list[dict[str, Any]] = [
        {
            "title": f"Titel{n} {payload}",
            "text": f"Sentence{n} begins and {payload} it ends here.\n\nAnother{n} sentence follows {payload} at once.",
            "publisher": f"Outlet{n} {payload}",
            "authors": [f"Writer{n} {payload}"],
            "section": f"Part{n} {payload}",
            "language": f"e{payload}",
            "published_at": "2024-01-02",
            "url": URLS[n % len(URLS)],
        }
        for n, payload in enumerate(PAYLOADS)
    ]
    for n, article in enumerate(articles):
        (folder / "corpus" / f"{n}.json").write_text(json.dumps(article))
    settings = make_settings(folder, answers={"min_confidence": 0.0})
    build_index(settings, load_embedder(settings.embedding, settings.paths.cache, prepare=True))
    engine = Engine.open(settings)
    with TestClient(create_app(engine), base_url=BASE, headers=BROWSER) as client:
        yield client, engine
    engine.close()


def test_hostile_articles_are_text(hostile: tuple[TestClient, Engine]) -> None:
    client, engine = hostile
    assert engine.status().articles >= len(PAYLOADS) - 5
    for article_id in engine.article_ids():
        article = engine.article(article_id).article
        page = get(client, f"/articles/{article_id}", cite="0,1")
        for value in (article.title, article.text, article.publisher, *article.authors, article.section):
            assert value is None or " ".join(value.split()) in page.text
        languages = [attributes["lang"] for tag, attributes in page.elements if "lang" in attributes]
        assert set(languages) <= {"en", "e"}


def test_hostile_sentences_are_text_in_answers(hostile: tuple[TestClient, Engine]) -> None:
    client, _ = hostile
    found = 0
    for n in range(len(PAYLOADS)):
        page = get(client, "/", q=f"Sentence{n} begins Another{n} sentence follows Titel{n}")
        found += bool(page.find("a", class_="chip"))
    assert found > len(PAYLOADS) // 2


@pytest.mark.parametrize("payload", PAYLOADS + URLS)
def test_hostile_questions_are_text(client: TestClient, payload: str) -> None:
    response = client.get("/", params={"q": payload})
    assert response.status_code in (200, 422)
    page = Page(response.text)
    assert " ".join(payload.split()) in page.text or "does not fit" in page.text
    for field in ("from", "to", "outlet"):
        Page(client.get("/", params={"q": "dam", field: payload}).text)
    Page(client.get(f"/articles/{quote(payload, safe='')}").text)


def test_hostile_suggestions_are_text(hostile: tuple[TestClient, Engine]) -> None:
    client, _ = hostile
    assert get(client, "/").find("option")


SOURCES = sorted([*web_folder().rglob("*.html"), *web_folder().rglob("*.js"), *web_folder().rglob("*.css")])


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.name)
def test_nothing_in_the_pages_can_turn_text_into_markup(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for sink in (
        *("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "createContextualFragment"),
        *("eval(", "new Function", 'setTimeout("', "srcdoc", "javascript:", "| safe", "|safe", "autoescape", "Markup"),
        *("<style", " style=", " onclick", " onload", "localStorage", "sendBeacon", "http://", "https://", "url("),
    ):
        assert sink not in text.replace("http://www.w3.org/2000/svg", ""), sink


def test_the_python_side_marks_nothing_safe() -> None:
    source = Path(__file__).parents[1] / "src" / "qa"
    for name in ("pages.py", "site.py", "api.py", "server.py", "problems.py"):
        text = (source / name).read_text(encoding="utf-8")
        assert "Markup" not in text and "autoescape=False" not in text
    assert "autoescape=True" in (source / "pages.py").read_text(encoding="utf-8")


def test_the_pages_stay_small() -> None:
    sizes = {kind: sum(p.stat().st_size for p in web_folder().rglob(f"*.{kind}")) for kind in ("css", "js")}
    assert sizes["css"] <= 15_000 and sizes["js"] <= 25_000


def test_colours_have_contrast() -> None:
    """WCAG AA (4.5 : 1) for every pair of text and ground, in both themes."""
    style = (web_folder() / "static" / "style.css").read_text()
    light, dark = (dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6});", part)) for part in style.split("@media", 2)[:2])
    for colours in (light, {**light, **dark}):
        for ink, ground in [
            *(("ink", "paper"), ("ink", "raised"), ("ink", "mark"), ("muted", "paper"), ("muted", "raised")),
            *(("accent", "paper"), ("accent", "raised"), ("on-accent", "accent")),
        ]:
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(c * 2 for c in colour[1:])
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
