"""Normalising text, once and for good: every offset in the system counts code points of what this file returns.

What is stored is what is shown and what is cited, so whatever a reader of the page could not see, or what could reorder
what is seen, is gone before the first offset is taken.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import groupby
from operator import itemgetter

__all__ = ["MAX_MARKS", "is_list_line", "normalize_line", "normalize_text"]

MAX_MARKS = 8
"""Combining marks kept in a row. Tibetan and Hebrew really stack up to eight; a flood would paint over other lines."""

# Spaces of other widths become plain ones: a width carries no meaning, and nobody types a no-break space into a
# question. Tabs likewise.
_SPACES = "\t\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
_UNSEEN = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 controls (line ends are already "\n")
    "\xad"  # soft hyphen: it would split a word for search and show nothing
    "\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"  # joiners, fillers and all bidi controls
    "\u3164\uffa0"  # Hangul fillers: letters that show nothing
    "\ufdd0-\ufdef\ufeff\ufff9-\ufffc\ufffe\uffff"  # noncharacters, byte order mark, annotations, object marks
    "\ud800-\udfff"  # lone surrogates: no encoding can carry them
    "\U000e0000-\U000e007f"  # tags: hidden ASCII. It costs three flags of the British Isles their emblem
)
_LINE_ENDS = "\r\v\f\x85\u2028\u2029"
_UNSAFE = re.compile(f"[{_SPACES}{_UNSEEN}{_LINE_ENDS}]")
_SPACE = re.compile(f"[{_SPACES}]")

# Zero-width joiner and non-joiner spell words in Arabic, Indic and some neighbouring scripts, and the joiner
# glues emoji together. Between two such characters they stay; anywhere else they only hide.
_CURSIVE = "\u0600-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u18af\ufb50-\ufdcf\ufdf0-\ufdff\ufe70-\ufefc"
_EMOJI = "\u00a9\u00ae\u203c-\u3299\ufe0f\U0001f000-\U0001faff"
_IDLE_JOINERS = re.compile(
    f"(?<![{_CURSIVE}{_EMOJI}])[\u200c\u200d]"
    f"|(?<=[{_CURSIVE}])[\u200c\u200d](?![{_CURSIVE}])"
    f"|(?<=[{_EMOJI}])\u200c"
    f"|(?<=[{_EMOJI}])\u200d(?![{_EMOJI}])"
)

# Nine in a row outside Latin, punctuation, Chinese and Korean: only then is the exact pattern worth its time.
_MAYBE_FLOOD = re.compile(
    f"[^\x00-\u02ff\u2000-\u20cf\u3000-\u3029\u3030-\u3098\u309b-\ua66e\uac00-\ud7ff]{{{MAX_MARKS + 1}}}"
)

_LIST_LINE = re.compile(r"(?:[-*•–] |\d{1,3}[.)] )\S")


def normalize_text(text: str) -> str:
    """Return `text` as it is stored: NFC, ``\\n`` line ends, nothing invisible, no more than one blank line in a row.

    Doing it twice changes nothing.
    """
    if "\r\n" in text:
        text = text.replace("\r\n", "\n")
    text = _UNSAFE.sub(_replace_unsafe, text)
    if not text.isascii():
        if "\u200c" in text or "\u200d" in text:
            text = _IDLE_JOINERS.sub("", text)
        text = unicodedata.normalize("NFC", text)
        if _MAYBE_FLOOD.search(text):
            text = _mark_floods().sub(r"\1", text)
    # Line by line, not by a pattern such as " +$": that one is quadratic in a long run of spaces.
    lines = [line.rstrip(" ") for line in text.split("\n")]
    text = "\n".join(lines)
    if "\n\n\n" in text:
        text = re.sub("\n{3,}", "\n\n", text)
    return text.strip(" \n")


def normalize_line(text: str, limit: int = 300) -> str:
    """Return `text` as one line of at most `limit` code points, cut between words and marked with an ellipsis."""
    # A title of megabytes is an attack or an accident; what is cut here could not be in the result anyway.
    line = " ".join(normalize_text(text[: limit * 20]).split())
    if len(line) <= limit:
        return line
    cut = line[: limit - 1]
    space = cut.rfind(" ")
    return (cut[:space] if space >= limit // 2 else cut).rstrip(" ,;:-–—") + "…"


def is_list_line(line: str) -> bool:
    """Whether the line is an item of a list, so that it stays on a line of its own."""
    return _LIST_LINE.match(line) is not None


def _replace_unsafe(match: re.Match[str]) -> str:
    char = match[0]
    if char in _LINE_ENDS:
        return "\n"
    return " " if _SPACE.match(char) else ""


@lru_cache(maxsize=1)
def _mark_floods() -> re.Pattern[str]:
    # Python's patterns have no class for marks. Spacing marks (Mc) are left out: they take room and cannot pile up.
    # Ranges, not single characters: beyond the basic plane, `re` goes through a class entry by entry.
    is_mark = (unicodedata.category(chr(code)) in ("Mn", "Me") for code in range(0x300, 0x1F000))
    runs = groupby(zip(is_mark, range(0x300, 0x1F000), strict=True), key=itemgetter(0))
    codes = [[code for _, code in run] for found, run in runs if found] + [[0xE0100, 0xE01EF]]
    marks = "".join(f"{chr(run[0])}-{chr(run[-1])}" for run in codes)
    return re.compile(f"([{marks}]{{{MAX_MARKS}}})[{marks}]+")
