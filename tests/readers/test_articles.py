from __future__ import annotations

import re

import pytest

from qa.errors import ReaderError
from qa.readers.articles import MAX_TEXT, article_id, make_article, safe_url
from qa.readers.fields import RawArticle
from qa.readers.notes import collect_warnings


@pytest.mark.parametrize("url", ["https://a.example/b?c=d#e", "http://a.example:8080/", "https://münchen.example/ü"])
def test_safe_url_keeps_web_addresses(url: str) -> None:
    assert safe_url(f" {url} ") == url


@pytest.mark.parametrize(
    "url",
    [
        *(
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            "//a.example",
        ),
        *(
            "a.example",
            "https://",
            "https://user@a.example",
            "https://a.example@b.example",
            "https://a.example/<script>",
        ),
        *('https://a.example/"x', "https://a.example/\u202etxt", "https://a.example/a b", "java\nscript:alert(1)", ""),
        *("https://[bad", "https://a.example:99999999/", "https://a.example/" + "x" * 3000, "https:\\\\a.example"),
    ],
)
def test_safe_url_refuses_the_rest(url: str) -> None:
    assert safe_url(url) is None


def test_ids_are_hashes_of_tagged_parts() -> None:
    assert re.fullmatch("a_[0-9a-f]{16}", article_id("path", "../../etc/passwd"))
    assert article_id("path", "x") != article_id("url", "x")
    assert article_id("record", "ab", "c") != article_id("record", "a", "bc")
    assert article_id("path", "desk/a.txt") == "a_a21c1ffd8b00c0d5"


def test_everything_is_normalised() -> None:
    raw = RawArticle(
        title="  A\n\u202eB ",
        text="x\r\n\r\n\r\ny",
        publisher="The\u200b Wire",
        authors=("A  B", "A B", "", "https://x.example/me"),
        section="Se\u0301a\x07",
        language="EN_us",
        url="ftp://x.example",
        canonical_url="https://x.example/1",
    )
    with collect_warnings() as warnings:
        article = make_article(raw, "a.txt", "text")
    assert (article.title, article.text, article.publisher) == ("A B", "x\n\ny", "The Wire")
    assert (article.authors, article.section, article.language) == (("A B",), "Séa", "en")
    assert article.url == "https://x.example/1"
    assert warnings == ["a.txt: not an http(s) address, left out: 'ftp://x.example'"]


def test_text_is_required_and_bounded() -> None:
    with pytest.raises(ReaderError, match=r"a\.jsonl:3: no text"):
        make_article(RawArticle(title="T", text=" \u200b\n"), "a.jsonl", "jsonl", 3)
    with pytest.raises(ReaderError, match="longer than 1,000,000 characters"):
        make_article(RawArticle(title="T", text="x" * (MAX_TEXT + 1)), "a.txt", "text")


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("The bridge reopened. Cars came.", "The bridge reopened."),
        ("The bridge\nreopened", "The bridge"),
        ("word " * 60, "word " * 22 + "word…"),
    ],
)
def test_missing_title_is_taken_from_the_text(text: str, title: str) -> None:
    with collect_warnings() as warnings:
        article = make_article(RawArticle(text=text), "a.txt", "text")
    assert article.title == title
    assert "no title" in warnings[0]


def test_warnings_go_to_the_log_when_nobody_collects_them(caplog: pytest.LogCaptureFixture) -> None:
    make_article(RawArticle(text="x", title="T", language="klingon, mostly"), "a.txt", "text", 4)
    assert caplog.messages == ["a.txt:4: language not understood, left out: 'klingon, mostly'; write it as en"]
    assert caplog.records[0].name == "qa.readers"
