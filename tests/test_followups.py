"""Follow-ups: what depends on the conversation is resolved, and what does not is left alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from qa.engine import Engine
from qa.followups import LONGEST_QUESTION, standalone
from qa.server import create_app
from qa.types import Turn

COLONIAL = "Who attacked Colonial Pipeline in May 2021?"


def resolve(question: str, *earlier: str) -> str | None:
    """Earlier turns alternate between the user and the assistant, the first one is the user's."""
    return standalone(question, conversation(earlier))


def conversation(said: Sequence[str]) -> list[Turn]:
    return [Turn("assistant" if number % 2 else "user", text) for number, text in enumerate(said)]


FOLLOW_UPS = {
    # A name for a pronoun.
    ("Who discovered it?", "What is Stuxnet?"): "Who discovered Stuxnet?",
    ("How much did it pay?", "What happened to Colonial Pipeline in 2021?"): "How much did Colonial Pipeline pay?",
    ("Who noticed it?", "What happened in Oldsmar?"): "Who noticed it? (about: Oldsmar)",
    ("Who runs it?", "What is the Counter Ransomware Initiative?"): "Who runs the Counter Ransomware Initiative?",
    ("What did they demand?", "What is the LockBit group?"): "What did the LockBit group demand?",
    ("Where was he arrested?", "Who is Ross Ulbricht?"): "Where was Ross Ulbricht arrested?",
    ("Which judge sentenced him?", "Who is Ross Ulbricht?"): "Which judge sentenced Ross Ulbricht?",
    ("How old was he?", "Who was the interior minister of Romania in 2015?"): (
        "How old was the interior minister of Romania in 2015?"
    ),
    # The answer names the person.
    ("When was she elected?", "Who leads Europol?", "Catherine De Bolle has led Europol since 2018."): (
        "When was Catherine De Bolle elected?"
    ),
    # Possessives.
    ("What was its price?", "What was EncroChat?"): "What was EncroChat’s price?",
    ("Its price?", "What was EncroChat?"): "EncroChat’s price?",
    ("How far may its officers go?", "What is the Three Rivers team?"): (
        "How far may the Three Rivers team’s officers go?"
    ),
    ("Who paid her fine?", "Who is Anneke Brill?"): "Who paid Anneke Brill’s fine?",
    ("Who replaced her?", "Who is Anneke Brill?"): "Who replaced Anneke Brill?",
    ("What are their names?", "Who are the Shadow Brokers?"): "What are the Shadow Brokers’ names?",
    # The pronoun stands behind a name of the question.
    ("What did Symantec say about it?", "What is Stuxnet?"): "What did Symantec say about Stuxnet?",
    # The subject stays, and the one who is asked for may be meant.
    ("Who replaced her?", "Who is the prime minister of New Zealand?", "", "When did she resign?"): (
        "Who replaced the prime minister of New Zealand?"
    ),
    (
        "What is his party?",
        "Who is Ute Falk?",
        "",
        "Who replaced her?",
    ): "What is his party? (about: replaced Ute Falk)",
    ("Where do they work?", "What is ChatGPT?", "", "Who made it?"): "Where do they work? (about: made ChatGPT)",
    ("Why did it do that?", "Which company laid off 10,000 workers?"): (
        "Why did it do that? (about: company laid off 10,000 workers)"
    ),
    # Events, and what more than a name can stand for.
    ("When did that happen?", COLONIAL): "When did that happen? (about: attacked Colonial Pipeline in May 2021)",
    ("When did it happen?", "What is the Hydra raid?"): "When did it happen? (about: the Hydra raid)",
    ("What did they demand?", COLONIAL): "What did they demand? (about: attacked Colonial Pipeline in May 2021)",
    ("What did they find?", "Did Iran attack Albania?"): "What did they find? (about: Iran attack Albania)",
    ("Who was behind these attacks?", "What happened in Estonia?"): "Who was behind these attacks? (about: Estonia)",
    ("What spelling error gave that away?", "Who stole money from Bangladesh Bank?"): (
        "What spelling error gave that away? (about: stole money from Bangladesh Bank)"
    ),
    ("Can it be cleaned up?", "Why is the water of the lake bad?"): (
        "Can it be cleaned up? (about: water of the lake bad)"
    ),
    ("Was he there?", "Who met Jan Moll?", "Ute Falk met Jan Moll."): "Was he there? (about: met Jan Moll)",
    # A remark before the question.
    ("Interesting. Who runs it?", "What is ANOM?"): "Interesting. Who runs ANOM?",
    ("That is bad. Who paid?", "Who hacked Conti?"): "That is bad. Who paid? (about: hacked Conti)",
    # Only a question word.
    ("Why?", "Did Albania expel the diplomats of Iran?"): "Why? (about: Albania expel the diplomats of Iran)",
    ("How many?", "Were people arrested in Poland?"): "How many? (about: people arrested in Poland)",
    ("And when?", "Who won Locked Shields?"): "And when? (about: won Locked Shields)",
    # Another time.
    ("And in May?", "How many attacks were there in April 2023?"): "How many attacks were there in May?",
    ("And in 2021?", "Who won Locked Shields in 2022?"): "Who won Locked Shields in 2021?",
    ("What about last week?", "What did police seize in June 2023?"): "What did police seize last week?",
    ("2021?", "Who won Locked Shields in 2022?"): "Who won Locked Shields in 2021?",
    ("And in 2022?", "Who won Locked Shields?"): "Who won Locked Shields in 2022?",
    # Another name, in the place of the one of its kind.
    ("What about Estonia?", "Who attacked Albania?"): "Who attacked Estonia?",
    ("And WannaCry?", "Which carmaker was hit by NotPetya?"): "Which carmaker was hit by WannaCry?",
    ("And in Germany?", "What was seized from Hydra in Austria?"): "What was seized from Hydra in Germany?",
    ("And in Germany?", "What was seized from Hydra?"): "What was seized from Hydra in Germany?",
    ("What about Britain?", "How many arrests did Spain make over Genesis Market?"): (
        "How many arrests did Britain make over Genesis Market?"
    ),
    ("What about Norway?", "Did Iran attack Albania?"): "What about Norway? (about: Iran attack Albania)",
    ("What about the victims?", "Who attacked Albania?"): "What about the victims? (about: attacked Albania)",
    ("And Google?", "Which company laid off 10,000 workers in January?"): (
        "And Google? (about: company laid off 10,000 workers in January)"
    ),
    ("What about Max Moll?", "When was Ute Falk elected?", "", "Why?"): ("When was Max Moll elected?"),
    ("Why so high?", "What is the price of eggs?"): "Why so high? (about: the price of eggs)",
    ("And in Europe?", "What is the price of eggs?", "", "Why so high?"): (
        "Why so high in Europe? (about: the price of eggs)"
    ),
    # What somebody says or does has to be about something.
    ("What did Biden say?", "Who shot the balloon down?"): "What did Biden say? (about: shot the balloon down)",
    # Too short to be asked alone.
    ("Was anybody arrested?", "Who ran the Genesis Market?"): "Was anybody arrested? (about: ran the Genesis Market)",
    ("How many sectors?", "What is NIS2?"): "How many sectors? (about: NIS2)",
    ("Who else?", "Who joined the Prüm Convention?"): "Who else? (about: joined the Prüm Convention)",
    ("Which country asked for the first one?", "What is the Silver Notice?"): (
        "Which country asked for the first one? (about: the Silver Notice)"
    ),
    # "The" and a word that was said before.
    ("When did the convention become binding?", "What is the Palermo Convention?"): (
        "When did the convention become binding? (about: the Palermo Convention)"
    ),
    ("How many vendors did the market have?", "What is Genesis Market?"): (
        "How many vendors did the market have? (about: Genesis Market)"
    ),
    # Chains.
    ("When was it?", "What was Dry Well II?", "", "Who took part in it?"): "When was Dry Well II?",
    ("And in 2021?", "What is Locked Shields?", "", "Who won it in 2022?"): "Who won Locked Shields in 2021?",
    ("Why?", "Who attacked Albania?", "", "What did it cost?", "", "When?"): "Why? (about: attacked Albania)",
    # White space, other scripts, a name typed in capitals.
    ("Who  runs\u00a0it?", " What is\nANOM? "): "Who  runs\u00a0ANOM?",
    ("Who leads it?", "What is Міноборони?"): "Who leads Міноборони?",
}


@pytest.mark.parametrize(("said", "expected"), FOLLOW_UPS.items(), ids=lambda value: str(value)[:60])
def test_what_depends_on_the_conversation_is_resolved(said: tuple[str, ...], expected: str) -> None:
    assert resolve(*said) == expected


ALONE = [
    # Nothing was said before.
    ("Who runs it?",),
    ("Who runs it?", ""),
    ("Who runs it?", "  \n"),
    ("Why?", "???"),
    # A name of its own.
    ("When did the Dutch police take over Hansa?", "What is LockBit?"),
    ("Who resigned as governor of the central bank of Bangladesh?", "Who attacked Costa Rica?"),
    ("Which software update carried NotPetya?", "What is Emotet?"),
    ("What is WannaCry?", "What is Emotet?"),
    ("What happened in Estonia?", COLONIAL),
    ("What does LockBit do?", "What is LockBit?"),
    ("Europol?", "Who won the election?"),
    # Names that were said before, in any case.
    ("what did colonial pipeline pay", COLONIAL),
    ("who runs anom", "What is ANOM?"),
    # Complete without a name.
    ("What fine did the student get for flooding the website of a party?", COLONIAL),
    ("what ransomware family hit the aluminium company first", COLONIAL),
    ("How many categories of offence skip the double criminality check?", COLONIAL),
    ("What is ransomware?", COLONIAL),
    ("What causes inflation?", "What is the price of eggs?"),
    ("By the way, how are storms formed?", COLONIAL),
    # The pronoun points into the question.
    ("When did Gabriel Oprea say he would resign?", COLONIAL),
    ("How did Conti double its price?", COLONIAL),
    ("What did Maersk do to rebuild its network?", COLONIAL),
    ("If a company pays a ransom, does it get a key?", COLONIAL),
    ("Do employers need to report their workers to the tax office?", COLONIAL),
    ("The ferry sank in the storm. Who saved it?", COLONIAL),
    # "It" that stands for nothing.
    ("How long does it take to recover from an attack on a hospital?", COLONIAL),
    ("Is it legal for companies to pay a ransom to criminals?", COLONIAL),
    ("Is it necessary to have a plan?", COLONIAL),
    ("Is it true that hospitals paid criminals a ransom?", COLONIAL),
    # Quoted words.
    ("Who wrote the novel “It”, about a clown in a small town?", COLONIAL),
    ('Which singer sang "They and them and it" at the big concert?', COLONIAL),
    # "That" opens a clause, "this" a time.
    ("Which group said that hospitals would be spared from ransomware?", COLONIAL),
    ("Which newspapers reported that ministers had resigned over corruption?", COLONIAL),
    ("What did the police seize this week from smugglers in the harbour?", COLONIAL),
    # Resolved already.
    ("Why? (about: attacked Albania)", "What is Stuxnet?"),
]


@pytest.mark.parametrize("said", ALONE, ids=lambda said: said[0][:60])
def test_what_stands_alone_is_left_alone(said: tuple[str, ...]) -> None:
    assert resolve(*said) is None


def test_a_resolved_question_sent_back_keeps_the_chain() -> None:
    first = resolve("Who took part in it?", "What was Dry Well II?")
    assert first == "Who took part in Dry Well II?"
    assert resolve("When was it?", first) == "When was it? (about: took part in Dry Well II)"
    why = resolve("Why?", "Who attacked Albania?")
    assert why is not None
    assert resolve("And when?", why) == "And when? (about: attacked Albania)"


def test_only_the_beginning_of_an_answer_is_read() -> None:
    answer = "Nobody said. " * 50 + "Jan Moll leads Europol."
    assert resolve("Where does he live?", "Who leads Europol?", answer) == "Where does he live? (about: leads Europol)"


def test_a_question_that_would_grow_too_long_is_left_alone() -> None:
    assert resolve("Why? " + "?" * (LONGEST_QUESTION - 8), "Who attacked Albania?") is None


texts = st.text(max_size=80)
SAID = (
    "who what when why how did does was is it its they them he his her that this these those the a in on of and May"
    " 2021 about what’s Europol's Europol LockBit Ross Ulbricht attack group police seized arrested ? . , “ ” \""
    " ( ) one else other I US Ü İ ß ſ ９ \u200d"
)
phrases = st.lists(st.sampled_from(SAID.split(" ")), max_size=12).map(" ".join)
questions = st.one_of(phrases, texts)
histories = st.lists(st.tuples(st.sampled_from(["user", "assistant"]), questions), max_size=6).map(
    lambda turns: [Turn(role, content) for role, content in turns]  # type: ignore[arg-type]
)


@given(questions, histories)
def test_any_conversation(question: str, history: list[Turn]) -> None:
    found = standalone(question, history)
    if found is None:
        return
    assert 0 < len(found) <= LONGEST_QUESTION and found != question
    assert standalone(found, history) is None  # it stands alone now
    assert any(turn.role == "user" for turn in history)
    said = set(re.findall(r"[^\W_]+", " ".join([question, *(turn.content for turn in history)]).casefold()))
    words = set(re.findall(r"[^\W_]+", found.casefold()))
    assert words - said <= {"about", "in", "the", "s"}


@given(questions)
def test_without_earlier_questions_nothing_changes(question: str) -> None:
    assert standalone(question, []) is None
    assert standalone(question, [Turn("assistant", "Jan Moll leads Europol.")]) is None


def test_the_engine_answers_the_resolved_question(engine: Engine) -> None:
    history = [Turn("user", "What is the Oster Dam?"), Turn("assistant", "")]
    answer = engine.ask("How many turbines of it were replaced?", history=history)
    assert answer.question == "How many turbines of it were replaced?"
    assert answer.resolved_question == "How many turbines of the Oster Dam were replaced?"
    by_itself = engine.ask(answer.resolved_question)
    assert (by_itself.statements, by_itself.passages) == (answer.statements, answer.passages)
    assert by_itself.resolved_question is None
    assert engine.ask("How many passengers had booked the night ferry?", history=history).resolved_question is None


def test_what_no_question_may_hold_does_not_come_from_the_history(engine: Engine) -> None:
    answer = engine.ask("Who reopened it?", history=[Turn("user", "What is the \x00Oster\u202e\ud800 Dam?")])
    assert answer.resolved_question == "Who reopened the Oster Dam?"


def test_the_api_gives_both_questions(engine: Engine) -> None:
    turns = [{"role": "user", "content": "What is the Oster Dam?"}, {"role": "assistant", "content": "It reopened."}]
    with TestClient(create_app(engine), base_url="http://127.0.0.1") as client:
        body = client.post("/v1/ask", json={"question": "When did it reopen?", "history": turns}).json()
        assert (body["question"], body["resolved_question"]) == (
            "When did it reopen?",
            "When did the Oster Dam reopen?",
        )
        assert "history_not_used" not in [note["code"] for note in body["notes"]]
        alone = client.post("/v1/ask", json={"question": "When did the Oster Dam reopen?", "history": turns}).json()
        assert alone["resolved_question"] is None
        assert [c["quote"] for c in alone["citations"]] == [c["quote"] for c in body["citations"]]
