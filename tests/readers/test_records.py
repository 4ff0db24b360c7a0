from __future__ import annotations

import json

import pytest

from qa.readers import FileReading, parse_file


def reading_of(*records: object, suffix: str = "jsonl") -> FileReading:
    return parse_file("\n".join(json.dumps(record) for record in records).encode(), f"desk/a.{suffix}")


def test_bad_records_are_named_by_line_and_the_others_read() -> None:
    lines = [
        '{"text": "One.", "title": "A"}',
        "{not json",
        "",
        "[1]",
        '{"title": "no text"}',
        '{"text": "Two.", "title": "B"}',
    ]
    reading = parse_file("\n".join(lines).encode(), "desk/a.jsonl")
    assert [article.text for article in reading.articles] == ["One.", "Two."]
    assert [str(problem).split(" (")[0] for problem in reading.problems] == [
        "desk/a.jsonl:2: not valid JSON: Expecting property name enclosed in double quotes",
        "desk/a.jsonl:4: a record must be an object, not a list",
        "desk/a.jsonl:5: no text",
    ]


def test_list_in_a_document() -> None:
    text = '[\n{"text": "One.", "title": "A"},\n\n7,\n{"text": "Two.", "title": "B"}\n]'
    reading = parse_file(text.encode(), "a.json")
    assert [article.text for article in reading.articles] == ["One.", "Two."]
    assert [(problem.line, problem.reason) for problem in reading.problems] == [
        (4, "a record must be an object, not a number")
    ]


def test_cut_list_gives_what_stands_before_the_cut() -> None:
    reading = parse_file(b'[{"text": "One."},\n{"text": "Two."},\n{"text": "Thr', "a.json")
    assert [article.text for article in reading.articles] == ["One.", "Two."]
    assert reading.problems[0].line == 3
    assert "the rest of the file is not read" in reading.problems[0].reason
    assert "not closed" in parse_file(b'[{"text": "One."}', "a.json").problems[0].reason


@pytest.mark.parametrize("key", ["articles", "results", "data"])
def test_list_within_an_object(key: str) -> None:
    reading = reading_of({"status": "ok", key: [{"text": "One."}, {"text": "Two."}]}, suffix="json")
    assert [article.text for article in reading.articles] == ["One.", "Two."]


def test_lines_under_the_name_of_a_document_and_the_reverse() -> None:
    assert len(reading_of({"text": "One."}, {"text": "Two."}, suffix="json").articles) == 2
    assert len(reading_of([{"text": "One."}, {"text": "Two."}], suffix="jsonl").articles) == 2


def test_line_separators_within_strings_do_not_cut_records() -> None:
    reading = parse_file('{"title": "A", "text": "One\u2028two\u0085three"}'.encode(), "a.jsonl")
    assert reading.articles[0].text.split() == ["One", "two", "three"]


def test_paragraphs_given_by_single_line_breaks() -> None:
    long = "This line is a paragraph, as news archives often give it, and goes well beyond what anyone would wrap. " * 2
    (article,) = reading_of({"title": "A", "text": f"{long}\n{long}"}).articles
    assert article.text == f"{long.strip()}\n\n{long.strip()}"


def test_a_number_of_thousands_of_digits_costs_only_itself() -> None:
    reading = parse_file(b'{"title": "A", "text": "One.", "date": ' + b"9" * 10_000 + b"}", "a.json")
    assert reading.articles[0].published_at is None
    assert "publication date not understood" in reading.warnings[0]


def test_a_key_given_twice_is_a_warning() -> None:
    reading = parse_file(b'{"title": "A", "text": "One.", "text": "Two."}', "a.json")
    assert reading.articles[0].text == "Two."
    assert "gives a key twice" in reading.warnings[0]


def test_ids_come_from_the_record_then_the_address_then_the_file() -> None:
    def ids(*records: dict[str, str], suffix: str = "jsonl") -> list[str]:
        return [
            article.id
            for article in reading_of(*({"text": "T.", **record} for record in records), suffix=suffix).articles
        ]

    named = {"id": "7", "source": "Wire", "title": "A"}
    assert ids(named) == ids({**named, "title": "B", "url": "https://x.example/1"})
    assert ids(named) != ids({**named, "source": "Ledger"})
    assert ids({"url": "https://x.example/1?utm_source=a#top"}) == ids({"url": "http://X.example/1/", "title": "B"})
    assert ids({"url": "https://x.example/1"}) != ids({"url": "https://x.example/2"})
    assert ids({"title": "A"}, {"title": "B"}) == ids({"title": "B"}, {"title": "A"})[::-1]
    assert len(set(ids({"title": "A"}, {"title": "B"}))) == 2
    assert ids({"title": "A"}, {"title": "B"}) == ids({"title": "A", "text": "Edited."}, {"title": "B"})
    assert ids({"title": "A"}, suffix="json") == ids({"title": "B"}, suffix="json"), "one article: the file names it"


def test_records_of_one_title_are_told_apart_in_any_order() -> None:
    first, second = {"title": "Briefs", "text": "One."}, {"title": "Briefs", "text": "Two."}
    forward, backward = reading_of(first, second).articles, reading_of(second, first).articles
    assert [article.id for article in forward] == [article.id for article in backward][::-1]
    assert forward[0].id != forward[1].id


def test_many_problems_are_counted() -> None:
    reading = parse_file(b"x\n" * 500, "a.jsonl")
    assert len(reading.problems) == 101
    assert reading.problems[-1].reason == "400 more records cannot be read"
    reading = parse_file(b'{"text": "x"}\n' * 500, "a.jsonl")
    assert reading.warnings[-1] == "a.jsonl: 400 more warnings"
