from __future__ import annotations

import codecs

import pytest

from qa.errors import ReaderError
from qa.readers.decoding import declared_charset, decode
from qa.readers.notes import collect_warnings

POLISH = "Premier powiedział, że żółta łódź płynie do Łodzi, a ceny są wyższe niż w zeszłym roku. " * 4
RUSSIAN = "Президент сообщил, что решение будет принято завтра в Москве. "
JAPANESE = "首相は明日、東京で会見を開くと発表した。"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_mark_decides(encoding: str) -> None:
    with collect_warnings() as warnings:
        assert decode("Łódź".encode(encoding), "a.txt", "iso-8859-1") == "Łódź"
    assert warnings == []


@pytest.mark.parametrize(
    ("data", "declared", "text"),
    [
        (POLISH.encode("iso8859-2"), "ISO-8859-2", POLISH),
        (RUSSIAN.encode("koi8-r"), "koi8-r", RUSSIAN),
        (JAPANESE.encode("cp932"), "Shift_JIS", JAPANESE),
        (JAPANESE.encode("iso2022_jp"), "iso-2022-jp", JAPANESE),
        ("“5 €”".encode("cp1252"), "iso-8859-1", "“5 €”"),
        (b"plain", "us-ascii", "plain"),
        ("Łódź".encode(), "utf8", "Łódź"),
    ],
)
def test_declared_charset_is_used(data: bytes, declared: str, text: str) -> None:
    with collect_warnings() as warnings:
        assert decode(data, "a.html", declared) == text
    assert warnings == []


@pytest.mark.parametrize(
    ("declared", "warning"),
    [
        ("iso-8859-1", "declares iso-8859-1, but is UTF-8"),
        ("unicode_escape", "unknown charset unicode_escape"),
        ("idna", "unknown charset idna"),
        ("hex", "unknown charset hex"),
        ("x\0y", "unknown charset"),
    ],
)
def test_utf8_wins_over_what_a_page_says_of_itself(declared: str, warning: str) -> None:
    with collect_warnings() as warnings:
        assert decode("Łódź \\u0041".encode(), "a.html", declared) == "Łódź \\u0041"
    assert warning in warnings[0]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (
            "Il a déclaré que l'été a été très chaud à Genève.".encode("latin-1"),
            "Il a déclaré que l'été a été très chaud à Genève.",
        ),
        ("He said “the bridge” — and left for £5.".encode("cp1252"), "He said “the bridge” — and left for £5."),
        (
            ("A fee of £5 " + "was paid for the player. " * 40).encode("cp1252"),
            "A fee of £5 " + "was paid for the player. " * 40,
        ),
        (RUSSIAN.encode("cp1251"), RUSSIAN),
        (JAPANESE.encode("cp932"), JAPANESE),
    ],
)
def test_detection_is_a_warning(data: bytes, text: str) -> None:
    with collect_warnings() as warnings:
        assert decode(data, "a.txt") == text
    assert "which is a guess: save it as UTF-8" in warnings[0]


def test_file_cut_within_a_character_keeps_the_rest() -> None:
    with collect_warnings() as warnings:
        assert decode("Café in Łód".encode() + "ź".encode()[:1], "a.txt") == "Café in Łód"
    assert "may be incomplete" in warnings[0]


def test_damaged_utf16_is_shown_or_refused() -> None:
    with collect_warnings() as warnings:
        assert decode("Łódź".encode("utf-16")[:-1], "a.txt") == "Łód\ufffd"
    assert "damaged UTF-16" in warnings[0]
    with pytest.raises(ReaderError, match="binary"):
        decode(codecs.BOM_UTF32_LE + b"\xff\xff\xff\xff" * 50, "a.txt")


@pytest.mark.parametrize(
    "data", [b"a\0" * 50, bytes(range(128, 256)) * 9 + b"\x81", b"\x1f\x8b\x08text", b"GIF89a text"]
)
def test_binary_is_refused(data: bytes) -> None:
    with pytest.raises(ReaderError, match=r"a\.txt: binary file"):
        decode(data, "a.txt")


def test_a_stray_nul_is_no_reason_to_refuse() -> None:
    assert decode(b"Title\n\nSome text of an article with a stray\0 byte.", "a.txt").count("\0") == 1


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'<meta charset="koi8-r">', "koi8-r"),
        (b"<META http-equiv=Content-Type content='text/html; charset=Shift_JIS'>", "Shift_JIS"),
        (b'<?xml version="1.0" encoding="ISO-8859-2"?>', "ISO-8859-2"),
        (b"<p>charset=koi8-r</p>", None),
        (b" " * 5000 + b'<meta charset="koi8-r">', None),
    ],
)
def test_declared_charset(data: bytes, expected: str | None) -> None:
    assert declared_charset(data) == expected
