"""Suggested questions, really asked: how many are answered, and how many cite the sentence that they were made from.

    python eval/suggestions.py INDEX CACHE [QUESTIONS.jsonl]

First the beginnings that an empty page would show; then, for each question of the file (or for the beginnings, without
one), the follow-ups of its answer. Prints the rates and a sample to read.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from pathlib import Path

from qa.engine import FOLLOW_UPS, NEWEST, Engine
from qa.settings import load_settings
from qa.suggestions import beginnings, follow_ups, questions
from qa.types import Answer

READ = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("index", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("questions", type=Path, nargs="?")
    parser.add_argument("--articles", type=int, default=NEWEST, help="newest articles to make beginnings from")
    given = parser.parse_args()
    paths = {"index": given.index, "cache": given.cache}
    engine = Engine.open(load_settings({"paths": paths}))
    made = made_from(engine, given.articles)
    answers = {question: engine.ask(question) for question in made}
    report("beginnings", list(answers.values()), made)

    if given.questions:
        lines = given.questions.read_text(encoding="utf-8").splitlines()
        first = [engine.ask(json.loads(line)["question"]) for line in lines]
    else:
        first = list(answers.values())
    answered = [answer for answer in first if answer.statements]
    suggested = sorted({question for answer in answered for question in answer.follow_ups})
    print(f"\n{len(answered)} answers, {sum(bool(a.follow_ups) for a in answered)} with follow-ups")
    report("follow-ups", [engine.ask(question) for question in suggested], sources(answered))
    times = []
    with engine._pin() as live:
        for answer in answered:
            started = time.perf_counter()
            follow_ups(answer, live.snapshot.lexical, FOLLOW_UPS)
            times.append((time.perf_counter() - started) * 1000)
    print(f"making them: median {statistics.median(times):.2f} ms, most {max(times):.2f} ms")
    engine.close()


def made_from(engine: Engine, articles: int) -> dict[str, set[tuple[str, int]]]:
    with engine._pin() as live:
        return {question: {sentence.key} for question, sentence in beginnings(live.snapshot.catalog, articles)}


def sources(answers: list[Answer]) -> dict[str, set[tuple[str, int]]]:
    """The sentences that give each question, among those that were read."""
    found: dict[str, set[tuple[str, int]]] = {}
    for answer in answers:
        for passage in answer.passages:
            for sentence in passage.sentences:
                for question in questions(sentence.text, passage.article.text):
                    found.setdefault(question, set()).add(sentence.key)
    return found


def report(name: str, answers: list[Answer], made: dict[str, set[tuple[str, int]]]) -> None:
    kinds: dict[str, list[tuple[bool, bool]]] = {}
    for answer in answers:
        cited = {(citation.article_id, citation.sentence_index) for citation in answer.citations}
        kind = " ".join(answer.question.split()[:2])
        kinds.setdefault(kind, []).append((bool(cited), bool(cited & made[answer.question])))
    every = [row for rows in kinds.values() for row in rows]
    for kind, rows in [("all", every), *sorted(kinds.items())]:
        if len(rows) >= 3:
            answered, own = (sum(column) / len(rows) for column in zip(*rows, strict=True))
            print(f"{name:12} {kind:16} {len(rows):4}  answered {answered:.1%}  cites its own sentence {own:.1%}")
    for answer in random.Random(0).sample(answers, min(READ, len(answers))):
        print(f"  {'+' if answer.statements else '-'} {answer.question}")


if __name__ == "__main__":
    main()
