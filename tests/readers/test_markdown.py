from __future__ import annotations

import pytest

from qa.readers import FileReading, parse_file
from qa.types import Article


def reading_of(text: str) -> FileReading:
    return parse_file(text.encode(), "desk/a.md")


def article_of(text: str) -> Article:
    (article,) = reading_of(text).articles
    return article


@pytest.mark.parametrize(
    ("source", "plain"),
    [
        ("A *b* **c** _d_ __e__ `f` ~~g~~", "A b c d e f g"),
        ("See [the *list*](http://x.example/a_b 'T') and <https://y.example>.", "See the list and https://y.example."),
        ("[ref][1] here\n\n[1]: http://x.example", "ref here"),
        ("A ![photo](p.png) b", "A  b"),
        ("## Part\n\nText", "Part\n\nText"),
        ("Part\n----\nText", "Part\n\nText"),
        ("one\ntwo", "one two"),
        ("one\\\ntwo", "one\ntwo"),
        ("* a\n* b\n\nc", "- a\n- b\n\nc"),
        ("1. a\n2. b", "- a\n- b"),
        ("- a\n\n  more of a\n- b\n  - c", "- a\n\nmore of a\n\n- b\n- c"),
        ("> said *she*\n> twice\n\nc", "said she twice\n\nc"),
        ("a\n\n```\ncode()\n```\n\nb", "a\n\nb"),
        ("a\n\n    indented by accident\n\nb", "a\n\nindented by accident\n\nb"),
        ("a <!-- b --> c", "a  c"),
        ("a\n\n<!-- b\n\nc -->\n\nd", "a\n\nd"),
        ("<div class='x'>\n<b>kept</b>\n</div>\n\n<script>gone()</script>", "kept"),
        ("a\n\n---\n\nb", "a\n\nb"),
        ("AT&amp;T 5 &lt; 6 \\*no\\*", "AT&T 5 < 6 *no*"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a | b\n\n1 | 2"),
        ("3 * 4 * 5 and snake_case_name", "3 * 4 * 5 and snake_case_name"),
        ("<script>alert(1)</script> x", "x"),
    ],
)
def test_marks_are_stripped(source: str, plain: str) -> None:
    assert article_of(f"---\ntitle: T\n---\n{source}\n").text.replace("  ", " ") == plain.replace("  ", " ")


def test_first_heading_is_the_title() -> None:
    article = article_of("# Bridge *reopens*\n\nTraffic flows.")
    assert (article.title, article.text) == ("Bridge reopens", "Traffic flows.")


def test_front_matter_title_wins_and_a_different_heading_stays() -> None:
    article = article_of("---\ntitle: Bridge reopens\n---\n# Day one\n\nTraffic flows.")
    assert (article.title, article.text) == ("Bridge reopens", "Day one\n\nTraffic flows.")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2015-05-19", "2015-05-19"),
        ("2015-05-19T08:30:00+01:00", "2015-05-19T08:30:00+01:00"),
        ("2015-05-19 08:30:00 +01:00", "2015-05-19T08:30:00+01:00"),
        ("2015-05-19T08:30:00Z", "2015-05-19T08:30:00+00:00"),
        ("19 May 2015", "2015-05-19"),
        ("'2015-05-19'", "2015-05-19"),
        ("2015-13-45", None),
    ],
)
def test_dates_keep_their_zone(written: str, read: str | None) -> None:
    assert article_of(f"---\ntitle: T\ndate: {written}\n---\nText.").published_at == read


def test_front_matter_values_stay_as_written() -> None:
    article = article_of("---\ntitle: 2020\nlanguage: no\nsource: {name: Wire}\nauthor: [{name: A B}, C D]\n---\nText.")
    assert (article.title, article.language, article.publisher, article.authors) == (
        "2020",
        "no",
        "Wire",
        ("A B", "C D"),
    )


def test_a_colon_in_the_title_is_forgiven() -> None:
    reading = reading_of("---\ntitle: Bridge: the end\ndate: 2015-05-19\n---\nText.")
    assert reading.articles[0].title == "Bridge: the end"
    assert reading.articles[0].published_at == "2015-05-19"
    assert "front matter is not YAML" in reading.warnings[0]


def test_unclosed_front_matter_is_text_with_a_warning() -> None:
    reading = reading_of("---\ntitle: Bridge\n\nText.")
    assert "Text." in reading.articles[0].text
    assert "not closed" in reading.warnings[0]


def test_front_matter_makes_no_objects() -> None:
    reading = reading_of("---\ntitle: !!python/object/apply:os.system ['touch /tmp/x']\n---\nText.")
    assert reading.articles[0].text == "Text."


def test_a_flood_of_marks_is_refused() -> None:
    assert "Markdown marks" in reading_of("[" * 60_000).problems[0].reason


def test_only_front_matter_is_no_article() -> None:
    assert reading_of("---\ntitle: T\n---\n").problems[0].reason == "no text"
