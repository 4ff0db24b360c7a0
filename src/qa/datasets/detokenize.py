"""Tokens of the Penn Treebank back to text as it is written."""

from __future__ import annotations

import re

__all__ = ["detokenize"]

_BRACKETS = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}"}
_QUOTES = frozenset({"``", "''", '"'})
_TO_THE_LEFT = re.compile(r"(?:[,.;:?!%)\]}]|\.\.\.|n't|'(?:s|S|re|ve|ll|d|m|em)?)$", re.I)
_TO_THE_RIGHT = re.compile(r"[(\[{$#£€]$")


def detokenize(text: str) -> str:
    """Join tokens divided by white space: brackets and quotes restored, no space before a stop or after an opening.

    Double quotes open and close in turn, whichever way they are written, because the sets exchange them; the first
    token opens, the last one closes. A hyphen between two words joins them.
    """
    tokens = [_BRACKETS.get(token.upper(), token) for token in text.split()]
    parts: list[str] = []
    glued, quoted = True, False  # whether the next token follows without a space; whether a quotation is open
    for place, token in enumerate(tokens):
        last = place == len(tokens) - 1
        if token in _QUOTES:
            closes = (quoted or last) and place > 0
            parts.append('"' if closes or glued else ' "')
            quoted, glued = not closes, not closes
        elif token == "-" and 0 < place < len(tokens) - 1 and _joins(tokens[place - 1], tokens[place + 1]):
            parts.append(token)
            glued = True
        else:
            parts.append(token if glued or _TO_THE_LEFT.match(token) else f" {token}")
            glued = bool(_TO_THE_RIGHT.match(token))
    return "".join(parts)


def _joins(before: str, after: str) -> bool:
    return before[-1].isalnum() and after[0].isalnum()
