"""What every scorer promises."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from qa.protocols import Scorer
from qa.scorers import SHIPPED, load_scorer
from qa.types import Passage, SentenceScore
from scorers.samples import make_cross_encoder, passage

QUESTION = "How many turbines did engineers replace at the Oster Dam?"
DAM = passage(
    "Oster Dam reopens after turbine fault",
    [
        "The Oster Dam reopened on Monday.",
        "It was shut for 11 days.",
        "Engineers replaced 3 of the 8 turbines.",
        "“We tested every valve twice,” said the engineer.",
    ],
)
OTHERS = [
    passage("", ["Copper fell for a third day."], 2),
    passage("Storm Ulla", ["Power was cut to 31,000 homes.", "The storm moved east 🌪 at 90 km/h."], 3),
    passage("Ferry", ["Some 1,200 passengers had booked. " * 30, "All will get their money back."], 4),
]
HARD = [
    "",
    " ",
    "\x00\x01\x1b[31m\x7f",
    "🪁🎏🪁 👩‍👩‍👧‍👦",
    "\ud800 lone \udfff",
    "[SEP] [CLS] [PAD] [MASK] [UNK]",
    "é\u0301 ﬁ İstanbul 東京 한국어 ع",
    "\u202eright to left\u2066",
    "word " * 5_000,
    "x" * 100_000,
]


@pytest.fixture(scope="module", params=[SHIPPED, "cross-encoder"])
def scorer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    name = make_cross_encoder(tmp_path_factory.mktemp("tiny")) if request.param == "cross-encoder" else SHIPPED
    loaded = load_scorer(name)
    assert loaded is not None and loaded.name
    return loaded


def tolerance(scorer: Scorer) -> float:
    """torch pads pairs to the longest of their batch; the shipped scorer promises equality to the bit."""
    return 0.0 if type(scorer).__name__ == "OnnxScorer" else 1e-5


def check(scorer: Scorer, question: str, passages: Sequence[Passage]) -> list[list[SentenceScore]]:
    """Score, with what holds for all input: a score for each sentence, and spans inside its text."""
    scored = list(scorer.score(question, passages))
    assert [len(row) for row in scored] == [len(p.sentences) for p in passages]
    for read, row in zip(passages, scored, strict=True):
        for sentence, score in zip(read.sentences, row, strict=True):
            assert math.isfinite(score.answers)
            assert (score.span is None) == (score.margin is None)
            if score.span is not None and score.margin is not None:
                start, end = score.span
                assert 0 <= start < end <= len(sentence.text)
                assert math.isfinite(score.margin)
    return scored


def same(scorer: Scorer, one: Sequence[SentenceScore], other: Sequence[SentenceScore]) -> bool:
    """Whether two rows of scores are equal, as far as the scorer promises it."""
    if tolerance(scorer) == 0.0:
        return list(one) == list(other)
    pairs = list(zip(one, other, strict=True))
    return all(abs(a.answers - b.answers) <= tolerance(scorer) and a.span == b.span for a, b in pairs)


def test_a_score_for_each_sentence_in_order(scorer: Scorer) -> None:
    scored = check(scorer, QUESTION, [DAM, *OTHERS])
    assert len({score.answers for row in scored for score in row}) > 5, "sentences are told apart"
    assert same(scorer, check(scorer, QUESTION, OTHERS[::-1])[0], scored[3])


def test_equal_input_gives_equal_scores_in_whatever_company(scorer: Scorer) -> None:
    (alone,) = check(scorer, QUESTION, [DAM])
    random = np.random.default_rng(0)
    for size in (2, 3, 9):
        company = [OTHERS[i] for i in random.integers(0, len(OTHERS), size)]
        place = int(random.integers(size))
        company[place] = DAM
        assert same(scorer, check(scorer, QUESTION, company)[place], alone)
    assert same(scorer, check(scorer, QUESTION, [DAM, DAM])[1], alone)


def test_the_rows_can_be_left_before_the_last(scorer: Scorer) -> None:
    rows = scorer.score(QUESTION, [DAM, *OTHERS])
    first = next(rows)
    rows.close()
    assert same(scorer, first, check(scorer, QUESTION, [DAM])[0])
    assert list(rows) == []


def test_the_question_and_the_title_count(scorer: Scorer) -> None:
    (alone,) = check(scorer, QUESTION, [DAM])
    untitled = passage("", [sentence.text for sentence in DAM.sentences])
    assert not same(scorer, check(scorer, "Who spoke to the press?", [DAM])[0], alone)
    assert not same(scorer, check(scorer, QUESTION, [untitled])[0], alone)


def test_nothing_to_score(scorer: Scorer) -> None:
    empty = passage("Nothing", [])
    assert list(scorer.score(QUESTION, [])) == []
    assert list(scorer.score(QUESTION, [empty])) == [[]]
    assert [len(row) for row in scorer.score(QUESTION, [empty, DAM, empty])] == [0, len(DAM.sentences), 0]


@pytest.mark.parametrize("text", HARD, ids=lambda text: ascii(text[:12]))
def test_any_text_is_scored(scorer: Scorer, text: str) -> None:
    check(scorer, text, [DAM])
    check(scorer, QUESTION, [passage(text, [text]), passage("", [text, "Yes.", text])])


@profile(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(st.characters(), max_size=30), min_size=2, max_size=6))
def test_made_up_text_is_scored(scorer: Scorer, texts: list[str]) -> None:
    question, title, *sentences = texts
    check(scorer, question, [passage(title, sentences)])


def test_many_sentences(scorer: Scorer) -> None:
    check(scorer, QUESTION, [passage("Long", [f"Sentence {n} is here." for n in range(200)])])


def test_questions_from_many_threads(scorer: Scorer) -> None:
    questions = [f"What happened on day {number} of the strike?" for number in range(12)]
    alone = [list(scorer.score(question, [DAM, *OTHERS])) for question in questions]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda question: list(scorer.score(question, [DAM, *OTHERS])), questions))
    for one, other in zip(alone, together, strict=True):
        assert all(same(scorer, a, b) for a, b in zip(one, other, strict=True))
