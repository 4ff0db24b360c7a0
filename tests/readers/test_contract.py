"""What every reader promises: the same story gives the same article, and no bytes whatever raise anything else."""

from __future__ import annotations

import codecs
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qa.errors import ReaderError
from qa.readers import READER_VERSION, READERS, FileReading, parse_file
from qa.types import Article

ARTICLES = Path(__file__).parent.parent / "data" / "articles"
FORMATS = ["txt", "md", "html", "json", "jsonl"]
ALL_SUFFIXES = {".txt", ".text", ".md", ".markdown", ".html", ".htm", ".json", ".jsonl", ".ndjson"}

TITLE = "Night ferry to Ostermark resumes after 40 days"
TEXT = """\
VARNHAVEN — The night ferry to Ostermark sailed again on Monday, 40 days after a fire in its engine room.

“We have tested every valve twice,” said Capt. Réka Lund, who has commanded the ship since 2019. \
The repair cost 2.3 million euros.

The company names three changes:

- a second crew for the engine room
- new smoke detectors on all decks

Tickets cost the same as before."""

BODY = "The harbour of Ostermark was closed on Monday. Ships waited outside."


def wrap(suffix: str, text: str) -> str:
    """A small article with `text` in it, in the format of `suffix`."""
    if suffix == "html":
        return f"<html><head><title>Harbour closed</title></head><body><article><p>{text}</p></article></body></html>"
    if suffix in ("json", "jsonl"):
        return '{"title": "Harbour closed", "text": "' + text.replace("\n", "\\n") + '"}'
    return ("# " if suffix == "md" else "") + f"Harbour closed\n\n{text}\n"


def read(suffix: str, data: bytes) -> FileReading:
    """Read straight through the reader: whatever it raises besides `ReaderError` fails the test."""
    entries: list[Article | ReaderError] = []
    try:
        entries.extend(READERS[f".{suffix}"].read(data, f"desk/a.{suffix}"))
    except ReaderError as error:
        entries.append(error)
    assert entries, "a file gives an article or a reason"
    for entry in entries:
        if isinstance(entry, Article):
            check(entry)
        else:
            assert entry.reason
            assert entry.path == f"desk/a.{suffix}"
    articles = tuple(entry for entry in entries if isinstance(entry, Article))
    return FileReading("", articles, tuple(entry for entry in entries if isinstance(entry, ReaderError)))


def check(article: Article) -> None:
    assert article.text.strip() == article.text != ""
    assert article.title.strip() == article.title != ""
    assert "\n" not in article.title
    for text in (article.title, article.text, article.publisher or "", article.section or "", *article.authors):
        assert unicodedata.is_normalized("NFC", text)
        assert not [char for char in text if char != "\n" and unicodedata.category(char) in ("Cc", "Cs")]
        assert not set(text) & {"\u202e", "\u2066", "\u200b", "\ufeff", "\xa0", "\U000e0041"}
    assert article.url is None or article.url.startswith(("http://", "https://"))
    assert len(article.id) == 18 and article.id.startswith("a_")
    assert article.content_sha256  # Encodes every field as UTF-8.


def test_formats_are_all_known() -> None:
    assert set(READERS) == ALL_SUFFIXES
    assert all(suffix in reader.suffixes for suffix, reader in READERS.items())
    assert READER_VERSION


@pytest.mark.parametrize("suffix", FORMATS)
def test_same_story_same_article(suffix: str) -> None:
    reading = parse_file((ARTICLES / f"ferry.{suffix}").read_bytes(), f"desk/ferry.{suffix}")
    (article,) = reading.articles
    assert reading.problems == reading.warnings == ()
    assert article.title == TITLE
    assert article.text == TEXT
    assert article.publisher == "The Varn Chronicle"
    assert article.authors == ("Ida Brandvold", "Tomás Reyes")
    assert article.published_at == "2024-03-05T07:30:00+01:00"
    assert article.modified_at == "2024-03-06T18:05:00+01:00"
    assert article.url == "https://varn-chronicle.example/2024/03/night-ferry"
    assert article.section == "Harbour"
    assert article.language == "en"
    assert article.source_path == f"desk/ferry.{suffix}"
    assert article.id == "a_6abf96917117b6a8", "ids of published indexes must not change"


@pytest.mark.parametrize("suffix", FORMATS)
def test_reading_twice_gives_the_same(suffix: str) -> None:
    data = (ARTICLES / f"ferry.{suffix}").read_bytes()
    assert parse_file(data, f"ferry.{suffix}") == parse_file(data, f"ferry.{suffix}")


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    "data",
    [b"", b"   \n\n ", codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF8 + b"\n"],
    ids=["nothing", "white space", "utf-8 mark", "utf-16 mark", "utf-32 mark", "mark and line"],
)
def test_empty_file_is_an_error(suffix: str, data: bytes) -> None:
    reading = read(suffix, data)
    assert not reading.articles
    assert "empty" in reading.problems[0].reason


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    "data",
    [bytes(range(256)) * 40, b"\x89PNG\r\n\x1a\n" + b"abc" * 99, b"PK\x03\x04zip", b"%PDF-1.7 text", b"\0" * 5000],
    ids=["all bytes", "png", "zip", "pdf", "zeros"],
)
def test_binary_file_is_an_error(suffix: str, data: bytes) -> None:
    reading = read(suffix, data)
    assert not reading.articles
    assert "binary" in reading.problems[0].reason or "unknown encoding" in reading.problems[0].reason


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_encodings_read_alike(suffix: str, encoding: str) -> None:
    reading = read(suffix, wrap(suffix, "Réka Lund paid 5 € in Łódź. " + BODY).encode(encoding))
    assert reading.articles[0].text == "Réka Lund paid 5 € in Łódź. " + BODY
    assert reading.articles[0].title == "Harbour closed"


@pytest.mark.parametrize("suffix", FORMATS)
def test_latin_1_is_guessed_with_a_warning(suffix: str) -> None:
    text = "Le maire a déclaré que l'été a été très chaud, a-t-on appris à Genève hier."
    reading = parse_file(wrap(suffix, text).encode("latin-1"), f"a.{suffix}")
    assert reading.articles[0].text == text
    assert "guess" in reading.warnings[0]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("Oster\u200bmark", "Ostermark"),
        ("Ostermark\u202e gnp.exe\u202c", "Ostermark gnp.exe"),
        ("Oster\xadmark", "Ostermark"),
        ("40\xa0days", "40 days"),
        ("Re\u0301ka", "Réka"),
        ("mark\U000e0041\U000e0042", "mark"),
        ("one\u2028two", "one\ntwo"),
    ],
    ids=["zero width", "bidi", "soft hyphen", "no-break space", "nfd", "tags", "line separator"],
)
def test_unseen_characters_are_gone(suffix: str, dirty: str, clean: str) -> None:
    text = read(suffix, wrap(suffix, f"{dirty} is a town. {BODY}").encode()).articles[0].text
    # A line separator may be white space to a format; it must never stay.
    assert " ".join(text.split()) == " ".join(f"{clean} is a town. {BODY}".split())


@pytest.mark.parametrize("suffix", FORMATS)
def test_nul_is_removed(suffix: str) -> None:
    text = "Os\0termark" if suffix not in ("json", "jsonl") else r"Os\u0000termark"
    assert read(suffix, wrap(suffix, f"{text} is a town. {BODY}").encode()).articles[0].text.startswith("Ostermark is")


N = 100_000
HOSTILE = {
    "nested lists": b"[" * N,
    "nested objects": b'{"text":' * N,
    "nested closed": b'{"text": "x", "a": ' + b"[" * N + b"]" * N + b"}",
    "nested elements": b"<html><body>" + b"<div>" * N + b"text",
    "nested quotes": b"> " * N + b"x",
    "nested yaml": b"---\ntitle: " + b"[" * 20_000 + b"\n---\nbody",
    "yaml aliases": b"---\na: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\ntitle: *c\nby: *c\n---\nbody",
    "huge line": b"word " * 150_000,
    "one word": b"a" * 900_000,
    "too long": b"word " * 3_000_000,
    "spaces": b"a" + b" " * 900_000 + b"b",
    "blank lines": b"a" + b"\n" * 900_000 + b"b",
    "marks": ("e" + "\u0301" * 300_000).encode(),
    "joiners": ("x" + "\u200d" * 300_000).encode(),
    "brackets": b"![" * N,
    "comments": b"<!--" * N,
    "metas": b"<meta " * N + b"charset=",
    "many elements": b"<html><body><article>" + b"<p>Some words go here.</p>" * 50_000,
    "links": b"<html><body><p>" + b"<a href=x>words go</a> " * 8_000,
    "digits": b'{"text": "x", "date": ' + b"9" * 10_000 + b"}",
    "surrogates": b'{"title": "a\\ud800b", "text": "c\\udfff d \\ud83d\\ude00", "author": "\\ud800", "id": "\\udc00"}',
    "not a number": b'{"text": "x", "date": NaN, "author": Infinity, "id": -Infinity}',
    "wrong types": b'{"text": {"a": 1}, "title": [[]], "authors": {"name": {"name": []}}, "url": 7, "date": [1]}',
    "nulls": b'{"text": "x", "title": null, "authors": [null, {}, {"name": null}], "source": {}, "date": true}',
    "cut json": b'[{"text": "whole"}, {"text": "cut of',
    "cut html": b"<html><head><title>Cut</title></head><body><article><p>This paragraph is cut of",
    "cut utf-8": "Title\n\nThe caf\u00e9 in M\u00fcnch".encode() + b"\xc3",
    "cut utf-16": "Title\n\nBody text".encode("utf-16")[:-1],
    "wrong charset": b'<html><head><meta charset="utf-7"></head><body><p>+ADw-script+AD4- page</p></body></html>',
    "codec that is none": b'<?xml version="1.0" encoding="rot13"?><meta charset="unicode_escape"><p>text \xe9 here</p>',
    "lone bytes": b"Title\n\ntext \x81\x8d\x8f \xff\xfe text",
}


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_gives_an_article_or_a_reason(suffix: str, name: str) -> None:
    read(suffix, HOSTILE[name])


@pytest.mark.parametrize("suffix", FORMATS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.binary(max_size=300))
def test_any_bytes_give_an_article_or_a_reason(suffix: str, data: bytes) -> None:
    read(suffix, data)


@pytest.mark.parametrize("suffix", FORMATS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_damaged_story_gives_an_article_or_a_reason(suffix: str, data: st.DataObject) -> None:
    story = (ARTICLES / f"ferry.{suffix}").read_bytes()
    start = data.draw(st.integers(0, len(story)))
    length = data.draw(st.integers(0, 400))
    read(suffix, story[:start] + data.draw(st.binary(max_size=20)) + story[start + length :])


@pytest.mark.parametrize("suffix", FORMATS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(text=st.text(max_size=200))
def test_any_text_gives_an_article_or_a_reason(suffix: str, text: str) -> None:
    read(suffix, wrap(suffix, text).encode("utf-8", "surrogatepass"))
