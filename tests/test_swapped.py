"""The near misses in eval/swapped.jsonl: each stands beside the answerable question that it was made from."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest

from qa.gold import Question, load_questions

EVAL = Path(__file__).parents[1] / "eval"


@pytest.fixture(scope="module")
def questions() -> dict[str, Question]:
    return {question.id: question for question in load_questions(EVAL / "swapped.jsonl")}


@pytest.fixture(scope="module")
def swapped(questions: dict[str, Question]) -> list[Question]:
    return [question for question in questions.values() if question.kind == "unanswerable"]


def test_there_are_enough_near_misses_in_both_splits(questions: dict[str, Question], swapped: list[Question]) -> None:
    assert len(swapped) >= 200
    assert len(questions) - len(swapped) >= 110
    dev = sum(question.split == "dev" for question in swapped)
    assert abs(2 * dev - len(swapped)) <= 10


def test_a_near_miss_names_an_answerable_question_of_its_split(
    questions: dict[str, Question], swapped: list[Question]
) -> None:
    for question in swapped:
        assert question.swap is not None, question.id
        original = questions[question.swap.original]
        assert original.kind == "single", question.id
        assert original.split == question.split, question.id


def test_no_article_is_asked_about_in_both_splits(questions: dict[str, Question]) -> None:
    articles = {
        split: {
            (relevant.path, relevant.title)
            for question in questions.values()
            if question.split == split
            for relevant in question.relevant
        }
        for split in ("dev", "test")
    }
    assert articles["dev"].isdisjoint(articles["test"])


def test_no_question_or_id_stands_twice_in_the_evaluation(questions: dict[str, Question]) -> None:
    others = (load_questions(EVAL / name) for name in ("questions.jsonl", "plain.jsonl"))
    every = [*questions.values(), *chain.from_iterable(others)]
    for values in ([question.id for question in every], [_plain(question.question) for question in every]):
        assert sorted(value for value in set(values) if values.count(value) > 1) == []


def _plain(question: str) -> str:
    return " ".join(question.casefold().split()).rstrip("?. ")
