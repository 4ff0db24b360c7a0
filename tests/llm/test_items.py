"""Reading replies piece by piece, and what counts as plain text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa.answerers.items import Item, ItemReader
from qa.answerers.llm import is_plain

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)


def read(reply: str, size: int = 10_000) -> tuple[list[Item], bool]:
    reader = ItemReader()
    found = [item for at in range(0, len(reply), size) for item in reader.feed(reply[at : at + size])]
    return [*found, *reader.close()], reader.declined


@given(
    st.lists(st.tuples(TEXTS, st.lists(st.integers(-5, 500), max_size=4, unique=True)), min_size=1, max_size=4),
    st.integers(1, 50),
    st.sampled_from([None, 2]),
    st.sampled_from(["", "```json\n", "Well {no} ", '"So": ']),
)
def test_json_is_read_back_in_pieces_of_any_size(
    given_items: list[tuple[str, list[int]]], size: int, indent: int | None, before: str
) -> None:
    reply = before + json.dumps({"items": [{"sentences": n, "text": t} for t, n in given_items]}, indent=indent)
    assert read(reply, size) == ([Item(text, tuple(numbers)) for text, numbers in given_items], False)


@given(st.text(max_size=300), st.integers(1, 50))
def test_any_text_can_be_read(reply: str, size: int) -> None:
    assert read(reply, size) == read(reply)


@given(st.text(st.sampled_from('{}[]"\\,:1ax <>tinkh/\n'), max_size=300), st.integers(1, 50))
def test_anything_like_json_can_be_read(reply: str, size: int) -> None:
    assert read(reply, size) == read(reply)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("One [1]. Two [2][3].", [Item("One.", (1,)), Item("Two.", (2, 3))]),
        ("1. One [1]\n2) Two [1, 2]!", [Item("One", (1,)), Item("Two!", (1, 2))]),
        ("Nothing is cited here.", [Item("Nothing is cited here.", ())]),
        ("One [1] and then more", [Item("One", (1,)), Item("and then more", ())]),
        ("<think>One [1]</think>Two [2]", [Item("Two", (2,))]),
        ("<think>One [1]", []),
        ('{"text": "One", "sentences": "1, 2"}', [Item("One", (1, 2))]),
        ('{"text": "a } { b", "sentences": [1]}', [Item("a } { b", (1,))]),
        ('{"text": "a \\" } b", "sentences": [1]}', [Item('a " } b', (1,))]),
        ('{"text": 5, "sentences": [1]}', []),
        ('{"items": [{"sentences": [1], "text": "One. Tw', [Item("One. Tw", (1,), cut=True)]),
        ('{"items": [{"sentences": [1], "text": "One.\\', []),
        ('{"items": [{"text": "One.", "sentences": [1', []),
    ],
)
def test_what_is_in_a_reply(reply: str, expected: list[Item]) -> None:
    assert read(reply) == read(reply, 1) == (expected, False)


@pytest.mark.parametrize(
    ("reply", "declined"),
    [
        ('{"items": []}', True),
        ('Sorry. ```{"items": [ ]}```', True),
        ('{"items": [{"text": "One", "sentences": [1]}]} or {"items": []}', False),
        ('{"items": {}}', False),
        ("{}", False),
        ("[]", False),
    ],
)
def test_an_empty_list_declines_where_nothing_else_is_said(reply: str, declined: bool) -> None:
    assert read(reply)[1] == read(reply, 1)[1] == declined


@pytest.mark.parametrize(
    "text",
    [
        "Engineers replaced 3 of the 8 turbines.",
        "“We tested,” said Paula O’Venn – at 5 p.m. on U.S. soil: 2.4 million euros (£2m), +3.5%, A/B.",
        "Überfüllt: 東京 и Москва, naïve café.",
    ],
)
def test_plain_text_passes(text: str) -> None:
    assert is_plain(text, ["something else"])


@pytest.mark.parametrize(
    "more",
    [
        *("<b>", "a<b", "[3]", "![x](y)", "`rm`", "**so**", "_so_", "~~so~~", "{{x}}", "a|b", "\\x", "&lt;", "&#60;"),
        *("http://a", "HTTPS://A.B", "//a.b", "javascript:x", "DATA:text", "www.x", "mailto:a", "evil.example"),
        *("evil.co/x", "a.b.example.", "file:x", "x^2"),
    ],
)
def test_markup_and_addresses_pass_only_where_the_source_has_them(more: str) -> None:
    text = f"Engineers repaired {more} turbines."
    assert not is_plain(text, ["Engineers repaired turbines."])
    assert is_plain(text, ["Something else.", text])


@pytest.mark.parametrize(
    "c", ["\x00", "\x1b", "\x7f", "\x9b", "\u200b", "\u202e", "\u2066", "\ufeff", "\ud800", "\ue000"]
)
def test_invisible_characters_never_pass(c: str) -> None:
    assert not is_plain(f"Engineers repaired{c} turbines.", [f"Engineers repaired{c} turbines."])


@pytest.mark.parametrize("text", ["", " ", "…", "a", "Yes.", "5", "They they THEY", "They said so. So."])
def test_what_says_nothing_never_passes(text: str) -> None:
    assert not is_plain(text, [text])


@pytest.mark.parametrize("text", ["# Engineers repaired turbines.", "- Engineers repaired turbines."])
def test_headings_and_lists_are_markup(text: str) -> None:
    assert not is_plain(text, ["Engineers repaired turbines."])
