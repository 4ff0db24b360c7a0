"""The catalog gives back what was stored; removing leaves nothing; damage is named."""

from __future__ import annotations

import sqlite3
import threading
from datetime import date
from pathlib import Path

import pytest

from qa.catalog import Catalog, ChunkedArticle, FileRecord, chunk_id
from qa.errors import ArticleNotFound, IndexDamaged
from qa.types import Article, Chunk, Filters, Sentence

TEXT = "Über 90 Häuser. \U0001f6a2 Two ferries sank.\n\nNo one died."
SPANS = [(0, 15), (16, 35), (37, 49)]


def chunked(article_id: str, **fields: object) -> ChunkedArticle:
    article = Article(article_id, f"Title {article_id}", TEXT, **fields)  # type: ignore[arg-type]
    sentences = [Sentence(article_id, i, s, e, TEXT[s:e]) for i, (s, e) in enumerate(SPANS)]
    chunks = [
        Chunk(chunk_id(article_id, 0), article_id, 0, 2, 0, 35, 9),
        Chunk(chunk_id(article_id, 2), article_id, 2, 3, 37, 49, 4),
    ]
    return ChunkedArticle(article, sentences, chunks)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    made = Catalog.create(tmp_path / "catalog.sqlite")
    made.put(chunked("a_1", publisher="River Post", published_at="2024-03-04", authors=("Ines Calder", "Bo")))
    made.put(chunked("a_2", publisher="Coast Courier", published_at="2024-05-21T17:45:00+02:00", language="en"))
    made.put(chunked("a_3", section="Weather"))
    return made


def test_an_article_comes_back_equal(catalog: Catalog) -> None:
    expected = chunked("a_1", publisher="River Post", published_at="2024-03-04", authors=("Ines Calder", "Bo")).article
    assert catalog.article("a_1") == expected


def test_sentences_are_slices_in_code_points(catalog: Catalog) -> None:
    sentences = catalog.sentences(catalog.article("a_2"))
    assert [s.text for s in sentences] == ["Über 90 Häuser.", "\U0001f6a2 Two ferries sank.", "No one died."]
    assert [s.text for s in catalog.sentences(catalog.article("a_2"), 1, 2)] == ["\U0001f6a2 Two ferries sank."]


def test_chunks_come_with_their_articles(catalog: Catalog) -> None:
    wanted = chunk_id("a_3", 2)
    ((chunk, article),) = catalog.chunks([wanted]).values()
    assert (chunk, article.id) == (Chunk(wanted, "a_3", 2, 3, 37, 49, 4), "a_3")


def test_an_unknown_chunk_is_damage(catalog: Catalog) -> None:
    with pytest.raises(IndexDamaged, match="does not know chunk 5"):
        catalog.chunks([5])


def test_removing_leaves_nothing(catalog: Catalog) -> None:
    assert sorted(catalog.remove("a_2")) == sorted([chunk_id("a_2", 0), chunk_id("a_2", 2)])
    assert catalog.counts() == {"articles": 2, "sentences": 6, "passages": 4, "files": 0}
    with pytest.raises(ArticleNotFound, match="a_2"):
        catalog.article("a_2")
    assert catalog.remove("a_2") == []


def test_putting_again_replaces(catalog: Catalog) -> None:
    catalog.put(chunked("a_1", publisher="Other"))
    assert catalog.article("a_1").publisher == "Other"
    assert catalog.counts()["sentences"] == 9


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), {"a_1", "a_2", "a_3"}),
        (Filters(published_from="2024-03-04"), {"a_1", "a_2"}),
        (Filters(published_from="2024-03-05"), {"a_2"}),
        (Filters(published_to="2024-05-21"), {"a_1", "a_2"}),
        (Filters(published_to="2024-05-20"), {"a_1"}),
        (Filters(publishers=("river POST",)), {"a_1"}),
        (Filters(sections=("weather",), publishers=("River Post",)), set()),
        (Filters(languages=("EN",)), {"a_2"}),
        (Filters(article_ids=("a_3", "a_9")), {"a_3"}),
    ],
    ids=str,
)
def test_filters_choose_articles(catalog: Catalog, filters: Filters, expected: set[str]) -> None:
    assert catalog.chunk_ids(filters).tolist() == sorted(chunk_id(a, first) for a in expected for first in (0, 2))


def test_every_chunk_has_the_day_of_its_article(catalog: Catalog) -> None:
    catalog.put(chunked("a_4", published_at="about noon"))
    ids, days = catalog.chunk_days()
    expected = {"a_1": date(2024, 3, 4).toordinal(), "a_2": date(2024, 5, 21).toordinal(), "a_3": 0, "a_4": 0}
    assert dict(zip(ids.tolist(), days.tolist(), strict=True)) == {
        chunk_id(article, first): day for article, day in expected.items() for first in (0, 2)
    }
    assert ids.tolist() == sorted(ids.tolist())


def test_files_come_back_equal(catalog: Catalog) -> None:
    records = [
        FileRecord("a.md", "00", (("a_1", "ff", "2024"),), (), ("no date",)),
        FileRecord("b.jsonl", "01", (), ((3, "no text"), (None, "binary")), ()),
    ]
    catalog.put_files(records)
    assert list(catalog.files().values()) == records


def test_facts_for_the_header(catalog: Catalog) -> None:
    assert catalog.date_range() == ("2024-03-04", "2024-05-21")
    assert catalog.publishers() == ("Coast Courier", "River Post")
    assert [a.id for a in catalog.newest(2)] == ["a_2", "a_1"]


def test_a_sealed_catalog_is_read_from_any_thread_and_never_written(catalog: Catalog, tmp_path: Path) -> None:
    catalog.close()
    sealed = Catalog.open(tmp_path / "catalog.sqlite")
    titles: list[str] = []
    threads = [threading.Thread(target=lambda: titles.append(sealed.article("a_1").title)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert titles == ["Title a_1"] * 4
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        sealed.remove("a_1")
    sealed.close()
    assert [p.name for p in tmp_path.iterdir()] == ["catalog.sqlite"]


def test_a_whole_article_passes_the_check(catalog: Catalog) -> None:
    for article_id in catalog.article_ids():
        catalog.check_article(article_id)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("UPDATE articles SET text = replace(text, 'died', 'dies')", "not what was indexed"),
        ("UPDATE sentences SET start = start + 1 WHERE position = 1", "sentence 1 does not fit"),
        ('UPDATE sentences SET "end" = 36 WHERE position = 1', "sentence 1 does not fit"),
        ("DELETE FROM sentences WHERE position = 2", "do not cover"),
        ("UPDATE chunks SET start = 1 WHERE first = 0", "chunk of sentences 0 to 2 does not fit"),
        ("DELETE FROM chunks WHERE first = 0", "2 sentences are in no chunk"),
    ],
)
def test_what_does_not_fit_is_named(catalog: Catalog, tmp_path: Path, damage: str, message: str) -> None:
    catalog.close()
    connection = sqlite3.connect(tmp_path / "catalog.sqlite")
    connection.execute(damage)
    connection.commit()
    connection.close()
    with pytest.raises(IndexDamaged, match=message):
        Catalog.open(tmp_path / "catalog.sqlite").check_article("a_1")


def test_chunk_ids_come_from_content() -> None:
    assert chunk_id("a_1", 0) == chunk_id("a_1", 0) != chunk_id("a_1", 1)
    assert 0 <= chunk_id("a_1", 0) < 1 << 63
