"""Every state that the chat can be in: reached as a reader reaches it, looked at in both themes, wide and narrow.

`inspect` lets axe-core judge the state and puts pictures of it into build/screenshots.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote_plus

import pytest

from qa.engine import Engine
from watched import KITES, NOTHING, POLICE, QUESTION, QUOTE, Paced, Site, Watched, in_view

pytestmark = [pytest.mark.browser, pytest.mark.browser_all]

Watch = Callable[..., Watched]
NewSite = Callable[..., Site]
REFUSED = ("Failed to load resource",)
NEWER = {
    "title": "Oster Dam gets a ninth turbine",
    "text": "Engineers replaced 4 of the 9 turbines at the Oster Dam this year.",
    "publisher": "River Post",
    "published_at": "2024-06-30",
}
LOOK = "document.dispatchEvent(new Event('visibilitychange'))"
"""A reader comes back to the tab: the page looks for new articles."""


def answer_of(page: Any) -> str:
    found: str = page.inner_text(".exchange:last-child .answer")
    return found


def test_no_index(watch: Watch, new_site: NewSite) -> None:
    site = new_site(indexed=False)
    watched = watch(site)
    watched.expected = REFUSED
    page = watched.open()
    assert "There is nothing to ask yet." in page.inner_text("main") and "qa index" in page.inner_text("pre >> nth=0")
    assert page.inner_text(".facts") == "No index yet"
    watched.inspect("no-index")
    watched.send(QUESTION)
    page.wait_for_selector(".failure")
    assert "No index" in page.inner_text(".failure") and page.input_value("#q") == QUESTION
    watched.inspect("no-index-asked")
    page.reload()
    site.index()
    page.evaluate(LOOK)
    page.wait_for_selector('.facts:has-text("7 articles")')
    watched.ask(QUESTION)
    assert QUOTE in answer_of(page)


def test_no_index_without_scripts(watch: Watch, new_site: NewSite) -> None:
    watched = watch(new_site(indexed=False), java_script_enabled=False)
    watched.expected = REFUSED
    page = watched.open(f"/?q={quote_plus(QUESTION)}")
    assert "There is nothing to ask yet." in page.inner_text("main") and page.input_value("#q") == QUESTION


def test_empty(watch: Watch) -> None:
    watched = watch()
    page = watched.open()
    assert 1 <= page.locator(".examples a").count() <= 6
    assert page.inner_text(".facts").split("\n")[0].startswith("7 articles")
    watched.inspect("empty")
    page.click(".examples a >> nth=0")
    page.wait_for_selector('.exchange[data-status="answered"]')
    assert page.locator("#empty").count() == 0


def test_working_streaming_stopped(watch: Watch, new_site: NewSite, paced: Paced) -> None:
    watched = watch(new_site(around=paced))
    watched.expected = ("net::ERR_ABORTED",)
    page = watched.open()
    paced.hold()
    watched.send(QUESTION)
    paced.allow(2)
    page.wait_for_selector('.working:has-text("Searching 7 articles… 1 s")')
    watched.inspect("working")
    paced.allow(8)
    page.wait_for_selector(".answer .segment")
    watched.inspect("streaming")
    page.click("#stop")
    page.wait_for_selector('.verdict:has-text("Stopped")')
    watched.inspect("stopped")


def test_answered(watch: Watch) -> None:
    watched = watch()
    page = watched.open()
    watched.ask(QUESTION)
    assert QUOTE in answer_of(page)
    watched.inspect("answered")
    page.click(".how summary")
    assert "generation" in page.inner_text(".how")
    page.click(".rate summary")
    page.click(".filters summary")
    watched.inspect("answered-details")
    page.reload()
    assert QUOTE in answer_of(page), "the address brings the answer"
    watched.inspect("answered-by-address")


def test_card(watch: Watch) -> None:
    watched = watch()
    page = watched.open()
    watched.ask(QUESTION)
    watched.chip().hover()
    page.wait_for_selector(".card")
    assert page.inner_text(".card q") == watched.chip().get_attribute("data-quote")
    assert "River Post · 4 March 2024" in page.inner_text(".card")
    watched.inspect("card")


def test_the_card_stays_under_the_pointer_and_goes_with_escape(watch: Watch) -> None:
    watched = watch()
    page = watched.open()
    watched.ask(QUESTION)
    watched.chip().hover()
    page.hover(".card")
    page.wait_for_timeout(400)
    assert page.is_visible(".card"), "the pointer may go into the card"
    page.keyboard.press("Escape")
    assert page.locator(".card").count() == 0
    page.mouse.move(2, 2)
    watched.chip().focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    page.wait_for_selector(".card")
    assert page.evaluate("document.activeElement.getAttribute('aria-describedby')") == "card"


def test_panel(watch: Watch) -> None:
    watched = watch()
    page = watched.open()
    watched.ask(QUESTION)
    assert watched.follow(QUOTE) == QUOTE
    assert page.inner_text("#panel h2") == "Oster Dam reopens after turbine fault"
    assert page.get_attribute("#original", "href").startswith("https://river-post.example/2024/oster-dam-reopens#:~:")
    watched.inspect("panel")


def test_nothing_of_an_article_is_markup(watch: Watch) -> None:
    watched = watch()
    page = watched.open()
    page.emulate_media(reduced_motion="reduce")  # else the panel takes its time to scroll
    watched.ask(KITES)
    assert watched.follow("nine metres") == "Mayor Ute Falk flew a 🪁 of nine metres."
    assert page.inner_text("#panel h2") == "Kites 🪁🪁 over <b>Brisk</b> & Halm"
    assert page.evaluate("document.querySelector('.panel-body').scrollTop") > 0
    assert page.locator("a[href^=javascript]").count() == 0


def test_dated(watch: Watch, new_site: NewSite) -> None:
    """A question about now, where the news has gone on for two years since."""
    site = new_site()
    site.write("later", title="Rain in Halm", text="It rained in Halm on Sunday.", published_at="2026-03-01")
    site.index()
    watched = watch(site)
    page = watched.open()
    watched.ask("How many homes does the Oster Dam supply with power?")
    assert page.inner_text("p.note") == "The newest article cited here is from 4 March 2024."
    watched.inspect("dated")
    page.reload()
    assert page.inner_text("p.note") == "The newest article cited here is from 4 March 2024."


def test_dates_are_shown_and_dropped(watch: Watch) -> None:
    watched = watch()
    page = watched.open()
    watched.ask("What did the police in Norland do in May 2024?")
    tags = page.locator(".exchange .tags")
    assert "24 May 2024 (“in May 2024”)" in tags.first.inner_text()
    watched.inspect("dates")
    page.locator('.exchange .tags a[href*="dates=off"]').first.click()
    page.wait_for_selector(".exchange:nth-child(2)[data-id]")
    assert page.locator('.exchange:nth-child(2) .tags a[href*="dates=off"]').count() == 0
    assert "dates=off" in page.url


def test_follow_up(watch: Watch) -> None:
    watched = watch()
    page = watched.open()
    watched.ask("Who was arrested in the boat-engine case?")
    watched.ask("How many of them?")
    line = page.locator(".exchange:last-child .resolved input")
    assert "boat-engine" in line.input_value()
    watched.inspect("follow-up")
    line.fill(QUESTION)
    line.press("Enter")
    page.wait_for_selector(f'.exchange:last-child[data-id]:has-text("{QUOTE}")')
    assert page.inner_text(".exchange:last-child .question") == QUESTION


def test_not_found_with_ways_out(watch: Watch) -> None:
    watched = watch()
    page = watched.open()
    page.click(".filters summary")
    page.fill("input[name=to]", "2020-01-01")
    page.dispatch_event("input[name=to]", "change")
    page.fill("input[name=outlet]", "Coast Courier")
    page.dispatch_event("input[name=outlet]", "change")
    assert page.locator("#tags").inner_text().split("\n") == ["Until 1 January 2020", "Coast Courier"]
    watched.ask(QUESTION)
    assert "No article is left after the filters" in page.inner_text(".nothing")
    assert "outlet=Coast+Courier" in page.url and "to=2020-01-01" in page.url
    watched.inspect("filtered-out")
    page.reload()
    assert "No article is left after the filters" in page.inner_text(".nothing")
    page.click('.ways a:has-text("Ask articles of any day")')
    page.wait_for_selector(".exchange:nth-child(2)[data-id]")
    assert "to=" not in page.url and "outlet=Coast+Courier" in page.url
    page.locator('.ways a:has-text("Ask all outlets")').last.click()
    page.wait_for_selector(f'.exchange:last-child[data-id]:has-text("{QUOTE}")')
    assert "outlet" not in page.url


def test_not_found(watch: Watch) -> None:
    watched = watch()
    page = watched.open()
    watched.ask(NOTHING)
    assert page.inner_text("#status") == "No answer found."
    assert page.locator(".nothing .closest a").count() >= 1
    watched.inspect("not-found")
    page.click(".nothing .closest a >> nth=0")
    page.wait_for_selector("#panel .sentence.active")
    page.click("#shut")
    page.click("a[data-edit]")
    assert page.input_value("#q") == NOTHING and watched.focused("#q")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("llm_fallback", "The language model could not be reached; these are the articles' own sentences."),
        ("conflict", "Sources differ on this."),
    ],
)
def test_notes(watch: Watch, new_site: NewSite, code: str, message: str) -> None:
    site = new_site()
    reply = site.retell(site.ask(QUESTION), notes=[{"code": code, "message": message}])
    watched = watch(site)
    page = watched.open()
    told = json.dumps({"seq": 1, "response": reply})
    page.route(
        "**/ask",
        lambda route: route.fulfill(
            body=f"event: ask.completed\nid: 1\ndata: {told}\n\n", content_type="text/event-stream"
        ),
    )
    watched.ask(QUESTION)
    assert page.inner_text("p.note") == message and QUOTE in answer_of(page)
    watched.inspect(code.replace("_", "-"))
    watched.open(f"/a/{reply['id']}")
    assert page.inner_text("p.note") == message


def test_a_question_that_is_refused(watch: Watch) -> None:
    watched = watch()
    watched.expected = REFUSED
    page = watched.open()
    watched.send("???")
    page.wait_for_selector(".failure")
    assert "letter or a digit" in page.inner_text(".failure") or page.locator(".failure li").count() == 1
    assert page.input_value("#q") == "???"
    assert "req_" in page.inner_text(".failure")
    watched.inspect("refused")
    watched.open("/?q=%3F%3F%3F")
    assert page.is_visible(".failure") and page.input_value("#q") == "???"
    watched.inspect("refused-by-address")


def test_an_error_keeps_the_question(watch: Watch) -> None:
    watched = watch()
    watched.expected = REFUSED
    page = watched.open()
    problem = {"title": "It <b>broke</b>", "detail": "Sorry.", "request_id": "req_7", "errors": [], "status": 500}
    page.route("**/ask", lambda route: route.fulfill(status=500, json=problem))
    watched.send(QUESTION)
    page.wait_for_selector(".failure")
    assert "It <b>broke</b>" in page.inner_text(".failure") and "Request req_7" in page.inner_text(".failure")
    assert page.input_value("#q") == QUESTION and page.inner_text("#status") == "It <b>broke</b>"
    watched.inspect("error")
    page.unroute("**/ask")
    page.click(".failure button")
    page.wait_for_selector(".exchange[data-id]")
    assert page.locator(".failure").count() == 0


def test_an_error_on_the_way(watch: Watch) -> None:
    watched = watch()
    page = watched.open()
    problem = {"title": "Out of time", "detail": "Ask again.", "request_id": "req_8", "errors": []}
    body = f"event: ask.failed\nid: 1\ndata: {json.dumps({'seq': 1, 'problem': problem})}\n\n"
    page.route("**/ask", lambda route: route.fulfill(body=body, content_type="text/event-stream"))
    watched.send(QUESTION)
    page.wait_for_selector('.failure:has-text("Out of time")')
    assert page.input_value("#q") == QUESTION and page.is_visible("#send") and page.is_hidden("#banner")


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Questions wait for the event before they are answered."""
    go, real = threading.Event(), Engine.ask

    def waiting(self: Engine, *args: Any, **options: Any) -> Any:
        go.wait(60)
        return real(self, *args, **options)

    monkeypatch.setattr(Engine, "ask", waiting)
    yield go
    go.set()


def test_busy(watch: Watch, new_site: NewSite, held: threading.Event) -> None:
    """One place, and somebody else has it."""
    site = new_site(server={"max_concurrent": 1, "max_waiting": 0})
    threading.Thread(target=site.ask, args=[POLICE]).start()
    watched = watch(site)
    watched.expected = REFUSED
    page = watched.open()
    watched.send(QUESTION)
    page.wait_for_selector('.failure button:disabled:has-text("Try again in 1 s")')
    page.wait_for_selector('.failure button:enabled:text-is("Try again")')
    watched.inspect("busy")
    watched.open(f"/?q={quote_plus(QUESTION)}")
    assert "Ask again in 2 seconds." in page.inner_text(".failure") and page.input_value("#q") == QUESTION
    watched.inspect("busy-by-address")
    held.set()
    page.wait_for_timeout(300)
    page.click('.ways a:has-text("Try again")')
    page.wait_for_selector(f'.exchange:last-child[data-id]:has-text("{QUOTE}")')


def test_the_server_is_lost_and_comes_back(watch: Watch, new_site: NewSite) -> None:
    site = new_site()
    watched = watch(site)
    watched.expected = ("net::ERR", *REFUSED)
    page = watched.open()
    watched.ask(POLICE)
    site.stop()
    watched.send(QUESTION)
    page.wait_for_selector("#banner:visible")
    assert "The server cannot be reached" in page.inner_text("#banner")
    assert page.input_value("#q") == QUESTION and page.is_enabled("#q")
    page.wait_for_timeout(300)
    assert in_view(page, "#banner"), "however far the reader has scrolled"
    watched.inspect("server-lost")
    site.start()
    page.wait_for_selector(f'.exchange:last-child[data-id]:has-text("{QUOTE}")')
    assert page.is_hidden("#banner") and page.locator(".failure").count() == 0
    assert page.locator(".exchange").count() == 2 and page.input_value("#q") == ""


def test_what_is_typed_meanwhile_stays(watch: Watch, new_site: NewSite) -> None:
    site = new_site()
    watched = watch(site)
    watched.expected = ("net::ERR", *REFUSED)
    page = watched.open()
    site.stop()
    watched.send(QUESTION)
    page.wait_for_selector("#banner:visible")
    page.fill("#q", "Something else")
    site.start()
    page.wait_for_selector(f'.exchange:last-child[data-id]:has-text("{QUOTE}")')
    assert page.input_value("#q") == "Something else"


def test_new_articles(watch: Watch, new_site: NewSite) -> None:
    site = new_site()
    watched = watch(site)
    page = watched.open()
    watched.ask(QUESTION)
    page.evaluate(LOOK)
    page.wait_for_timeout(300)
    assert page.inner_text("#toast") == ""
    site.write("newer", **NEWER)
    site.index()
    page.evaluate(LOOK)
    page.wait_for_selector('#toast:has-text("1 new article.")')
    assert page.inner_text(".facts").startswith("8 articles") and "30 June 2024" in page.inner_text(".facts")
    watched.inspect("new-articles")
    page.click("#toast a")
    page.wait_for_selector('.exchange:nth-child(2)[data-id]:has-text("Engineers replaced 4 of the 9 turbines")')
    assert page.inner_text("#toast") == "", "the toast is gone once it was followed"


def test_a_cited_article_changes_and_goes(watch: Watch, new_site: NewSite) -> None:
    site = new_site()
    watched = watch(site)
    watched.expected = REFUSED
    page = watched.open()
    watched.ask(QUESTION)
    address = f"/a/{page.get_attribute('.exchange', 'data-id')}"
    dam = site.corpus / "dam.md"
    dam.write_text(dam.read_text().replace("Engineers replaced 3 of the 8", "It rained. Workers mended 5 of the 8"))
    site.index()
    watched.chip(QUOTE).click()
    page.wait_for_selector("#panel .note")
    notes = page.locator("#panel .note").all_inner_texts()
    assert any(QUOTE in note for note in notes), "what was quoted is still shown"
    assert QUOTE not in page.locator("#panel mark").all_inner_texts()
    assert page.locator("#panel .active").count() == 0, "nothing is pointed at in its place"
    assert page.is_hidden("#dispute") and page.inner_text("#place") == ""
    watched.inspect("changed-panel")
    watched.open(address)
    assert "has changed since" in page.inner_text(".note >> nth=0") and QUOTE in answer_of(page)
    watched.inspect("changed-answer")
    dam.unlink()
    site.index()
    page.reload()
    assert "was removed since" in page.inner_text(".note >> nth=0") and QUOTE not in page.content()
    watched.inspect("gone-answer")
    watched.open(f"/?q={quote_plus(NOTHING)}")
    page.route("**/articles/*", lambda route: route.continue_(url=f"{site.address}/articles/gone"))
    page.click(".nothing .closest a >> nth=0")
    page.wait_for_selector('.panel-body h2:has-text("No such article")')
    watched.inspect("gone-panel")


def test_history(watch: Watch) -> None:
    watched = watch()
    page = watched.open()
    page.click("#past")
    assert page.inner_text("#history li") == "Nothing was asked yet."
    assert "Kept in this browser only." in page.inner_text("#history") and page.is_hidden("#forget")
    watched.inspect("history-empty")
    page.keyboard.press("Escape")
    for question in (QUESTION, KITES):
        watched.ask(question)
    page.reload()
    page.click("#past")
    assert page.locator("#history li a").all_inner_texts() == [KITES, QUESTION]
    watched.inspect("history")
    page.click("#history li button >> nth=0")
    assert page.locator("#history li a").all_inner_texts() == [QUESTION]
    assert page.evaluate("document.activeElement.closest('#history') !== null")
    page.click("#forget")
    assert page.inner_text("#history li") == "Nothing was asked yet."
    assert page.evaluate("JSON.parse(localStorage.getItem('asked'))") == []
    assert page.evaluate("document.activeElement.closest('#history') !== null"), "the focus stays in the dialog"


def test_help(watch: Watch) -> None:
    watched = watch()
    page = watched.open()
    page.click("#keys")
    assert page.is_visible("#help")
    watched.inspect("help")
    page.click("#help button")
    assert page.is_hidden("#help") and watched.focused("#keys")


def test_shared_answer(watch: Watch, new_site: NewSite) -> None:
    site = new_site()
    watched = watch(site, permissions=["clipboard-read", "clipboard-write"])
    page = watched.open()
    watched.ask(QUESTION)
    page.click('[data-act="share"] button')
    page.wait_for_selector('.actions output:has-text("Link copied.")')
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == f"{site.address}/a/{page.get_attribute('.exchange', 'data-id')}"
    site.stop()
    site.start()
    watched.open(link.removeprefix(site.address))
    assert page.inner_text("main .label >> nth=0").upper() == "SHARED ANSWER" and QUOTE in answer_of(page)
    assert page.inner_text(".question") == QUESTION
    watched.inspect("shared")
    page.click(f'.answer .chip[data-quote="{QUOTE}"]')
    page.wait_for_selector("article h1")
    assert page.inner_text(".sentence:target mark") == QUOTE
    page.go_back()
    page.click('a:has-text("Ask your own")')
    page.wait_for_selector("#empty")


def test_copy_and_rate(watch: Watch, new_site: NewSite) -> None:
    site = new_site()
    watched = watch(site, permissions=["clipboard-read", "clipboard-write"])
    page = watched.open()
    watched.ask(QUESTION)
    page.click("a[data-copy]")
    page.wait_for_selector('.actions output:has-text("Copied.")')
    assert QUOTE in page.evaluate("navigator.clipboard.readText()")
    page.click('button[value="up"]')
    page.wait_for_selector('.actions output:has-text("Noted, thank you.")')
    page.click(".rate summary")
    page.select_option(".rate select", "1")
    page.check('.rate input[value="unclear"]')
    page.click(".rate button")
    page.wait_for_selector(".rate:not([open])")
    watched.follow(QUOTE)
    page.click("#dispute")
    page.wait_for_selector('.panel-bar output:has-text("Noted, thank you.")')
    lines = [json.loads(line) for line in (site.settings.paths.records / "feedback.jsonl").read_text().splitlines()]
    dispute = int(watched.chip(QUOTE).inner_text())
    assert [(line["rating"], line["citation"], line["reasons"]) for line in lines] == [
        ("up", None, []),
        ("down", 1, ["unclear"]),
        ("down", dispute, ["not_in_source"]),
    ]
    page.click("#link")
    page.wait_for_selector('.panel-bar output:has-text("Link copied.")')
    assert page.evaluate("navigator.clipboard.readText()") == page.evaluate("document.getElementById('alone').href")


def test_many_sources(watch: Watch, new_site: NewSite) -> None:
    site = new_site(answers={"min_confidence": 0.1, "scorer": "none", "max_sentences": 10})
    for number, town in enumerate(("Brisk", "Halm", "Skarn", "Oster", "Norby", "Vest", "Tarn", "Lund")):
        site.write(
            f"bridge{number}",
            title=f"New bridge for {town}",
            text=f"The town of {town} opened its new bridge with {number + 3} arches on Sunday. Nobody fell in.",
            publisher="River Post",
            published_at=f"2024-03-1{number}",
        )
    site.index()
    watched = watch(site)
    page = watched.open()
    watched.ask("Which towns opened a new bridge with arches?")
    more = page.locator(".exchange > details.more").first
    assert page.locator(".exchange > .sources > li").count() == 5 and "more source" in more.inner_text()
    hidden = more.locator("li").first
    assert not hidden.is_visible()
    watched.inspect("many-sources")
    more.locator("summary").click()
    assert hidden.is_visible()
    assert page.locator(".sources > li").count() == int(page.get_attribute(".exchange", "data-sources")) > 5


def test_without_scripts(watch: Watch) -> None:
    """What stands on the page when the scripts never come."""
    watched = watch()
    watched.expected = ("net::ERR", *REFUSED)
    watched.page.route("**/*.js", lambda route: route.abort())
    page = watched.open(f"/?q={quote_plus(QUESTION)}")
    assert page.locator("button:visible").all_inner_texts() != [] and page.is_hidden("#stop")
    watched.inspect("no-scripts")
    page.click('[data-act="share"] button')
    page.wait_for_selector('main .label:has-text("Shared answer")')
    page.click('button[value="up"]')
    page.wait_for_selector('.note:has-text("Noted, thank you.")')
    watched.inspect("noted")


def test_print(watch: Watch) -> None:
    watched = watch()
    page = watched.open()
    watched.ask(QUESTION)
    watched.follow()
    page.emulate_media(media="print")
    assert page.is_hidden("#ask") and page.is_hidden("#panel") and page.is_hidden("nav") and page.is_visible(".answer")
    sources = page.locator(".sources > li").all_inner_texts()
    quotes = page.locator(".answer .chip").evaluate_all("chips => chips.map((chip) => chip.dataset.quote)")
    assert all(any(quote in source for source in sources) for quote in quotes), "every quote is printed in full"
    assert "https://river-post.example/2024/oster-dam-reopens" in " ".join(sources)
    watched.inspect("print")
    assert page.pdf().startswith(b"%PDF")


@pytest.mark.parametrize("path", ["/docs", "/problems", "/problems/overloaded", "/status", "/a/ans_none", "/nothing"])
def test_other_pages(watch: Watch, path: str) -> None:
    watched = watch()
    watched.expected = REFUSED
    page = watched.open(path)
    assert page.locator("h1").count() == 1
    watched.inspect(path.strip("/").replace("/", "-"))


def test_article(watch: Watch) -> None:
    watched = watch()
    page = watched.open()
    watched.ask(QUESTION)
    watched.open(watched.chip(QUOTE).get_attribute("href"))
    assert page.inner_text(".sentence:target mark") == QUOTE
    watched.inspect("article")
