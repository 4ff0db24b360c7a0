"""Reads what a language model wrote: items of text with the numbers of sentences, as soon as each is complete.

Made for JSON as the schema asks for it, and for what models write instead: fences, prose around, trailing commas, a
single object, or lines such as ``text [3]``. Nothing here is trusted: `qa.answerers.llm` checks every item.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["Item", "ItemReader"]

_MAX_DEPTH = 32
_TEXT_KEYS = ("text", "sentence", "statement", "answer")
_NUMBER_KEYS = ("sentences", "sentence_ids", "numbers", "citations", "sources", "ids")
_TRAILING_COMMA = re.compile(r",\s*([}\]])")
_DIGITS = re.compile(r"\[?\s*([0-9]{1,6})\s*\]?")
_MARKS = re.compile(r"(?: ?\[ ?[0-9]{1,6}(?: ?, ?[0-9]{1,6})* ?\])+([.!?]?)")
_BULLET = re.compile(r"^\s*(?:[-*•]|[0-9]{1,2}[.)])\s+")
_THINKING = ("<think>", "</think>")


@dataclass(frozen=True, slots=True)
class Item:
    """A piece of a reply: its text, and the numbers that it cites as far as they are whole numbers.

    `cut`: the reply broke off inside the text.
    """

    text: str
    numbers: tuple[int, ...]
    cut: bool = False


class ItemReader:
    """Takes a reply piece by piece."""

    def __init__(self) -> None:
        self._empty = self._filled = False
        self._text = ""
        self._read = 0
        self._thought = False
        self._starts: list[int] = []
        """Where the objects that are open begin."""
        self._quoted = self._escaped = self._json = False

    @property
    def declined(self) -> bool:
        """Whether the model said, as it was asked to, that nothing answers, and nothing else: prompts say it too."""
        return self._empty and not self._filled

    def feed(self, piece: str) -> list[Item]:
        """Return the items that this piece completes."""
        self._text += piece
        if not self._thought:
            begun = self._text.lstrip()
            if not begun or _THINKING[0].startswith(begun):
                return []
            if begun.startswith(_THINKING[0]):
                end = self._text.find(_THINKING[1])
                if end < 0:
                    return []
                self._read = end + len(_THINKING[1])
            self._thought = True
        found = []
        while self._read < len(self._text):
            at, self._read = self._read, self._read + 1
            item = self._step(self._text[at], at)
            if item:
                found.append(item)
        return found

    def close(self) -> list[Item]:
        """Return what is left once the reply is over: the item that it broke off in, or lines if it was no JSON."""
        if not self._thought:
            return []
        if self._json:
            rest = self._text[self._starts[-1] :] + '"}' if self._starts and self._quoted else ""
            item = self._object(rest)
            return [replace(item, cut=True)] if item else []
        said = self._text.rpartition(_THINKING[1])[2]
        return [item for line in said.splitlines() for item in _line(line)]

    def _step(self, c: str, at: int) -> Item | None:
        if self._quoted:
            self._quoted = self._escaped or c != '"'
            self._escaped = c == "\\" and not self._escaped
        elif c == '"':
            self._quoted = bool(self._starts)
        elif c == "{":
            self._json = True
            # Deeper than anything that is asked for: the outermost are forgotten.
            self._starts = [*self._starts[1 - _MAX_DEPTH :], at]
        elif c == "}" and self._starts:
            return self._object(self._text[self._starts.pop() : at + 1])
        return None

    def _object(self, text: str) -> Item | None:
        value = _loads(text)
        if not isinstance(value, dict):
            return None
        said = next((value[key] for key in _TEXT_KEYS if isinstance(value.get(key), str)), None)
        if said is not None:
            self._filled = True
            given = next((value[key] for key in _NUMBER_KEYS if key in value), None)
            return Item(said, _numbers(given))
        if value.get("items") == []:
            self._empty = True
        return None


def _loads(text: str) -> Any:
    for attempt in (text, _TRAILING_COMMA.sub(r"\1", text)):
        try:
            return json.loads(attempt, strict=False)
        except (ValueError, RecursionError):
            continue
    return None


def _numbers(given: Any) -> tuple[int, ...]:
    """The whole numbers of a list, of one number, or of text such as "3, 4"; anything else is passed over."""
    if isinstance(given, str):
        given = given.split(",")
    found = []
    for value in given if isinstance(given, list) else [given]:
        if isinstance(value, str):
            match = _DIGITS.fullmatch(value.strip())
            value = int(match[1]) if match else None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is int:
            found.append(value)
    return tuple(dict.fromkeys(found))


def _line(line: str) -> list[Item]:
    """The pieces of a line that end in marks, and what is left over, which cites nothing."""
    line = " ".join(_BULLET.sub("", line).split())
    found, end = [], 0
    for match in _MARKS.finditer(line):
        numbers = tuple(dict.fromkeys(map(int, re.findall("[0-9]+", match[0]))))
        found.append(Item((line[end : match.start()] + match[1]).strip(), numbers))
        end = match.end()
    rest = line[end:].strip()
    return [*found, Item(rest, ())] if any(c.isalnum() for c in rest) else found
