"""Requests about a topic, and what only looks like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa.topics import plain_question


@pytest.mark.parametrize(
    "request_for",
    [
        "Tell me about {}",
        "tell me more about {}.",
        "Could you tell us something about {}, please?",
        "Explain {}",
        "please describe {}",
        "Give me some background on {}",
        "Give me a summary of {}",
        "What do you know about {}?",
        "What can you tell me about {}?",
        "What is known about {}?",
        "latest on {}",
        "Latest news about {}",
        "What is the latest on {}?",
        "What’s the latest news from {}?",
        "any news on {}?",
        "Is there any update on {}?",
        "What's new with {}?",
        "information about {}",
        "{} news",
        "{}: the latest",
        "{}, explained",
    ],
)
@pytest.mark.parametrize("topic", ["the Oster Dam", "Ute Falk", "e-Halm 2"])
def test_a_request_asks_what_its_topic_is(request_for: str, topic: str) -> None:
    assert plain_question(request_for.format(topic)) == f"What is {topic}?"


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("Tell me who runs the dam", "who runs the dam"),
        ("tell us what happened to the ferry?", "what happened to the ferry"),
        ("Explain how the turbine failed", "how the turbine failed"),
        ("Any news on whether the dam reopened?", "whether the dam reopened"),
    ],
)
def test_a_question_inside_a_request_is_asked(asked: str, meant: str) -> None:
    assert plain_question(asked) == meant


@pytest.mark.parametrize(
    "question",
    [
        "Who broke the news?",
        "Who told the mayor about the dam?",
        "What is the latest number of arrests?",
        "What is the most recent eruption?",
        "How many details did she give on the dam?",
        "What did the mayor say about the dam?",
        "Did the report explain the outage?",
        "In which paper did he read the news?",
        "The dam explained its reopening to nobody",
        "Oster Dam turbines",
        "Tell me more",
        "news",
        "latest",
        "",
        "?!",
    ],
)
def test_what_asks_something_itself_is_left_as_it_is(question: str) -> None:
    assert plain_question(question) == question


@given(st.text(max_size=200))
def test_any_text_is_kept_or_its_topic_is_in_it(text: str) -> None:
    plain = plain_question(text)
    assert plain == text or plain in text or plain.removeprefix("What is ").removesuffix("?") in text


@pytest.mark.parametrize("piece", ["tell me about ", "latest ", "please, ", "the news on ", "explain"])
def test_a_long_question_is_read_at_once(piece: str) -> None:
    assert isinstance(plain_question((piece * 400)[:2000]), str)
