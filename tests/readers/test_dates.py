from __future__ import annotations

import datetime as dt
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa.readers.dates import parse_date


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2015-05-19", "2015-05-19"),
        ("20150519", "2015-05-19"),
        ("2015-05-19T08:30:00+01:00", "2015-05-19T08:30:00+01:00"),
        ("2015-05-19T08:30:00Z", "2015-05-19T08:30:00+00:00"),
        ("2015-05-19T08:30:00.123456-0500", "2015-05-19T08:30:00-05:00"),
        ("2015-05-19 08:30:00 +0100", "2015-05-19T08:30:00+01:00"),
        ("2015-05-19 08:30", "2015-05-19T08:30:00"),
        ("2015-05-19, 8:30 pm", "2015-05-19T20:30:00"),
        ("Tue, 19 May 2015 08:30:00 +0100", "2015-05-19T08:30:00+01:00"),
        ("Tue, 19 May 2015 08:30:00 GMT", "2015-05-19T08:30:00+00:00"),
        ("19 May 2015 08:30 EST", "2015-05-19T08:30:00-05:00"),
        ("May 19, 2015", "2015-05-19"),
        ("19 May 2015", "2015-05-19"),
        ("Nov. 3, 2021", "2021-11-03"),
        ("Sept. 3rd, 2021", "2021-09-03"),
        ("3rd of September 2021", "2021-09-03"),
        ("Wednesday, November 3, 2021", "2021-11-03"),
        ("November 3, 2021 at 8:05 a.m.", "2021-11-03T08:05:00"),
        ("Nov 3, 2021 12:10 AM UTC", "2021-11-03T00:10:00+00:00"),
        ("Nov 3, 2021 12:10 pm (UTC+2)", "2021-11-03T12:10:00+02:00"),
        ("19-May-2015", "2015-05-19"),
        ("2023/01/06", "2023-01-06"),
        ("2023/1/6 10:22", "2023-01-06T10:22:00"),
        ("19.05.2015", "2015-05-19"),
        ("5.6.2015", "2015-06-05"),
        ("25/12/2015", "2015-12-25"),
        ("12/25/2015", "2015-12-25"),
        ("05/05/2015", "2015-05-05"),
        ("2015年5月19日", "2015-05-19"),
        ("19 mai 2015", "2015-05-19"),
        ("19. März 2015", "2015-03-19"),
        ("19 de mayo de 2015", "2015-05-19"),
        ("3 novembre 2021 à 14h30", "2021-11-03T14:30:00"),
        ("19 мая 2015 г.", "2015-05-19"),
        (" 19  May\n2015 ", "2015-05-19"),
        (1432020600, "2015-05-19T07:30:00+00:00"),
        (1432020600000, "2015-05-19T07:30:00+00:00"),
        (1432020600.5, "2015-05-19T07:30:00+00:00"),
        ("1432020600", "2015-05-19T07:30:00+00:00"),
        (dt.date(2015, 5, 19), "2015-05-19"),
        (dt.datetime(2015, 5, 19, 8, 30), "2015-05-19T08:30:00"),
    ],
)
def test_parse_date(value: object, expected: str) -> None:
    assert parse_date(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        *("", "yesterday", "2 hours ago", "today 5 2015", "May 2015", "2015", "2015-05", "Spring 2015", "now"),
        *("2015-13-01", "2015-02-30", "31 June 2015", "0001-01-01", "9999-12-31", "1499-12-31", "13/13/2015"),
        *("05/06/2015", "5 foo 2015", "2015-W21-2", "12345", "99999999", "Monday", "The 5 of 2015 men"),
        *(
            float("nan"),
            float("inf"),
            10**30,
            True,
            None,
            [],
            {},
            "9" * 5000,
            "1 " * 5000,
            "25:61",
            "5 mayo 2015 99:99",
        ),
    ],
)
def test_what_is_no_full_date_is_not_guessed(value: object) -> None:
    assert parse_date(value) is None


def test_an_unclear_zone_is_left_out() -> None:
    assert parse_date("19 May 2015 08:30 BST") == "2015-05-19T08:30:00"


@given(
    st.one_of(
        st.text(max_size=30), st.integers(), st.floats(), st.from_regex(r"\d{1,4}[-/. ]\w{1,9}[-/. ]\d{1,4}( .*)?")
    )
)
def test_anything_gives_a_date_or_none(value: object) -> None:
    found = parse_date(value)
    if found is not None:
        moment = dt.datetime.fromisoformat(found)
        assert 1500 <= moment.year < 2200
        assert parse_date(found) == found


def test_the_time_zone_of_the_machine_plays_no_part() -> None:
    code = (
        "from qa.readers.dates import parse_date as p; print(p('19 mai 2015'), p(1432020600), p('19 May 2015 08:30'))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"TZ": zone}, capture_output=True, text=True, check=True
        ).stdout
        for zone in ("Pacific/Kiritimati", "America/Los_Angeles")
    }
    assert outputs == {"2015-05-19 2015-05-19T07:30:00+00:00 2015-05-19T08:30:00\n"}
