"""Paragraphs of plain text, told by line breaks alone: one line each, wrapped at a width, or set off by blank lines."""

from __future__ import annotations

import re

from qa.readers.text import is_list_line

__all__ = ["reflow"]

_WIDEST_WRAP = 100
"""Columns. Text wrapped by programs or people stays below; a paragraph on one line is nearly always above."""
_NARROWEST_WRAP = 40
_ENDS_SENTENCE = re.compile(r"[.!?…:。！？][\"'”’»)\]]*$")


def reflow(text: str) -> str:
    """Return normalised `text` with each paragraph on one line and blank lines between; list items keep their lines."""
    blocks = [[line.strip() for line in block.split("\n")] for block in text.split("\n\n")]
    lengths = [len(line) for lines in blocks for line in lines]
    short = [length for length in lengths if length <= _WIDEST_WRAP]
    # One long address among wrapped lines must not hide that they are wrapped.
    width = max(short, default=0) if len(short) * 10 >= len(lengths) * 9 else 0
    return "\n\n".join(_reflow_block(lines, width) for lines in blocks)


def _reflow_block(lines: list[str], width: int) -> str:
    parts = [lines[0]]
    for before, line in zip(lines, lines[1:], strict=False):
        parts += (_separator(before, line, width), line)
    return "".join(parts)


def _separator(before: str, line: str, width: int) -> str:
    if is_list_line(line):
        return "\n"
    if not width:
        return "\n\n"
    first_word = line.split(" ", 1)[0]
    is_full = width >= _NARROWEST_WRAP and len(before) + 1 + len(first_word) > width
    if is_full or (line[:1].islower() and not _ENDS_SENTENCE.search(before)):
        return " "
    return "\n\n" if _ENDS_SENTENCE.search(before) else "\n"
