"""Tokens back to text, and answer strings found in it."""

from __future__ import annotations

import pytest

from qa.datasets.detokenize import detokenize
from qa.datasets.strings import bears, folded, stands_in


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("He left , and she did n't .", "He left, and she didn't."),
        (
            "The Crips ' own : the club 's blue ; they 're loud !",
            "The Crips' own: the club's blue; they're loud!",
        ),
        ("A fee -LRB- of $ 5 or 10 % -RRB- -LSB- sic -RSB-", "A fee (of $5 or 10%) [sic]"),
        ("`` I slept , '' she said .", '"I slept," she said.'),
        ('She said , " I slept . "', 'She said, "I slept."'),
        ("'' I slept , '' he said .", '"I slept," he said.'),
        ("the '' old lamp '' was sold", 'the "old lamp" was sold'),
        ("nobody came . ''", 'nobody came."'),
        ("a well - known right - hand man", "a well-known right-hand man"),
        ("the end -- or - so", "the end -- or-so"),
        ("Wait ... what ?", "Wait... what?"),
        ("", ""),
    ],
)
def test_tokens_are_joined_as_text_is_written(tokens: str, text: str) -> None:
    assert detokenize(tokens) == text


@pytest.mark.parametrize(
    ("text", "answer", "found"),
    [
        pytest.param("He read “The Long\u00a0River” aloud.", '"The long river"', True, id="quotes, spaces, case"),
        pytest.param("It’s M&M's day", "M&M’s", True, id="apostrophes"),
        pytest.param("in the north", "or", False, id="inside a word"),
        pytest.param("an organ", "or", False, id="at the start of a word"),
        pytest.param("a 10%, then", "10%", True, id="a sign at the end"),
        pytest.param("a 110% rise", "10%", False, id="inside a number"),
        pytest.param("it cost $500.", "$500", True, id="a sign at the start"),
        pytest.param("it cost $500,000", "$500", True, id="digits behind a comma are another word"),
        pytest.param("Straße", "STRASSE", True, id="folded, not lowered"),
        pytest.param("anything", '""', False, id="an answer of quotes alone"),
        pytest.param("co-operation", "cooperation", False, id="nothing else is folded"),
        pytest.param("so (C++) is", "C++", True, id="not a pattern"),
        pytest.param("Notting Hill is", "Notting Hill'", True, id="a stray quote"),
    ],
)
def test_an_answer_string_stands_in_a_text(text: str, answer: str, found: bool) -> None:
    assert bears(text, (answer,)) is found
    assert stands_in(folded(text), answer) is found
    assert bears(text, ("zzz", answer)) is found
    assert not bears(text, ())
