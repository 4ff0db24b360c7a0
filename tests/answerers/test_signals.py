"""What speaks for a sentence before any model reads it."""

from __future__ import annotations

import math

import pytest

from qa.answerers.signals import Question, candidates, spell_out, words
from qa.lexical import terms
from qa.types import Article
from scorers.samples import passage

RARE = {"oster": 5.0, "dam": 3.0, "turbin": 4.0, "ulla": 5.0}


def idf(term: str) -> float:
    """Weights of a made-up index; words that it does not know are common."""
    return RARE.get(term, 1.0)


def chosen(*sentences: str) -> list[str]:
    """The sentences that can be statements."""
    return [item.sentence.text for item in candidates(Question("Who?", idf), [passage("Title", sentences)])]


USABLE = [
    "Engineers replaced 3 of the 8 turbines.",
    "“We tested every valve twice,” said the engineer.",
    "The repair cost 2.4 million euros (about 2 million pounds).",
    "- Third turbine replaced in March",
    "More than 31,000 homes lost power.",
    "The city refused.",
    "Nobody was arrested.",
]
UNUSABLE = [
    "Who replaced the third turbine?",
    "“Who replaced the third turbine?”",
    "Yes, it did.",
    "Dam.",
    "Oster Dam reopens after fault",
    "Read more about the Oster Dam here.",
    "Sign up for our morning newsletter today.",
    "Photo: the Oster Dam in spring.",
    "Getty Images shows the dam in spring.",
    "ADVERTISEMENT follows this story in print.",
    "",
    "\x00",
    "\ud800.",
    "🪁🎏🪁!",
]


@pytest.mark.parametrize("text", USABLE)
def test_sentences_that_tell_something_are_candidates(text: str) -> None:
    assert chosen(text) == [text]


@pytest.mark.parametrize("text", UNUSABLE, ids=ascii)
def test_questions_headlines_and_boilerplate_are_not(text: str) -> None:
    assert chosen(text, USABLE[0], text) == [USABLE[0]]


def test_a_sentence_is_a_candidate_once_in_its_best_passage() -> None:
    first, second = passage("Dam", USABLE[:2], 1), passage("Storm", USABLE[4:5], 2)
    found = candidates(Question("Who?", idf), [second, first, second])
    assert [(item.sentence, item.passage) for item in found] == [
        (second.sentences[0], second),
        *((sentence, first) for sentence in first.sentences),
    ]
    assert [item.features["rank"] for item in found] == [1.0, 0.5, 0.5]
    assert [item.terms for item in found] == [frozenset(terms(item.sentence.text)) for item in found]


def test_coverage_is_the_share_of_the_questions_weight() -> None:
    asked = Question("Oster Dam turbines", idf)
    assert asked.coverage(frozenset()) == 0.0
    assert asked.coverage({"dam", "spring"}) == 3.0 / 12.0
    assert asked.coverage({"oster", "dam", "turbin"}) == 1.0
    assert Question("?!", idf).coverage({"dam"}) == 0.0


def test_the_context_is_the_title_and_the_neighbours() -> None:
    told = [
        "The dam was shut for days.",
        "Engineers came from far away.",
        "Nothing was found at first.",
        "A cat slept.",
    ]
    found = candidates(Question("Oster dam", idf), [passage("News from Oster", told)])
    assert [item.features["coverage"] for item in found[:3]] == [3.0 / 8.0, 0.0, 0.0]
    assert [item.features["context"] for item in found[:3]] == [1.0, 1.0, 5.0 / 8.0]


@pytest.mark.parametrize(
    ("question", "text", "fits"),
    [
        ("How many turbines were replaced?", "Engineers replaced 3 turbines.", 1.0),
        ("How many turbines were replaced?", "Engineers replaced three turbines.", 1.0),
        ("How many turbines were replaced?", "Engineers replaced turbines.", -1.0),
        ("How many of the 8 turbines failed?", "All 8 turbines failed.", -1.0),
        ("Who runs the dam?", "It is run by Ute Falk.", 1.0),
        ("Who is Ute Falk?", "That is Ute Falk.", -1.0),
        ("Who runs the dam?", "It is run by nobody.", -1.0),
        ("When did it reopen?", "It reopened on Monday.", 1.0),
        ("What year did it reopen?", "It reopened in 2024.", 1.0),
        ("When did it reopen?", "It reopened at last.", -1.0),
        ("Where is the dam?", "It lies near Halm.", 1.0),
        ("Why was it shut?", "It was shut because of a fault.", 1.0),
        ("Did it reopen?", "It reopened on Monday.", 0.0),
    ],
)
def test_the_kind_of_thing_that_is_asked_for(question: str, text: str, fits: float) -> None:
    assert Question(question, idf).fits(text) == fits


def test_names_and_numbers_of_a_question_that_are_missing() -> None:
    asked = Question("Which turbine of the Oster Dam failed in 2024?", idf)
    assert asked.names == {"oster", "dam", "2024"}
    assert asked.missing({"oster", "dam", "2024", "other"}) == 0.0
    assert asked.missing(frozenset()) == 1.0
    assert math.isclose(asked.missing({"oster", "turbin"}), (3.0 + 1.0) / (5.0 + 3.0 + 1.0))


@pytest.mark.parametrize(
    ("question", "text", "expected"),
    [
        ("Did the HDB pay?", "The Halm Dam Board refused.", "Did the Halm Dam Board pay?"),
        ("Did the HDB’s chief pay?", "It is the Halm  Dam\nBoard.", "Did the Halm Dam Board’s chief pay?"),
        ("Who runs the BRD?", "the Board for the Repair of Dams", "Who runs the Board for the Repair of Dams?"),
        ("Did the HDB pay?", "The HDB, or Halm Dam Board, refused.", "Did the HDB pay?"),  # the text has it
        ("Did the FBI pay?", "The F.B.I. and the Forest Bureau of Ireland", "Did the FBI pay?"),
        ("Did the hdb pay?", "The Halm Dam Board refused.", "Did the hdb pay?"),
        ("Did the HDB pay?", "The Halm dam board refused.", "Did the HDB pay?"),
        ("Did the HD pay?", "The Halm Dam refused.", "Did the HD pay?"),  # two letters begin too many pairs
        ("Did the HDB-2 pay?", "The Halm Dam Board refused.", "Did the HDB-2 pay?"),
        ("Did the XYZ pay?", "The Halm Dam Board refused.", "Did the XYZ pay?"),
    ],
)
def test_an_acronym_that_the_texts_spell_out(question: str, text: str, expected: str) -> None:
    assert spell_out(question, ["Nothing here.", text]) == expected


def test_the_first_word_of_a_question_is_no_name() -> None:
    assert Question("Turbines failed?", idf).names == frozenset()
    assert Question("turbines failed?", idf).missing(frozenset()) == 0.0


def test_an_article_has_the_words_of_its_title_text_and_year() -> None:
    article = Article("a_1", "Oster Dam", "Engineers replaced turbines.", published_at="2024-03-04T08:00:00+01:00")
    assert words(article) == {"oster", "dam", "engin", "replac", "turbin", "2024"}
    assert words(Article("a_2", "", "")) == frozenset()


def test_forms_of_one_name_are_one_name_and_numbers_are_exact() -> None:
    asked = Question("What fine did the Estonian student get in 2008?", lambda term: 1.0)
    assert asked.missing(frozenset(terms("Estonia 2008"))) == 0.0
    assert asked.missing(frozenset(terms("Estonia 20081"))) == 0.5
    assert asked.missing(frozenset(terms("Latvia 2008"))) == 0.5
