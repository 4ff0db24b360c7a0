"""Time in questions: which words count, and which days they call for. Asked on Thursday, 9 March 2023."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa.times import find_times, outdated_note, ranges, recency, time_note
from qa.types import TimeScope

ASKED = date(2023, 3, 9)
WEEK = ("2023-03-03", "2023-03-09")


def found(question: str, as_of: date = ASKED) -> list[tuple[str, str, str]]:
    return [(e.text, e.span.first.isoformat() if e.span.first else "", e.span.last.isoformat())
            for e in find_times(question, as_of)]  # fmt: skip


@pytest.mark.parametrize(
    ("question", "text", "first", "last"),
    [
        ("What opened today?", "today", "2023-03-09", "2023-03-09"),
        ("Who spoke this morning?", "this morning", "2023-03-09", "2023-03-09"),
        ("What did yesterday’s storm cut?", "yesterday", "2023-03-08", "2023-03-08"),
        ("Who won last night?", "last night", "2023-03-08", "2023-03-09"),
        ("Who resigned this week?", "this week", *WEEK),
        ("Which cup was won this past week?", "this past week", "2023-03-02", "2023-03-09"),
        ("Who resigned last week?", "last week", "2023-02-27", "2023-03-05"),
        ("Never-seen film was released this week of a dive.", "this week", *WEEK),
        ("Who hosts the final this weekend?", "this weekend", *WEEK),
        ("Who won last weekend?", "last weekend", "2023-03-04", "2023-03-05"),
        ("This past weekend, who played?", "This past weekend", "2023-03-04", "2023-03-05"),
        ("What burned over the weekend?", "over the weekend", "2023-03-04", "2023-03-05"),
        ("What closed this month?", "this month", "2023-03-01", "2023-03-09"),
        ("What closed last month?", "last month", "2023-02-01", "2023-02-28"),
        ("Who toured this year?", "this year", "2023-01-01", "2023-03-09"),
        ("Who toured last year?", "last year", "2022-01-01", "2022-12-31"),
        ("What opens next week?", "next week", *WEEK),
        ("What opens tomorrow?", "tomorrow", *WEEK),
        ("How many fell ill in the past three months?", "in the past three months", "2022-12-09", "2023-03-09"),
        ("How did prices change over the last 2 weeks?", "over the last 2 weeks", "2023-02-23", "2023-03-09"),
        ("How did prices change over the past year?", "over the past year", "2022-03-09", "2023-03-09"),
        ("What changed in the last couple of days?", "in the last couple of days", "2023-03-07", "2023-03-09"),
        ("What derailed two weeks ago?", "two weeks ago", "2023-02-20", "2023-02-26"),
        ("What sank 10 days ago?", "10 days ago", "2023-02-27", "2023-02-27"),
        ("What closed a month ago?", "a month ago", "2023-02-01", "2023-02-28"),
        ("What closed four months ago?", "four months ago", "2022-11-01", "2022-11-30"),
        ("Who ruled a few years ago?", "a few years ago", "2020-01-01", "2020-12-31"),
        ("What was decided on Monday?", "on Monday", "2023-03-06", "2023-03-06"),
        ("Flights were delayed Wednesday because of what?", "Wednesday", "2023-03-08", "2023-03-08"),
        ("What was decided on Thursday?", "on Thursday", "2023-03-02", "2023-03-02"),
        ("Who has led since Monday?", "since Monday", "2023-03-06", "2023-03-09"),
        ("Wednesday was which holiday?", "Wednesday", "2023-03-08", "2023-03-08"),
        ("What colour is the carpet at this Sunday’s gala?", "this Sunday", *WEEK),
        ("Who hosts the Academy Awards Sunday night?", "Sunday", "2023-03-05", "2023-03-05"),
        ("Who was elected last March?", "last March", "2022-03-01", "2022-03-31"),
        ("Who was elected last May?", "last May", "2022-05-01", "2022-05-31"),
        ("What opened in February?", "in February", "2023-02-01", "2023-02-28"),
        ("What opened in March?", "in March", "2023-03-01", "2023-03-09"),
        ("What opened in late december?", "in late december", "2022-12-01", "2022-12-31"),
        ("How many have died since May?", "since May", "2022-05-01", "2023-03-09"),
        ("Who ruled before June?", "before June", "", "2022-05-31"),
        ("Who won in 2021?", "in 2021", "2021-01-01", "2021-12-31"),
        ("Who won in early 2021?", "in early 2021", "2021-01-01", "2021-12-31"),
        ("What broke at the end of 2021?", "the end of 2021", "2021-01-01", "2021-12-31"),
        ("What broke by the end of 2021?", "by the end of 2021", "2021-01-01", "2021-12-31"),
        ("What closed in the year 2019?", "in the year 2019", "2019-01-01", "2019-12-31"),
        ("Who ruled before 2020?", "before 2020", "", "2019-12-31"),
        ("Who ruled until 2020?", "until 2020", "", "2020-12-31"),
        ("Who has ruled since 2020?", "since 2020", "2020-01-01", "2023-03-09"),
        ("Who ruled after 2020?", "after 2020", "2021-01-01", "2023-03-09"),
        ("What grew between 2019 and 2021?", "between 2019 and 2021", "2019-01-01", "2021-12-31"),
        ("What grew from 2019 to 2021?", "from 2019 to 2021", "2019-01-01", "2021-12-31"),
        ("How long did the cut of December 2016 last?", "December 2016", "2016-12-01", "2016-12-31"),
        ("Who won in May 2022?", "in May 2022", "2022-05-01", "2022-05-31"),
        ("Who won in may 2022?", "in may 2022", "2022-05-01", "2022-05-31"),
        ("What did the Sept. 2022 report say?", "Sept. 2022", "2022-09-01", "2022-09-30"),
        ("What opened on 31 February 2022?", "February 2022", "2022-02-01", "2022-02-28"),
        ("Who spoke on 5 January 2023?", "on 5 January 2023", "2023-01-05", "2023-01-05"),
        ("Who spoke on January 5th, 2023?", "on January 5th, 2023", "2023-01-05", "2023-01-05"),
        ("What was shown of the January 6, 2021, attack?", "January 6, 2021", "2021-01-06", "2021-01-06"),
        ("What was looted on Jan. 8?", "on Jan. 8", "2023-01-08", "2023-01-08"),
        ("What was lit on the 24th of December?", "on the 24th of December", "2022-12-24", "2022-12-24"),
        ("Who plays on April 12?", "on April 12", *WEEK),
        ("What happened on 2022-02-24?", "on 2022-02-24", "2022-02-24", "2022-02-24"),
        ("What has happened since 2022-02-24?", "since 2022-02-24", "2022-02-24", "2023-03-09"),
        ("Which is the latest giant to cut jobs?", "the latest", *WEEK),
        ("What is her newest album?", "newest", *WEEK),
        ("What was the most recent eruption?", "the most recent", *WEEK),
        ("Who was recently found?", "recently", *WEEK),
        ("Which breed is now the most popular?", "now", *WEEK),
        ("Which cup is currently under way?", "currently", *WEEK),
        ("What is the current rate?", "the current", *WEEK),
    ],
)  # fmt: skip
def test_an_expression_and_its_days(question: str, text: str, first: str, last: str) -> None:
    assert found(question) == [(text, first, last)]


@pytest.mark.parametrize(
    "question",
    [
        "Who won the 2018 World Cup?",
        "Who was the person of 2018?",
        "What did the 2021 budget cut?",
        "What is in the 2021 budget?",
        "Who may stand for president?",
        "Who may 10 people elect?",
        "Where did they march to in protest?",
        "Who led the Women's March?",
        "What is Theresa May's constituency?",
        "Who came second, and by how many seconds?",
        "Who kept august company?",
        "How much is it in 2021 dollars?",
        "How many of 2000 people agreed?",
        "How many were in 2,021 homes?",
        "Which club won the 2022-23 season?",
        "Who wrote “The Last Week of May 2020”?",
        'Who wrote "1984 in 2021"?',
        "Who sings ‘Yesterday’?",
        "Who hosts the Today show?",
        "Who edits USA TODAY and others?",
        "Who hosts Last Week Tonight?",
        "Who directed Apocalypse Now?",
        "What sold best on the last Black Friday?",
        "Who plays Wednesday Addams?",
        "Who owns the Sunday Times?",
        "What was the last week of the campaign like?",
        "How long does the flight last?",
        "Who will run in 2028?",
        "By 2050, what is planned?",
        "When was the treaty signed?",
        "What was decided on 2022-13-40?",
        "Who won 2-1 in 20:21 minutes?",
        "What costs £2021 or €1999.50?",
        "Who was born in 1850?",
        "What did the mayor say?",
        "Who ruled in ſeptember or on frıday?",
        "What is sold in Marché 5?",
        "¿?",
    ],
)
def test_false_friends(question: str) -> None:
    assert found(question) == []


def test_words_for_the_newest_are_told_from_words_for_the_present() -> None:
    question = "What is the latest news, the most recent, what was recently said, what is new today and currently so?"
    found = {e.text: e.newest for e in find_times(question, ASKED)}
    assert found == {
        "the latest": True, "the most recent": True, "recently": True, "today": False, "currently": False
    }  # fmt: skip


def test_several_expressions_stand_in_reading_order() -> None:
    question = "This four-time champion stepped away in 2018, but retired this week. When?"
    assert found(question) == [("in 2018", "2018-01-01", "2018-12-31"), ("this week", *WEEK)]


WORDS = """
    in on since before after last this next the past of May march Monday Sunday january Feb. ſeptember frıday 5 31 29
    12th 2021 2023 1999 0 9999 week weeK weekend month year years ago two a couple few several today Yesterday now
    latest current “ ” ‘ ’ " , . - – : 2021-02-30 2023-01-05 $2021 early mid- late end between from to and ² ٣ ß İ
"""
QUESTIONS = st.one_of(st.text(max_size=80), st.lists(st.sampled_from(WORDS.split()), max_size=12).map(" ".join))
DAYS = st.dates()


@given(QUESTIONS, DAYS)
def test_whatever_is_asked_the_spans_are_sound(question: str, as_of: date) -> None:
    expressions = find_times(question, as_of)
    end = 0
    for expression in expressions:
        assert end <= expression.start < expression.end <= len(question)
        assert question[expression.start : expression.end] == expression.text
        end = expression.end
        first, last = expression.span.first, expression.span.last
        assert (first or date.min) <= last <= as_of
    for given_day in (False, True):
        assert time_note(TimeScope(as_of, given_day, expressions)).message


RELATIVE = ("today", "yesterday", "this week", "last week", "on Monday", "10 days ago", "3 weeks ago", "recently")


@given(st.sampled_from(RELATIVE), st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.integers(-50, 50))
def test_asked_weeks_later_a_relative_span_lies_weeks_later(words: str, as_of: date, weeks: int) -> None:
    shift = timedelta(weeks=weeks)
    (now,) = find_times(f"What happened {words}?", as_of)
    (then,) = find_times(f"What happened {words}?", as_of + shift)
    assert now.span.first and then.span.first
    assert (then.span.first, then.span.last) == (now.span.first + shift, now.span.last + shift)


@given(st.sampled_from(("in 2019", "on 5 January 2019", "in May 2019", "between 2017 and 2019")), st.integers(0, 3000))
def test_a_date_written_out_is_the_same_whenever_it_is_asked(words: str, later: int) -> None:
    (now,) = find_times(f"What happened {words}?", date(2020, 1, 1))
    (then,) = find_times(f"What happened {words}?", date(2020, 1, 1) + timedelta(days=later))
    assert now.span == then.span


def days(*texts: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([date.fromisoformat(text).toordinal() if text else 0 for text in texts], dtype=np.int64)


def test_how_well_days_fit() -> None:
    week = TimeScope(ASKED, False, find_times("Who resigned this week?", ASKED))
    asked = days("2023-03-03", "2023-03-09", "2023-02-17", "2023-03-23", "2023-01-20", "")
    assert recency(asked, week).tolist() == pytest.approx([1, 1, 0.5, 365 / 379, 0.25, 0])
    year = TimeScope(ASKED, False, find_times("Who won in 2021?", ASKED))
    asked = days("2020-12-18", "2021-01-01", "2021-12-31", "2022-12-31")
    assert recency(asked, year).tolist() == pytest.approx([0.5, 1, 1, 0.5])
    before = TimeScope(ASKED, False, find_times("Who ruled before 2020?", ASKED))
    assert recency(days("1990-05-05", "2019-12-31", "2021-12-30", ""), before).tolist() == pytest.approx(
        [1, 1, 1 / 3, 0]
    )
    both = TimeScope(ASKED, False, find_times("Who left in 2018 and retired this week?", ASKED))
    assert recency(days("2018-06-01", "2023-03-05"), both).tolist() == [1, 1]


def test_a_day_that_was_given_prefers_the_week_before_it_and_nothing_after_it() -> None:
    given_day = TimeScope(ASKED, True, ())
    asked = days("2023-03-09", "2023-03-03", "2023-02-17", "2023-03-10", "")
    assert recency(asked, given_day).tolist() == pytest.approx([1, 1, 0.5, 0, 0])
    year = TimeScope(ASKED, True, find_times("Who won in 2021?", ASKED))
    asked = days("2021-06-01", "2023-03-09", "2023-02-17", "2023-03-10")
    assert recency(asked, year).tolist() == pytest.approx([1, 0.5, 365 / 778, 0])


def test_without_a_time_every_day_fits() -> None:
    assert recency(days("2023-03-09", "1990-01-01", ""), TimeScope(ASKED, False, ())).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("question", "given_day", "message"),
    [
        ("Who resigned this week?", False, "3 to 9 March 2023 (“this week”)"),
        ("Who was recently seen this week?", True, "3 to 9 March 2023 (“recently”, “this week”, the day given)"),
        ("Who won in 2021?", False, "1 January to 31 December 2021 (“in 2021”)"),
        ("Who won last night?", False, "8 to 9 March 2023 (“last night”)"),
        ("Who won yesterday?", False, "8 March 2023 (“yesterday”)"),
        ("Who ruled before 2020?", False, "up to 31 December 2019 (“before 2020”)"),
        ("Who won over the past year?", False, "9 March 2022 to 9 March 2023 (“over the past year”)"),
        ("Who won?", True, "3 to 9 March 2023 (the day given)"),
        ("Who won on 5 May 2019?", True, "5 May 2019 (“on 5 May 2019”) and 3 to 9 March 2023 (the day given)"),
    ],
)
def test_the_note_names_days_and_words(question: str, given_day: bool, message: str) -> None:
    note = time_note(TimeScope(ASKED, given_day, find_times(question, ASKED)))
    assert (note.code, note.message) == ("dates", f"Articles from about {message} were preferred.")


def test_the_days_preferred_stand_beside_their_words() -> None:
    def told(question: str, given_day: bool) -> list[tuple[str | None, str, str]]:
        scope = TimeScope(ASKED, given_day, find_times(question, ASKED))
        return [(text, str(span.first), str(span.last)) for text, span in ranges(scope)]

    week = ("2023-03-03", "2023-03-09")
    assert told("Who won?", False) == []
    assert told("Who won?", True) == [(None, *week)]
    assert told("Who ruled before 2020?", False) == [("before 2020", "None", "2019-12-31")]
    assert told("Who was recently seen this week?", True) == [("recently", *week), ("this week", *week), (None, *week)]


@pytest.mark.parametrize(
    ("question", "outdated"),
    [
        ("Who is the mayor of Halm?", True),
        ("How many people live in Halm?", False),  # no verb tells the time
        ("How many people do live in Halm?", True),
        ("Who’s the mayor of Halm?", True),
        ("Who won this week?", True),
        ("Who won recently?", True),
        ("Which is the latest law?", True),
        ("Who has won this year?", True),
        ("Who won?", False),
        ("Who was the mayor of Halm?", False),
        ("Why did the dam break that is in Halm?", False),
        ("Who won in 2021?", False),
        ("Who is the winner of the 2021 race?", False),
        ("Who has ruled since 2018?", False),  # an article of 2022 is of the time that was asked for
        ("Who was the mayor last year?", False),
        ("Who was mayor before this week, in 2020?", False),
        ("Who won yesterday?", False),
    ],
)
def test_old_news_is_called_old_where_the_present_is_asked_for(question: str, outdated: bool) -> None:
    note = outdated_note(question, date(2022, 3, 3), ASKED)
    assert (note is not None) == outdated
    if note:
        assert (note.code, note.message) == ("outdated", "The newest article cited here is from 3 March 2022.")


@pytest.mark.parametrize(("days_old", "outdated"), [(-1, False), (0, False), (90, False), (91, True), (40_000, True)])
def test_a_quarter_of_a_year_is_not_yet_old(days_old: int, outdated: bool) -> None:
    for question in ("Who is the mayor?", "Who won today?"):
        assert bool(outdated_note(question, date.fromordinal(ASKED.toordinal() - days_old), ASKED)) == outdated
