"""The support check: a statement passes only if the cited sentences say it; numbers, names and turns of meaning decide."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa.citations import cite
from qa.support import check_support
from qa.types import Article, Check, Chunk, Passage, Sentence, Statement, Support

TITLE = "Ministry counts the losses of Lake Velna"
PUBLISHER = "Harbour Gazette"
DAY = "2023-06-10T08:00:00+02:00"
"""A Saturday."""


def check(statement: str, *sources: str, elsewhere: str = "", language: str | None = None) -> Support:
    text = " ".join([*sources, elsewhere])
    article = Article("a", TITLE, text, publisher=PUBLISHER, published_at=DAY, language=language)
    cited, start = [], 0
    for index, source in enumerate(sources):
        cited.append(Sentence("a", index, start, start + len(source), source))
        start += len(source) + 1
    return check_support(Statement(statement, tuple(cited)), {"a": article})


SUPPORTED = [
    # numbers
    ("Two dozen people were injured.", "24 people were injured."),
    ("It cost 1.2m euros.", "It cost 1,200,000 euros."),
    ("The fine was $2.4 billion.", "The fine was 2.4 billion dollars."),
    ("Some 2,400 homes lost power.", "2.4 thousand homes lost power."),
    ("Prices rose 5 per cent.", "Prices rose by 5%."),
    ("Half the votes were counted.", "50 percent of the votes were counted."),
    ("A third of the votes were counted.", "One third of the votes were counted."),
    ("Two hundred and five thousand people left.", "205,000 people left."),
    ("Half a million people left.", "500,000 people left."),
    ("Twenty-one sailors were rescued.", "21 sailors were rescued."),
    ("About 4.9 million people voted.", "Nearly 5 million people voted."),
    ("Exactly 4,812 people voted.", "More than 4,800 people voted."),
    ("No fewer than 40 homes burned.", "At least 40 homes burned."),
    ("More than 500 people died.", "500 people died."),
    ("The train left at 9:30 p.m.", "The train left at 21:30."),
    ("The bridge is 3 km long.", "The bridge is 3 kilometres long."),
    ("It was the third attack.", "It was the 3rd attack."),
    ("A ship sank.", "One ship sank."),
    # dates
    ("The dam was opened on Jan. 5, 2021.", "The dam was opened on 5 January 2021."),
    ("The dam was opened on 2021-01-05.", "The dam was opened on January 5, 2021."),
    ("The dam was opened on Friday.", "The dam was opened on 9 June."),
    ("The dam was opened on 9 June.", "The dam was opened on 9 June 2023."),
    ("The dam was opened in September.", "The dam was opened in Sept."),
    # names
    ("Estonian police arrested two men.", "Police in Estonia arrested two men."),
    ("Poland closed the border.", "Polish authorities closed the border."),
    ("The U.S. sent ships.", "The United States sent ships."),
    ("The European Union sent ships.", "The EU sent ships."),
    ("Mr. Kovac was fined.", "Kovac was fined."),
    ("Kovac's lawyer was fined.", "The lawyer of Kovac was fined."),
    ("Prime Minister Ana Kovac resigned on Monday.", "Ana Kovac resigned on Monday."),
    ("It counted the losses of the lake.", "The ministry counted the losses of Lake Velna."),
    ("The Dutch government paid.", "The government of the Netherlands paid."),
    # negation
    ("The mayor did not resign.", "The mayor didn't resign."),
    ("Not only did the pump fail, the gate failed too.", "The pump failed and the gate failed too."),
    ("No one was hurt.", "Nobody was hurt."),
    ("The mayor did not deny the report.", "The mayor didn’t deny the report."),
    ("The dam never failed, and the gate held.", "The gate held."),
    ("The dam was repaired without delay.", "Without delay, the dam was repaired."),
    ("It was not unusual.", "It wasn't unusual."),
    # speakers
    ("The pump failed, Kovac said.", "Kovac said that the pump failed."),
    ("The pump failed, Kovac said.", "According to Kovac, the pump failed."),
    ("The pump failed.", "According to the Harbour Gazette, the pump failed."),
    ("“The pump failed,” said Ana Kovac of the ministry.", "Ana Kovac of the ministry told reporters that the pump failed."),
    # order and form
    ("On Monday, the council approved the plan.", "The council approved the plan on Monday."),
    ("Kovac sued Marin in Split.", "Marin was sued by Kovac in Split."),
    ("The council, which met in private, approved the plan.", "The council approved the plan."),
    ("The   council approved “the plan”.", 'The council approved "the plan".'),
    ("The company’s profits fell.", "The profits of the company fell."),
    ("Exports rose after the harvest.", "After the harvest, exports rose."),
    ("The plan may be dropped.", "The plan might be dropped."),
]  # fmt: skip

UNSUPPORTED: list[tuple[Check, str, str]] = [
    ("number", "24 people were injured.", "Three dozen people were injured."),
    ("number", "It cost 1.2m euros.", "It cost 1.2bn euros."),
    ("number", "It cost 1.2m euros.", "It cost 1.2m dollars."),
    ("number", "Prices rose 5 per cent.", "Prices rose 5 percentage points."),
    ("number", "Prices rose 5 per cent.", "Prices rose by 15%."),
    ("number", "The bridge is 3 km long.", "The bridge is 3 miles long."),
    ("number", "4.9 million people voted.", "More than 5 million people voted."),
    ("number", "4,812 people voted.", "Nearly 4,800 people voted."),
    ("number", "4.9 million people voted.", "5 million people voted."),
    ("number", "At least 40 homes burned.", "Fewer than 40 homes burned."),
    ("number", "Up to 40 homes burned.", "40 homes burned."),
    ("number", "500 people died.", "More than 500 people died."),
    ("number", "Five people died and 20 homes burned.", "20 people died and five homes burned."),
    ("number", "Five people died.", "Five people died, five of them in Split."),
    ("number", "The train left at 9:30 p.m.", "The train left at 9:30 a.m."),
    ("number", "It was the third attack.", "It was the fourth attack."),
    ("number", "About 120 people voted.", "About 100 people voted."),
    ("number", "Nobody counted the votes.", "Nobody counted the 12 votes."),
    ("date", "The dam was opened on 5 January.", "The dam was opened on 6 January."),
    ("date", "The dam was opened on 5 January.", "The dam was opened on 5 June."),
    ("date", "The dam was opened in May.", "The dam was opened in June."),
    ("date", "The dam was opened on Friday.", "The dam was opened on Monday."),
    ("date", "The dam was opened on Friday.", "The dam was opened on 8 June."),
    ("number", "The dam was opened in May 2021.", "The dam was opened in May 2020."),
    ("number", "The dam was opened on 9 June.", "The dam was opened on 9 June 2022."),
    ("name", "Police in Austria arrested two men.", "Police in Australia arrested two men."),
    ("name", "Police in Iran arrested two men.", "Police in Iraq arrested two men."),
    ("name", "Ana Kovac was fined.", "Ana Marin was fined."),
    ("name", "Kovac was fined.", "Marin was fined."),
    ("name", "The ministry fined Kovac.", "The ministry fined Kovac and Marin."),
    ("name", "Exports of the farm were stopped.", "Exports of Lake Velna were stopped."),
    ("order", "Kovac sued Marin in Split.", "Marin sued Kovac in Split."),
    ("order", "Marin was sued by Kovac.", "Kovac was sued by Marin."),
    ("negation", "The mayor did not resign.", "The mayor did resign."),
    ("negation", "The mayor resigned.", "The mayor did not resign."),
    ("negation", "The mayor did not deny the report.", "The mayor denied the report."),
    ("negation", "The mayor denied the report.", "The mayor did not deny the report."),
    ("negation", "The pump failed to start.", "The pump did start."),
    ("negation", "The dam was repaired without delay.", "The dam was repaired with delay."),
    ("negation", "He has not been arrested and is in Split.", "He has not been arrested and is not in Split."),
    ("negation", "The logs are fine and the people are not.", "The logs are fine and the people are."),
    ("possibility", "The plan may be dropped.", "The plan is dropped."),
    ("possibility", "The council could approve it.", "The council approves it."),
    ("quantity", "Most of the homes burned.", "All of the homes burned."),
    ("quantity", "The pump failed.", "Only the pump failed."),
    ("direction", "Exports rose.", "Exports fell."),
    ("direction", "Exports rose after the harvest.", "Exports rose before the harvest."),
    ("direction", "The home side won the match.", "The home side lost the match."),
    ("direction", "It was a likely outcome.", "It was an unlikely outcome."),
    ("direction", "I was at my first hearing since my last hearing.", "I was at my last hearing since my last hearing."),
    ("attribution", "The pump failed, Kovac said.", "The pump failed."),
    ("attribution", "According to the ministry, the pump failed.", "The pump failed."),
    ("attribution", "Kovac said that the pump near Marin failed.", "Marin said that the pump failed."),
    ("attribution", "The pump allegedly failed.", "The pump failed."),
    ("words", "The council approved the plan.", "The council approved the plan, and the birds sang songs loudly."),
    ("words", "The council met.", "The council burned the harvest."),
]  # fmt: skip


@pytest.mark.parametrize(("source", "statement"), SUPPORTED)
def test_what_the_source_says_is_supported(source: str, statement: str) -> None:
    elsewhere = "Prime Minister Ana Kovac spoke."
    found = check(statement, source, elsewhere=elsewhere)
    assert found.label == "supported", found
    assert 0.7 < found.score <= 1


@pytest.mark.parametrize(("failed", "source", "statement"), UNSUPPORTED)
def test_what_the_source_does_not_say_is_not(failed: Check, source: str, statement: str) -> None:
    assert check(statement, source) == Support("unsupported", 0.0, failed)
