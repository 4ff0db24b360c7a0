"""Markdown with YAML front matter; what is stored is the plain text that a page would show."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from qa.errors import ReaderError
from qa.readers.articles import check_length, make_article
from qa.readers.decoding import decode
from qa.readers.fields import from_mapping
from qa.readers.notes import warn
from qa.readers.text import is_list_line, normalize_line, normalize_text
from qa.types import Article

__all__ = ["MarkdownReader"]

_FRONT_MATTER = re.compile(r"---[ ]*\n(.*?\n)?(?:---|\.\.\.)[ ]*(?:\n|\Z)", re.DOTALL)
_MAX_FRONT_MATTER = 64_000
_MAX_MARKS = 50_000
"""Characters that mean something in Markdown: each may begin what is then sought to the end of its paragraph."""


class MarkdownReader:
    """Reads ``.md``: one article a file."""

    suffixes = frozenset({".md", ".markdown"})

    def read(self, data: bytes, path: str) -> Iterator[Article | ReaderError]:
        """Yield the one article of the file."""
        text = decode(data, path)
        check_length(text, path)
        fields, source = _split_front_matter(normalize_text(text), path)
        heading, body = _render(source, path)
        said = from_mapping(fields)
        if said.title and heading and normalize_line(heading) != normalize_line(said.title):
            body = f"{heading}\n\n{body}"  # The heading says something of its own.
        yield make_article(replace(said, title=said.title or heading, text=body), path, "markdown")


def _split_front_matter(text: str, path: str) -> tuple[dict[str, object], str]:
    found = _FRONT_MATTER.match(text[:_MAX_FRONT_MATTER])
    if found is None:
        if re.match(r"---\n\w+:", text):
            warn(path, "the front matter is not closed by a line ---; it is read as text")
        return {}, text
    block = found[1] or ""
    try:
        # The loader that knows only strings, lists and mappings: it makes no objects, keeps a date and its zone as
        # they were written, and does not take `language: no` for False.
        fields = yaml.BaseLoader(block).get_single_data()
    except (yaml.YAMLError, RecursionError, ValueError):
        warn(path, "the front matter is not YAML (a colon in a value needs quotes); read line by line")
        fields = dict(re.findall(r"^([\w-]+):[ ]+(\S.*)$", block, re.MULTILINE))
    if not isinstance(fields, dict):
        return {}, text  # Two rules around a paragraph, not front matter.
    return {key: value for key, value in fields.items() if isinstance(key, str)}, text[found.end() :]


def _render(source: str, path: str) -> tuple[str, str]:
    """Return the first heading, if the text begins with one, and all the rest as plain paragraphs."""
    if sum(map(source.count, "[]*_`<&\\!")) > _MAX_MARKS:
        raise ReaderError(path, f"more than {_MAX_MARKS:,} Markdown marks; this is no article")
    # Indented code stays a paragraph: in prose an indent is an accident, and text would be lost.
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"]).disable("code")
    tokens = parser.parse(source)
    title = ""
    if len(tokens) > 1 and tokens[0].type == "heading_open" and tokens[0].tag == "h1":
        title, tokens = _inline(tokens[1].children or ()), tokens[3:]
    return title, _join(list(_blocks(tokens)))


def _blocks(tokens: Sequence[Token]) -> Iterator[str]:
    bullet = ""
    cells: list[str] | None = None
    for token in tokens:
        if token.type == "list_item_open":
            bullet = "- "
        elif token.type == "tr_open":
            cells = []
        elif token.type == "tr_close":
            yield " | ".join(cells or ())
            cells = None
        elif token.type in ("inline", "html_block"):
            text = _strip_markup(token.content) if token.type == "html_block" else _inline(token.children or ())
            if cells is not None:
                cells.append(text)
            elif text.strip():
                yield bullet + text.strip()
                bullet = ""


def _inline(tokens: Sequence[Token]) -> str:
    parts = {"softbreak": " ", "hardbreak": "\n"}
    return "".join(
        token.content if token.type in ("text", "code_inline") else parts.get(token.type, "") for token in tokens
    )


def _join(blocks: list[str]) -> str:
    """Blank lines between blocks, none between the items of a list."""
    text = blocks[0] if blocks else ""
    parts = [text]
    for before, block in pairwise(blocks):
        parts += ("\n" if is_list_line(before) and is_list_line(block) else "\n\n", block)
    return "".join(parts)


def _strip_markup(html: str) -> str:
    # Splitting instead of one pattern over all: unclosed comments would make that quadratic.
    for opening, closing in (("<!--", "-->"), ("<script", "</script>"), ("<style", "</style>")):
        first, *rest = html.split(opening)
        html = first + "".join(part.partition(closing)[2] for part in rest)
    return re.sub(r"<[^<>]*>", " ", html)
