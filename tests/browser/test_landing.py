"""Every citation of fifty answers leads to its sentence: by its text, and by where it stands on the screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote_plus

import httpx2
import pytest

from qa.gold import load_questions
from qa.resources import starter_corpus
from qa.settings import load_settings
from watched import Site, Watched

pytestmark = [pytest.mark.browser, pytest.mark.browser_all, pytest.mark.model]

ANSWERS = 50
EVERY = 5
"""Of so many answers, one has its citations followed to the article's own page too."""
STANDS = """([selector, within]) => {
    const node = document.querySelector(selector);
    const frame = within ? document.querySelector(within).getBoundingClientRect()
                         : { top: 0, bottom: innerHeight, left: 0, right: innerWidth };
    return [...node.getClientRects()].every((box) => box.height > 0 && box.top >= frame.top
        && box.bottom <= frame.bottom && box.left >= frame.left && box.right <= frame.right
        && node.contains(document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2)));
}"""
"""Whether all lines of an element are inside the frame with nothing on top of them."""


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The starter corpus as everybody gets it, with the real model."""
    folder = tmp_path_factory.mktemp("starter")
    paths = {"corpus": starter_corpus(), "index": folder / "index", "records": folder / "records"}
    site = Site(load_settings({"paths": paths}))
    site.index()
    site.start()
    yield site
    site.stop()


def test_every_citation_of_fifty_answers(watch: Callable[..., Watched], starter: Site) -> None:
    questions = load_questions(Path(__file__).parents[2] / "eval" / "questions.jsonl")
    watched = watch(starter, viewport={"width": 1000, "height": 520}, reduced_motion="reduce")
    page = watched.page
    answers = followed = 0
    for question in sorted((it for it in questions if it.kind != "unanswerable"), key=lambda it: it.split):
        # By turns asked on the page, and opened as an address.
        if answers % 2:
            watched.open(f"/?q={quote_plus(question.question)}")
        else:
            watched.open()
            watched.send(question.question)
        page.wait_for_selector(".exchange[data-id]")
        if page.get_attribute(".exchange", "data-status") != "answered":
            continue
        answers += 1
        reply = httpx2.get(f"{starter.address}/v1/answers/{page.get_attribute('.exchange', 'data-id')}").json()
        chips = page.locator(".answer .chip")
        assert [int(n) for n in chips.all_inner_texts()] == [
            n for it in reply["answer"]["segments"] for n in it["citations"]
        ]
        for chip, citation in zip(
            chips.all(), [c for it in reply["answer"]["segments"] for c in it["citations"]], strict=True
        ):
            quote = reply["citations"][citation - 1]["quote"]
            chip.click()
            page.wait_for_selector(f'#panel .active[id="s{chip.get_attribute("href").rpartition("#s")[2]}"]')
            assert page.text_content("#panel .active mark") == quote == chip.get_attribute("data-quote")
            assert page.locator("#panel .active").count() == 1
            assert page.evaluate(STANDS, ["#panel .active mark", ".panel-body"]), quote
            followed += 1
        if answers % EVERY == 0:
            links = [(chip.get_attribute("href"), chip.get_attribute("data-quote")) for chip in chips.all()]
            for href, quote in links:
                watched.open(href)
                assert page.text_content(".sentence:target mark") == quote
                assert page.evaluate(STANDS, [".sentence:target mark", None]), quote
                cited = {c["quote"] for c in reply["citations"] if f"/{c['article_id']}?" in href}
                assert set(page.locator("mark").all_text_contents()) == cited
        if answers == ANSWERS:
            break
    assert answers == ANSWERS and followed > ANSWERS
