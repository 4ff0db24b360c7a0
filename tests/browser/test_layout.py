"""How the pages fit: narrow screens, large text, still motion, forced colours, fingers, the theme."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from watched import PICTURES, QUESTION, QUOTE, SEEN, TOUCH, Paced, Site, Watched

pytestmark = [pytest.mark.browser, pytest.mark.browser_all]

Watch = Callable[..., Watched]
PLACES = ("/", "/docs", "/problems", "/status", "answer", "article", "panel", "shared", "history")
LARGE = "document.documentElement.style.fontSize = '200%'"
CUT = """() => [...document.querySelectorAll("body *")].filter((node) => node.checkVisibility()
    && !node.closest(".visually-hidden, .skip, pre") && node.textContent.trim()
    && ["hidden", "clip"].includes(getComputedStyle(node).overflowX)
    && (node.scrollWidth > node.clientWidth + 1 || node.scrollHeight > node.clientHeight + 1))
    .map((node) => node.outerHTML.slice(0, 200))"""
"""Elements that hide a part of their text."""


def go(watched: Watched, place: str) -> Any:
    page = watched.open(place if place.startswith("/") else "/")
    if place in ("answer", "article", "panel", "shared", "history"):
        watched.ask(QUESTION)
    if place == "article":
        watched.open(watched.chip(QUOTE).get_attribute("href"))
    if place == "panel":
        watched.follow(QUOTE)
    if place == "shared":
        watched.open(f"/a/{page.get_attribute('.exchange', 'data-id')}")
    if place == "history":
        page.click("#past")
    return page


@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_wider_than_the_screen_or_cut(watch: Watch, place: str) -> None:
    watched = watch(viewport={"width": 320, "height": 640})
    page = go(watched, place)
    for width in (320, 390, 768, 1280):
        page.set_viewport_size({"width": width, "height": 640})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(CUT) == []
    page.evaluate(LARGE)
    for width in (320, 640, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{width} with large text"
        assert page.evaluate(CUT) == []


@pytest.mark.parametrize("way", ["text at 200 %", "page at 400 %"])
def test_what_is_enlarged_stays_usable(watch: Watch, way: str) -> None:
    """On a screen of 1280 by 1024: a page at 400 % has 320 by 256 pixels (WCAG 1.4.10)."""
    large_text = way.startswith("text")
    size = {"width": 1280, "height": 1024} if large_text else {"width": 320, "height": 256}
    watched = watch(viewport=size)
    page = watched.open()
    if large_text:
        page.evaluate(LARGE)
    watched.ask(QUESTION)
    assert watched.follow(QUOTE) == QUOTE
    page.click("#shut")
    page.click(".filters summary")
    page.fill("input[name=outlet]", "River Post")
    page.press("input[name=outlet]", "Tab")
    watched.ask("What did engineers do at the dam?")
    page.screenshot(path=str(PICTURES / f"enlarged-{way[:4]}.png"))
    for button in (".rate summary", ".rate button"):
        page.focus(f".exchange:last-child {button}")
        page.keyboard.press("Tab")
        page.keyboard.press("Shift+Tab")
        assert page.evaluate(SEEN) == "", "what has the focus is not covered by the question"
        page.keyboard.press("Enter")
    page.wait_for_selector('output:has-text("Noted")')
    assert watched.complaints() == []


@pytest.mark.parametrize("options", [{}, TOUCH], ids=["desktop", "phone"])
@pytest.mark.parametrize("place", ["/", "answer", "panel", "shared", "article", "history", "/status"])
def test_targets_can_be_hit(watch: Watch, place: str, options: dict[str, Any]) -> None:
    """24 by 24 pixels (WCAG 2.5.8), but for links inside of sentences."""
    watched = watch(**options)
    page = go(watched, place)
    if place == "answer":
        page.click(".rate summary")
        page.click(".filters summary")
    small = page.evaluate("""() => [...document.querySelectorAll("a, button, input, select, summary, textarea")]
        .filter((node) => node.checkVisibility() && !node.closest(".visually-hidden, .skip"))
        .filter((node) => !(node.matches("a") && node.closest("p:not(.answer, .ways, .tags), td, .byline")))
        .map((node) => [node, (node.closest("label") ?? node).getBoundingClientRect()])
        .filter(([, box]) => box.width < 23.9 || box.height < 23.9)
        .map(([node, box]) => `${Math.round(box.width)}x${Math.round(box.height)} ${node.outerHTML.slice(0, 120)}`)""")
    assert not small, "\n".join(small)


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_motion(watch: Watch, new_site: Callable[..., Site], paced: Paced, motion: str) -> None:
    watched = watch(new_site(around=paced), reduced_motion=motion)
    page = watched.open()
    paced.hold()
    watched.send(QUESTION)
    page.wait_for_selector(".working")
    name = page.evaluate("getComputedStyle(document.querySelector('.working'), '::before').animationName")
    paced.let_go()
    page.wait_for_selector(".exchange[data-id]")
    watched.follow()
    scrolling = page.evaluate("getComputedStyle(document.querySelector('.panel-body')).scrollBehavior")
    assert (name, scrolling) == (("none", "auto") if motion == "reduce" else ("pulse", "smooth"))
    others = """[...document.querySelectorAll("*")].filter((node) => {
        const style = getComputedStyle(node);
        return style.animationName !== "none" || style.transitionDuration !== "0s"
            || (style.scrollBehavior !== "auto" && !node.matches(".panel-body"));
    }).length"""
    assert page.evaluate(others) == 0


def test_forced_colours(watch: Watch) -> None:
    watched = watch(forced_colors="active")
    page = watched.open()
    watched.ask(QUESTION)
    watched.follow(QUOTE)
    look = """selector => {
        const style = getComputedStyle(document.querySelector(selector));
        return [style.backgroundColor, style.outlineStyle, style.borderTopStyle];
    }"""
    ground = page.evaluate(look, "#panel")[0]
    marked, plain = page.evaluate(look, "#panel .active mark"), page.evaluate(look, "#panel .text p")
    assert marked[0] not in (ground, plain[0]), "a cited sentence is marked"
    assert page.evaluate(look, "#panel .active")[1] == "solid", "the one that was followed stands out among them"
    assert page.evaluate(look, ".answer .chip")[2] == "solid"
    # What axe computes of colours is not what is painted then.
    assert [text for text in watched.complaints() if not text.startswith("color-contrast")] == []
    page.screenshot(path=str(PICTURES / "forced-colours.png"))


def test_the_theme_is_chosen_kept_and_there_from_the_first_paint(watch: Watch) -> None:
    watched = watch(color_scheme="light")
    page = watched.page
    # The first frame in which there is anything to paint.
    page.add_init_script("""(() => {
        const look = () => {
            if (!document.body) return requestAnimationFrame(look);
            window.first = getComputedStyle(document.body).backgroundColor;
        };
        requestAnimationFrame(look);
    })()""")
    light, dark = "rgb(252, 251, 248)", "rgb(23, 22, 20)"
    ground = "getComputedStyle(document.body).backgroundColor"

    def first() -> Any:
        page.wait_for_timeout(200)
        return page.evaluate("window.first")

    watched.open()
    assert page.get_attribute("#theme", "aria-label") == "Theme: system" and first() == light
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(ground) == dark, "the system's theme is followed"
    page.click("#theme")
    assert page.get_attribute("#theme", "aria-label") == "Theme: light" and page.evaluate(ground) == light
    page.reload()
    assert page.get_attribute("#theme", "aria-label") == "Theme: light" and first() == light
    page.click("#theme")
    assert page.get_attribute("#theme", "aria-label") == "Theme: dark" and page.evaluate(ground) == dark
    page.emulate_media(color_scheme="light")
    for path in ("/", "/docs", "/status"):
        watched.open(path)
        assert first() == dark, "no flash of the other theme, on any page"
    page.click("#theme")
    page.reload()
    assert page.get_attribute("#theme", "aria-label") == "Theme: system" and first() == light


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_chosen_theme_is_as_good_as_the_systems(watch: Watch, theme: str) -> None:
    """The other way to both themes: by the button, against the system."""
    watched = watch(color_scheme="dark" if theme == "light" else "light")
    page = watched.open()
    for _ in range(1 if theme == "light" else 2):
        page.click("#theme")
    watched.ask(QUESTION)
    watched.follow(QUOTE)
    assert watched.complaints() == []
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(252, 251, 248)", "paper is light"
