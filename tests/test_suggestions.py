"""Suggested questions: what sentences give one, what sentences must not, and that those shown are answered."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from qa.embedders import load_embedder
from qa.engine import BEGINNINGS, FOLLOW_UPS, Engine
from qa.index import build_index
from qa.lexical import terms
from qa.settings import Settings
from qa.suggestions import _PAID, _PAST, questions
from test_recency import write

SENTENCES = {
    "More than 200 people died in the Halm ferry fire.": "How many people died in the Halm ferry fire?",
    "HALM, Norland — Some 1,200 passengers were stranded in Brisk on Thursday, the operator said.": (
        "How many passengers were stranded in Brisk?"
    ),
    "About 120 people have been held in Norland, while others fled.": "How many people have been held in Norland?",
    "Ten command servers were seized in the Netherlands, and others in Poland.": (
        "How many command servers were seized in the Netherlands?"
    ),
    "Police arrested 41 people in Halm on Friday.": "How many people did police arrest in Halm?",
    "VARNHAVEN — Police have arrested 41 people in Operation Tern, two more than were announced.": (
        "How many people have police arrested in Operation Tern?"
    ),
    "Norsk Hydro paid $41 million for Novelis.": "How much did Norsk Hydro pay for Novelis?",
    "The Hydra market was founded in Berlin in 2015.": None,  # "the Hydra market" is no name to these rules
    "Silk Road was founded in Texas in 2011.": "When was Silk Road founded in Texas?",
    "The Palermo Convention was adopted in Sicily on 15 November 2000.": (
        "When was the Palermo Convention adopted in Sicily?"
    ),
    "Jackson Mayor Chokwe Lumumba took office in 2017.": "When did Jackson Mayor Chokwe Lumumba take office?",
    "Ada Holt was born in Brisk, near the coast.": "Where was Ada Holt born?",
    "Maria Stone, the chief executive of Vestnett, said crews were at work.": "Who is Maria Stone?",
    "“We tested every valve twice,” said chief engineer Paula Venn.": "Who is Paula Venn?",
    "“It held,” said Mira Holt, a spokeswoman for the exercise staff.": "Who is Mira Holt?",
    "Crews were at work, Vestnett spokeswoman Marit Lund said.": "Who is Marit Lund?",
    "Ada Holt won the Halm regatta on Sunday.": "Who won the Halm regatta?",
    "The Brisk Library was designed by Jon Aker.": "Who designed the Brisk Library?",
    "Genesis Market is a website for stolen identities.": "What is Genesis Market?",
    "Vestnett, a power company, said no one was hurt.": None,  # who speaks is a person first
    "AMC Theatres, a movie chain, closed many theatres.": "What is AMC Theatres?",
}
NOTHING = [
    # Who, which, when, where: only the article knows.
    "She won the Halm regatta.",
    "They arrested 41 people in Halm.",
    "The company paid $41 million for Novelis.",
    "More than 200 people died in the fire.",
    "Two people were arrested.",
    "Five people were arrested and 37 premises searched in Halm.",
    "Ten people have died in Halm this week.",
    "Ada Holt won the race last year.",
    "Ada Holt won their race in Halm.",
    "Ada Holt visited the city for Mardi Gras.",
    "Ada Holt won the Halm regatta -- by a mile.",
    "Ada Holt raised $2 million in the 24 hours after Halm fell.",
    "Palace Entertainment bought the almost 48-year-old theme park in 2007.",
    "It was founded in 2015.",
    "He was born in Brisk.",
    "They’re joined by Ada Holt.",
    # Not done by anybody
    "Storm Ulla cut power to homes in Vestmark.",
    "Registration opened on Monday in Halm.",
    "Charts published by Vestnett suggest losses in Vestmark.",
    # Half a name, or no name
    "Holt won the Halm regatta.",
    "Voters approved the Halm plan in 2016.",
    "Meanwhile Ada Holt won the Halm regatta.",
    "March was declared in 2015.",
    # No role tells that this is a person, or what this is
    "Rosa Vale, once a stranger here, said nothing.",
    "Rosa Vale is a stranger.",
    "Linette Rhodes, the city’s grants supervisor, left Halm.",
    "There were doubts, says economist Jesse Edgerton of JPMorgan Chase.",
    # Quantities that nobody counts
    "Three years have passed in Halm.",
    "Ten percent were lost in Halm.",
    "Thousands of flights were cancelled in Halm.",
    "In 2015 people were arrested in Halm.",
    # Not a plain sentence
    "Ada Holt won the Halm regatta",
    "Who won the Halm regatta?",
    "Ada Holt won the “Halm” regatta (again).",
    "Ada Holt announced that Halm would win.",
    "",
    ".",
    "Ada Holt won the Halm regatta " + "and the race of Brisk " * 20 + "in Halm.",
]
REST = "Nobody saw Ada Holt. Nobody saw the dam."


@pytest.mark.parametrize(("sentence", "question"), [(s, q) for s, q in SENTENCES.items() if q])
def test_a_sentence_gives_the_question_that_it_answers(sentence: str, question: str) -> None:
    assert question in list(questions(sentence, f"{sentence} {REST}"))


@pytest.mark.parametrize("sentence", [*NOTHING, *(s for s, q in SENTENCES.items() if q is None)])
def test_most_sentences_give_nothing(sentence: str) -> None:
    assert list(questions(sentence, f"{sentence} {REST}")) == []


def test_a_single_word_is_a_name_only_where_the_article_uses_it_as_one() -> None:
    sentence = "Emotet was founded in Kyiv in 2014."
    asked = ["When was Emotet founded in Kyiv?"]
    assert list(questions(sentence, f"{sentence} Police seized Emotet and left.")) == asked
    assert list(questions(sentence, sentence)) == [], "perhaps it has its capital from the sentence"
    assert list(questions(sentence, f"{sentence} Police met Ada Emotet and left.")) == [], "a surname"


PIECES = [
    *(
        "Ada Holt",
        "Police",
        "The Brisk Library",
        "the company",
        "41",
        "people",
        "$2 million",
        "arrested",
        "was",
        "were",
    ),
    *(
        "founded",
        "won",
        "paid",
        "said",
        "chief engineer",
        ", a lawyer,",
        "in Halm",
        "in 2015",
        "on Monday",
        "who",
        "that",
    ),
    *("by", "and", "she", "—", "“", "”", "(", "x" * 40, "Halm", "is", "a", "the", "of", ",", "race"),
]


@profile(max_examples=500)
@given(
    st.lists(st.sampled_from(PIECES), max_size=14).map(" ".join) | st.sampled_from(list(SENTENCES)), st.text(max_size=9)
)
def test_a_question_has_no_word_of_its_own(sentence: str, noise: str) -> None:
    told = {*terms(sentence)} | {term for past, plain in (_PAST | _PAID).items() if past in sentence.split()
                                 for term in terms(plain)}  # fmt: skip
    for text in (f"{sentence}.", f"{sentence} {noise}", f"{noise} {sentence}"):
        for question in questions(text, f"{text} {REST}"):
            words = question.removesuffix("?").split()
            assert words[0] in ("How", "When", "Where", "Who", "What") and question.endswith("?")
            assert 3 <= len(words) <= 18 and not {"she", "who", "that", "company"} & set(words)
            # "many" and "much" belong to the asking, as do the stop words.
            assert set(terms(" ".join(words[1:]))) - {"many", "mani", "much"} <= told | {*terms(noise)}


def waited(engine: Engine, n: int) -> tuple[str, ...]:
    """What an empty page suggests once the questions were tried."""
    engine.suggestions(n)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with engine._pin() as live:
            if live.tried and live.tried.done():
                break
        time.sleep(0.01)
    return engine.suggestions(n)


@pytest.fixture
def archive(make_settings: Callable[..., Settings], tmp_path: Path) -> Settings:
    stories = {
        "2024-05-01": "Ada Holt won the Halm regatta in a strong wind. Nobody was surprised by it at all.",
        "2024-05-02": "Ten command servers were seized in Brisk. Officers carried them through the snow.",
        "2024-05-03": "“The bridge held,” said Mira Lund, a spokeswoman for Vestnett. The bridge is open.",
        "2024-05-04": "It rained all day long there. Everyone was wet and went home early.",
    }
    for day, text in stories.items():
        write(tmp_path / "corpus", day, text, day, title=f"News of {day}")
    settings = make_settings(tmp_path, answers={"min_confidence": 0.0, "scorer": "none"})
    build_index(settings, load_embedder(settings.embedding, settings.paths.cache, prepare=True))
    return settings


def test_an_empty_page_begins_with_questions_that_were_tried(archive: Settings) -> None:
    engine = Engine.open(archive)
    headlines = ("News of 2024-05-04", "News of 2024-05-03", "News of 2024-05-02")
    assert waited(engine, 5) == (
        "How many command servers were seized in Brisk?",
        "Who won the Halm regatta in a strong wind?",
        "Who is Mira Lund?",
        *headlines[:2],
    )
    assert engine.suggestions(1) == ("How many command servers were seized in Brisk?",)
    for question in engine.suggestions(3):
        cited = {citation.quote for citation in engine.ask(question).citations}
        assert any(question in questions(quote, f"{quote} {REST}") for quote in cited)
    again = Engine.open(archive)
    assert waited(again, 5) == engine.suggestions(5)
    engine.close()
    again.close()
    assert engine.suggestions(3) == ()


def test_what_is_not_answered_is_not_suggested(archive: Settings) -> None:
    silent = archive.model_copy(update={"answers": archive.answers.model_copy(update={"min_confidence": 1.0})})
    engine = Engine.open(silent)
    assert waited(engine, 3) == ("News of 2024-05-04", "News of 2024-05-03", "News of 2024-05-02")
    engine.close()


def test_an_answer_suggests_what_was_read_and_not_said(archive: Settings) -> None:
    engine = Engine.open(archive)
    first = engine.ask("How many command servers were seized in Brisk?", max_sentences=1)
    assert first.text == "Ten command servers were seized in Brisk."
    assert sorted(first.follow_ups) == ["Who is Mira Lund?", "Who won the Halm regatta in a strong wind?"]
    for question in first.follow_ups:
        then = engine.ask(question, max_sentences=1)
        assert question not in then.follow_ups and "How many command servers were seized in Brisk?" in then.follow_ups
    engine.close()


def test_without_an_answer_nothing_follows(engine: Engine) -> None:
    assert engine.ask("Which chess opening did the champion prefer?").follow_ups == ()


def test_of_many_only_a_few_are_suggested(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    for n in range(12):
        write(tmp_path / "corpus", f"{n}", f"Ada Holt{n} won the Halm{n} regatta.", f"2024-05-{n + 1:02}", title="Race")
    settings = make_settings(tmp_path, answers={"min_confidence": 0.0, "scorer": "none"})
    build_index(settings, load_embedder(settings.embedding, settings.paths.cache, prepare=True))
    engine = Engine.open(settings)
    assert len(engine.ask("Who won the Halm3 regatta?").follow_ups) == FOLLOW_UPS
    found = waited(engine, 20)
    assert [question.endswith("?") for question in found] == [True] * BEGINNINGS + [False] * 12
    engine.close()
