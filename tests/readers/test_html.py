from __future__ import annotations

from pathlib import Path

import pytest

from qa.readers import FileReading, html, parse_file

BODY = "<p>The harbour of Ostermark was closed on Monday, and ships waited outside until the storm had passed.</p>" * 3


def reading_of(head: str = "", body: str = BODY, attributes: str = "") -> FileReading:
    page = f"<html {attributes}><head>{head}</head><body><article>{body}</article></body></html>"
    return parse_file(page.encode(), "desk/a.html")


def test_furniture_is_left_out_and_text_kept() -> None:
    page = Path(__file__).parent.parent / "data" / "articles" / "ferry.html"
    text = parse_file(page.read_bytes(), "a.html").articles[0].text
    for furniture in ("Home", "Harbour", "All rights reserved", "By Ida", "NewsArticle"):
        assert furniture not in text


def test_text_in_the_page_is_never_markup() -> None:
    (article,) = reading_of(
        body="<p>Write &lt;script&gt;alert(1)&lt;/script&gt; in the harbour office.</p>" + BODY
    ).articles
    assert "Write <script>alert(1)</script> in the" in article.text


def test_a_page_without_article_is_an_error() -> None:
    reading = parse_file(
        b"<html><head><title>T</title></head><body><nav><a href='/'>Home</a></nav></body></html>", "a.html"
    )
    assert not reading.articles
    assert reading.problems[0].reason == "no article text found in the page"


def test_body_given_only_as_linked_data_is_used() -> None:
    data = '{"@type": "Article", "headline": "A", "articleBody": "Ships waited outside."}'
    assert (
        reading_of(f'<script type="application/ld+json">{data}</script>', "").articles[0].text
        == "Ships waited outside."
    )


def test_deep_nesting_is_refused_before_text_is_lost() -> None:
    reading = reading_of(body=BODY + "<div>" * 300 + "the end of the story")
    assert "nested more than 255 deep" in reading.problems[0].reason


def test_a_page_of_very_many_elements_is_read_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "_MAX_EXTRACTED", 5)
    reading = reading_of(
        "<title>T</title>", "<nav><p>Home</p></nav>" + BODY + "<ul><li>one</li><li>two</li></ul><script>x</script>"
    )
    assert reading.articles[0].text.startswith("The harbour of Ostermark was closed")
    assert reading.articles[0].text.endswith("- one\n- two")
    assert "Home" not in reading.articles[0].text
    assert "every paragraph is taken" in reading.warnings[0]


def test_a_failing_extractor_costs_one_page(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise AttributeError("inside")

    monkeypatch.setattr("trafilatura.extract", fail)
    assert reading_of().problems[0].reason == "the page cannot be taken apart (AttributeError)"


def test_xml_declaration_and_comments_do_no_harm() -> None:
    page = f"<!-- x --><html><head><title>T</title></head><body>{BODY}<p>Łódź</p></body></html>"
    page = '<?xml version="1.0" encoding="iso-8859-2"?>' + page
    assert "Łódź" in parse_file(page.encode("iso-8859-2"), "a.html").articles[0].text
