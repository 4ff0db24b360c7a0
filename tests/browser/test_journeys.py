"""A newcomer asks five questions, follows citations and comes back: by mouse, touch or keyboard, or without scripts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from watched import KITES, NOTHING, POLICE, QUESTION, QUOTE, SEEN, TOUCH, Watched, in_view

pytestmark = pytest.mark.browser

STORM = "What did Storm Ulla cut?"
HOMES = "How many homes lost power?"
DOWN = "What did engineers do at the dam?"


def land(watched: Watched, press: Callable[[Any], None], text: str = "") -> None:
    """From a citation to its sentence, seen inside the panel."""
    chip = watched.chip(text)
    quote = chip.get_attribute("data-quote")
    press(chip)
    watched.page.wait_for_selector("#panel .sentence.active")
    assert watched.page.inner_text("#panel .sentence.active mark") == quote
    assert watched.focused("#panel h2")
    watched.page.wait_for_timeout(500)
    assert in_view(watched.page, "#panel .sentence.active", ".panel-body")


def come_back(watched: Watched, press: Callable[[Any], None]) -> None:
    """Out of the panel by its button: the focus is on the citation again."""
    press(watched.page.locator("#shut"))
    assert watched.page.is_hidden("#panel") and watched.focused(".answer .chip")


def five_questions(watched: Watched, press: Callable[[Any], None]) -> None:
    page = watched.open()
    example = page.locator(".examples a").first
    first = example.inner_text()
    press(example)
    page.wait_for_selector(".exchange[data-id]")
    assert page.inner_text(".exchange:last-child .question") == first
    for question, text in ((QUESTION, QUOTE), (KITES, "nine metres"), (POLICE, "")):
        page.fill("#q", question)
        press(page.locator("#send"))
        page.wait_for_selector(f'.exchange[data-id]:has-text("{question}"):last-child')
        assert page.input_value("#q") == ""
        land(watched, press, text)
        come_back(watched, press)
    page.fill("#q", NOTHING)
    press(page.locator("#send"))
    page.wait_for_selector(".exchange:last-child .nothing")
    press(page.locator(".nothing .closest a").first)
    page.wait_for_selector("#panel .sentence.active")
    press(page.locator("#shut"))
    assert page.locator(".exchange[data-id]").count() == 5
    # Away to the article's own page and back: the address brings the last answer.
    press(page.locator(".nothing .closest a").first)
    page.wait_for_selector("#panel .sentence.active")
    press(page.locator("#alone"))
    page.wait_for_selector("article h1")
    page.go_back()
    page.wait_for_selector(".exchange .nothing")
    assert page.inner_text(".question") == NOTHING
    press(page.locator("#past"))
    assert page.locator("#history li a").all_inner_texts() == [NOTHING, POLICE, KITES, QUESTION, first]
    press(page.locator("#history li a").nth(3))
    page.wait_for_selector(f'.answer:has-text("{QUOTE}")')


def test_by_mouse(watch: Callable[..., Watched]) -> None:
    five_questions(watch(), lambda node: node.click())


def test_by_touch_on_a_phone(watch: Callable[..., Watched]) -> None:
    watched = watch(**TOUCH)
    five_questions(watched, lambda node: node.tap())
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= 390


def walk(page: Any, selector: str, key: str = "Tab", most: int = 80) -> list[str]:
    """Press Tab until the focus is on the selector; every stop on the way is seen. Returns the names of the stops."""
    stops: list[str] = []
    for _ in range(most):
        page.keyboard.press(key)
        assert page.evaluate(SEEN) == ""
        stops.append(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return stops
    raise AssertionError(f"no way by {key} to {selector}: {stops}")


def test_by_keyboard_alone(watch: Callable[..., Watched]) -> None:
    watched = watch()
    page = watched.open()
    keys = page.keyboard
    keys.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    stops = walk(page, ".examples a")
    assert stops[:6] == ["Sourceline", "past", "keys", "theme", "Status", "API"]
    keys.press("Enter")
    page.wait_for_selector(".exchange[data-id]")
    for question, text in ((QUESTION, QUOTE), (KITES, "nine metres"), (POLICE, "")):
        keys.press("/")
        assert watched.focused("#q")
        keys.type(question)
        keys.press("Enter")
        page.wait_for_selector(f'.exchange[data-id]:has-text("{question}"):last-child')
        assert watched.focused("#q"), "an answer does not take the focus away"
        # Back from the box, past what stands below the answer, to its first citation.
        quoted = f'[data-quote*="{text}"]' if text else ""
        walk(page, f".exchange:last-child .answer .cite .chip{quoted}", "Shift+Tab")
        land(watched, lambda _: keys.press("Enter"), text)
        keys.press("Escape")
        assert page.is_hidden("#panel") and watched.focused(".exchange:last-child .answer .chip")
    keys.press("/")
    keys.type(NOTHING)
    keys.press("Enter")
    page.wait_for_selector(".exchange:last-child .nothing")
    walk(page, ".nothing .closest a", "Shift+Tab")
    keys.press("Enter")
    page.wait_for_selector("#panel .sentence.active")
    walk(page, "#alone", "Shift+Tab")
    walk(page, "#shut")
    keys.press("Enter")
    assert watched.focused(".nothing .closest a")
    # In other words: the question comes back to be changed.
    walk(page, "a[data-edit]", "Shift+Tab")
    keys.press("Enter")
    assert watched.focused("#q") and page.input_value("#q") == NOTHING
    keys.press("Control+a")
    keys.type(DOWN)
    keys.press("Enter")
    page.wait_for_selector(f'.exchange[data-id]:has-text("{DOWN}"):last-child')
    keys.press("ArrowUp")
    assert page.input_value("#q") == DOWN
    keys.press("Escape")
    walk(page, "#past", "Shift+Tab", 200)
    keys.press("Enter")
    page.wait_for_selector("#history[open]")
    assert page.locator("#history li a").count() == 6
    keys.press("Escape")
    assert watched.focused("#past"), "a dialog gives the focus back"


def test_next_and_previous_by_keyboard(watch: Callable[..., Watched]) -> None:
    watched = watch()
    page = watched.open()
    watched.ask(DOWN)
    watched.chip().focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#panel .sentence.active")
    first = page.inner_text("#panel .sentence.active")
    page.keyboard.press("n")
    second = page.inner_text("#panel .sentence.active")
    assert second != first and page.inner_text("#place") == "Cited 2 of 3"
    page.keyboard.press("n")
    last = page.inner_text("#panel .sentence.active")
    page.keyboard.press("n")
    assert page.inner_text("#panel .sentence.active") == last, "there is no fourth"
    page.keyboard.press("p")
    page.keyboard.press("p")
    assert page.inner_text("#panel .sentence.active") == first
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    assert page.is_hidden("#panel"), "single letters mean something only in the panel"
    page.keyboard.press("?")
    page.wait_for_selector("#help[open]")
    page.keyboard.press("Escape")
    assert page.is_hidden("#help")


@pytest.mark.parametrize("options", [{}, TOUCH], ids=["desktop", "phone"])
def test_without_scripts(watch: Callable[..., Watched], options: dict[str, Any]) -> None:
    watched = watch(java_script_enabled=False, **options)
    page = watched.open()
    first = page.inner_text(".examples a >> nth=0")
    page.click(".examples a >> nth=0")
    page.wait_for_selector(".exchange[data-id]")
    assert page.inner_text(".question") == first
    for question, text in ((QUESTION, QUOTE), (KITES, "nine metres"), (POLICE, "")):
        page.fill("#q", question)
        page.click("#send")
        page.wait_for_selector(f'.exchange[data-id]:has-text("{question}")')
        chip = watched.chip(text)
        quote = chip.get_attribute("data-quote")
        chip.click()
        page.wait_for_selector("article h1")
        assert page.inner_text(".sentence:target mark") == quote
        assert in_view(page, ".sentence:target")
        page.go_back()
        page.wait_for_selector(".exchange[data-id]")
        assert page.inner_text(".question") == question
        assert page.locator(".scripted").count() == 1 and page.is_hidden(".scripted")
    page.fill("#q", NOTHING)
    page.click("#send")
    page.wait_for_selector(".nothing")
    page.click(".nothing .closest a >> nth=0")
    page.wait_for_selector("article h1")
    page.go_back()
    page.click("#new")
    page.wait_for_selector(".examples a")
    buttons = page.locator("button:visible").all_inner_texts()
    assert buttons == ["Ask"], "no button that needs scripts is shown without them"
