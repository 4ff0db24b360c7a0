"""The time of a question in retrieval: the same event in three years, told in the same words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from qa.embedders import load_embedder
from qa.engine import Engine, SearchResult
from qa.index import build_index
from qa.settings import Settings
from qa.types import Filters

WINNERS = {"2019-06-09": "Ada Holt", "2021-06-13": "Berit Voss", "2023-06-11": "Cora Linde", "": "Dora Undated"}
QUESTION = "Who won the Halm regatta"
ALWAYS: dict[str, dict[str, object]] = {"answers": {"min_confidence": 0.0, "scorer": "none"}}
"""Settings for an answer always: this is about which one."""


def write(corpus: Path, name: str, text: str, day: str, title: str = "Halm regatta") -> None:
    corpus.mkdir(exist_ok=True)
    body = {"title": title, "text": text, "url": f"https://halm.example/{name}"}
    (corpus / f"{name}.json").write_text(json.dumps(body | ({"published_at": day} if day else {})))


def opened(settings: Settings) -> Engine:
    build_index(settings, load_embedder(settings.embedding, settings.paths.cache, prepare=True))
    return Engine.open(settings)


@pytest.fixture(scope="module")
def regatta(make_settings: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    folder = tmp_path_factory.mktemp("regatta")
    for day, winner in WINNERS.items():
        write(folder / "corpus", winner.split()[0], f"{winner} won the Halm regatta in a strong wind.", day)
    settings = make_settings(folder, **ALWAYS)
    opened(settings).close()
    yield settings


@pytest.fixture(scope="module")
def engine(regatta: Settings) -> Iterator[Engine]:
    engine = Engine.open(regatta)
    yield engine
    engine.close()


def days(found: SearchResult) -> list[str]:
    return [passage.article.published_at or "" for passage in found.passages]


@pytest.mark.parametrize(
    ("when", "day"),
    [
        ("in 2019", "2019-06-09"),
        ("in June 2021", "2021-06-13"),
        ("on 13 June 2021", "2021-06-13"),
        ("before 2020", "2019-06-09"),
        ("two years ago", "2021-06-13"),
        # The archive ends long ago, so its last day is its present.
        ("this week", "2023-06-11"),
        ("today", "2023-06-11"),
        ("most recently", "2023-06-11"),
    ],
)
def test_the_article_of_that_time_answers(engine: Engine, when: str, day: str) -> None:
    answer = engine.ask(f"{QUESTION} {when}?", max_sentences=1)
    assert answer.text == f"{WINNERS[day]} won the Halm regatta in a strong wind."
    assert [note.code for note in answer.notes] == ["dates"] and when in answer.notes[0].message


@pytest.mark.parametrize(
    ("as_of", "day"), [("2019-06-12", "2019-06-09"), ("2021-06-13", "2021-06-13"), ("2023-06-10", "2021-06-13")]
)
def test_a_question_asked_as_of_a_day_is_answered_from_before_it(engine: Engine, as_of: str, day: str) -> None:
    answer = engine.ask(f"{QUESTION}?", as_of=date.fromisoformat(as_of), max_sentences=1)
    assert answer.text.startswith(WINNERS[day])
    assert [note.code for note in answer.notes] == ["dates"] and "the day given" in answer.notes[0].message


def test_the_day_given_is_the_one_that_words_count_from(engine: Engine) -> None:
    answer = engine.ask(f"{QUESTION} two years ago?", as_of=date(2021, 6, 20), max_sentences=1)
    assert answer.text.startswith("Ada Holt")


def test_no_article_is_left_out(engine: Engine) -> None:
    assert sorted(days(engine.search(f"{QUESTION} in 2021?"))) == sorted(WINNERS)
    found = engine.search(f"{QUESTION}?", as_of=date(2019, 6, 12))
    assert sorted(days(found)) == sorted(WINNERS)
    assert {day: passage.recency for day, passage in zip(days(found), found.passages, strict=True)} == {
        "2019-06-09": 1.0, "2021-06-13": 0.0, "2023-06-11": 0.0, "": 0.0}  # fmt: skip


def test_switched_off_dates_change_nothing(engine: Engine, regatta: Settings) -> None:
    without = regatta.model_copy(update={"retrieval": regatta.retrieval.model_copy(update={"dates": False})})
    other = Engine.open(without)
    plain = engine.search(f"{QUESTION} in 2021?", dates=False)
    assert other.search(f"{QUESTION} in 2021?").passages == plain.passages
    assert other.search(f"{QUESTION}?", as_of=date(2021, 6, 20)).passages == engine.search(f"{QUESTION}?").passages
    assert plain.notes == () and {passage.recency for passage in plain.passages} == {1.0}
    assert days(other.search(f"{QUESTION} in 2021?", dates=True))[0] == "2021-06-13"
    assert other.ask(f"{QUESTION} in 2021?").notes == () == engine.ask(f"{QUESTION} in 2021?", dates=False).notes
    other.close()


def test_an_answer_from_old_news_says_so(engine: Engine) -> None:
    def codes(question: str, **options: date) -> list[str]:
        return [note.code for note in engine.ask(question, max_sentences=1, **options).notes]

    now = "Is Ada Holt a winner of the Halm regatta?"  # told by an article four years older than the newest
    assert codes(now) == ["outdated"]
    assert codes(now, as_of=date(2019, 6, 20)) == ["dates"], "not yet old on that day"
    assert codes("Was Ada Holt a winner of the Halm regatta?") == codes("Is Cora Linde a winner of the regatta?") == []
    assert codes("Is Dora Undated a winner of the Halm regatta?") == []


def test_the_answer_carries_the_time_that_it_notes(engine: Engine) -> None:
    timed = f"{QUESTION} in 2021?"
    for question, as_of in ((timed, None), (timed, date(2022, 1, 1)), (QUESTION, None)):
        scope = engine.ask(question, as_of=as_of).scope
        assert scope == engine.search(question, as_of=as_of).scope
        assert (scope and (scope.given, [found.text for found in scope.expressions])) == (
            (as_of is not None, ["in 2021"]) if "2021" in question else None
        )


@pytest.mark.parametrize("asked", ["latest on the Oster Dam", "What is the latest news about the Oster Dam?"])
def test_the_latest_is_the_newest_on_the_subject(
    make_settings: Callable[..., Settings], tmp_path: Path, asked: str
) -> None:
    write(tmp_path / "corpus", "old", "The Oster Dam was shut by a fault in its turbines.", "2019-03-04", "Oster Dam")
    write(tmp_path / "corpus", "new", "The Oster Dam was shut by a crack in its wall.", "2021-05-06", "Oster Dam")
    write(tmp_path / "corpus", "other", "Nobody in Halm expected a regatta so early.", "2023-06-11")
    engine = opened(make_settings(tmp_path, **ALWAYS))
    answer = engine.ask(asked, max_sentences=1)
    assert answer.text == "The Oster Dam was shut by a crack in its wall."
    assert answer.scope is not None
    assert [(e.span.first, e.span.last) for e in answer.scope.expressions] == [(date(2021, 4, 30), date(2021, 5, 6))]
    assert "30 April to 6 May 2021" in answer.notes[0].message
    fits = {passage.article.published_at: passage.recency for passage in answer.passages}
    assert fits["2021-05-06"] == 1.0 > fits["2019-03-04"]
    # The newest there was on the day that is given.
    before = engine.ask(asked, max_sentences=1, as_of=date(2020, 1, 1))
    assert before.text == "The Oster Dam was shut by a fault in its turbines."
    assert before.scope is not None
    assert [e.span.last for e in before.scope.expressions] == [date(2019, 3, 4)]
    engine.close()


def test_words_for_which_there_is_no_article_play_no_part(engine: Engine) -> None:
    for when in ("in 1950", "in 2016", "in 2050"):
        found = engine.search(f"{QUESTION} {when}?")
        assert found.notes == () and found.passages == engine.search(f"{QUESTION} {when}?", dates=False).passages


def test_filters_hold_beside_dates(engine: Engine) -> None:
    found = engine.search(f"{QUESTION} in 2021?", filters=Filters(published_to="2019-12-31"))
    assert days(found) == ["2019-06-09"]


def test_the_score_of_a_passage(engine: Engine, make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    write(tmp_path / "corpus", "only", "Ada Holt won the Halm regatta.", "2021-06-13")
    single = opened(make_settings(tmp_path, **ALWAYS))

    def score(question: str) -> float:
        (passage,) = single.search(question).passages
        return passage.score

    first = 1 / 11  # by reciprocal rank fusion, in every ranking
    assert score(f"{QUESTION}?") == pytest.approx(2 * first)
    assert score(f"{QUESTION} in 2021?") == pytest.approx((2 + 2 * 0.5) * first * (1 + 1))
    # 2020 ended 164 days before: near, and worth 1 + 1 / (1 + 164 / 365).
    assert score(f"{QUESTION} in 2020?") == pytest.approx((2 + 2 * 0.5) * first * (1 + 365 / 529))
    single.close()


def test_a_large_archive_does_not_crowd_the_time_out(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    for year in range(1980, 2020):
        write(tmp_path / "corpus", str(year), f"Winner{year} won the Halm regatta.", f"{year}-06-10")
    few = opened(make_settings(tmp_path, **ALWAYS, retrieval={"candidates": 2}))
    for year in range(1980, 2020):
        first = [day[:4] for day in days(few.search(f"{QUESTION} in {year}?", k=4))]
        assert str(year) in first, "beside at most two of all years and one of the year after"
    few.close()


def test_what_only_the_time_speaks_for_does_not_come_first(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    write(tmp_path / "corpus", "old", "Ada Holt won the Halm regatta.", "2015-06-10")
    for n in range(9):
        write(tmp_path / "corpus", f"new{n}", f"The price of bread rose by {n} cents.", "2023-06-10", title="Bread")
    engine = opened(make_settings(tmp_path, **ALWAYS))
    assert days(engine.search(f"{QUESTION} this week?"))[0] == "2015-06-10"
    engine.close()


def test_an_archive_that_is_current_is_asked_today(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    def today() -> date:
        return datetime.now().astimezone().date()

    before = today()
    write(tmp_path / "corpus", "new", "Ada Holt won the Halm regatta.", (before - timedelta(days=6)).isoformat())
    engine = opened(make_settings(tmp_path, **ALWAYS))
    (note,) = engine.ask(f"{QUESTION} this week?").notes
    assert any(f" {day.day} " in note.message and str(day.year) in note.message for day in (before, today()))
    assert "Ada Holt" in engine.ask(f"{QUESTION} this week?", max_sentences=1).text
    engine.close()


def test_an_archive_that_ended_is_asked_on_its_last_day_whatever_is_dated_ahead(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    write(tmp_path / "corpus", "old", "Ada Holt won the Halm regatta.", "2019-06-09")
    write(tmp_path / "corpus", "typo", "Berit Voss won the Halm regatta.", "2190-01-01")
    engine = opened(make_settings(tmp_path, **ALWAYS))
    (note,) = engine.ask(f"{QUESTION} this week?").notes
    assert note.message == "Articles from about 3 to 9 June 2019 (“this week”) were preferred."
    engine.close()


def test_articles_without_any_date(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    write(tmp_path / "corpus", "undated", "Ada Holt won the Halm regatta.", "")
    engine = opened(make_settings(tmp_path, **ALWAYS))
    assert engine.ask(f"{QUESTION} this week?").notes == ()
    assert engine.ask(f"{QUESTION}?", as_of=date.min).text == engine.ask(f"{QUESTION}?", as_of=date.max).text != ""
    engine.close()


def test_every_ranking_is_given_for_evaluation(engine: Engine) -> None:
    rankings = engine.rankings(f"{QUESTION}?", 4, as_of=date(2021, 6, 20))
    assert rankings["fused"] == engine.search(f"{QUESTION}?", k=4, as_of=date(2021, 6, 20)).passages
    assert sorted(p.dense_rank or 0 for p in rankings["dense"]) == [1, 2, 3, 4]
