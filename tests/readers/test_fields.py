from __future__ import annotations

import pytest

from qa.readers.fields import field_of, from_mapping, split_byline


@pytest.mark.parametrize(
    ("key", "field"),
    [
        *(
            ("headline", "title"),
            ("Body", "text"),
            ("article_text", "text"),
            ("mainText", "text"),
            ("article-id", "record_id"),
        ),
        *(("datePublished", "published"), ("date_publish", "published"), ("publish_date", "published")),
        *(("dateModified", "modified"), ("outlet", "publisher"), ("source_name", "publisher"), ("byline", "authors")),
        *(("link", "url"), ("canonical_url", "canonical_url"), ("category", "section"), ("lang", "language")),
        *(("keywords", None), ("", None), ("title" * 99, None)),
    ],
)
def test_field_of(key: str, field: str | None) -> None:
    assert field_of(key) == field


def test_the_better_name_wins_whatever_the_order() -> None:
    for record in ({"content": "cut…", "text": "Whole."}, {"text": "Whole.", "content": "cut…"}):
        assert from_mapping(record).text == "Whole."
    assert from_mapping({"published_at": "", "date": "2015-05-19"}).published == "2015-05-19"


def test_shapes_of_values() -> None:
    raw = from_mapping(
        {"source": {"id": None, "name": "Wire"}, "id": 7, "author": [{"name": "A B"}, "By C D", {}, 5.5, None]}
        | {"text": ["One.", 2, "Two."], "section": ["Sea", "Land"], "_id": {"$oid": "x"}, "url": True}
    )
    assert (raw.publisher, raw.record_id, raw.authors, raw.section) == ("Wire", "7", ("A B", "C D"), "Sea")
    assert raw.text == "One.\n\nTwo."
    assert raw.url is None


@pytest.mark.parametrize(
    ("byline", "names"),
    [
        ("By Jane Doe", ("Jane Doe",)),
        ("BY JANE DOE AND JOHN ROE", ("JANE DOE", "JOHN ROE")),
        ("Jane Doe, John Roe and Max Moe", ("Jane Doe", "John Roe", "Max Moe")),
        ("Jane Doe, John Roe, and Max Moe", ("Jane Doe", "John Roe", "Max Moe")),
        ("Jane Doe; Roe, John", ("Jane Doe", "Roe, John")),
        ("Doe, Jane", ("Doe, Jane",)),
        ("Anders Bysted & Andy Sand", ("Anders Bysted", "Andy Sand")),
        ("Byron Anderson", ("Byron Anderson",)),
        ("José Ortega y Gasset", ("José Ortega y Gasset",)),
        ("  ", ()),
    ],
)
def test_split_byline(byline: str, names: tuple[str, ...]) -> None:
    assert split_byline(byline) == names
