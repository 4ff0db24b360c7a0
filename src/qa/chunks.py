"""Chunks: runs of whole sentences, the units of retrieval, measured in tokens of the embedding model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qa.protocols import TokenCounter
from qa.types import Sentence

__all__ = ["CHUNKER", "ChunkDraft", "chunk_sentences", "embedding_text", "title_context"]

CHUNKER = "greedy-1"
"""Name and version of the rules in this file, recorded in the manifest: change it with any change to what they give."""

TITLE_CHARACTERS = 200
"""A longer "title" is a feed's mistake; whole, it would crowd the article's own words out of every chunk."""


@dataclass(frozen=True, slots=True)
class ChunkDraft:
    """A chunk before the catalog gives it an id: sentences ``first`` to ``stop - 1``, article text ``[start:end]``.

    `token_count` includes the title. It exceeds the budget only where one sentence alone does.
    """

    first: int
    stop: int
    start: int
    end: int
    token_count: int


def title_context(title: str) -> str:
    """Return as much of a title as stands before each chunk: cut at a word where it is too long for a headline."""
    if len(title) <= TITLE_CHARACTERS:
        return title
    return title[: TITLE_CHARACTERS + 1].rsplit(maxsplit=1)[0][:TITLE_CHARACTERS]


def embedding_text(title: str, text: str) -> str:
    """Return what is embedded for a chunk: the one place that decides it."""
    context = title_context(title)
    return f"{context}\n{text}" if context else text


def chunk_sentences(
    title: str,
    sentences: Sequence[Sentence],
    counter: TokenCounter,
    max_tokens: int,
    overlap_sentences: int = 0,
    counts: Sequence[int] | None = None,
) -> list[ChunkDraft]:
    """Group the sentences of one article, in order, into chunks of at most `max_tokens` with the title.

    Each chunk takes as many whole sentences as fit and repeats up to `overlap_sentences` from the chunk before it. A
    sentence over the budget is a chunk alone. `counts`: tokens of the title context, then of each sentence, where the
    caller has counted many articles at once. Linear in the number of sentences.
    """
    if counts is None:
        counts = counter.count_tokens([title_context(title), *(sentence.text for sentence in sentences)])
    context, lengths = counts[0], counts[1:]
    drafts: list[ChunkDraft] = []
    first = 0
    while first < len(sentences):
        stop = _fill(first, lengths, max_tokens - context)
        total = context + sum(lengths[first:stop])
        drafts.append(ChunkDraft(first, stop, sentences[first].start, sentences[stop - 1].end, total))
        first = _step_back(first, stop, lengths, max_tokens - context, overlap_sentences)
    return drafts


def _fill(first: int, lengths: Sequence[int], budget: int) -> int:
    """Return where the chunk that starts at `first` stops: after one sentence at least."""
    stop, total = first + 1, lengths[first]
    while stop < len(lengths) and total + lengths[stop] <= budget:
        total += lengths[stop]
        stop += 1
    return stop


def _step_back(first: int, stop: int, lengths: Sequence[int], budget: int, overlap: int) -> int:
    """Return where the next chunk starts: before `stop` by the overlap, as far as the next sentence still fits in."""
    if stop == len(lengths):
        return stop
    start, total = stop, lengths[stop]
    while start > first + 1 and stop - start < overlap and total + lengths[start - 1] <= budget:
        start -= 1
        total += lengths[start]
    return start
