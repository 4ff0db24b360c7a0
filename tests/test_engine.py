"""The engine answers from one pinned generation, follows the index folder, and says when it does not know."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from qa.engine import Engine, check_question
from qa.errors import ArticleNotFound, IndexMissing, QuestionError, Stopped
from qa.settings import Settings
from qa.storage import IndexFolder
from qa.types import Begun, Filters, Progress

QUESTIONS = [
    ("How many turbines were replaced at the Oster Dam?", "Engineers replaced 3 of the 8 turbines."),
    ("How many passengers had booked the ferry?", "Some 1,200 passengers had booked for May"),
    ("How many homes lost power in the storm?", "31,000 homes"),
    ("Which instruments were a gift from the university?", "the 15 instruments were a gift"),
]


@pytest.mark.parametrize(("question", "expected"), QUESTIONS)
def test_the_right_sentence_is_cited(engine: Engine, question: str, expected: str) -> None:
    answer = engine.ask(question)
    assert answer.status == "answered"
    assert expected in answer.text


@pytest.mark.parametrize("question", [q for q, _ in QUESTIONS])
def test_every_citation_is_a_slice_of_the_stored_article(engine: Engine, question: str) -> None:
    answer = engine.ask(question)
    assert answer.citations
    for citation in answer.citations:
        view = engine.article(citation.article_id)
        assert view.generation == answer.generation
        assert view.article.text[citation.start : citation.end] == citation.quote
        assert view.sentences[citation.sentence_index].text == citation.quote
        assert [answer.statements[i].text for i in citation.segments] == [citation.quote] * len(citation.segments)


def test_what_no_article_says_is_not_found_and_shows_what_came_closest(engine: Engine) -> None:
    answer = engine.ask("Which chess opening did the champion prefer?")
    assert (answer.status, answer.text, answer.citations) == ("not_found", "", ())
    assert answer.reason in ("low_confidence", "no_evidence")
    assert 0 < len(answer.closest) <= 3


def test_a_sentence_that_refers_back_comes_with_the_one_before_it(engine: Engine) -> None:
    answer = engine.ask("How much did the repair of the dam cost in euros?", max_sentences=1)
    (statement,) = answer.statements
    assert statement.text == "She said the repair cost 2.4 million euros."
    assert statement.context is not None
    assert statement.context.text.startswith("“We tested every valve twice,”")


def test_the_same_question_gets_the_same_answer(engine: Engine) -> None:
    first, second = (engine.ask("How many suspects were arrested?") for _ in range(2))
    assert (first.statements, first.citations, first.confidence) == (
        second.statements,
        second.citations,
        second.confidence,
    )


def test_an_answer_tells_how_it_comes_along(engine: Engine) -> None:
    reports: list[Begun | Progress] = []
    answer = engine.ask(QUESTIONS[0][0], max_sentences=1, listen=reports.append)
    assert reports == [
        Begun(QUESTIONS[0][0], None, answer.generation),
        Progress("searching", 6),
        Progress("ranking", len(answer.passages), answer.passages),
        Progress("writing"),
        Progress("checking", 1),
    ]


@pytest.mark.parametrize("last", range(5))
def test_a_listener_can_end_the_work_at_every_report(engine: Engine, last: int) -> None:
    heard: list[Begun | Progress] = []

    def listen(report: Begun | Progress) -> None:
        heard.append(report)
        if len(heard) > last:
            raise Stopped("enough")

    with pytest.raises(Stopped):
        engine.ask(QUESTIONS[0][0], listen=listen)
    assert len(heard) == last + 1


def test_filters_keep_other_articles_out(engine: Engine) -> None:
    everywhere = engine.ask("How many arrests in the boat-engine case?")
    only = engine.ask("How many arrests in the boat-engine case?", filters=Filters(publishers=("River Post",)))
    assert {a.publisher for a in only.articles} == {"River Post"}
    assert {p.article.publisher for p in everywhere.passages} > {"River Post"}
    none = engine.ask("How many arrests?", filters=Filters(publishers=("Nobody's Paper",)))
    assert (none.status, none.reason) == ("not_found", "filtered_out")


@pytest.mark.parametrize("question", ["", "   ", "?!…", "\x00\x07", "a" * 2001, "\u202e\u200b"])
def test_what_is_no_question_is_refused(engine: Engine, question: str) -> None:
    with pytest.raises(QuestionError):
        engine.ask(question)


@pytest.mark.parametrize(
    "question", ["Où est le barrage ?", "大坝何时重新开放？", "Когда открыли плотину?", "a\x00b", "\ud800 dam"]
)
def test_any_script_can_be_asked(engine: Engine, question: str) -> None:
    assert engine.ask(question).status in ("answered", "not_found")


def test_a_question_is_cleaned_of_what_cannot_be_seen() -> None:
    assert check_question("  Wher\u200be\tis\n\x00the dam\u202e? ") == "Wher e is the dam ?"


def test_without_an_index_the_first_question_says_what_to_run(settings: Settings) -> None:
    engine = Engine.open(settings)
    assert engine.status().state == "unavailable"
    assert engine.suggestions(3) == ()
    with pytest.raises(IndexMissing, match="qa index"):
        engine.ask("Who reopened the dam?")


def test_an_index_that_appears_is_picked_up(settings: Settings, build: Callable[..., object]) -> None:
    engine = Engine.open(settings)
    build()
    assert engine.reload_if_changed()
    assert not engine.reload_if_changed()
    assert engine.ask("How many turbines were replaced?").status == "answered"


def test_an_unknown_article_is_named(engine: Engine) -> None:
    with pytest.raises(ArticleNotFound, match="a_nothing"):
        engine.article("a_nothing")


def test_a_damaged_generation_is_served_by_the_one_before(settings: Settings, build: Callable[..., object]) -> None:
    build()
    (settings.paths.corpus / "dam.md").unlink()
    build()
    path = settings.paths.index / "gen-000002" / "vectors.faiss"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)
    engine = Engine.open(settings)
    status = engine.status()
    assert (status.state, status.generation, status.articles) == ("degraded", 1, 6)
    assert "vectors.faiss" in (status.reason or "")


def test_a_damaged_file_does_not_stop_the_one_that_answers(settings: Settings, build: Callable[..., object]) -> None:
    build()
    engine = Engine.open(settings)
    (settings.paths.index / "CURRENT").write_text("rubbish")
    engine.reload_if_changed()
    assert engine.ask("How many turbines were replaced?").status == "answered"


def test_rolling_back_is_followed(settings: Settings, build: Callable[..., object]) -> None:
    build()
    (settings.paths.corpus / "dam.md").unlink()
    build()
    engine = Engine.open(settings)
    assert engine.status().articles == 5
    IndexFolder(settings.paths.index).rollback()
    assert engine.reload_if_changed()
    assert engine.status().articles == 6


def test_questions_go_on_while_generations_change(settings: Settings, build: Callable[..., object]) -> None:
    build()
    engine = Engine.open(settings)
    wrong: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            answer = engine.ask("How many passengers had booked the ferry?")
            texts = {p.article.id: p.article.text for p in answer.passages}
            wrong.extend(c.quote for c in answer.citations if texts[c.article_id][c.start : c.end] != c.quote)
            if not answer.citations:
                wrong.append(answer.text)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    ferry = settings.paths.corpus / "ferry.txt"
    text = ferry.read_text()
    for number in range(1, 9):
        ferry.write_text(text.replace("1,200", f"1,20{number}"))
        build()
        engine.reload_if_changed()
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert engine.ask("How many passengers had booked the ferry?").generation == 9
    assert len(IndexFolder(settings.paths.index).generations()) <= 3
