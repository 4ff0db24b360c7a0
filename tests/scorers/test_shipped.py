"""The shipped scorer: how its logits are read, where its word vectors come from, and what keeps it from loading."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from qa.errors import ModelError
from qa.scorers import load_scorer
from qa.scorers import onnx as shipped
from qa.scorers.encoding import MAX_PIECES, Encoded
from qa.scorers.onnx import ANSWERS, END, SPAN_PIECES, START, OnnxScorer, read_scores, word_vectors
from qa.types import SentenceScore
from scorers.samples import PACKAGED, make_cross_encoder, passage

TABLE = "embeddings.word_embeddings.weight"


def test_it_finds_the_sentence_and_the_words_that_answer() -> None:
    sentences = ["The Oster Dam reopened on Monday.", "It was shut for 11 days.", "Engineers replaced 3 turbines."]
    (row,) = OnnxScorer.load().score("How many turbines were replaced?", [passage("Oster Dam", sentences)])
    best = max(range(3), key=lambda place: row[place].answers)
    assert best == 2
    assert row[2].span is not None and sentences[2][slice(*row[2].span)] == "3"


def test_the_model_card_is_that_of_this_scorer() -> None:
    card = shipped.MODEL.with_name("README.md").read_text(encoding="utf-8")
    assert card.startswith(f"# Model card: {OnnxScorer.name}\n")
    assert f"`{shipped.MODEL.name}`, {round(shipped.MODEL.stat().st_size / 1e6)} MB" in card
    assert f"at most {MAX_PIECES} word pieces" in card


# Logits


@st.composite
def read_passages(draw: st.DrawFn) -> tuple[Encoded, np.ndarray[Any, np.dtype[np.float32]]]:
    """Sentences of some pieces each, after a question of three, and logits with ties among them."""
    lengths = draw(st.lists(st.integers(0, 2 * SPAN_PIECES), min_size=1, max_size=4))
    starts, marks, offsets, at = [], [], [], 5
    for length in lengths:
        starts.append(at)
        marks.append(at + length)
        offsets.append([(3 * place, 3 * place + 2) for place in range(length)])
        at += length + 1
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    logits = random.integers(-4, 5, (at, 3)).astype(np.float32)
    return Encoded([0] * at, [0] * at, starts, marks, offsets), logits


@profile(max_examples=150)
@given(read_passages())
def test_the_best_span_of_all(given_: tuple[Encoded, np.ndarray[Any, np.dtype[np.float32]]]) -> None:
    encoded, logits = given_
    nothing = logits[0, START] + logits[0, END]
    expected = []
    for start, mark, offsets in zip(encoded.starts, encoded.marks, encoded.offsets, strict=True):
        best: tuple[float, tuple[int, int]] | None = None
        for first in range(start, mark):
            for last in range(first, min(first + SPAN_PIECES, mark)):
                margin = float(logits[first, START] + logits[last, END] - nothing)
                if best is None or margin > best[0]:
                    best = (margin, (offsets[first - start][0], offsets[last - start][1]))
        answers = float(logits[mark, ANSWERS])
        expected.append(SentenceScore(answers, *best) if best else SentenceScore(answers))
    assert read_scores(encoded, logits) == expected


@pytest.mark.parametrize(("last", "fits"), [(SPAN_PIECES - 1, True), (SPAN_PIECES, False)])
def test_a_span_has_so_many_pieces_at_most(last: int, fits: bool) -> None:
    length = SPAN_PIECES + 5
    offsets = [(place, place + 1) for place in range(length)]
    logits = np.zeros((length + 4, 3), dtype=np.float32)
    logits[3, START] = logits[3 + last, END] = 5.0
    (score,) = read_scores(Encoded([], [], [3], [3 + length], [offsets]), logits)
    assert score.margin == (10.0 if fits else 5.0)
    assert (score.span == (0, last + 1)) == fits


# Word vectors


def test_word_vectors_are_those_of_the_packaged_model() -> None:
    found = word_vectors(PACKAGED / "model.safetensors")
    expected = load_file(PACKAGED / "model.safetensors")[TABLE]
    assert found.dtype == np.float32 and np.array_equal(found, expected)


def test_word_vectors_are_found_behind_other_tensors(tmp_path: Path) -> None:
    table = np.arange(12, dtype=np.float32).reshape(4, 3)
    save_file({"a": np.ones(5, np.int8), TABLE: table, "z": np.zeros(2)}, tmp_path / "m.safetensors")
    assert word_vectors(tmp_path / "m.safetensors").tolist() == table.tolist()


def header(**about: object) -> bytes:
    text = json.dumps({TABLE: {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16], **about}}).encode()
    return len(text).to_bytes(8, "little") + text


DAMAGED = {
    "empty": b"",
    "no header": b"\x10\x00\x00\x00\x00\x00\x00\x00",
    "an endless header": b"\xff" * 8 + b"{}",
    "a long header": (1 << 40).to_bytes(8, "little") + b"{}",
    "not JSON": (4).to_bytes(8, "little") + b"\xff\xfe{}",
    "a list": (2).to_bytes(8, "little") + b"[]",
    "no such tensor": (2).to_bytes(8, "little") + b"{}",
    "no offsets": header(data_offsets=[]) + bytes(16),
    "no type": header(dtype=None) + bytes(16),
    "other type": header(dtype="F16") + bytes(16),
    "text for a number": header(data_offsets=["0", "16"]) + bytes(16),
    "an offset far away": header(data_offsets=[1 << 70, 16]) + bytes(16),
    "an offset before the file": header(data_offsets=[-(1 << 70), 16]) + bytes(16),
    "too short": header() + bytes(15),
    "larger than the file": header(shape=[1 << 40, 384]) + bytes(16),
    "of another shape": header(shape=[4]) + bytes(16),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_weights_are_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(DAMAGED[damage])
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        word_vectors(path)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"word vectors of .*none\.safetensors"):
        word_vectors(tmp_path / "none.safetensors")


# Loading


def test_a_scorer_with_other_bytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = shipped.MODEL.read_bytes()
    for name, changed in {"cut": data[:-1], "flipped": bytes([data[0] ^ 1]) + data[1:]}.items():
        monkeypatch.setattr(shipped, "MODEL", tmp_path / name)
        (tmp_path / name).write_bytes(changed)
        with pytest.raises(ModelError, match=rf"{name} has SHA-256 \w{{64}}, this version has \w{{64}}: reinstall it"):
            load_scorer("sourceline")


def test_a_scorer_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "MODEL", tmp_path / "gone.onnx")
    with pytest.raises(ModelError, match=r"gone\.onnx: No such file or directory; reinstall it"):
        load_scorer("sourceline")


def test_none_is_no_scorer() -> None:
    assert load_scorer("none") is None


def test_an_unknown_name_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("asked the network"))
    with pytest.raises(ModelError, match=r"no model 'no-such-model'.*`hf download no-such-model`"):
        load_scorer("no-such-model")


def test_a_folder_that_is_no_cross_encoder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=f"cannot load cross-encoder {tmp_path.name} from"):
        load_scorer(str(tmp_path))


def test_a_classifier_of_pairs_is_refused(tmp_path: Path) -> None:
    from transformers import BertConfig, BertForSequenceClassification

    make_cross_encoder(tmp_path)
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    BertForSequenceClassification(BertConfig(num_labels=3, **shape)).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="gives 3 scores a pair; one that gives 1 is needed"):
        load_scorer(str(tmp_path))


def test_a_sentence_that_did_not_fit_is_the_last_choice() -> None:
    long = passage("Long", ["cup " * 400, "Engineers replaced 3 turbines."])
    (row,) = OnnxScorer.load().score("How many turbines were replaced?", [long])
    assert row[1].span is None and row[1].answers < row[0].answers and math.isfinite(row[1].answers)
