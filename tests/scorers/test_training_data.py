"""What the scorer learns from: spans and negatives that are right, nothing that is held out, the same for a seed."""

from __future__ import annotations

from pathlib import Path

import pytest
from scorer_data import Example, Examples, untokenize

from qa.errors import DataMissing
from scorers.training import BOOK, MILL, OVENS, PLAUSIBLE, QUESTIONS, write_training_data

SEEDS = range(60)
ANSWERS = {question: answers for text in (MILL, OVENS, BOOK) for question, answers in QUESTIONS[text].items()}
SWAPPED = {
    "Who founded the Tannhof mill?": MILL,
    "What burned down in 1902?": MILL,
    "Who owned the Corvey mill?": OVENS,
    "What went cold in 1867?": OVENS,
    "What went cold in 1841?": OVENS,
    "What was printed in 1867?": BOOK,
    "What was printed in 1902?": BOOK,
}
"""Each question with the other names or numbers of the article's questions that its paragraph lacks."""
NAMES = {"Corvey", "Lisse", "Port of Lisse", "Jan Roth", "Tannhof", "Emil Braun", "Dam", "Ilse", "Halm"}
NUMBERS = {"1841", "1867", "2", "1902", "1931", "1"}


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    return Examples(write_training_data(tmp_path_factory.mktemp("training")))


@pytest.fixture(scope="module")
def drawn(examples: Examples) -> list[Example]:
    return [example for seed in SEEDS for example in examples.epoch(seed)]


@pytest.fixture(scope="module")
def made(examples: Examples, drawn: list[Example]) -> list[Example]:
    """Made questions: those that appear with them alone."""
    known = {example.question for example in drawn}
    return [e for seed in SEEDS for e in examples.epoch(seed, 40) if e.question not in known]


def as_written(question: str) -> str:
    """A question may have lost its capitals and its mark."""
    return next((known for known in ANSWERS if known.lower().rstrip("?") == question.lower().rstrip("?")), question)


def word(example: Example) -> str:
    assert example.span is not None
    sentence, start, end = example.span
    return example.sentences[sentence][start:end]


def test_a_seed_decides_the_examples(examples: Examples) -> None:
    assert examples.epoch(3, 20) == examples.epoch(3, 20)
    assert examples.epoch(3, 20) != examples.epoch(4, 20)
    assert examples.epoch(3, 20) != examples.epoch(3, 0)


def test_spans_are_the_words_that_answer(drawn: list[Example]) -> None:
    found: dict[str, set[str]] = {}
    for example in drawn:
        if example.span:
            found.setdefault(as_written(example.question), set()).add(word(example))
            assert example.labels[example.span[0]] == 1.0 and example.spanned
    assert found == {question: set(answers) for question, answers in ANSWERS.items()}


def test_a_label_a_sentence_and_sentences_that_follow_each_other(drawn: list[Example], made: list[Example]) -> None:
    for example in drawn + made:
        assert len(example.labels) == len(example.sentences) >= 1
        if example.title == "Glass Mills":
            assert any(" ".join(example.sentences) in text for text in (MILL, OVENS, BOOK))


def test_nothing_that_is_held_out(drawn: list[Example], made: list[Example]) -> None:
    seen = [text for e in drawn + made for text in (e.question, e.title, *e.sentences)]
    assert not {text for text in seen if "pelican" in text.casefold() or "The dam is old." in text}
    assert {e.title for e in drawn + made} == {"", "Glass Mills", "Oster Dam 1", "Brenn Pass"}


def test_negatives_do_not_hold_an_answer(drawn: list[Example]) -> None:
    own, others = set(), set()
    for example in drawn:
        question = as_written(example.question)
        if question in ANSWERS and not example.span:
            assert set(example.labels) == {0.0} and example.spanned
            text = " ".join(example.sentences)
            assert not [answer for answer in ANSWERS[question] if answer.casefold() in text.casefold()]
            home = next(text for text in (MILL, OVENS, BOOK) if question in QUESTIONS[text])
            (own if text in home else others).add(question)
    assert own == set(ANSWERS)
    # The others share no word with a paragraph that lacks their answer.
    assert others == {"Who founded the Corvey mill?", "Who owned the Tannhof mill?", "What was printed in 1841?"}


def test_questions_about_another_name_have_no_answer(drawn: list[Example]) -> None:
    found = {}
    for example in drawn:
        if example.spanned and as_written(example.question) not in ANSWERS:
            if example.question.rstrip("?").lower() == PLAUSIBLE[0].rstrip("?").lower():
                continue
            assert not example.span and set(example.labels) == {0.0}
            assert " ".join(example.sentences) in SWAPPED[example.question]
            found[example.question] = SWAPPED[example.question]
    assert found == SWAPPED


def test_a_question_without_an_answer_shows_what_comes_near(drawn: list[Example]) -> None:
    asked = [e for e in drawn if e.question.rstrip("?").lower() == PLAUSIBLE[0].rstrip("?").lower()]
    assert len(asked) == len(SEEDS)
    for example in asked:
        assert not example.span and example.spanned and set(example.labels) == {0.0}
        assert example.sentences[0] == "Ruth Alder founded the Corvey mill in 1841."


def test_claims_have_labels_and_no_spans(drawn: list[Example]) -> None:
    asked = {
        "Oster Dam 1 is on the Ilse.": 1.0,
        "Is Oster Dam 1 on the Ilse?": 1.0,
        "Who is on the Ilse?": 1.0,
        "What is on the Ilse?": 1.0,
        "Which is on the Ilse?": 1.0,
        "Oster Dam 1 was built in 1990.": 0.5,
    }
    expected = {
        1.0: {"Oster Dam 1 (a dam) lies on the Ilse.": 1.0, "Vera Holm built it in 1931.": 0.0, "It leaks.": 0.0},
        0.5: {"Oster Dam 1 (a dam) lies on the Ilse.": 0.0, "Vera Holm built it in 1931.": 0.5, "It leaks.": 0.5},
    }
    unrelated = {"Brenn Pass is “a road” near Halm.": 0.0, "Snow closes it in the winter of most years.": 0.0}
    claims = [e for e in drawn if not e.spanned]
    assert {e.question for e in claims} == set(asked)
    assert {sentence for e in claims for sentence in e.sentences} == {*expected[1.0], *unrelated}
    for example in claims:
        given = expected[asked[example.question]] | unrelated
        assert example.labels == tuple(given[sentence] for sentence in example.sentences)


def test_made_questions_ask_for_a_name_or_number_that_they_do_not_hold(made: list[Example]) -> None:
    found = {word(example) for example in made if example.span}
    assert found >= {"1841", "Corvey", "1867", "Emil Braun", "1902", "Halm"}
    assert found <= NAMES | NUMBERS
    for example in made:
        if example.span:
            place, answer = example.span[0], word(example)
            assert answer not in example.question, example
            assert [answer in text for text in example.sentences] == [label == 1.0 for label in example.labels]
            assert example.labels[place] == 1.0


def test_made_questions_with_another_name_have_no_answer(made: list[Example]) -> None:
    swapped = [example for example in made if not example.span]
    assert swapped
    for example in swapped:
        assert example.spanned and set(example.labels) == {0.0}
        text = " ".join(example.sentences)
        assert [name for name in NAMES if name in example.question and name not in text], example


def test_tokens_are_joined() -> None:
    tokens = "He did n't say `` no , '' -LRB- or -LSB- yes -RSB- -RRB- : it 's $ 5 ."
    assert untokenize(tokens) == "He didn't say “no,” (or [yes]): it's $5."


def test_missing_data_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"SOURCELINE_DATA.*https://rajpurkar"):
        Examples(None)
    write_training_data(tmp_path)
    (tmp_path / "fever" / "docs.jsonl.gz").unlink()
    with pytest.raises(DataMissing, match=r"no fever/docs\.jsonl\.gz in .*https://www\.eraser"):
        Examples(tmp_path)
