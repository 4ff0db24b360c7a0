"""What the scorer reads: a question and a run of sentences as one sequence of word pieces.

    [CLS] question [SEP] title [SEP] first sentence [SEP] second sentence [SEP] …

Training and run time share this file. A sentence's own closing [SEP] is where the model says whether it answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from qa.embedders.onnx import CHARACTERS_PER_TOKEN, readable_start

__all__ = ["MAX_CHARACTERS", "MAX_PIECES", "Encoded", "Encoder"]

MAX_PIECES = 320
"""Longest sequence in word pieces; sentences that do not fit are cut, those that do not begin are left out."""
MAX_CHARACTERS = CHARACTERS_PER_TOKEN * MAX_PIECES
"""What is read of one text at most; more only takes time."""
QUESTION_PIECES = 64
TITLE_PIECES = 32


@dataclass(frozen=True, slots=True)
class Encoded:
    """One sequence. `ids` and `types` (0 up to the question's end, then 1) have equal length.

    `marks[i]` is the place of sentence i's closing [SEP], `starts[i]` that of its first piece; `offsets[i][j]` is the
    span of piece ``starts[i] + j`` in that sentence's text, in code points. Sentences that did not fit are missing.
    """

    ids: list[int]
    types: list[int]
    starts: list[int]
    marks: list[int]
    offsets: list[list[tuple[int, int]]]


class Encoder:
    """Encodes for a BERT vocabulary. Thread-safe: the tokenizer is never changed after construction."""

    def __init__(self, tokenizer: str) -> None:
        """`tokenizer`: the content of a tokenizer.json."""
        self._tokenizer = Tokenizer.from_str(tokenizer)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._cls, self._sep = (self._tokenizer.token_to_id(mark) or 0 for mark in ("[CLS]", "[SEP]"))

    def encode(self, question: str, title: str, sentences: Sequence[str]) -> Encoded:
        """Encode a question with consecutive sentences of one article; an empty title is left out."""
        texts = [readable_start(text, MAX_CHARACTERS) for text in (question, title, *sentences)]
        asked, *pieces = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        ids = [self._cls, *asked.ids[:QUESTION_PIECES], self._sep]
        types = [0] * len(ids)
        named = pieces.pop(0).ids[:TITLE_PIECES]
        if named:
            ids += [*named, self._sep]
        starts, marks, offsets = [], [], []
        for piece in pieces:
            room = MAX_PIECES - len(ids) - 1
            if room < 1:
                break
            starts.append(len(ids))
            ids += [*piece.ids[:room], self._sep]
            marks.append(len(ids) - 1)
            offsets.append(piece.offsets[:room])
        types += [1] * (len(ids) - len(types))
        return Encoded(ids, types, starts, marks, offsets)
