"""Text fragments in Chromium: of several equal sentences, the right one is marked, whole, and shown."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from qa.fragments import text_fragment

pytestmark = [pytest.mark.browser, pytest.mark.browser_all]

LONG = "Ada and Bo went out " + " ".join(f"word{n}" for n in range(60)) + " when it was night at last."
STORIES = [
    [["It rained.", "Bo won."], ["It rained.", "Ada won."], ["Cy won.", "It rained."]],
    [["“No,” he said.", "No."], ["He said no.", "No."], ["Casino.", "No.", "It’s 3.5% of R&D."]],
    [["Rosé wins, a well-known firm."], ["ROSE wins, a well-known firm."], ["rose wins, a well-known firm!"]],
    [[LONG], ["Di slept.", LONG], [LONG, "Cy slept."]],
    [["Bo spoke.", "No.", "Di."], ["Bo spoke.", "No.", "Cy."], ["No.", "Cy ran."]],
    [["東京で大雨。", "停電した。"], ["大阪で大雨。", "停電した。"]],
    [["One."], ["Bo won."], ["It rained."], ["Ada won."], ["It rained."]],
]


@contextmanager
def served(page: str) -> Iterator[str]:
    """One page on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


STYLE = """<!doctype html><meta charset=utf-8><style>
p { white-space: nowrap; font: 8px/20px sans-serif; margin: 900px 0 }
span { margin: 0 20px } ::target-text { background: #f00; color: #f00 }
</style>"""


def written(story: list[list[str]]) -> tuple[str, str, list[tuple[int, int]]]:
    """A story as stored text, as a page with paragraphs far apart, and the spans of its sentences."""
    text, page, spans = "", STYLE, []
    for number, paragraph in enumerate(story):
        text += "\n\n" if number else ""
        page += "<p>"
        for place, sentence in enumerate(paragraph):
            # Chinese and Japanese have no white space between sentences.
            gap = " " if place and sentence.isascii() else ""
            page += f"{gap}<span>{escape(sentence)}</span>"
            spans.append((len(text + gap), len(text + gap + sentence)))
            text += gap + sentence
        page += "</p>"
    return text, page, spans


def looks(page: Any, url: str) -> tuple[list[bytes], list[bool]]:
    """A picture of each sentence, and whether it was on the screen once the page was there."""
    page.goto("about:blank")
    page.goto(url)
    page.wait_for_timeout(200)
    found = page.locator("span").all()
    shown = [0 <= span.bounding_box()["y"] < page.viewport_size["height"] for span in found]
    return [span.screenshot() for span in found], shown


@pytest.mark.parametrize("story", STORIES)
def test_the_right_one_of_equal_sentences_is_marked(browser: Any, story: list[list[str]]) -> None:
    text, markup, spans = written(story)
    page = browser.new_page(viewport={"width": 8000, "height": 600})
    with served(markup) as url:
        plain, _ = looks(page, url)
        for number, (start, end) in enumerate(spans):
            fragment = text_fragment(text, start, end)
            marked, shown = looks(page, f"{url}#:~:text={fragment}")
            changed = [place for place, (one, other) in enumerate(zip(plain, marked, strict=True)) if one != other]
            assert changed == [number] and shown[number], (fragment, changed, number)
    page.close()
