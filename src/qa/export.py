"""An answer as Markdown: the question as heading, sentences with footnotes, the quotes in the footnotes.

Everything that comes from articles and readers is escaped, so that it stays text in CommonMark, in GitHub's dialect and
in Pandoc's.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from qa.contract import AnswerReply, CitationOut, ClosestOut, SourceOut

__all__ = ["answer_markdown", "escape", "file_name"]

_SPECIAL = re.compile(r"[\\`*_{}\[\]<>&~|^$@=]|:(?=//)|(?<=[Ww])\.")
"""What begins emphasis, code, links, tags, entities, tables, footnotes, mathematics, mentions and bare addresses."""
_OPENING = re.compile(r"^\d+(?=[.)])|^(?=[#+\-:%(])")
"""What begins a heading, a list, a rule or a definition, at the start of a paragraph only."""
_NAME = 60
"""Longest file name, in code points."""


def answer_markdown(reply: AnswerReply, address: str) -> str:
    """The answer as a document. `address` is this server's, without a slash at the end, for links to the articles."""
    sources = {source.article_id: source for source in reply.sources}
    blocks = [f"# {escape(reply.question)}"]
    if reply.not_found:
        blocks.append(escape(reply.not_found.message))
        blocks += [f"- {_closest(close, address)}" for close in reply.not_found.closest]
    else:
        blocks.append(
            " ".join(
                escape(segment.text) + "".join(f"[^{n}]" for n in segment.citations)
                for segment in reply.answer.segments
            )
        )
    blocks.append(f"Answered {reply.created_at} by Sourceline from generation {reply.engine.generation} of the index.")
    blocks += [f"[^{it.n}]: {_footnote(it, sources[it.article_id], address)}" for it in reply.citations]
    return "\n\n".join(blocks) + "\n"


def _footnote(citation: CitationOut, source: SourceOut, address: str) -> str:
    if citation.state == "gone":
        return f"Withheld: the article was removed. SHA-256 of the quote: {citation.quote_sha256}"
    link = _link(source.title, citation.original_url or address + citation.url)
    facts = ", ".join([link, *(escape(fact) for fact in (source.publisher, source.published_at) if fact)])
    changed = " The article has changed since." if citation.state == "changed" else ""
    return f"“{escape(citation.quote)}” {facts}.{changed}"


def _closest(close: ClosestOut, address: str) -> str:
    return f"Closest, but no answer: “{escape(close.quote)}” {_link(close.title, address + close.url)}"


def _link(title: str, url: str) -> str:
    target = re.sub(r"[\\<>&]", r"\\\g<0>", url)
    return f"[{escape(title or 'Untitled')}](<{target}>)"


def escape(text: str) -> str:
    """Markdown that renders as this text, on one line."""
    line = " ".join(text.splitlines()).strip()
    return _OPENING.sub(r"\g<0>\\", _SPECIAL.sub(r"\\\g<0>", line))


def file_name(question: str) -> str:
    """A readable file name as the value of ``Content-Disposition`` (RFC 6266)."""
    words = re.sub(r"[\W_]+", "-", question.lower()).strip("-")[:_NAME].strip("-")
    return f"attachment; filename=\"answer.md\"; filename*=UTF-8''{quote(f'{words}.md', safe='')}"
