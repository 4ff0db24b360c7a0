"""`qa eval`: what it prints, stores, compares, and how it ends."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from commands import call, furnish
from evaluation.samples import write_data
from qa.report import MEASURES


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with settings that need no model and the data sets in data/."""
    for name in [name for name in os.environ if name.startswith(("QA_", "SOURCELINE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path / "data")
    return furnish(tmp_path)


def test_a_report_is_printed_as_tables_or_as_json(home: Path) -> None:
    printed = call("eval", "trecqa", "--data", "data")
    assert (printed.code, printed.err) == (0, "")
    assert printed.out.startswith("trecqa: 3 questions (1 all negative, 1 all positive, 1 mixed), 3 articles,")
    assert "| sentence.map | 1.000 |" in printed.out
    assert "| score |" in printed.out
    body = json.loads(call("eval", "trecqa", "--data", "data", "--json").out)
    assert body["metrics"]["sentence.map"]["value"] == 1
    assert body["metrics"].keys() <= MEASURES.keys()


def test_the_folder_of_the_data_can_stand_in_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = call("eval", "multirc")
    assert missing.code == 4
    assert "multirc/multirc-val-docs.jsonl.gz is needed" in missing.err
    assert "eraserbenchmark" in missing.err
    monkeypatch.setenv("SOURCELINE_DATA", "data")
    assert call("eval", "multirc").code == 0


def test_two_runs_are_compared_question_by_question(home: Path) -> None:
    assert call("eval", "trecqa", "--data", "data", "--save", "old.json").code == 0
    same = call("eval", "trecqa", "--data", "data", "--compare", "old.json")
    assert same.code == 0
    assert "| sentence.map | 1.000 | 1.000 | +0.000 to +0.000 | same |" in same.out
    body = json.loads(call("eval", "trecqa", "--data", "data", "--compare", "old.json", "--json").out)
    assert {change["verdict"] for change in body["changes"]} == {"same"}
    old = json.loads(Path("old.json").read_text())
    for scores in old["questions"].values():
        scores.update({name: [pair[0] + 1, pair[1]] for name, pair in scores.items()})
    Path("old.json").write_text(json.dumps(old))
    worse = call("eval", "trecqa", "--data", "data", "--compare", "old.json")
    assert worse.code == 6
    assert "worse: sentence.map: 2.000 → 1.000" in worse.err
    assert call("eval", "multirc", "--data", "data", "--compare", "old.json").code == 1


def test_failures_are_shown_with_where_they_were_lost(home: Path) -> None:
    shown = call("eval", "squad2", "--data", "data", "--failures", "9").out.partition("p95 ms")[2]
    assert "What is around the stop?  Warsaw-b" in shown
    assert "gold: 1931. Engineers" in shown
    assert "  + passage 1: – Warsaw" in shown
    assert "questions went wrong:" in shown
    one = call("eval", "squad2", "--data", "data", "--failures", "1").out
    assert one.count("confidence") == 1
    assert call("eval", "squad2", "--data", "data", "--failures", "1", "--json").code == 2


def test_the_questions_of_the_project_are_asked_of_the_index_in_the_settings(home: Path) -> None:
    Path("own.jsonl").write_text(
        json.dumps({"id": "a", "split": "dev", "question": "Zyxwv qponm?", "kind": "unanswerable"})
    )
    missing = call("eval", "--questions", "own.jsonl", "--split", "dev")
    assert (missing.code, missing.err.count("\n")) == (4, 1)
    assert "run `qa index`" in missing.err
    assert call("index").code == 0
    found = call("eval", "starter", "--questions", "own.jsonl", "--split", "dev")
    assert found.code == 0
    assert "| false_answer | 0.000 | 0.000 to 0.793 | 1 |" in found.out
    assert call("eval", "--questions", "own.jsonl").code == 1, "the test split has no question"


def test_a_generation_that_stands_in_for_a_damaged_one_is_not_measured(home: Path) -> None:
    Path("own.jsonl").write_text(
        json.dumps({"id": "a", "split": "test", "question": "Zyxwv qponm?", "kind": "unanswerable"})
    )
    assert call("index").code == 0
    (home / "corpus" / "new.txt").write_text("New\n\nA new article arrived at last.\n")
    assert call("index").code == 0
    (home / "index" / "gen-000002" / "catalog.sqlite").write_bytes(b"damaged")
    found = call("eval", "--questions", "own.jsonl")
    assert (found.code, "an older generation stands in" in found.err) == (1, True)


def test_an_unknown_data_set_is_an_error_in_one_line(home: Path) -> None:
    found = call("eval", "squad")
    assert (found.code, found.err.count("\n")) == (1, 1)
    assert "there are starter, realtimeqa, multirc, trecqa, squad2, fever, out-of-corpus, swapped" in found.err
