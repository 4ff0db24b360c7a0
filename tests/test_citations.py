"""Citations are slices of the article, numbered by first use; what was not retrieved cannot be cited."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qa.citations import cite
from qa.errors import CitationError
from qa.support import check_support
from qa.types import Article, Chunk, Passage, Sentence, Statement

TEXT = "The dam reopened. It was shut for 11 days. Three turbines were replaced."
SPANS = [(0, 17), (18, 42), (43, 72)]


def passage(article_id: str = "a_1", first: int = 0, stop: int = 3) -> Passage:
    article = Article(article_id, "Dam reopens", TEXT)
    sentences = tuple(Sentence(article_id, i, s, e, TEXT[s:e]) for i, (s, e) in enumerate(SPANS))[first:stop]
    chunk = Chunk(1, article_id, first, stop, sentences[0].start, sentences[-1].end, 20)
    return Passage(chunk, article, sentences, 1.0)


def statement(source: Sentence) -> Statement:
    return Statement(source.text, (source,))


def test_quote_is_the_slice_of_the_article() -> None:
    found = passage()
    cited = cite([statement(found.sentences[1])], [found], check_support)
    (citation,) = cited.citations
    assert citation.quote == TEXT[18:42] == TEXT[citation.start : citation.end]
    assert (citation.number, citation.segments, citation.sentence_index) == (1, (0,), 1)
    assert citation.support.label == "supported"


def test_numbers_follow_first_use_and_one_sentence_has_one_number() -> None:
    found = passage()
    last, first = found.sentences[2], found.sentences[0]
    cited = cite([statement(last), statement(first), statement(last)], [found], check_support)
    assert [(c.number, c.sentence_index, c.segments) for c in cited.citations] == [(1, 2, (0, 2)), (2, 0, (1,))]


def test_articles_are_those_cited_in_order_of_first_citation() -> None:
    one, two, three = passage("a_1"), passage("a_2"), passage("a_3")
    cited = cite([statement(three.sentences[0]), statement(one.sentences[0])], [one, two, three], check_support)
    assert [article.id for article in cited.articles] == ["a_3", "a_1"]


def test_a_statement_that_its_source_does_not_say_is_dropped_and_counted() -> None:
    found = passage()
    wrong = Statement("It was shut for 12 days.", (found.sentences[1],))
    cited = cite([wrong, statement(found.sentences[0])], [found], check_support)
    assert [s.text for s in cited.statements] == ["The dam reopened."]
    assert cited.dropped == 1
    assert [c.segments for c in cited.citations] == [(0,)]


def test_a_sentence_that_was_not_retrieved_raises() -> None:
    outside = passage().sentences[2]
    with pytest.raises(CitationError, match="sentence 2 of article a_1 was not retrieved"):
        cite([statement(outside)], [passage(first=0, stop=2)], check_support)


@pytest.mark.parametrize("change", [{"start": 1}, {"text": "The dam burst."}, {"article_id": "a_9"}])
def test_a_forged_sentence_raises(change: dict[str, object]) -> None:
    found = passage()
    forged = replace(found.sentences[0], **change)
    with pytest.raises(CitationError):
        cite([Statement(forged.text, (forged,))], [found], check_support)


def test_a_statement_without_source_raises() -> None:
    with pytest.raises(CitationError, match="without a source"):
        cite([Statement("The dam reopened.", ())], [passage()], check_support)


def test_offsets_that_do_not_fit_the_article_raise() -> None:
    found = passage()
    shifted = replace(found.sentences[0], start=1, text=TEXT[0:17])
    broken = replace(found, sentences=(shifted,))
    with pytest.raises(CitationError, match="not what its offsets say"):
        cite([Statement(TEXT[1:17], (shifted,))], [broken], check_support)


def test_support_is_read_from_the_article_not_from_the_sentence_handed_back() -> None:
    found = passage()
    lying = replace(found.sentences[0], text="The dam burst.")
    support = check_support(Statement("The dam burst.", (lying,)), {found.article.id: found.article})
    assert (support.label, support.score) == ("unsupported", 0.0)
