"""The default answerer: what it does with the scores of sentences, whatever its weights are."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Mapping, Sequence

import pytest

from qa.answerers.extractive import (
    ALSO_FOUND,
    KEEP_RATIO,
    READ_PASSAGES,
    SURE_MARGIN,
    TO_THE_POINT,
    ExtractiveAnswerer,
)
from qa.embedders.hashing import HashingEmbedder
from qa.types import Passage, SentenceScore
from scorers.samples import passage

QUESTION = "How many turbines were replaced?"
LOW = SentenceScore(-9.0)


class Told:
    """A scorer that says what it was told to say, and keeps what it read."""

    name = "told"

    def __init__(self, scores: Mapping[str, SentenceScore]) -> None:
        self.scores = scores
        self.read: list[Passage] = []

    def score(self, question: str, passages: Sequence[Passage]) -> Generator[list[SentenceScore]]:
        self.read = []
        for one in passages:
            self.read.append(one)
            yield [self.scores.get(sentence.text, LOW) for sentence in one.sentences]


def answerer(scores: Mapping[str, SentenceScore] | None = None, least: float = 0.0) -> ExtractiveAnswerer:
    """An answerer with these scores by sentence, or without a scorer."""
    return ExtractiveAnswerer(HashingEmbedder(), lambda term: 1.0, None if scores is None else Told(scores), least)


DAM = passage(
    "Dam", ["It reopened on Monday at noon.", "Engineers replaced 3 turbines there.", "Heavy rain fell in Halm."], 1
)
STORM = passage("Storm", ["The storm cut power to homes.", "Police closed the coast road."], 2)
SAID = DAM.sentences[1].text


def test_the_sentence_that_the_scorer_prefers_is_the_answer() -> None:
    for one in (DAM, STORM):
        for sentence in one.sentences:
            draft = answerer({sentence.text: SentenceScore(99.0)}).answer(QUESTION, [DAM, STORM], 1)
            assert [statement.sources for statement in draft.statements] == [(sentence,)]


def test_more_that_is_asked_for_is_never_less_confident() -> None:
    levels = [answerer({SAID: SentenceScore(x)}).answer(QUESTION, [DAM], 1).confidence for x in (-6.0, 0.0, 6.0)]
    assert levels == sorted(set(levels))


def test_below_the_threshold_it_refuses_and_shows_the_closest() -> None:
    draft = answerer({SAID: SentenceScore(2.0, 5.0, (20, 21))}, least=1.01).answer(QUESTION, [STORM, DAM], 3)
    assert (draft.statements, draft.short_answer) == ((), None)
    assert [close.sentence for close in draft.closest][0] == DAM.sentences[1]
    assert 0.0 < draft.confidence < 1.0


@pytest.mark.parametrize("top", [9.0, 6.0, 0.0, -60.0])
def test_a_refusal_always_shows_the_closest_and_others_only_when_they_are_nearly_as_close(top: float) -> None:
    texts = [f"Engineers replaced turbine {n} there." for n in range(5)]
    for levels in itertools.product((0, 6, 12, 18), repeat=5):
        given = {text: SentenceScore(top - level) for text, level in zip(texts, levels, strict=True)}
        passages = [passage(f"Town {n}", [text], n) for n, text in enumerate(texts)]
        ask = answerer(given, least=1.01)
        scored = ask.score(QUESTION, passages)
        first = scored[0].probability
        near = [one for one in scored[1:] if one.probability >= TO_THE_POINT and one.probability >= 0.25 * first]
        closest = ask.answer(QUESTION, passages, 1).closest
        assert [close.sentence for close in closest] == [one.sentence for one in (scored[0], *near)][:3]


def test_an_answer_names_the_best_other_articles_that_are_to_the_point() -> None:
    others = [passage(f"Town {n}", ["Engineers there replaced turbines."], n) for n in range(10, 17)]
    far = passage("Cats", ["A cat slept all day long."], 20)
    high = {text: SentenceScore(level) for text, level in ((SAID, 9.0), ("Engineers there replaced turbines.", 3.0))}
    draft = answerer(high).answer(QUESTION, [far, *others, DAM, DAM], 1)
    assert [statement.text for statement in draft.statements] == [SAID]
    assert len(draft.closest) == ALSO_FOUND and len({close.article.id for close in draft.closest}) == ALSO_FOUND
    assert all(close.article.title.startswith("Town") for close in draft.closest)
    assert answerer(high).answer(QUESTION, [far, DAM], 1).closest == ()


def test_without_a_passage_or_a_usable_sentence_it_refuses() -> None:
    for ask in (answerer({}), answerer()):
        for passages in ([], [passage("", [])], [passage("Dam", ["Who did it?"])]):
            assert ask.answer(QUESTION, passages, 3).statements == ()
            assert ask.answer(QUESTION, passages, 3).confidence == 0.0


@pytest.mark.parametrize(("margin", "given"), [(SURE_MARGIN + 0.1, True), (SURE_MARGIN - 0.1, False)])
def test_the_short_answer_is_the_span_when_it_is_sure(margin: float, given: bool) -> None:
    draft = answerer({SAID: SentenceScore(9.0, margin, (19, 20))}).answer(QUESTION, [STORM, DAM], 3)
    if not given:
        assert draft.short_answer is None
        return
    assert draft.short_answer is not None
    assert draft.short_answer.text == "3" and draft.short_answer.sentence == DAM.sentences[1]
    assert DAM.article.text[draft.short_answer.start : draft.short_answer.end] == "3"


def test_the_short_answer_is_that_of_the_best_sentence() -> None:
    scores = {SAID: SentenceScore(9.0, 9.0, (19, 20)), DAM.sentences[0].text: SentenceScore(7.0, 7.0, (0, 2))}
    draft = answerer(scores).answer(QUESTION, [DAM], 3)
    assert draft.short_answer is not None and draft.short_answer.text == "3"


def test_a_scorer_without_spans_gives_no_short_answer() -> None:
    assert answerer({SAID: SentenceScore(9.0)}).answer(QUESTION, [DAM], 3).short_answer is None
    assert answerer().answer(QUESTION, [DAM], 3).short_answer is None


def test_every_sentence_is_judged_once_best_first() -> None:
    scored = answerer({SAID: SentenceScore(3.0), STORM.sentences[0].text: SentenceScore(1.0)}).score(
        QUESTION, [STORM, DAM, STORM]
    )
    assert sorted(item.sentence.key for item in scored) == sorted(s.key for p in (DAM, STORM) for s in p.sentences)
    assert [item.probability for item in scored] == sorted((item.probability for item in scored), reverse=True)
    assert scored[0].sentence == DAM.sentences[1]


def test_a_tie_goes_to_the_sentence_that_comes_first() -> None:
    same = ["Engineers replaced 3 turbines there."] * 4
    for ask in (answerer({}), answerer()):
        scored = ask.score(QUESTION, [passage("", same)])
        by_features = {tuple(sorted(item.features.items())): [] for item in scored}
        for item in scored:
            by_features[tuple(sorted(item.features.items()))].append(item.sentence.index)
        assert max(map(len, by_features.values())) >= 2, "there is a tie"
        assert all(places == sorted(places) for places in by_features.values())


def test_the_scorer_reads_the_first_passages_only() -> None:
    passages = [passage("Dam", [f"Engineers replaced turbine {n} there."], n) for n in range(READ_PASSAGES + 5)]
    told = Told({})
    scored = ExtractiveAnswerer(HashingEmbedder(), lambda term: 1.0, told, 0.0).score(QUESTION, passages)
    assert told.read == passages[:READ_PASSAGES]
    assert {item.sentence.article_id for item in scored} == {one.article.id for one in told.read}


def test_statements_are_few_probable_and_differ() -> None:
    texts = [
        "Engineers replaced 3 turbines there.",
        "Engineers there replaced 3 turbines.",
        "A cat slept all day long.",
    ]
    one = passage("Dam", texts)
    high, low = SentenceScore(9.0), SentenceScore(-9.0)
    for scores in itertools.product((high, low), repeat=3):
        ask = answerer(dict(zip(texts, scores, strict=True)))
        scored = {item.sentence.text: item for item in ask.score(QUESTION, [one])}
        best = max(item.probability for item in scored.values())
        for most in (1, 2, 3):
            told = [statement.text for statement in ask.answer(QUESTION, [one], most).statements]
            assert 1 <= len(told) <= most and len(set(told)) == len(told)
            assert all(scored[text].probability >= KEEP_RATIO * best for text in told)
            assert not set(texts[:2]) <= set(told), "a near copy is not told twice"
            assert told == [text for text in texts if text in told], "in the article's order"


def test_a_sentence_that_refers_back_brings_the_one_before() -> None:
    one = passage("Dam", ["The engineer spoke on Monday.", "She said that 3 turbines were replaced."])
    (statement,) = answerer({one.sentences[1].text: SentenceScore(99.0)}).answer(QUESTION, [one], 1).statements
    assert statement.context == one.sentences[0]
