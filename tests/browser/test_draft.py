"""An answer that comes slowly, word by word: what is shown, what is said, and that Stop stops it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from watched import PHONE, QUESTION, Paced, Site, Watched

pytestmark = pytest.mark.browser

BEFORE = 6
"""Events before the first word: created, searching, ranking, sources, writing, checking."""


@pytest.fixture
def slow(new_site: Callable[..., Site], paced: Paced, watch: Callable[..., Watched]) -> Watched:
    watched = watch(new_site(around=paced))
    watched.open()
    # What a screen reader would be told, in order.
    watched.page.evaluate("""() => {
        window.told = [];
        const status = document.getElementById("status");
        new MutationObserver(() => window.told.push(status.textContent)).observe(status, { childList: true });
    }""")
    paced.hold()
    return watched


@pytest.fixture
def words(slow: Watched) -> list[str]:
    """The first sentence of the answer."""
    found: list[str] = slow.site.ask(QUESTION)["answer"]["segments"][0]["text"].split(" ")
    assert len(found) > 5
    return found


def told(watched: Watched) -> Any:
    return watched.page.evaluate("window.told")


def text(page: Any) -> str:
    found: str = page.inner_text(".exchange:last-child .answer")
    return re.sub(r"\s+", " ", found)


def test_it_comes_word_by_word_and_is_announced_when_it_is_there(slow: Watched, paced: Paced, words: list[str]) -> None:
    page = slow.page
    slow.send(QUESTION)
    page.wait_for_selector('.working:has-text("Searching")')
    assert page.is_visible("#stop") and page.is_hidden("#send")
    assert page.get_attribute("#log", "aria-busy") == "true"
    assert slow.focused("#q"), "the next question can be typed meanwhile"
    page.wait_for_selector('.working:has-text("1 s")')
    paced.allow(2)
    page.wait_for_selector('.working:has-text("Searching 7 articles")')
    paced.allow(1)
    page.wait_for_selector('.working:has-text("Reading ")')
    paced.allow(BEFORE - 3)
    page.wait_for_selector('.reading li:has-text("Oster Dam reopens after turbine fault")')
    page.wait_for_selector('.working:has-text("Checking")')
    assert page.locator(".answer").count() == 0
    for count in (1, 2, 3):
        paced.allow(1)
        page.wait_for_selector(f'.segment:text-is("{" ".join(words[:count])}")')
        assert text(page) == " ".join(words[:count])
    assert page.get_attribute("#log", "aria-busy") == "true"
    paced.allow(len(words) - 3)
    sentence = " ".join(words)
    page.wait_for_selector(f'.segment:text-is("{sentence}")')
    assert page.locator(".answer .chip").count() == 0, "a citation comes when its sentence is there"
    paced.allow(1)
    page.wait_for_selector(".answer .chip")
    assert text(page) == f"{sentence}1"
    assert page.locator(".answer a").count() == 0, "it leads nowhere yet"
    assert told(slow) == ["Searching"], "the text itself is not announced"
    paced.let_go()
    page.wait_for_selector(".exchange[data-id]")
    assert page.get_attribute("#log", "aria-busy") == "false"
    assert page.is_visible("#send") and page.is_hidden("#stop")
    assert page.locator(".working, .reading").count() == 0
    assert text(page).startswith(sentence)
    assert len(told(slow)) == 2 and re.fullmatch(r"Answer ready: \d sentences?, \d sources?\.", told(slow)[1])
    assert slow.focused("#q")


@pytest.mark.parametrize("way", ["button", "key"])
def test_stop_keeps_what_is_there(slow: Watched, paced: Paced, words: list[str], way: str) -> None:
    slow.expected = ("net::ERR_ABORTED",)
    page = slow.page
    slow.send(QUESTION)
    paced.allow(BEFORE + 3)
    page.wait_for_selector(f'.segment:text-is("{" ".join(words[:3])}")')
    if way == "button":
        page.click("#stop")
    else:
        page.keyboard.press("Escape")
    page.wait_for_selector(".failure")
    assert page.inner_text(".failure .verdict") == "Stopped"
    assert text(page) == " ".join(words[:3])
    assert page.get_attribute("#log", "aria-busy") == "false" and page.locator(".working").count() == 0
    assert page.is_visible("#send") and page.input_value("#q") == QUESTION
    assert told(slow) == ["Searching", "Stopped"]
    assert not page.evaluate("document.activeElement === document.body"), "the focus is not lost with the button"
    paced.let_go()
    page.click(".failure button")
    page.wait_for_selector(".exchange[data-id]")
    assert page.locator(".exchange").count() == 1, "the answer takes the place of what was stopped"


def test_a_new_question_stops_the_one_before(slow: Watched, paced: Paced, words: list[str]) -> None:
    slow.expected = ("net::ERR_ABORTED",)
    page = slow.page
    slow.send(QUESTION)
    paced.allow(BEFORE + 2)
    page.wait_for_selector(f'.segment:text-is("{" ".join(words[:2])}")')
    slow.send("What did Storm Ulla cut?")
    page.wait_for_selector(".exchange:first-child .failure")
    assert page.inner_text(".exchange:first-child .verdict") == "Stopped"
    assert page.is_visible("#stop"), "the end of the first does not touch the second"
    paced.let_go()
    page.wait_for_selector(".exchange:last-child[data-id]")
    assert page.locator(".exchange").count() == 2


def test_who_scrolled_up_is_left_in_peace(slow: Watched, paced: Paced, words: list[str]) -> None:
    page = slow.page
    page.set_viewport_size(PHONE)
    paced.let_go()
    for question in ("What did Storm Ulla cut?", "What did engineers do at the dam?"):
        slow.ask(question)
    paced.hold()
    slow.send(QUESTION)
    paced.allow(BEFORE)
    page.wait_for_selector(".reading")
    page.evaluate("scrollTo(0, 100)")
    for _ in range(5):
        paced.allow(1)
        page.wait_for_timeout(50)
    assert text(page).startswith(" ".join(words[:5]))
    assert page.evaluate("scrollY") == 100
    paced.let_go()
    page.wait_for_selector(".exchange:last-child[data-id]")
    assert page.evaluate("scrollY") == 100


def test_stop_takes_the_place_of_ask(slow: Watched, paced: Paced, words: list[str]) -> None:
    """The focus stays on the button, and a double click asks without stopping."""
    page = slow.page
    page.fill("#q", QUESTION)
    page.focus("#send")
    page.keyboard.press("Enter")
    page.wait_for_selector(".working")
    assert slow.focused("#stop")
    paced.let_go()
    page.wait_for_selector(".exchange[data-id]")
    assert slow.focused("#send")
    paced.hold()
    page.fill("#q", QUESTION)
    page.dblclick("#send")
    paced.let_go()
    page.wait_for_selector(".exchange:last-child[data-id]")
    assert page.locator(".exchange").count() == 2 and page.locator(".failure").count() == 0
