"""Questions, gold sentences, scores, reports and their comparison, by value on small hand-made cases."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from qa.cases import Case, case_of, gated
from qa.embedders import load_embedder
from qa.engine import ArticleView, Engine
from qa.errors import EvaluationError
from qa.evaluation import (
    evaluate,
    score_answer,
    score_chosen,
    score_confidence,
    score_rankings,
    score_refusal,
    score_short,
)
from qa.gold import Gold, Question, load_questions, resolve
from qa.index import build_index
from qa.metrics import wilson_interval
from qa.report import Metric, compare
from qa.resources import starter_corpus
from qa.settings import Settings
from qa.types import Answer, Article, Chunk, Citation, Passage, Sentence, Statement, Support

SENTENCES = ["The dam reopened.", "She won.", "He said:\n“It is\xa0over.”", "He won.", "The dam reopened."]


def view(article_id: str = "dam", title: str = "Dam reopens", path: str = "news/dam.md") -> ArticleView:
    """An article of SENTENCES."""
    text, spans = "", []
    for number, sentence in enumerate(SENTENCES):
        spans.append(Sentence(article_id, number, len(text), len(text) + len(sentence), sentence))
        text += sentence + " "
    return ArticleView(Article(article_id, title, text.strip(), source_path=path), tuple(spans), 1)


def question(**fields: Any) -> Question:
    base = {"id": "q1", "split": "dev", "question": "Who won?", "kind": "single"}
    return Question.model_validate(base | fields)


def asking(*texts: str, title: str | None = None, path: str = "news/dam.md", **fields: Any) -> Question:
    return question(relevant=[{"path": path, "title": title, "sentences": list(texts)}], **fields)


def passage(chunk: int, *sentences: int) -> Passage:
    """A passage of SENTENCES."""
    source = view()
    own = tuple(source.sentences[number] for number in sentences)
    place = Chunk(chunk, "dam", sentences[0], sentences[-1] + 1, own[0].start, own[-1].end, 10)
    return Passage(place, source.article, own, 1.0)


def answer(*cited: int, text: str = "He won.", seconds: float = 0.01) -> Answer:
    """An answer that cites some of SENTENCES; a refusal if none."""
    source = view()
    support = Support("supported", 1.0)
    citations = tuple(
        Citation(place, (0,), "dam", number, source.sentences[number].start, source.sentences[number].end, "", support)
        for place, number in enumerate(cited, start=1)
    )
    statements = (Statement(text, tuple(source.sentences[number] for number in cited)),) if cited else ()
    return Answer(
        question="Who won?",
        status="answered" if cited else "not_found",
        reason=None if cited else "low_confidence",
        statements=statements,
        citations=citations,
        articles=(source.article,),
        passages=(),
        closest=(),
        answerer="extractive",
        confidence=0.9,
        dropped=0,
        generation=1,
        timings_ms={"total": seconds * 1000},
    )


def gold(*pieces: set[int], needs: int = 1) -> Gold:
    return Gold(tuple(frozenset(("dam", number) for number in piece) for piece in pieces), needs)


# Questions


def test_questions_are_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    single = {"id": "a", "split": "dev", "question": "Who?", "answer": "He\u2028did", "kind": "single", "as_of": None}
    single["relevant"] = [{"path": "a.md", "title": "T", "sentences": ["He won."]}]
    nothing = {"id": "b", "split": "test", "question": "Why?", "kind": "unanswerable", "relevant": []}
    path.write_text("\n".join([json.dumps(single, ensure_ascii=False), "", json.dumps(nothing)]), encoding="utf-8")
    first, second = load_questions(path)
    assert (first.id, first.needs, first.relevant[0].sentences) == ("a", 1, ("He won.",))
    assert (second.kind, second.relevant, second.answer) == ("unanswerable", (), "")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param("{", "1: .*JSON", id="not JSON"),
        pytest.param({"id": "a"}, "1: split: Field required", id="field missing"),
        pytest.param({"extra": 1}, "1: extra: Extra inputs", id="unknown field"),
        pytest.param({"kind": "double"}, "1: kind: Input should be", id="unknown kind"),
        pytest.param({"relevant": []}, "1: it needs 1 gold sentences and has 0", id="no gold"),
        pytest.param({"needs": 2}, "1: it needs 2 gold sentences and has 1", id="too little gold"),
        pytest.param({"needs": 0}, "1: needs: Input should be greater", id="needs nothing"),
        pytest.param({"kind": "multi"}, "1: a multi question says how many", id="multi without needs"),
        pytest.param({"kind": "unanswerable"}, "1: an unanswerable question has no gold", id="gold without an answer"),
        pytest.param({"swap": {"original": "q0", "changed": "name"}}, "1: only an unanswerable", id="answerable swap"),
        pytest.param({"swap": {"original": "q0", "changed": "all"}}, "1: swap.changed: Input should", id="bad swap"),
    ],
)
def test_a_bad_line_is_refused_by_its_number(tmp_path: Path, line: str | dict[str, Any], message: str) -> None:
    good = json.loads(asking("He won.").model_dump_json(exclude_unset=True))
    path = tmp_path / "questions.jsonl"
    content = line if isinstance(line, str) else json.dumps(line if line == {"id": "a"} else good | line)
    path.write_text(content, encoding="utf-8")
    with pytest.raises(EvaluationError, match=f"questions.jsonl:{message}"):
        load_questions(path)


def test_an_id_twice_an_empty_file_and_no_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    with pytest.raises(EvaluationError, match="cannot read"):
        load_questions(path)
    path.write_text("\n", encoding="utf-8")
    with pytest.raises(EvaluationError, match="no questions"):
        load_questions(path)
    line = asking("He won.").model_dump_json()
    path.write_text(f"{line}\n{line}\n", encoding="utf-8")
    with pytest.raises(EvaluationError, match="2: question id 'q1' stood before"):
        load_questions(path)


# Gold


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        pytest.param("He won.", {3}, id="one sentence, whole words only"),
        pytest.param("He said: “It is over.”", {2}, id="other white space"),
        pytest.param("It  is\nover", {2}, id="part of a sentence"),
        pytest.param("“It is over.” He won.", {2, 3}, id="over a boundary"),
        pytest.param("The dam reopened.", {0, 4}, id="wherever it stands"),
    ],
)
def test_gold_finds_the_stored_sentences_it_overlaps(text: str, sentences: set[int]) -> None:
    found = resolve(asking(text), {"news/dam.md": [view()]})
    assert found == Gold((frozenset(("dam", number) for number in sentences),), 1)


def test_gold_is_looked_for_in_the_article_with_the_title() -> None:
    views = {"news/dam.md": [view("one", "Dam reopens"), view("two", "Dam\u00a0shut")]}
    assert resolve(asking("He won.", title="Dam shut"), views).pieces == (frozenset({("two", 3)}),)
    assert resolve(asking("He won."), views).pieces == (frozenset({("one", 3), ("two", 3)}),)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        pytest.param(asking("They won."), "question q1: news/dam.md does not say 'They won.'", id="text"),
        pytest.param(asking("He wo"), "does not say 'He wo'", id="part of a word"),
        pytest.param(asking("he won."), "does not say 'he won.'", id="other case"),
        pytest.param(
            asking("He won.", title="Flood"), "no indexed article news/dam.md with the title 'Flood'", id="title"
        ),
        pytest.param(asking("He won.", path="a.md"), "question q1: no indexed article a.md", id="path"),
        pytest.param(asking("  "), "does not say '  '", id="blank"),
    ],
)
def test_gold_that_is_nowhere_is_refused(asked: Question, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        resolve(asked, {"news/dam.md": [view()]})


# Scores


def test_rankings_are_scored_by_the_gold_sentences_in_their_passages() -> None:
    wanted = gold({1}, {3}, {4}, needs=2)
    rankings = {
        "dense": [passage(7, 0), passage(8, 1, 2), passage(9, 3)],
        "lexical": [passage(9, 3), passage(7, 0)],
    }
    scores = score_rankings(rankings, wanted)
    # Passages 8 and 9 are relevant, and one that no ranking has must hold sentence 4.
    log2 = {2: 1.0, 3: 1.5849625007211562, 4: 2.0}
    ideal = 1 / log2[2] + 1 / log2[3] + 1 / log2[4]
    assert scores == {
        "dense.recall@1": (0, 1),
        "dense.recall@3": (1, 1),
        "dense.recall@5": (1, 1),
        "dense.recall@10": (1, 1),
        "dense.mrr": (1 / 2, 1),
        "dense.ndcg@10": (pytest.approx((1 / log2[3] + 1 / log2[4]) / ideal), 1),
        "lexical.recall@1": (1 / 2, 1),
        "lexical.recall@3": (1 / 2, 1),
        "lexical.recall@5": (1 / 2, 1),
        "lexical.recall@10": (1 / 2, 1),
        "lexical.mrr": (1, 1),
        "lexical.ndcg@10": (pytest.approx(1 / log2[2] / ideal), 1),
    }


def test_rankings_without_anything_relevant_score_zero() -> None:
    scores = score_rankings({"fused": [passage(7, 0)], "dense": []}, gold({3}))
    assert set(scores.values()) == {(0, 1)}
    assert len(scores) == 12


def test_an_answer_is_scored_by_what_it_cites() -> None:
    scores = score_answer(answer(3, 2, 1, text="He won the cup"), gold({1, 2}, {3}, {4}, needs=3), "the cup")
    assert scores == {
        "citation.precision": (3, 3),
        "citation.precision.macro": (1, 1),
        "citation.recall": (2, 3),
        "citation.recall.macro": (2 / 3, 1),
        "answer.f1": (2 * 1 / (3 + 1), 1),
        "answered": (1, 1),
        "false_refusal": (0, 1),
    }
    assert score_answer(answer(0, 3), gold({3}), "")["citation.precision"] == (1, 2)
    assert score_answer(answer(0, 3), gold({3}), "")["citation.precision.macro"] == (1 / 2, 1)


def test_a_refusal_has_no_precision_and_recalls_nothing() -> None:
    assert score_answer(answer(), gold({3}, {1}, needs=2), "He") == {
        "citation.recall": (0, 2),
        "citation.recall.macro": (0, 1),
        "answered": (0, 1),
        "false_refusal": (1, 1),
    }


def test_any_answer_to_an_unanswerable_question_is_false() -> None:
    assert score_refusal(answer(3)) == {"answered": (1, 1), "false_answer": (1, 1)}
    assert score_refusal(answer()) == {"answered": (0, 1), "false_answer": (0, 1)}


def case(*chosen: bool, confidence: float = 0.9, answered: bool = True) -> Case:
    """A case of which some of the chosen sentences bear the answer."""
    sentences = tuple(zip(view().sentences, chosen, strict=False))
    return Case("q1", "Who won?", (), None, confidence, answered, None, (), sentences)


def test_what_was_chosen_counts_as_cited_when_it_was_answered() -> None:
    assert score_chosen(case(False, True, True), (1, 3)) == {
        "chosen.hit@1": (0, 1),
        "cited.hit@1": (0, 1),
        "chosen.hit@3": (1, 1),
        "cited.hit@3": (1, 1),
    }
    assert score_chosen(case(True, answered=False), (1,)) == {"chosen.hit@1": (1, 1), "cited.hit@1": (0, 1)}


def test_confidence_is_scored_against_being_answerable_and_being_right() -> None:
    risks = ("aurc", "risk@10%", "risk@25%", "risk@50%", "risk@75%")
    assert score_confidence(case(False, True), answerable=True) == {
        "auroc.answerable": (0.9, 1),
        "auroc.right": (0.9, 1),
        **dict.fromkeys(risks, (0.9, 0)),
        "right.kept": (1, 1),
        "right.answered": (1, 1),
    }
    assert score_confidence(case(False, confidence=0.1, answered=False), answerable=False) == {
        "auroc.answerable": (0.1, 0),
        "auroc.right": (0.1, 0),
        **dict.fromkeys(risks, (0.1, 1)),
    }
    assert score_confidence(case(True, answered=False), answerable=True)["right.kept"] == (0, 1)
    assert score_confidence(case(False), answerable=True)["right.answered"] == (0, 1)


@pytest.mark.parametrize(
    ("given", "answers", "exact", "shared"),
    [
        pytest.param("the cup", ("A cup.", "silver cup"), 1, 1, id="the best of several"),
        pytest.param("silver cup", ("cup",), 0, 2 / 3, id="a word too many"),
        pytest.param("", ("cup",), 0, 0, id="none where there is one"),
        pytest.param("", (), 1, 1, id="none where there is none"),
        pytest.param("cup", (), 0, 0, id="one where there is none"),
    ],
)
def test_a_short_answer_is_compared_with_every_right_one(
    given: str, answers: tuple[str, ...], exact: float, shared: float
) -> None:
    scores = score_short(given, answers)
    assert scores["short.em"] == (exact, 1)
    assert scores["short.f1"] == (pytest.approx(shared), 1)
    assert ("short.em.answerable" in scores, "short.f1.answerable" in scores) == (bool(answers), bool(answers))
    assert ("short.em.given" in scores) == bool(given)


# Cases


@pytest.mark.parametrize(
    ("gold_sentence", "cited", "confidence", "loss"),
    [
        pytest.param(4, (1,), 0.9, "not retrieved", id="no passage has it"),
        pytest.param(2, (1,), 0.9, "not chosen", id="another sentence was chosen"),
        pytest.param(2, (1,), 0.1, "not chosen", id="another one, and refused"),
        pytest.param(2, (1, 2), 0.1, "refused", id="chosen but refused"),
        pytest.param(2, (1, 2), 0.5, None, id="found, at the threshold"),
        pytest.param(None, (1,), 0.5, "wrongly answered", id="nothing to find, and answered"),
        pytest.param(None, (1,), 0.1, None, id="nothing to find, and refused"),
    ],
)
def test_a_case_tells_where_the_answer_was_lost(
    gold_sentence: int | None, cited: tuple[int, ...], confidence: float, loss: str | None
) -> None:
    found = replace(answer(*cited), passages=(passage(7, 0, 1), passage(8, 2, 3)), confidence=confidence)
    bears = None if gold_sentence is None else lambda sentence: sentence.index == gold_sentence
    told = case_of("q1", ("gold",), None, found, 0.5, bears)
    assert told.loss == loss
    assert told.answered == (confidence >= 0.5)
    assert [bearing for _, bearing in told.passages] == [False, gold_sentence == 2]
    assert [(sentence.index, bearing) for sentence, bearing in told.chosen] == [
        (number, number == gold_sentence) for number in cited
    ]


def test_a_gated_answer_is_a_refusal_below_the_threshold() -> None:
    given = answer(3)
    assert gated(given, 0.9) is given
    refused = gated(given, 0.91)
    assert (refused.status, refused.reason) == ("not_found", "low_confidence")
    assert (refused.statements, refused.citations, refused.articles) == ((), (), ())
    assert refused.confidence == given.confidence
    written = replace(given, answer_model="model")
    assert gated(written, 0.91) is written, "a model was asked from a threshold of its own"


# The whole

DAM = "Engineers replaced 3 of the 8 turbines."
QUESTIONS = [
    asking(DAM, id="dam", path="dam.md", question="How many turbines were replaced?", answer="3 of 8"),
    question(id="moon", question="Zyxwv qponm?", kind="unanswerable"),
]


def test_evaluate_asks_measures_and_reports(engine: Engine) -> None:
    steps: list[tuple[int, int]] = []
    found, cases = evaluate(engine, QUESTIONS, passages=5, max_sentences=1, progress=lambda *step: steps.append(step))
    assert steps == [(1, 2), (2, 2)]
    assert found.metrics["fused.recall@10"].value == 1
    assert found.metrics["lexical.mrr"].value == 1
    assert found.metrics["false_answer"] == Metric(0, *wilson_interval(0, 1), 1)
    cited = engine.ask(QUESTIONS[0].question, passages=5, max_sentences=1)
    right = float(any(citation.quote == DAM for citation in cited.citations))
    assert found.metrics["citation.recall"].value == right == 1
    assert found.metrics["citation.precision"].value == right / len(cited.citations)
    assert found.about["generation"] == cited.generation
    assert found.about["kinds"] == {"single": 1, "unanswerable": 1}
    assert found.about["settings"]["retrieval"]["rrf_k"] == engine.settings.retrieval.rrf_k
    assert "paths" not in found.about["settings"]
    assert set(found.latency_ms) == set(cited.timings_ms)
    assert all(0 <= times["median"] <= times["p95"] for times in found.latency_ms.values())
    assert {change.verdict for change in compare(found, json.loads(json.dumps(found.to_dict())))} == {"same"}
    assert [(told.id, told.gold, told.loss) for told in cases] == [("dam", (DAM,), None), ("moon", (), None)]
    assert [sentence.text for sentence, bears in cases[0].chosen if bears] == [DAM]
    assert "| false_answer | 0.000 | 0.000 to 0.793 | 1 |" in found.markdown()


def test_evaluate_asks_with_the_numbers_it_was_given(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    ask, given = engine.ask, []

    def noting(text: str, **options: Any) -> Answer:
        given.append(options)
        return ask(text, **options)

    monkeypatch.setattr(engine, "ask", noting)
    dated = QUESTIONS[0].model_copy(update={"as_of": date(2016, 2, 3)})
    found, _ = evaluate(engine, [dated, QUESTIONS[1]], passages=5, max_sentences=1)
    numbers = {"passages": 5, "max_sentences": 1}
    assert given == [{**numbers, "as_of": date(2016, 2, 3)}, {**numbers, "as_of": None}]
    assert (found.about["passages_asked"], found.about["max_sentences"]) == (5, 1)


def test_evaluate_refuses_gold_that_is_not_indexed(engine: Engine) -> None:
    with pytest.raises(EvaluationError, match="question dam: dam.md does not say"):
        evaluate(engine, [QUESTIONS[0], replace_gold(QUESTIONS[0], "Engineers replaced 4 of the 8 turbines.")])


def replace_gold(asked: Question, text: str) -> Question:
    relevant = asked.relevant[0].model_copy(update={"sentences": (text,)})
    return asked.model_copy(update={"relevant": (relevant,)})


def test_a_threshold_gates_what_an_engine_without_one_answers(settings: Settings, build: Callable[..., Any]) -> None:
    build()
    ungated = settings.model_copy(update={"answers": settings.answers.model_copy(update={"min_confidence": 0.0})})
    opened = Engine.open(ungated)
    confidence = opened.ask(QUESTIONS[0].question).confidence
    at, ((told, *_)) = evaluate(opened, QUESTIONS, threshold=confidence)
    above, ((lost, *_)) = evaluate(opened, QUESTIONS, threshold=confidence + 0.001)
    opened.close()
    assert [found.metrics["false_refusal"].value for found in (at, above)] == [0, 1]
    assert [found.metrics["chosen.hit@3"].value for found in (at, above)] == [1, 1]
    assert [found.metrics["cited.hit@3"].value for found in (at, above)] == [1, 0]
    assert [found.metrics["right.kept"].value for found in (at, above)] == [1, 0]
    assert (told.loss, lost.loss) == (None, "refused")
    assert above.about["settings"]["answers"]["min_confidence"] == confidence + 0.001


def test_evaluate_notices_that_the_index_changed(settings: Settings, build: Callable[..., Any]) -> None:
    build()
    opened = Engine.open(settings)
    (settings.paths.corpus / "new.txt").write_text("New\n\nA new article arrived.\n", encoding="utf-8")

    def rebuild(done: int, of: int) -> None:
        build()
        assert opened.reload_if_changed()

    with pytest.raises(EvaluationError, match="changed from generation 1 to 2"):
        evaluate(opened, QUESTIONS, progress=rebuild)
    opened.close()


@pytest.mark.parametrize("name", ["questions.jsonl", "swapped.jsonl", "plain.jsonl"])
def test_the_questions_that_come_with_the_project_fit_its_corpus(
    name: str, make_settings: Callable[[Path], Settings], tmp_path: Path
) -> None:
    shutil.copytree(starter_corpus(), tmp_path / "corpus")
    settings = make_settings(tmp_path)
    build_index(settings, load_embedder(settings.embedding, settings.paths.cache, prepare=True))
    opened = Engine.open(settings)
    views: dict[str, list[ArticleView]] = {}
    for article_id in opened.article_ids():
        views.setdefault(opened.article(article_id).article.source_path, []).append(opened.article(article_id))
    opened.close()
    questions = load_questions(Path(__file__).parents[1] / "eval" / name)
    golds = [resolve(asked, views) for asked in questions]
    assert len(golds) > 100
    assert all(
        bool(found.pieces) == (asked.kind != "unanswerable") for found, asked in zip(golds, questions, strict=True)
    )
    # A gold sentence that overlaps several stored ones means that the splitter and the gold disagree.
    several = [
        asked.id for found, asked in zip(golds, questions, strict=True) for piece in found.pieces if len(piece) > 1
    ]
    assert several == []
