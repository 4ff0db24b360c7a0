"""What the shipped scorer reads: pieces in their order, offsets into the sentences, and what is left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from tokenizers import Tokenizer

from qa.scorers.encoding import MAX_PIECES, QUESTION_PIECES, TITLE_PIECES, Encoded, Encoder
from scorers.samples import PACKAGED

WORDPIECES = (PACKAGED / "tokenizer.json").read_text(encoding="utf-8")
ENCODER = Encoder(WORDPIECES)
PLAIN = Tokenizer.from_str(WORDPIECES)
PLAIN.no_truncation()
PLAIN.no_padding()
CLS, SEP = PLAIN.token_to_id("[CLS]"), PLAIN.token_to_id("[SEP]")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def pieces(text: str) -> list[int]:
    """The word pieces of a text on its own."""
    return list(PLAIN.encode(text, add_special_tokens=False).ids)


def texts_of(encoded: Encoded, sentences: list[str]) -> list[list[str]]:
    """The text that each piece of each sentence points at."""
    return [[text[start:end] for start, end in row] for text, row in zip(sentences, encoded.offsets, strict=False)]


def test_the_sequence_is_written_out() -> None:
    encoded = ENCODER.encode("Who won?", "The cup", ["Brisk won.", "Halm lost."])
    names = [PLAIN.id_to_token(piece) for piece in encoded.ids]
    assert " ".join(names) == "[CLS] who won ? [SEP] the cup [SEP] brisk won . [SEP] halm lost . [SEP]".replace(
        "halm", "hal ##m"
    )
    assert encoded.types == [0] * 5 + [1] * (len(names) - 5)
    assert [names[mark] for mark in encoded.marks] == ["[SEP]", "[SEP]"]
    assert [names[start] for start in encoded.starts] == ["brisk", "hal"]


def test_offsets_count_code_points() -> None:
    sentences = ["Mayor Ute 🪁🪁 flew 9 é\u0301 metres.", "東京 won."]
    encoded = ENCODER.encode("Who?", "🪁", sentences)
    assert texts_of(encoded, sentences)[0][-5:] == ["flew", "9", "é", "metres", "."]
    assert texts_of(encoded, sentences)[1] == ["東", "京", "won", "."]


@profile(max_examples=200)
@given(question=TEXTS, title=TEXTS, sentences=st.lists(TEXTS, max_size=5))
def test_every_part_is_what_the_tokenizer_makes_of_it_alone(question: str, title: str, sentences: list[str]) -> None:
    encoded = ENCODER.encode(question, title, sentences)
    named = pieces(title)
    expected = [CLS, *pieces(question), SEP, *([*named, SEP] if named else [])]
    for sentence in sentences:
        expected += [*pieces(sentence), SEP]
    assert encoded.ids == expected
    assert encoded.types == [int(place > len(pieces(question)) + 1) for place in range(len(expected))]
    assert len(encoded.marks) == len(encoded.starts) == len(encoded.offsets) == len(sentences)
    for sentence, start, mark, offsets in zip(sentences, encoded.starts, encoded.marks, encoded.offsets, strict=True):
        alone = PLAIN.encode(sentence, add_special_tokens=False)
        assert encoded.ids[start:mark] == alone.ids and encoded.ids[mark] == SEP
        assert offsets == alone.offsets


def test_an_empty_title_is_left_out() -> None:
    assert ENCODER.encode("Who?", "", ["Yes."]).ids == [CLS, *pieces("Who?"), SEP, *pieces("Yes."), SEP]


def test_a_long_question_and_a_long_title_are_cut() -> None:
    encoded = ENCODER.encode("why " * 500, "cup " * 500, ["Yes."])
    (why,), (cup,) = pieces("why"), pieces("cup")
    assert encoded.ids[: QUESTION_PIECES + 2] == [CLS, *[why] * QUESTION_PIECES, SEP]
    assert encoded.ids[QUESTION_PIECES + 2 :] == [*[cup] * TITLE_PIECES, SEP, *pieces("Yes."), SEP]


@pytest.mark.parametrize("length", range(280, 330))
def test_what_does_not_fit_is_cut_and_what_does_not_begin_is_left_out(length: int) -> None:
    sentences = ["cup " * length, "cup " * 3, "Yes."]
    encoded = ENCODER.encode("why", "", sentences)
    room = MAX_PIECES - len([CLS, "why", SEP])
    assert len(encoded.ids) == len(encoded.types) <= MAX_PIECES
    kept = []
    for sentence in sentences:
        if room < 2:
            break
        kept.append(min(len(pieces(sentence)), room - 1))
        room -= kept[-1] + 1
    assert [mark - start for start, mark in zip(encoded.starts, encoded.marks, strict=True)] == kept
    assert [len(row) for row in encoded.offsets] == kept
    assert all(encoded.ids[mark] == SEP for mark in encoded.marks)


def test_halves_of_characters_are_read_as_something_of_the_same_length() -> None:
    sentences = ["\ud800\udfff The cup 🏆 went home."]
    encoded = ENCODER.encode("\ud800", "\udc00", sentences)
    assert texts_of(encoded, sentences)[0][-6:] == ["The", "cup", "🏆", "went", "home", "."]
