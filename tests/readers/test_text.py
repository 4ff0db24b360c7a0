from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa.readers.text import MAX_MARKS, normalize_line, normalize_text

ODD = st.sampled_from(
    list("\r\n\v\f\x85\u2028\t \xa0\xad\0\x9f\u200b\u200c\u200d\u202e\ufeff\ud800\u0301\u0628\u0915\ufe0f👩💻a")
)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("a\r\nb\rc\u2028d\u2029e\x85f\vg\fh", "a\nb\nc\nd\ne\nf\ng\nh"),
        ("a  \n\n\n \n\nb", "a\n\nb"),
        ("\n\n  a \n\n", "a"),
        ("a\tb\xa0c\u2009d\u202fe\u3000f", "a b c d e f"),
        ("a\0b\x07c\x7fd\x9be", "abcde"),
        ("co\xadoperate", "cooperate"),
        ("\ufeffa\ufeffb", "ab"),
        ("a\u200bb\u2060c\u034fd\u3164e", "abcde"),
        ("\u202aa\u202eb\u2066c\u200fd\u061ce", "abcde"),
        ("a\U000e0061\U000e007fb", "ab"),
        ("a\ud800b\udfffc", "abc"),
        ("a\ufffeb\ufdd0c\ufffcd", "abcd"),
        ("Cafe\u0301 \u212b", "Café Å"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("क्\u200dष", "क्\u200dष"),
        ("👩\u200d💻 ❤\ufe0f\u200d🔥", "👩\u200d💻 ❤\ufe0f\u200d🔥"),
        ("pass\u200dword \u200cx\u200d 👩\u200d b", "password x 👩 b"),
        ("👍\u200c👍", "👍👍"),
        ("a  b", "a  b"),
        ("한국어 日本語 العربية", "한국어 日本語 العربية"),
        ("fire \ufffd damage", "fire \ufffd damage"),
    ],
)
def test_normalize_text(raw: str, expected: str) -> None:
    assert normalize_text(raw) == expected


@pytest.mark.parametrize("mark", ["\u0301", "\u064b", "\ufe0f", "\U000e0100", "\u0e38"])
def test_mark_floods_are_cut(mark: str) -> None:
    text = normalize_text("e" + mark * 500 + "f")
    assert MAX_MARKS <= len(text) <= MAX_MARKS + 2
    assert text.endswith("f")
    assert normalize_text("e" + mark * 3 + "f") == unicodedata.normalize("NFC", "e" + mark * 3 + "f")


@settings(max_examples=500)
@given(st.one_of(st.text(ODD, max_size=40), st.text(max_size=40)))
def test_normalizing_is_idempotent_and_safe(raw: str) -> None:
    text = normalize_text(raw)
    assert normalize_text(text) == text
    assert unicodedata.is_normalized("NFC", text)
    assert "\n\n\n" not in text
    assert text == text.strip()
    assert not [char for char in text if char != "\n" and unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")]
    assert [char for char in raw if char.isalnum()] == [] or text


@pytest.mark.parametrize(
    "unit", [" ", "\n", "\t\n", "\u0301", "\u200d", "\u0628\u064b", "e\u0301", "\r", "👩\u200d", "a\u200b", "\ud800"]
)
def test_time_grows_linearly(unit: str) -> None:
    def seconds(count: int) -> float:
        text = "x" + unit * count + "x"
        best = float("inf")
        for _ in range(3):
            started = time.process_time()
            normalize_text(text)
            best = min(best, time.process_time() - started)
        return best

    seconds(100)
    # Eight times the text; a quadratic step would take 64 times as long.
    assert seconds(160_000) < 24 * max(seconds(20_000), 0.002)


def test_normalize_line_is_one_short_line() -> None:
    assert normalize_line(" Bridge\n\n reopens \u202e\tto  traffic ") == "Bridge reopens to traffic"
    assert normalize_line("word " * 100, 22) == "word word word word…"
    assert normalize_line("w" * 100, 10) == "w" * 9 + "…"
    assert len(normalize_line("word, " * 10**6, 300)) <= 300
    assert normalize_line("") == ""
