"""Text fragments: the end of a link that makes a browser mark one sentence of a page, and no other.

The form is ``[prefix-,]start[,end][,-suffix]`` (WICG, "URL Fragment Text Directives"). A browser compares without
regard to case, accents and the kind of white space, takes whole words, and marks the first match. All parts are words
of the stored text, in which the match is the only one; the publisher's page may hold more text than that.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import quote

__all__ = ["text_fragment"]

LONGEST = 300
"""Longest sentence, in code points, that is spelled out at once; of a longer one the beginning and the end are."""
ENDS = 5
"""Words at each end of a longer sentence that are given at first."""
CONTEXT = 12
"""Most words before and after a sentence that are given to tell it from its equals."""

_PARAGRAPH_END = re.compile(r"\n\s*\n")
_INSIDE_WORDS = frozenset("'’‘.,:;·_")
"""Marks that a word or number can go on after."""


def text_fragment(text: str, start: int, end: int) -> str | None:
    """Return the percent-encoded fragment that marks ``text[start:end]``, or None if none marks that alone.

    The span has no white space at its ends. Paragraphs are separated by blank lines, which no part of a fragment may
    run across.
    """
    before, own = _fold(text[:start]), _fold(text[start:end])
    folded = before + own + _fold(text[end:])
    begins, ends = len(before), len(before) + len(own)
    for first, last in _forms(text[start:end]):
        for prefix, suffix in _contexts(text, start, end):
            lead, opening, closing, trail = map(_fold, (prefix, first, last, suffix))
            whole = lead + opening if last else lead + opening + trail
            at = folded.find(whole)
            if not opening or at != begins - len(lead) or folded.find(whole, at + 1) != -1:
                continue
            if last and folded.find(closing + trail, begins + len(opening)) != ends - len(closing):
                continue
            parts = (f"{_encode(prefix)}-" if prefix else "", _encode(first), _encode(last))
            return ",".join(filter(None, (*parts, f"-{_encode(suffix)}" if suffix else "")))
    return None


def _forms(sentence: str) -> Iterator[tuple[str, str]]:
    """The sentence whole and "", or its beginning and end, short ones first; of a long one the ends come first."""
    paragraphs = _PARAGRAPH_END.split(sentence)
    whole, count = len(paragraphs) == 1, len(sentence.split())
    if whole and (len(sentence) <= LONGEST or count <= 2 * ENDS):
        yield sentence, ""
        return
    # Neither end may reach into another paragraph, or into the other end.
    opening, closing = paragraphs[0].split(), paragraphs[-1].split()
    most = min(len(opening), len(closing), count // 2)
    for words in range(min(ENDS, most), most + 1):
        yield " ".join(opening[:words]), " ".join(closing[-words:])
    if whole:
        yield sentence, ""


def _contexts(text: str, start: int, end: int) -> Iterator[tuple[str, str]]:
    """Words before and after the span, from none to `CONTEXT`; none only where a word ends at the span's edge."""
    # A line may be a block of its own on the publisher's page: words of two are not taken as one run.
    before = text[:start].rstrip().rpartition("\n")[2].split()[-CONTEXT:]
    after = text[end:].lstrip().partition("\n")[0].split()[:CONTEXT]
    fewest_before = 0 if _is_edge(text, start) else 1
    fewest_after = 0 if _is_edge(text, end) else 1
    for most in range(CONTEXT + 1):
        for lead, trail in ((most, 0), (0, most), (most, most)):
            if fewest_before <= lead <= len(before) and fewest_after <= trail <= len(after):
                yield " ".join(before[len(before) - lead :]), " ".join(after[:trail])


def _is_edge(text: str, at: int) -> bool:
    """Whether a word surely begins or ends at `at`, in any language's rules."""
    around = text[at - 1 : at + 1] if 0 < at < len(text) else " "
    return any(not c.isalnum() and c not in _INSIDE_WORDS and not unicodedata.combining(c) for c in around)


def _encode(words: str) -> str:
    # `-`, `,` and `&` separate the parts of a text directive, so they are encoded even where a URL would allow them.
    return quote(" ".join(words.split()), safe="").replace("-", "%2D")


def _fold(text: str) -> str:
    """The text without case, accents, white space or kinds of quotation marks, one character after the other.

    This is coarser than what browsers do, who also heed word boundaries and paragraphs: what matches there matches
    here, so what is the only match here is the only one there.
    """
    return "".join(_NOT_ASCII.sub(lambda found: _plain(found[0]), text).casefold().split())


@lru_cache(maxsize=10_000)
def _plain(character: str) -> str:
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    return "".join(_ALIKE.get(c, c) for c in plain if unicodedata.category(c) not in ("Mn", "Me", "Cf"))


_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_ALIKE = {**dict.fromkeys("‘’‚‛`´", "'"), **dict.fromkeys("“”„‟«»", '"'), "æ": "ae", "œ": "oe", "ø": "o", "ł": "l",
          "đ": "d", "ı": "i"}  # fmt: skip
