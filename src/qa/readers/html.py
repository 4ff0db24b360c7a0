"""HTML pages: the article text by trafilatura, everything about the article by `metadata`."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

from qa.errors import ReaderError
from qa.readers.articles import make_article
from qa.readers.decoding import declared_charset, decode
from qa.readers.metadata import read_metadata
from qa.readers.notes import warn
from qa.readers.text import is_list_line, normalize_line
from qa.types import Article

__all__ = ["HtmlReader"]

_MAX_CHARACTERS = 10_000_000
_MAX_DEPTH = 255
"""Where the parser stops reading without a word."""
_MAX_EXTRACTED = 10_000
"""Elements up to which a page goes to trafilatura, whose time grows with their square (10,000 links: 3 s)."""
_SHORTEST_SENTENCE = 25
_SKIPPED = frozenset({"script", "style", "nav", "header", "footer", "aside", "form", "noscript", "template", "head"})
_BLOCKS = frozenset({"p", "li", "h2", "h3", "h4", "blockquote"})


class HtmlReader:
    """Reads ``.html``: one article a page."""

    suffixes = frozenset({".html", ".htm"})

    def read(self, data: bytes, path: str) -> Iterator[Article | ReaderError]:
        """Yield the one article of the page."""
        source = decode(data, path, declared_charset(data)).replace("\0", "")
        if len(source) > _MAX_CHARACTERS:
            raise ReaderError(path, f"longer than {_MAX_CHARACTERS:,} characters ({len(source):,})")
        # lxml refuses text that declares an encoding, and would not need one: this is text already.
        tree = _parse(re.sub(r"^\s*<\?xml[^>]{0,200}\?>", "", source), path)
        elements, depth = _measure(tree)
        if depth >= _MAX_DEPTH:
            raise ReaderError(path, f"elements nested more than {_MAX_DEPTH} deep; what lies deeper would be lost")
        raw = read_metadata(tree, path)
        if elements > _MAX_EXTRACTED:
            warn(path, f"{elements:,} elements, too many to tell text from furniture; every paragraph is taken")
            text = "\n".join(_every_paragraph(tree))
        else:
            text = _extract(tree, path)
        text = _paragraphs(text, raw.title)
        if not any(len(line) >= _SHORTEST_SENTENCE for line in text.split("\n")):
            text = raw.text  # Menus and buttons at most: better what the page says its text is, if it does.
        if not text.strip():
            raise ReaderError(path, "no article text found in the page")
        yield make_article(replace(raw, text=text), path, "html")


def _parse(source: str, path: str) -> Any:
    from trafilatura import load_html

    # Its messages name no file; ours do. The handler keeps them out of the terminal unless logging is set up.
    logging.getLogger("trafilatura").addHandler(logging.NullHandler())
    tree = load_html(source) if source.strip() else None
    if tree is None:
        raise ReaderError(path, "not an HTML page")
    return tree


def _extract(tree: Any, path: str) -> str:
    from trafilatura import extract

    try:
        return extract(tree, include_comments=False, include_tables=True) or ""
    except Exception as error:  # A foreign parser on foreign pages: one of them must not stop a build.
        raise ReaderError(path, f"the page cannot be taken apart ({type(error).__name__})") from error


def _measure(tree: Any) -> tuple[int, int]:
    """Return the number of elements and the depth of the deepest."""
    count, deepest, waiting = 0, 0, [(tree, 1)]
    while waiting:
        element, depth = waiting.pop()
        count, deepest = count + 1, max(deepest, depth)
        waiting.extend((child, depth + 1) for child in element)
    return count, deepest


def _every_paragraph(tree: Any) -> Iterator[str]:
    waiting = [tree]
    while waiting:
        element = waiting.pop()
        if element.tag in _BLOCKS:
            bullet = "- " if element.tag == "li" else ""
            yield bullet + " ".join("".join(element.itertext()).split())
        elif element.tag not in _SKIPPED:
            waiting.extend(reversed(element))


def _paragraphs(text: str, title: str) -> str:
    """trafilatura gives one paragraph a line. The headline, and a section name above it, are not part of the text."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    headline = normalize_line(title).casefold()
    for index, line in enumerate(lines[:3]):
        if normalize_line(line).casefold() == headline and all(len(above.split()) <= 4 for above in lines[:index]):
            lines = lines[index + 1 :]
            break
    parts = lines[:1]
    for before, line in pairwise(lines):
        parts += ("\n" if is_list_line(before) and is_list_line(line) else "\n\n", line)
    return "".join(parts)
