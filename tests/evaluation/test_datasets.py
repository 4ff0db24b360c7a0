"""Each data set on a small one in its format: what is asked, what is gold, what is measured."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from evaluation.samples import ARTICLES, BERG, HELD_OUT, TURBINES, write_data
from qa.datasets import DATASETS, Evaluated, Request, evaluate_dataset
from qa.datasets.files import ORIGINALS
from qa.datasets.ranking import Ranked, score_ranking
from qa.datasets.support import load_judged
from qa.errors import DataMissing, EvaluationError
from qa.metrics import wilson_interval
from qa.report import MEASURES, Metric, compare
from qa.settings import Settings
from qa.storage import IndexFolder
from qa.types import Draft

MADE = ("realtimeqa", "multirc", "trecqa", "squad2", "fever", "out-of-corpus", "followups")
DETOKENIZED = "Engineers replaced 3 of the 8 turbines at the Oster Dam."


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data")


@pytest.fixture
def request_for(make_settings: Callable[..., Settings], tmp_path: Path, data: Path) -> Request:
    settings = make_settings(tmp_path)
    paths = settings.paths.model_copy(update={"cache": tmp_path / "cache"})
    return Request(settings.model_copy(update={"paths": paths}), data)


def values(found: Evaluated) -> dict[str, float]:
    return {name: metric.value for name, metric in found.report.metrics.items()}


def test_multirc_asks_the_sentences_of_the_document(request_for: Request) -> None:
    found = evaluate_dataset("multirc", request_for)
    (case,) = found.cases
    assert case.question == "How many turbines did engineers replace?"
    assert case.gold == (DETOKENIZED,)
    assert [sentence.text for passage, _ in case.passages for sentence in passage.sentences] == [
        "The valley was quiet.",
        DETOKENIZED,
        '"We didn\'t sleep," she said.',
        "Goats came back to the shore.",
    ]
    assert found.report.about["kinds"] == {"news": 1}
    measured = values(found)
    assert measured["sentence.p@1"] == measured["sentence.map.pooled"] == measured["sentence.map.news"] == 1
    assert measured["citation.precision"] == 1 / len(case.chosen)
    assert measured["citation.recall"] == 1
    assert found.report.metrics["sentence.p@1"] == Metric(1, *wilson_interval(1, 1), 1)


def test_trecqa_ranks_candidates_and_tells_clean_from_raw(request_for: Request) -> None:
    found = evaluate_dataset("trecqa", request_for)
    assert found.report.about["kinds"] == {"all negative": 1, "all positive": 1, "mixed": 1}
    assert found.report.about["articles"] == 3
    first, second, third = found.cases
    assert first.gold == ("Engineers replaced the turbines of the dam.",)
    texts = [passage.text for passage, _ in first.passages]
    assert sorted(texts) == ["Engineers replaced the turbines of the dam.", "Goats & <cattle> came back to the shore."]
    assert (second.gold, third.passages) == (("Goats came back to the shore.",), ())
    assert [found.report.metrics[name].n for name in ("sentence.map", "sentence.mrr", "sentence.map.raw")] == [1, 1, 2]
    assert values(found)["sentence.map"] == 1


def test_squad_marks_the_sentences_that_an_answer_touches(request_for: Request) -> None:
    # The smallest chunks there are hold one of these sentences each.
    chunks = request_for.settings.chunks.model_copy(update={"max_tokens": 16})
    settings = request_for.settings.model_copy(update={"chunks": chunks})
    found = evaluate_dataset("squad2", replace(request_for, settings=settings))
    assert [case.id for case in found.cases] == ["Warsaw-a", "Warsaw-b", "Warsaw-c"], "other articles are for training"
    assert [case.gold for case in found.cases] == [("3 of the 8 turbines",), ("1931. Engineers",), ()]
    marked = [{passage.text for passage, bears in case.passages if bears} for case in found.cases]
    assert marked == [{TURBINES}, {BERG, TURBINES}, set()]
    assert found.cases[0].passages[0][0].article.title == "Warsaw"
    assert found.report.about["kinds"] == {"answerable": 2, "unanswerable": 1}
    assert found.report.metrics["sentence.p@1"].n == 2
    assert found.report.metrics["auroc.answerable"].n == 3
    scores = [found.report.questions[case.id]["auroc.answerable"] for case in found.cases]
    assert [label for _, label in scores] == [1, 1, 0]
    assert [score for score, _ in scores] == [case.confidence for case in found.cases]


def test_fever_asks_of_held_out_documents_alone(request_for: Request) -> None:
    found = evaluate_dataset("fever", request_for)
    (case,) = found.cases
    assert case.id == HELD_OUT
    assert case.gold == (DETOKENIZED, '"We didn\'t sleep," she said.', "Goats came back to the shore.")
    assert {passage.article.title for passage, _ in case.passages} == {"Oster Dam 0"}
    assert found.report.about["kinds"] == {"supports": 1}


def test_realtimeqa_asks_all_articles_as_of_the_day(request_for: Request) -> None:
    found = evaluate_dataset("realtimeqa", request_for)
    river, goat, nothing = found.cases
    assert (river.gold, river.as_of) == (('"The Long River"',), date(2023, 1, 6))
    assert found.report.about["kinds"] == {"answerable": 2, "unanswerable": 1}, "“ort” stands inside words alone"
    assert all("river" in passage.text.casefold() for passage, bears in river.passages if bears)
    assert [passage.article.url for passage, bears in goat.passages if bears] == [ARTICLES[1]["url"]]
    measured = values(found)
    assert measured["lexical.hit@1"] == measured["fused.hit@20"] == measured["lexical.mrr"] == 1
    assert measured["chosen.hit@3"] == 1
    assert (found.report.metrics["auroc.answerable"].n, found.report.metrics["false_answer"].n) == (3, 1)
    assert nothing.loss == ("wrongly answered" if nothing.answered else None)


def test_an_index_is_built_once_and_another_one_can_be_measured(request_for: Request, tmp_path: Path) -> None:
    evaluate_dataset("realtimeqa", request_for)
    again = evaluate_dataset("realtimeqa", request_for)
    home = request_for.settings.paths.cache / "eval" / "realtimeqa-2023q1"
    assert len(IndexFolder(home / "index").generations()) == 1
    moved = home.rename(tmp_path / "moved")
    same = evaluate_dataset("realtimeqa", replace(request_for, index=moved / "index"))
    assert not (home / "index").exists()
    assert same.report.questions == again.report.questions
    assert {change.verdict for change in compare(same.report, json.loads(json.dumps(again.report.to_dict())))} == {
        "same"
    }


def test_a_changed_data_set_changes_the_index(request_for: Request, data: Path) -> None:
    evaluate_dataset("realtimeqa", request_for)
    path = data / "realtimeqa-2023q1" / "articles.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(ARTICLES[0]).encode()))
    assert evaluate_dataset("realtimeqa", request_for).report.about["articles"] == 1


def test_questions_of_2023_are_asked_of_corpora_that_cannot_know(request_for: Request) -> None:
    found = evaluate_dataset("out-of-corpus", request_for)
    assert found.report.about["kinds"] == {"bbc": 3, "starter": 3}
    assert {case.loss for case in found.cases} <= {None, "wrongly answered"}
    answered = sum(case.answered for case in found.cases)
    assert found.report.metrics["false_answer"] == Metric(answered / 6, *wilson_interval(answered, 6), 6)
    assert {found.report.metrics[f"false_answer.{name}"].n for name in ("starter", "bbc")} == {3}
    lamp = [passage.article for case in found.cases if case.id == "bbc:river" for passage, _ in case.passages]
    assert {article.title for article in lamp} <= {"Lamp"}


@pytest.mark.parametrize("name", ["swapped", "plain"])
def test_changed_and_plain_questions_are_asked_of_the_starter_corpus(
    request_for: Request, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "questions.jsonl"
    line = {"split": "dev", "question": "Zyxwv qponm?", "kind": "unanswerable"}
    path.write_text("\n".join(json.dumps(line | {"id": id_}) for id_ in "ab"), encoding="utf-8")
    found = evaluate_dataset(name, replace(request_for, questions=path, split="all"))
    assert found.report.about["dataset"] == name
    assert found.report.metrics["false_answer"] == Metric(0, *wilson_interval(0, 2), 2)


def test_followups_are_compared_with_what_a_person_made_of_them(request_for: Request) -> None:
    found = evaluate_dataset("followups", replace(request_for, split="test"))
    assert found.report.about["kinds"] == dict.fromkeys(("clapnq", "cloud", "fiqa", "govt"), 2)
    measured = values(found)
    # "Who reopened it?" becomes the rewrite; "How many goats returned home?" is left alone, as by the person.
    assert measured["followup.f1.derived"] == measured["followup.overlap@10.derived"] == 1
    assert measured["followup.cosine.derived"] == pytest.approx(1)
    assert measured["followup.resolved"] == measured["followup.kept"] == 1
    # One of three terms is there: F1 = 2 · 1 / (1 + 3).
    assert measured["followup.f1.last"] == (0.5 + 1) / 2
    assert measured["followup.f1.gain"] == measured["followup.f1.gain.govt"] == 0.25
    assert measured["followup.f1.gain.needed"] == 0.5
    # The same terms; and one of the question before beside the four (many, goats, returned, home).
    assert measured["followup.f1.previous"] == pytest.approx((1 + 2 * 4 / (5 + 4)) / 2)
    with pytest.raises(EvaluationError, match="no questions of split dev"):
        evaluate_dataset("followups", replace(request_for, split="dev"))


def test_conversations_are_held_on_the_starter_corpus(request_for: Request, tmp_path: Path) -> None:
    lines = Path("eval/followups.jsonl").read_text(encoding="utf-8").splitlines()
    path = tmp_path / "followups.jsonl"
    path.write_text("\n".join(lines[:1] + lines[27:28]), encoding="utf-8")
    found = evaluate_dataset("conversations", replace(request_for, questions=path, split="all"))
    assert found.report.about["kinds"] == {"alone": 1, "dependent": 1}
    assert [case.id for case in found.cases] == ["f001", "f028"]
    measured = values(found)
    assert measured["followup.resolved"] == measured["followup.kept"] == 1
    assert (
        measured["followup.recall@5.gain"] == measured["followup.recall@5.derived"] - measured["followup.recall@5.last"]
    )
    for name, scores in found.report.questions.items():
        assert all(0 <= value <= 1 for key, (value, _) in scores.items() if "gain" not in key), name
    path.write_text(
        lines[0].replace('"after": ["', '"after": [], "answer": "').replace('"], "question"', '", "question"')
    )
    with pytest.raises(EvaluationError, match="without `after`"):
        evaluate_dataset("conversations", replace(request_for, questions=path, split="all"))


def test_a_ranking_is_scored_by_place() -> None:
    keys = tuple(("d", number) for number in range(4))
    gold = frozenset({("d", 1), ("d", 3)})
    found = score_ranking(Ranked(keys, 4, 0.5, Draft((), 0.5)), gold)
    assert found == {"sentence.p@1": (0, 1), "sentence.map": ((1 / 2 + 2 / 4) / 2, 1), "sentence.mrr": (1 / 2, 1)}
    unscored = score_ranking(Ranked(keys, 0, 0.0, Draft((), 0.0)), frozenset({("d", 0)}))
    assert unscored["sentence.p@1"] == (0, 1), "the first sentence is no choice of an answerer that scored none"


def test_support_checks_summaries_claims_and_edits(request_for: Request) -> None:
    found = evaluate_dataset("support", request_for)
    measured = values(found)
    scores = found.report.questions
    assert [scores[f"frank.{n}"]["support.correlation.frank"] for n in range(3)] == [(1, 1), (0.5, 0.5), (0, 0)]
    assert (measured["support.false_drop.frank"], measured["support.false_pass.frank"]) == (0, 0)
    # The majority is against the third, which the article says.
    assert (measured["support.false_drop.qags"], measured["support.false_pass.qags"]) == (0, 0.5)
    assert measured["support.balanced_accuracy.qags"] == 0.75
    assert found.report.about["kinds"]["fever"] == 2
    edits = [name for name in MEASURES if name.startswith("support.false_") and ".edits." in name]
    assert set(edits) <= measured.keys(), "an edit that is made nowhere"
    assert measured["support.false_pass.edits"] < 0.1 > measured["support.false_drop.edits"]


def test_the_halves_of_support_make_the_whole_and_edits_need_no_data(request_for: Request) -> None:
    sizes = [len(load_judged(replace(request_for, split=split, data=None))) for split in ("dev", "test")]
    assert min(sizes) > 1000
    with pytest.raises(EvaluationError, match="no split spring"):
        load_judged(replace(request_for, split="spring", data=None))
    with pytest.raises(DataMissing, match="faithfulness"):
        load_judged(replace(request_for, data=request_for.data and request_for.data / "none"))


def test_edits_are_the_same_in_every_process() -> None:
    script = """
from qa.datasets import Request
from qa.datasets.support import load_judged
from qa.settings import Settings
for judged in load_judged(Request(Settings(), None, split="all")):
    print(judged.id, judged.kind, judged.statements[0].text)
"""
    told = {
        subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1 and told.pop().count(b"\n") > 3000


def test_edits_are_always_the_same_and_change_the_sentence(request_for: Request) -> None:
    alone = replace(request_for, data=None, split="dev")
    edits = load_judged(alone)
    assert edits == load_judged(alone)
    for edit in edits:
        (statement,) = edit.statements
        assert statement.text not in [source.text for source in statement.sources], edit
        for source in statement.sources:
            assert edit.articles[source.article_id].text[source.start : source.end] == source.text


@pytest.mark.parametrize("name", MADE)
def test_missing_data_are_named_with_their_origin(name: str, request_for: Request, tmp_path: Path) -> None:
    for folder in (None, tmp_path / "empty"):
        with pytest.raises(DataMissing) as caught:
            evaluate_dataset(name, replace(request_for, data=folder))
        assert any(original in str(caught.value) for original in ORIGINALS.values())
        assert ("--data" if folder is None else str(folder)) in str(caught.value)


BROKEN: Mapping[str, tuple[str, bytes, str]] = {
    "not gzip": ("multirc/multirc-val-docs.jsonl.gz", b"{}", "cannot read .*multirc-val-docs"),
    "cut": ("fever/claims.jsonl.gz", gzip.compress(b"{}")[:-9], "cannot read .*claims"),
    "field missing": ("multirc/multirc-val-docs.jsonl.gz", gzip.compress(b'\n{"doc": "a"}'), ":2: sentences: Field"),
    "no JSON": ("fever/docs.jsonl.gz", gzip.compress(b"{"), r"docs\.jsonl\.gz:1: "),
    "no squad": ("squad2-half/dev-half-v2.0.json.gz", gzip.compress(b"[]"), "not SQuAD 2.0"),
    "no pairs": ("trecqa/dev.xml.gz", gzip.compress(b"<xml>"), "no <QApairs>"),
    "no tar": ("newswire/bbc.tar.gz", b"tar", "cannot read .*bbc"),
    "no day": (
        "realtimeqa-2023q1/questions.jsonl.gz",
        gzip.compress(b'{"id": "a", "date": "2023/13/01", "question": "Who?", "answer": ["x"]}'),
        r"questions\.jsonl\.gz",
    ),
    "gold outside": (
        "multirc/multirc-val-questions.jsonl.gz",
        gzip.compress(b'{"doc": "News_x-1.txt", "question": "Who?", "gold_sentences": [9]}'),
        "question 0:News_x-1.txt names sentence 9 of News_x-1.txt, which has 4",
    ),
    "no such document": (
        "multirc/multirc-val-questions.jsonl.gz",
        gzip.compress(b'{"doc": "other", "question": "Who?", "gold_sentences": [0]}'),
        "question 0:other is about other, which is no document",
    ),
}
OWNER = {"squad2-half": "squad2", "newswire": "out-of-corpus", "realtimeqa-2023q1": "realtimeqa"}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_data_are_named(case: str, request_for: Request, data: Path) -> None:
    name, content, message = BROKEN[case]
    folder = name.split("/")[0]
    (data / name).write_bytes(content)
    with pytest.raises(EvaluationError, match=message):
        evaluate_dataset(OWNER.get(folder, folder), request_for)


def test_an_unknown_name_is_answered_with_those_there_are(request_for: Request) -> None:
    with pytest.raises(EvaluationError, match="no data set 'squad': there are starter, realtimeqa"):
        evaluate_dataset("squad", request_for)
    assert set(DATASETS) == {*MADE, "starter", "swapped", "plain", "conversations", "feedback", "support"}
