"""The support check: does the cited sentence say the statement? It runs on every statement of every answer.

A verbatim statement is supported by what it repeats, so the check compares it with the article's own text. A statement
that no source says word for word is unsupported.
"""

from __future__ import annotations

from collections.abc import Mapping

from qa.types import Article, Statement, Support

__all__ = ["check_support"]


def check_support(statement: Statement, articles: Mapping[str, Article]) -> Support:
    """Check one statement against the stored text of its sources, `articles` by id.

    The text is taken from the article by offset, not from the sentence that the answerer handed back.
    """
    for source in statement.sources:
        article = articles.get(source.article_id)
        if article is not None and article.text[source.start : source.end] == statement.text:
            return Support("supported", 1.0)
    return Support("unsupported", 0.0)
