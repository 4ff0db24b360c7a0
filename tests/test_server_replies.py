"""The pure part between the engine and the contract: links, ids, dates."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa.engine import ArticleView, IndexStatus
from qa.pages import Pages, paragraphs, readable_date, readable_time
from qa.replies import article_reply, article_url, new_id, original_url, safe_url
from qa.resources import web_folder
from qa.settings import ServerSettings
from qa.types import Article, Sentence

PAGE = "https://news.example/a"


def original(url: str | None, text: str, sentence: str) -> str | None:
    start = text.index(sentence)
    return original_url(Article("a_1", "T", text, url=url), start, start + len(sentence))


def test_the_original_is_opened_at_the_sentence() -> None:
    assert original(PAGE, "Rates rose. They fell.", "They fell.") == f"{PAGE}#:~:text=They%20fell."


def test_a_sentence_that_cannot_be_told_from_its_equals_is_not_marked() -> None:
    assert original(PAGE, "x\n\nNo.\n\nNo.\n\nNo.\n\nNo.\n\nNo.", "No.\n\nNo.\n\nNo.") is not None
    text = "\n\n".join(["No."] * 5)
    assert original_url(Article("a_1", "T", text, url=f"{PAGE}#part"), 10, 13) == f"{PAGE}#part"


@pytest.mark.parametrize(
    ("url", "start"),
    [
        (f"{PAGE}#part", f"{PAGE}#part:~:text="),
        (f"{PAGE}#", f"{PAGE}#:~:text="),
        (f"{PAGE}#:~:text=old", f"{PAGE}#:~:text="),
        (f"{PAGE}?a=1&b=2", f"{PAGE}?a=1&b=2#:~:text="),
    ],
)
def test_fragments_of_the_publisher_are_kept(url: str, start: str) -> None:
    assert original(url, "x y", "x y") == f"{start}x%20y"


UNSAFE = [
    *(
        None,
        "",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " javascript:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,x",
    ),
    *(
        "vbscript:x",
        "file:///etc/passwd",
        "//evil.example",
        "/local",
        "local",
        "http:",
        "http://",
        "https:///x",
        "ftp://x.example",
    ),
    *(
        "http://exa mple.com",
        "http://a.example/\u202egpj",
        "http://a.example/\x00",
        "\x01http://a.example",
        "http://[::1",
        "http:evil",
    ),
    *(
        "https:\\\\evil.example",
        "blob:http://a.example/x",
        "http://a.example/\n",
        "view-source:http://a.example",
        "about:blank",
    ),
]


@pytest.mark.parametrize("url", UNSAFE)
def test_only_web_addresses_are_links(url: str | None) -> None:
    assert safe_url(url) is None and original(url, "x", "x") is None


@given(st.text(max_size=60) | st.text(max_size=40).map(lambda t: "http://" + t))
def test_what_is_a_link_is_a_web_address(url: str) -> None:
    safe = safe_url(url)
    if safe is not None:
        assert safe == url and urlsplit(safe).scheme in ("http", "https") and urlsplit(safe).hostname


@pytest.mark.parametrize("url", UNSAFE)
def test_a_stored_article_with_such_an_address_has_no_link(url: str | None) -> None:
    """Readers drop these addresses too; an index may come from elsewhere."""
    article = Article("a_1", "T", "A b.", url=url)
    view = ArticleView(article, (Sentence("a_1", 0, 0, 4, "A b."),), 1)
    assert article_reply(view).url is None
    pages = Pages(web_folder(), ServerSettings())
    for cite in ("", "0"):
        page = bytes(pages.article(IndexStatus("ready", None), view, cite).body).decode()
        assert "Open the original" not in page


def test_addresses_that_are_links() -> None:
    for url in (
        PAGE,
        "HTTP://A.example",
        "https://a.example:8443/x?y=<z>#q",
        "http://[::1]/x",
        "https://müller.example/ä",
    ):
        assert safe_url(url) == url


def test_article_links_are_escaped() -> None:
    assert article_url("a_1") == "/articles/a_1"
    assert article_url("a/b?c#d%", 3) == "/articles/a%2Fb%3Fc%23d%25#s3"


def test_ids_sort_by_time_and_differ() -> None:
    made = [new_id("x_") for _ in range(2000)]
    assert len(set(made)) == 2000 and [i[:12] for i in made] == sorted(i[:12] for i in made)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("2026-10-02T08:30:00+01:00", "2 October 2026, 08:30"),
        ("2026-10-02", "2 October 2026"),
        ("2026-10-02 08:30", "2 October 2026, 08:30"),
        ("2026-13-02", "2026-13-02"),
        ("in spring", "in spring"),
        (None, ""),
    ],
)
def test_dates_are_shown_as_the_source_gave_them(value: str | None, shown: str) -> None:
    assert readable_date(value) == shown


def test_text_outside_sentences_is_shown_too() -> None:
    text = "* * *\n\nA b. – \n\nThe end"
    sentence = Sentence("a", 0, 7, 11, "A b.")
    shown = [[piece.text for piece in pieces] for pieces in paragraphs(text, [sentence], ())]
    assert shown == [["* * *"], ["A b.", " – "], ["The end"]]


def test_times() -> None:
    assert (readable_time(4.2), readable_time(999), readable_time(1234)) == ("4 ms", "999 ms", "1.23 s")


@given(
    st.lists(
        st.tuples(st.sampled_from(["A b.", "😀 c.", "«D»", "e"]), st.sampled_from([" ", "\n\n", "\n", "", "\n\n\n\n"]))
    )
)
def test_paragraphs_lose_nothing(parts: list[tuple[str, str]]) -> None:
    text = "".join(sentence + between for sentence, between in parts)
    sentences, at = [], 0
    for index, (sentence, between) in enumerate(parts):
        sentences.append(Sentence("a", index, at, at + len(sentence), sentence))
        at += len(sentence) + len(between)
    found = paragraphs(text, sentences, {0})
    pieces = [piece for paragraph in found for piece in paragraph]
    assert [piece.text for piece in pieces if piece.index is not None] == [sentence for sentence, _ in parts]
    assert "".join(piece.text for piece in pieces).split() == text.replace("\n\n", "").split() or "\n\n" in text
    assert len(found) <= 1 + text.count("\n\n")
    assert [piece.index for piece in pieces if piece.cited] == [0][: len(parts)]
