"""The lexical index against BM25 written out, and against itself built another way."""

from __future__ import annotations

import contextlib
import math
import sys
import threading
import time
import unicodedata
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa.errors import IndexDamaged, StoreError
from qa.lexical import FILE, LexicalIndex, one_slip, terms
from qa.postings import Postings, PostingsBuilder

NEWS = {
    3: "Storm closes the harbour in Port Ellen",
    8: "The harbour reopened on Tuesday after the storm, the harbour master said.",
    11: "Council votes to lower bus fares in March",
    20: "Fares for ferries from the harbour will not change",
    21: "Beyoncé sang in the U.S. and in Zürich",
}


TREES = ["ash", "beech", "cedar", "elm", "fir"]


class MemoryFiles:
    """Generation files in a dictionary."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}

    def write(self, name: str, data: bytes) -> None:
        self.data[name] = data

    def read(self, name: str) -> bytes:
        return self.data[name]


def built(texts: dict[int, str]) -> LexicalIndex:
    index = LexicalIndex.empty()
    index.add(list(texts), list(texts.values()))
    return index


def saved(index: LexicalIndex) -> bytes:
    files = MemoryFiles()
    index.save(files)
    return files.data[FILE]


def brute_force(texts: dict[int, str], question: str) -> dict[int, float]:
    """BM25 of every text that shares a term, k1 = 1.2, b = 0.75, straight from the formula."""
    documents = {number: terms(text) for number, text in texts.items()}
    mean = sum(map(len, documents.values())) / len(documents)
    scores: dict[int, float] = {}
    for term in sorted(set(terms(question))):
        frequency = sum(term in document for document in documents.values())
        idf = math.log(1 + (len(documents) - frequency + 0.5) / (frequency + 0.5))
        for number, document in documents.items():
            tf = document.count(term)
            if tf:
                weight = idf * tf / (tf + 1.2 * (1 - 0.75 + 0.75 * len(document) / mean))
                scores[number] = scores.get(number, 0.0) + weight
    return scores


def test_terms_are_folded_stemmed_and_without_stop_words() -> None:
    assert terms("The Harbours were CLOSED, closing _again_.") == ["harbour", "close", "close"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("Zürich", "zurich", id="accent"),
        pytest.param("STRASSE", "straße", id="case folding beyond lower case"),
        pytest.param("İstanbul", "istanbul", id="dotted capital I"),
        pytest.param("ﬁnance", "finance", id="ligature"),
        pytest.param("２０２３", "2023", id="full width"),
        pytest.param("U.S.", "US", id="initials"),
        pytest.param("J.K. Rowling", "JK Rowling", id="initials of a name"),
        pytest.param("team’s", "teams", id="typographic apostrophe"),
        pytest.param(unicodedata.normalize("NFD", "Beyoncé é.a. क़लम"), "Beyoncé é.a. क़लम", id="decomposed"),
    ],
)
def test_spellings_of_one_word_give_the_same_terms(one: str, other: str) -> None:
    assert terms(one) == terms(other) != []


def test_a_sentence_end_is_no_initial() -> None:
    assert terms("Plan B.Then vitamin C.") == terms("Plan B. Then vitamin C.")


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_canonically_equal_texts_give_the_same_terms(text: str) -> None:
    assert terms(unicodedata.normalize("NFC", text)) == terms(unicodedata.normalize("NFD", text))


@pytest.mark.parametrize("piece", ["a", "a.", "é", "a\u0301\u0316", "\u0316\u0301", "_", "中", "ﷺ", "a_"])
def test_a_megabyte_without_spaces_is_read_in_linear_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    start = time.process_time()
    terms(text)
    assert time.process_time() - start < 2


def test_idf_is_the_formula_and_highest_for_an_unknown_term() -> None:
    index = built(NEWS)
    assert index.idf("harbour") == math.log(1 + (5 - 3 + 0.5) / (3 + 0.5))
    assert index.idf("unheard") == math.log(1 + (5 + 0.5) / 0.5)
    assert LexicalIndex.empty().idf("harbour") == math.log(2)


@pytest.mark.parametrize(
    "question", ["When did the harbour reopen?", "storm storm fares", "US ZURICH", "master harbour"]
)
def test_scores_are_those_of_the_formula(question: str) -> None:
    hits = built(NEWS).search(question, 10)
    assert {hit.chunk_id: hit.score for hit in hits} == pytest.approx(brute_force(NEWS, question), rel=1e-12)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


@given(
    texts=st.dictionaries(st.integers(0, 2**40), st.lists(st.sampled_from(TREES), max_size=6), max_size=12),
    question=st.lists(st.sampled_from(TREES), min_size=1, max_size=3),
    k=st.integers(1, 15),
    among=st.none() | st.lists(st.integers(0, 2**40), max_size=4),
    picks=st.lists(st.integers(0, 11), max_size=6),
)
def test_search_equals_brute_force(
    texts: dict[int, list[str]], question: list[str], k: int, among: list[int] | None, picks: list[int]
) -> None:
    joined = {number: " ".join(words) for number, words in texts.items()}
    if among is not None and joined:
        among = among + [list(joined)[pick % len(joined)] for pick in picks]
    expected = brute_force(joined, " ".join(question)) if joined else {}
    if among is not None:
        expected = {number: score for number, score in expected.items() if number in among}
    found = built(joined).search(" ".join(question), k, None if among is None else np.array(among, np.int64))
    best = sorted(expected, key=lambda number: (-expected[number], number))[:k]
    assert [hit.chunk_id for hit in found] == best
    assert [hit.score for hit in found] == pytest.approx([expected[number] for number in best], rel=1e-12)


def slips(word: str, letters: str) -> set[str]:
    """Every word that one slip makes of a word, by making them."""
    cuts = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    found = {a + b[1:] for a, b in cuts if b} | {a + c + b for a, b in cuts for c in letters}
    found |= {a + c + b[1:] for a, b in cuts if b for c in letters}
    found |= {a + b[1] + b[0] + b[2:] for a, b in cuts if b[1:]}
    return found - {word}


def test_one_slip_is_a_letter_more_less_or_other_or_two_exchanged() -> None:
    every = ["".join(letters) for length in range(5) for letters in product("abc", repeat=length)]
    for word in every:
        near = slips(word, "abc")
        assert [other for other in every if one_slip(word, other)] == [other for other in every if other in near]


def test_the_similar_term_is_the_commonest_one_slip_away() -> None:
    index = built({1: "harbour", 2: "harbor harbour", 3: "harbour", 4: "arbour", 5: "harsh"})
    assert "harbour" in index and "harbur" not in index
    assert index.similar("harbur", 2) == ("harbour", [1, 2])
    assert index.similar("harbot", 2) == ("harbor", [2])
    assert index.similar("herbor", 9) == ("harbor", [2])
    assert index.similar("xarbour", 9) is None  # another first letter
    assert index.similar("harbooour", 9) is None
    assert LexicalIndex.empty().similar("harbur", 1) is None


def test_equal_scores_stand_by_ascending_id_also_at_the_cut() -> None:
    index = built({30: "ferry late", 10: "ferry late", 20: "ferry late", 5: "bus late"})
    assert [hit.chunk_id for hit in index.search("ferry", 2)] == [10, 20]
    assert [hit.chunk_id for hit in index.search("ferry", 9)] == [10, 20, 30]


@pytest.mark.parametrize("question", ["", "Who was it?", "…?!", "zeppelin", "\ud800"])
def test_a_question_without_an_indexed_term_finds_nothing(question: str) -> None:
    assert built(NEWS).search(question, 5) == []
    assert LexicalIndex.empty().search(question, 5) == []


def test_among_ignores_unknown_ids_and_may_be_empty() -> None:
    index = built(NEWS)
    assert [hit.chunk_id for hit in index.search("harbour", 5)] == [8, 20, 3]
    assert [hit.chunk_id for hit in index.search("harbour", 5, np.array([8, 999, 3]))] == [8, 3]
    assert index.search("harbour", 5, np.array([], np.int64)) == []


changes = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "save"]), st.integers(0, 9), st.text("ab ", max_size=9)), max_size=25
)


@settings(max_examples=200)
@given(changes)
def test_bit_by_bit_gives_the_bytes_of_built_at_once(steps: list[tuple[str, int, str]]) -> None:
    index, held = LexicalIndex.empty(), dict[int, str]()
    for action, number, text in steps:
        # "b a" repeated: "a" is a stop word, so some chunks have no term at all.
        words = text.replace("b", "birch ").replace("a", "ash ")
        if action == "add" and number not in held:
            index.add([number], [words])
            held[number] = words
        elif action == "remove":
            index.remove([number])
            held.pop(number, None)
        elif action == "save":
            files = MemoryFiles()
            index.save(files)
            index = LexicalIndex.load(files)
        assert action != "save" or len(index) == len(held)
    assert saved(index) == saved(built(held))
    assert [(hit.chunk_id, hit.score) for hit in index.search("birch ash", 9)] == [
        (hit.chunk_id, hit.score) for hit in built(held).search("birch ash", 9)
    ]


def test_a_loaded_index_answers_as_the_saved_one() -> None:
    files = MemoryFiles()
    built(NEWS).save(files)
    loaded = LexicalIndex.load(files)
    assert len(loaded) == 5
    assert loaded.search("storm in the harbour", 5) == built(NEWS).search("storm in the harbour", 5)


def test_a_known_id_a_negative_id_and_unequal_numbers_are_refused() -> None:
    index = built(NEWS)
    with pytest.raises(StoreError, match="chunk id 8 is in the index already"):
        index.add([8], ["again"])
    with pytest.raises(StoreError, match="chunk id -1 is negative"):
        index.add([-1], ["below"])
    with pytest.raises(StoreError, match="2 ids for 1 texts"):
        index.add([50, 51], ["one"])
    with pytest.raises(StoreError, match="k must be at least 1, got 0"):
        index.search("harbour", 0)
    index.remove([8])
    index.add([8], ["zeppelin"])
    assert [hit.chunk_id for hit in index.search("zeppelin", 5)] == [8]
    assert len(index) == 5


def test_a_count_beyond_the_stored_range_is_kept_at_its_end() -> None:
    builder = PostingsBuilder()
    builder.add(1, ["echo"] * 70_000)
    assert builder.postings().of("echo")[1].tolist() == [65_535]
    assert builder.postings().lengths.tolist() == [70_000]


def test_threads_share_a_loaded_index() -> None:
    files = MemoryFiles()
    built(NEWS).save(files)
    loaded, expected = LexicalIndex.load(files), built(NEWS).search("storm fares", 5)
    found: list[tuple[str, list[str], bool]] = []

    def ask(number: int) -> None:
        for turn in range(300):
            word = f"unit{number}x{turn}nationalizations"
            found.append((word, terms(word), loaded.search(f"storm fares {word}", 5) == expected))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # The stemmer keeps state: without its lock, threads stem each other's words.
    try:
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert [entry for entry in found if entry[1] != [entry[0].removesuffix("alizations")] or not entry[2]] == []
    assert len(found) == 4 * 300


def damaged(**changed: object) -> bytes:
    """The file of NEWS with some arrays replaced."""
    good = Postings.from_bytes(saved(built(NEWS)))
    fields = {name: getattr(good, name) for name in Postings.__dataclass_fields__}
    return Postings(**(fields | changed)).to_bytes()


GOOD = Postings.from_bytes(saved(built(NEWS)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "does not start", id="empty"),
        pytest.param(b"PK" + saved(built(NEWS))[2:], "does not start", id="other magic"),
        pytest.param(saved(built(NEWS))[:-1], "longer or shorter", id="last byte gone"),
        pytest.param(saved(built(NEWS)) + b"x", "longer or shorter", id="a byte more"),
        pytest.param(saved(built(NEWS))[:100], "ends inside", id="cut in an array"),
        pytest.param(saved(built(NEWS))[:16] + b"\xff" * 8 + saved(built(NEWS))[24:], "ends inside", id="huge size"),
        pytest.param(damaged(ids=GOOD.ids[::-1]), "contradict", id="ids falling"),
        pytest.param(damaged(ids=GOOD.ids - 4), "contradict", id="negative id"),
        pytest.param(damaged(rows=GOOD.rows + 1), "contradict", id="row out of range"),
        pytest.param(damaged(rows=GOOD.rows * 0), "contradict", id="row twice in a term"),
        pytest.param(damaged(rows=GOOD.rows - 1), "contradict", id="negative row"),
        pytest.param(damaged(ends=GOOD.ends - 1), "contradict", id="term without postings"),
        pytest.param(damaged(term_ends=GOOD.term_ends * 0), "contradict", id="terms without bytes"),
        pytest.param(damaged(counts=GOOD.counts * 0), "contradict", id="count of 0"),
        pytest.param(damaged(lengths=GOOD.lengths - 99), "contradict", id="negative length"),
    ],
)
def test_damaged_bytes_are_refused(data: bytes, message: str) -> None:
    files = MemoryFiles()
    files.write(FILE, data)
    with pytest.raises(IndexDamaged, match=message):
        LexicalIndex.load(files)


@given(st.binary(max_size=200), st.integers(0, 400))
def test_no_bytes_do_worse_than_be_refused(junk: bytes, at: int) -> None:
    whole = saved(built(NEWS))
    files = MemoryFiles()
    files.write(FILE, whole[:at] + junk + whole[at + len(junk) :])
    with contextlib.suppress(IndexDamaged):
        LexicalIndex.load(files).search("harbour storm fares us", 5)
