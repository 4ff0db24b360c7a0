"""Chunks: whole sentences, in order, within the budget."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa.chunks import TITLE_CHARACTERS, ChunkDraft, chunk_sentences, embedding_text, title_context
from qa.types import Sentence


class Words:
    """Counts words, and how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        self.calls += 1
        return [len(text.split()) for text in texts]


def sentences_of(lengths: Sequence[int]) -> list[Sentence]:
    """Sentences of so many words, two characters a word, one blank between sentences."""
    sentences, start = [], 0
    for index, length in enumerate(lengths):
        text = " ".join("a" * length)
        sentences.append(Sentence("x", index, start, start + len(text), text))
        start += len(text) + 1
    return sentences


def spans(lengths: Sequence[int], budget: int, overlap: int = 0, title: str = "") -> list[tuple[int, int]]:
    drafts = chunk_sentences(title, sentences_of(lengths), Words(), budget, overlap)
    return [(draft.first, draft.stop) for draft in drafts]


@pytest.mark.parametrize(
    ("lengths", "budget", "overlap", "expected"),
    [
        ([], 10, 0, []),
        ([3], 10, 0, [(0, 1)]),
        ([5, 5], 10, 0, [(0, 2)]),
        ([5, 6], 10, 0, [(0, 1), (1, 2)]),
        ([4, 4, 4, 4, 4], 10, 0, [(0, 2), (2, 4), (4, 5)]),
        ([2, 30, 2], 10, 0, [(0, 1), (1, 2), (2, 3)]),
        ([30], 10, 0, [(0, 1)]),
        ([0, 0, 0], 10, 0, [(0, 3)]),
        ([4, 4, 4, 4], 12, 1, [(0, 3), (2, 4)]),
        ([4, 4, 4, 4, 4], 12, 2, [(0, 3), (1, 4), (2, 5)]),
        ([2, 2, 9, 2], 12, 2, [(0, 2), (1, 3), (2, 4)]),  # repeats only what leaves room for the next sentence
        ([6, 6, 6], 10, 3, [(0, 1), (1, 2), (2, 3)]),
    ],
)
def test_chunks(lengths: list[int], budget: int, overlap: int, expected: list[tuple[int, int]]) -> None:
    assert spans(lengths, budget, overlap) == expected


def test_a_chunk_says_where_it_stands_and_how_long_it_is() -> None:
    drafts = chunk_sentences("On strike", sentences_of([4, 4, 4]), Words(), 10)
    assert drafts == [ChunkDraft(0, 2, 0, 15, 10), ChunkDraft(2, 3, 16, 23, 6)]


def test_the_title_takes_its_share_of_the_budget() -> None:
    assert spans([4, 4], 10) == [(0, 2)]
    assert spans([4, 4], 10, title="Strike at the port") == [(0, 1), (1, 2)]


def test_a_sentence_over_the_budget_is_alone_and_says_so() -> None:
    drafts = chunk_sentences("", sentences_of([2, 30, 2]), Words(), 10)
    assert [draft.token_count > 10 for draft in drafts] == [False, True, False]


@given(st.lists(st.integers(0, 12), max_size=40), st.integers(1, 20), st.integers(0, 4), st.integers(0, 6))
def test_every_sentence_is_in_a_chunk_and_no_chunk_is_longer_than_it_must_be(
    lengths: list[int], budget: int, overlap: int, title_words: int
) -> None:
    sentences = sentences_of(lengths)
    drafts = chunk_sentences(" ".join(["t"] * title_words), sentences, Words(), budget, overlap)
    assert {i for draft in drafts for i in range(draft.first, draft.stop)} == set(range(len(lengths)))
    for draft in drafts:
        assert draft.first < draft.stop
        assert (draft.start, draft.end) == (sentences[draft.first].start, sentences[draft.stop - 1].end)
        assert draft.token_count == title_words + sum(lengths[draft.first : draft.stop])
        assert draft.token_count <= budget or draft.stop - draft.first == 1
        if draft.stop < len(lengths):  # as full as it can be
            assert draft.token_count + lengths[draft.stop] > budget
    for before, after in zip(drafts, drafts[1:], strict=False):
        assert before.first < after.first <= before.stop < after.stop
        assert before.stop - after.first <= overlap


def test_counts_can_be_brought_along() -> None:
    words = Words()
    sentences = sentences_of([4, 4, 4])
    counts = words.count_tokens(["On strike", *(sentence.text for sentence in sentences)])
    assert chunk_sentences("On strike", sentences, words, 10, 0, counts) == chunk_sentences(
        "On strike", sentences, Words(), 10
    )
    assert words.calls == 1


def test_the_tokenizer_is_asked_once_per_article() -> None:
    words = Words()
    chunk_sentences("On strike", sentences_of([4] * 50), words, 10)
    assert words.calls == 1


@pytest.mark.parametrize("overlap", [0, 8])
def test_time_is_linear(overlap: int) -> None:
    def seconds(count: int) -> float:
        sentences = sentences_of([1] * count)
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            chunk_sentences("", sentences, Words(), 10_000_000, overlap, [0] + [1] * count)
            chunk_sentences("", sentences, Words(), 12, overlap, [0] + [1] * count)
            best = min(best, time.process_time() - start)
        return best

    assert seconds(20_000) / seconds(5_000) < 10


def test_a_title_stands_before_the_text() -> None:
    assert embedding_text("Port reopens", "Ferries left.") == "Port reopens\nFerries left."
    assert embedding_text("", "Ferries left.") == "Ferries left."


def test_a_title_that_is_no_headline_is_cut_at_a_word() -> None:
    title = "word " * 100
    assert title_context(title) == ("word " * 40).strip()
    assert title_context("x" * 500) == "x" * TITLE_CHARACTERS
    assert title_context("Port reopens") == "Port reopens"
    assert embedding_text(title, "text") == title_context(title) + "\ntext"
    counted = chunk_sentences(title, sentences_of([3]), Words(), 128)
    assert counted[0].token_count == 43
