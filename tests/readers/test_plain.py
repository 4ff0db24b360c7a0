from __future__ import annotations

import pytest

from qa.readers import FileReading, parse_file
from qa.types import Article


def reading_of(text: str) -> FileReading:
    return parse_file(text.encode(), "desk/a.txt")


def article_of(text: str) -> Article:
    (article,) = reading_of(text).articles
    return article


def test_headline_and_body() -> None:
    article = article_of("Bridge reopens\n\nTraffic flows again.")
    assert (article.title, article.text) == ("Bridge reopens", "Traffic flows again.")
    assert (article.source_format, article.source_path) == ("text", "desk/a.txt")


def test_header_lines() -> None:
    article = article_of(
        "Bridge reopens\nSource: The Ledger\nPublished: 19 May 2015\nmodified: 2015-05-20\nAuthors: A B; C D\n"
        "url:https://ledger.example/1\nCategory: Roads\nLanguage: en-GB\n\nTraffic flows again."
    )
    assert article.publisher == "The Ledger"
    assert (article.published_at, article.modified_at) == ("2015-05-19", "2015-05-20")
    assert article.authors == ("A B", "C D")
    assert article.url == "https://ledger.example/1"
    assert (article.section, article.language) == ("Roads", "en")
    assert article.text == "Traffic flows again."


@pytest.mark.parametrize(
    "body",
    [
        "Note: this is no header.\n\nTraffic flows.",
        "Bridge: the story so far.",
        "Traffic flows.\n\nDate: nobody knows.",
        "Title: a play in one act.",
    ],
)
def test_other_lines_are_text(body: str) -> None:
    assert article_of(f"Bridge reopens\n{body}").text == body


def test_headline_directly_above_long_lines() -> None:
    first = (
        "The project organised a meeting on November 3rd in Tirana, and many people came to listen to it for hours. "
        * 2
    )
    second = (
        "It was the third of its kind, and it served to share what each of the services had learned from attacks. " * 2
    )
    article = article_of(f"Chiefs meet in Tirana to talk about threats\n{first}\n{second}")
    assert article.title == "Chiefs meet in Tirana to talk about threats"
    assert article.text == f"{first.strip()}\n\n{second.strip()}"


@pytest.mark.parametrize(
    ("head", "title", "section"),
    [
        (
            "All news\n19 May 2015\n\nMeeting sets the course for security\n\n",
            "Meeting sets the course for security",
            "All news",
        ),
        ("19 May 2015\n\nMeeting sets the course\n\n", "Meeting sets the course", None),
        ("May 19, 2015\nMeeting sets the course\n\n", "Meeting sets the course", None),
        ("Meeting sets the course\n19 May 2015\n\n", "Meeting sets the course", None),
        ("Meeting sets course\nTuesday, 19 May 2015\n", "Meeting sets course", None),
        ("Meeting sets the course\n\n19 May 2015\n\n", "Meeting sets the course", None),
        ("News\n2015-05-19\n\nMeeting sets the course\nOutlet: Wire\n\n", "Meeting sets the course", "News"),
    ],
)
def test_a_date_line_at_the_top_is_the_date(head: str, title: str, section: str | None) -> None:
    article = article_of(head + "BUCHAREST – Officials have gathered.\n\nThey stay three days.")
    assert article.title == title
    assert article.section == section
    assert article.published_at == "2015-05-19"
    assert article.text == "BUCHAREST – Officials have gathered.\n\nThey stay three days."


def test_a_header_date_wins_over_a_date_line() -> None:
    assert article_of("19 May 2015\nHead of it\nDate: 2015-05-18\n\nText.").published_at == "2015-05-18"


@pytest.mark.parametrize("text", ["Only one line of text.", "w " * 400 + ".\n\nMore."])
def test_text_without_headline_loses_nothing(text: str) -> None:
    reading = reading_of(text)
    assert reading.articles[0].text == text.strip()
    assert "no title; its first words are used" in reading.warnings[0]
    assert len(reading.articles[0].title) <= 120


def test_headers_without_body_are_no_article() -> None:
    reading = reading_of("Bridge reopens\nDate: 2015-05-19\n")
    assert str(reading.problems[0]) == "desk/a.txt: no text"


def test_a_date_that_cannot_be_read_is_a_warning() -> None:
    reading = reading_of("Bridge reopens\nDate: 05/06/2015\n\nText.")
    assert reading.articles[0].published_at is None
    assert "publication date not understood, left out: '05/06/2015'" in reading.warnings[0]
