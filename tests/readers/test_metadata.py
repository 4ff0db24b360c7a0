from __future__ import annotations

import json

import pytest

from qa.readers import FileReading, parse_file

BODY = "<p>The harbour of Ostermark was closed on Monday, and ships waited outside until the storm had passed.</p>" * 3


def linked(*data: object) -> str:
    return "".join(f'<script type="application/ld+json">{json.dumps(entry)}</script>' for entry in data)


def reading_of(head: str, attributes: str = "", body: str = "") -> FileReading:
    page = f"<html {attributes}><head>{head}</head><body><article>{body}{BODY}</article></body></html>"
    return parse_file(page.encode(), "desk/a.html")


NEWS = {
    "@type": ["ReportageNewsArticle"],
    "headline": "Harbour &amp; quay closed",
    "datePublished": "2026-10-02T08:30:00+01:00",
    "dateModified": "2026-10-03T10:00:00Z",
    "author": {"@type": "Person", "name": "A B"},
    "publisher": {"@type": "Organization", "name": "Wire"},
    "articleSection": ["Sea", "Local"],
    "inLanguage": "en-GB",
    "url": "https://wire.example/1",
}


@pytest.mark.parametrize(
    "data",
    [NEWS, [NEWS], {"@graph": [{"@type": "WebPage"}, NEWS]}, [[{"@graph": [NEWS]}]]],
    ids=["object", "list", "graph", "nested"],
)
def test_linked_data(data: object) -> None:
    reading = reading_of(linked(data))
    (article,) = reading.articles
    assert article.title == "Harbour & quay closed"
    assert article.published_at == "2026-10-02T08:30:00+01:00"
    assert article.modified_at == "2026-10-03T10:00:00+00:00"
    assert (article.authors, article.publisher, article.section, article.language) == (("A B",), "Wire", "Sea", "en")
    assert article.url == "https://wire.example/1"
    assert reading.warnings == ()


def test_linked_articles_of_other_pages_are_not_this_one() -> None:
    other = {**NEWS, "headline": "Other", "url": "https://wire.example/2"}
    data = linked({"@type": "ItemList", "itemListElement": [other]}, other, NEWS)
    (article,) = reading_of('<link rel="canonical" href="https://wire.example/1">' + data).articles
    assert article.title == "Harbour & quay closed"


@pytest.mark.parametrize(
    "source", ["{broken", "[" * 100_000, '{"@type": "NewsArticle",}', ""], ids=["cut", "deep", "comma", "none"]
)
def test_malformed_linked_data_is_a_warning(source: str) -> None:
    reading = reading_of(f'<title>T</title><script type="application/ld+json">{source}</script>')
    assert reading.articles[0].title == "T"
    assert "JSON-LD that is not valid JSON was left out" in reading.warnings[0]


@pytest.mark.parametrize("source", ["<!-- {} -->", "//<![CDATA[\n{}\n//]]>", "{}\n\n"])
def test_wrapped_linked_data_is_read(source: str) -> None:
    data = source.replace("{}", json.dumps(NEWS))
    (article,) = reading_of(f'<script type="application/ld+json">{data}</script>').articles
    assert article.publisher == "Wire"


def test_meta_elements() -> None:
    head = """<title>Harbour closed | Wire</title><meta property="og:title" content="Harbour closed - Wire">
    <meta property="og:site_name" content="Wire"><meta name="author" content="A B and C D">
    <meta property="article:published_time" content="2026-10-02T08:30:00+01:00">
    <meta property="article:modified_time" content="2026-10-02T09:00:00+01:00">
    <meta property="article:section" content="Sea"><meta property="og:url" content="https://wire.example/1">"""
    (article,) = reading_of(head, 'lang="en"').articles
    assert (article.title, article.publisher, article.authors) == ("Harbour closed", "Wire", ("A B", "C D"))
    assert article.published_at == "2026-10-02T08:30:00+01:00"
    assert article.modified_at == "2026-10-02T09:00:00+01:00"
    assert (article.section, article.language, article.url) == ("Sea", "en", "https://wire.example/1")


def test_dublin_core() -> None:
    head = """<meta name="DC.title" content="T">
    <meta name="DC.creator" content="A B"><meta name="DC.creator" content="C D">
    <meta name="DC.date.issued" content="2 October 2026"><meta name="DC.publisher" content="Wire">"""
    (article,) = reading_of(head).articles
    assert (article.title, article.authors, article.published_at) == ("T", ("A B", "C D"), "2026-10-02")
    assert article.publisher == "Wire"


def test_what_the_page_shows_is_the_last_resort() -> None:
    (article,) = reading_of(
        "", body='<h1>Harbour <i>closed</i></h1><time datetime="2026-10-02T08:30Z">Friday</time>'
    ).articles
    assert (article.title, article.published_at) == ("Harbour closed", "2026-10-02T08:30:00+00:00")


def test_relative_canonical_address() -> None:
    head = '<title>T</title><meta property="og:url" content="https://wire.example/x"><link rel="canonical" href="/1">'
    assert reading_of(head).articles[0].url == "https://wire.example/1"


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", "/1", "https://[bad/"])
def test_unsafe_address_is_left_out(address: str) -> None:
    reading = reading_of(f'<title>T</title><link rel="canonical" href="{address}">')
    assert reading.articles[0].url is None
    assert "not an http(s) address" in reading.warnings[0]
