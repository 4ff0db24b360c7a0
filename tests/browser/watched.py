"""Pages of a real browser that may do nothing wrong, and the sites that they are opened on."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from axe_playwright_python.sync_playwright import Axe
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qa.embedders import load_embedder
from qa.engine import Engine
from qa.index import build_index
from qa.server import create_app
from qa.settings import Settings
from serving import serving

PICTURES = Path(__file__).parents[2] / "build" / "screenshots"
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
TOUCH = {"viewport": PHONE, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
QUESTION = "How many turbines did engineers replace at the Oster Dam?"
QUOTE = "Engineers replaced 3 of the 8 turbines."
KITES = "Who flew a kite of nine metres, the mayor Ute Falk?"
POLICE = "What did the police in Norland do, and who was arrested in the boat-engine case?"
NOTHING = "Which chess opening did the champion prefer?"
SMALL = Path(__file__).parents[1] / "corpus"
# Characters outside the first plane count twice in JavaScript: a slice by UTF-16 units would miss the sentence.
EMOJI = {
    "title": "Kites 🪁🪁 over <b>Brisk</b> & Halm",
    "text": "🪁🎏🪁 The kite festival 🎉 began. "
    + "Many came 🙂. " * 40
    + "\n\nMayor Ute Falk flew a 🪁 of nine metres. "
    + "It rained. " * 200,
    "publisher": "Brisk <i>Bote</i>",
    "published_at": "2024-04-30",
    "url": "javascript:alert(1)",
}

SEEN = """() => {
    const node = document.activeElement;
    if (node === document.body) return "nothing has the focus";
    const style = getComputedStyle(node), box = node.getClientRects()[0];
    const hit = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
    if (!(node.matches(":focus-visible") && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2)) {
        return `no focus is seen on ${node.outerHTML}`;
    }
    return hit && (node.contains(hit) || hit.contains(node) || node.labels?.[0]?.contains(hit)) ? ""
        : `${node.outerHTML} is covered by ${hit?.outerHTML.slice(0, 200)}`;
}"""
"""What is wrong with how the focus is shown, or nothing."""


class Site:
    """A server on a port of this machine. It can be stopped, started again on that port, and its articles changed."""

    def __init__(self, settings: Settings, around: Callable[[ASGIApp], ASGIApp] = lambda app: app) -> None:
        self.settings = settings
        self.corpus = settings.paths.corpus
        self.address = ""
        self._around = around
        self._open = ExitStack()

    def start(self) -> None:
        self.engine = Engine.open(self.settings)
        self._open.callback(self.engine.close)
        app = self._around(create_app(self.engine))
        self.address = self._open.enter_context(serving(app, urlsplit(self.address).port or 0))

    def stop(self) -> None:
        self._open.close()

    def index(self) -> None:
        """Build, and if the server runs, wait until it answers from the new generation."""
        embedder = load_embedder(self.settings.embedding, self.settings.paths.cache, prepare=True)
        report = build_index(self.settings, embedder)
        while self.address and self.engine.status().generation != report.generation:
            threading.Event().wait(0.02)

    def write(self, name: str, **article: str) -> None:
        (self.corpus / f"{name}.json").write_text(json.dumps(article))

    def ask(self, question: str) -> dict[str, Any]:
        """The reply over HTTP."""
        reply: dict[str, Any] = httpx2.post(f"{self.address}/v1/ask", json={"question": question}, timeout=60).json()
        return reply

    def retell(self, reply: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """Share an answer and change what was kept of it: the pages then show what no answerer here would say."""
        httpx2.post(f"{self.address}/v1/answers/{reply['id']}/share").raise_for_status()
        path = self.settings.paths.records / "answers" / f"{reply['id']}.json"
        kept = json.loads(path.read_text())
        kept["reply"].update(changes)
        path.write_text(json.dumps(kept))
        told: dict[str, Any] = kept["reply"]
        return told


def furnish(folder: Path) -> None:
    """The small corpus and an article full of emoji."""
    shutil.copytree(SMALL, folder / "corpus")
    (folder / "corpus" / "kites.json").write_text(json.dumps(EMOJI))


class Paced:
    """Lets the events of answers through only as they are allowed, in pieces as small as a language model's.

    While it holds nothing back it changes nothing.
    """

    def __init__(self) -> None:
        self.holding = False
        self._allowed = threading.Semaphore(0)

    def __call__(self, app: ASGIApp) -> ASGIApp:
        async def paced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"] != "/ask" or not self.holding:
                await app(scope, receive, send)
                return

            async def slowly(message: Message) -> None:
                if message["type"] != "http.response.body" or not message.get("body"):
                    await send(message)
                    return
                for piece in _pieces(message["body"]):
                    while self.holding and not self._allowed.acquire(blocking=False):
                        await asyncio.sleep(0.005)
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                if not message.get("more_body"):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})

            await app(scope, receive, slowly)

        return paced

    def hold(self) -> None:
        self.holding = True
        self._allowed = threading.Semaphore(0)

    def allow(self, events: int) -> None:
        self._allowed.release(events)

    def let_go(self) -> None:
        self.holding = False


def _pieces(body: bytes) -> list[bytes]:
    """Whole events; one with text, as one for every word."""
    pieces = []
    for block in body.split(b"\n\n"):
        fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line)
        if fields.get(b"event") == b"answer.delta":
            data = json.loads(fields[b"data"])
            words = data["text"].split(" ")
            for at, word in enumerate(words):
                text = f" {word}" if at else word
                if text:
                    pieces.append(
                        b"event: answer.delta\ndata: " + json.dumps({**data, "text": text}).encode() + b"\n\n"
                    )
        elif block:
            pieces.append(block + b"\n\n")
    return pieces


class Watched:
    """A page that notes every request off its origin, every script error and every report of the policy."""

    def __init__(self, browser: Any, site: Site, **options: Any) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.context = browser.new_context(**{"viewport": DESKTOP, **options})
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.site = site
        self.wrong: list[str] = []
        self.expected: tuple[str, ...] = ()
        self.page.on("request", lambda r: self.origin_of(r.url) == site.address or self.wrong.append(f"to {r.url}"))
        self.page.on("pageerror", lambda error: self.wrong.append(f"error {error}"))
        self.page.on("console", lambda m: m.type in ("error", "warning") and self.wrong.append(f"console {m.text}"))
        self.page.on("dialog", lambda dialog: (self.wrong.append("a dialog"), dialog.dismiss()))

    @staticmethod
    def origin_of(url: str) -> str:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc}"

    def faults(self) -> list[str]:
        """What went wrong and was not expected."""
        return [text for text in self.wrong if not any(known in text for known in self.expected)]

    def open(self, path: str = "/") -> Any:
        self.page.goto(self.site.address + path)
        return self.page

    def send(self, question: str) -> None:
        self.page.fill("#q", question)
        self.page.press("#q", "Enter")

    def ask(self, question: str) -> None:
        """Ask by keyboard and wait for the answer."""
        self.send(question)
        self.page.wait_for_selector(f'.exchange[data-id]:has-text("{question}"):last-child')

    def chip(self, text: str = "") -> Any:
        """The first citation of the newest answer, of a sentence with this text."""
        quoted = f'[data-quote*="{text}"]' if text else ""
        return self.page.locator(f".exchange:last-child .answer .chip{quoted}").first

    def follow(self, text: str = "") -> str:
        """Click a citation and wait for its sentence, which is returned."""
        self.chip(text).click()
        self.page.wait_for_selector("#panel .sentence.active")
        found: str = self.page.inner_text("#panel .sentence.active")
        return found

    def focused(self, selector: str) -> bool:
        return bool(self.page.evaluate("selector => document.activeElement.matches(selector)", selector))

    def complaints(self) -> list[str]:
        """What axe-core finds against the page, with every rule that it has switched on."""
        found = Axe().run(self.page).response["violations"]
        return [f"{rule['id']} {node['target']}: {node['failureSummary']}" for rule in found for node in rule["nodes"]]

    def inspect(self, name: str) -> None:
        """No complaint in either theme, on a desktop and on a phone; a picture of each."""
        found = []
        before = self.page.viewport_size
        for size, viewport in (("desktop", DESKTOP), ("phone", PHONE)):
            self.page.set_viewport_size(viewport)
            for theme in ("light", "dark"):
                self.page.emulate_media(color_scheme=theme)
                self.page.screenshot(path=str(PICTURES / f"{name}-{size}-{theme}.png"), animations="disabled")
                found += [f"{size}, {theme}: {text}" for text in self.complaints()]
        self.page.set_viewport_size(before)
        assert not found, "\n".join(found)


def in_view(page: Any, selector: str, within: str | None = None) -> bool:
    """Whether an element is on the screen, at the top of the pile, and inside `within`."""
    script = """([selector, within]) => {
        const node = document.querySelector(selector), box = node.getClientRects()[0];
        const frame = within ? document.querySelector(within).getBoundingClientRect()
                             : { top: 0, bottom: innerHeight, left: 0, right: innerWidth };
        const hit = document.elementFromPoint(box.left + Math.min(20, box.width / 2), box.top + box.height / 2);
        return box.top >= frame.top && box.bottom <= frame.bottom && box.left >= frame.left - 1
            && box.right <= frame.right + 1 && box.height > 0 && node.contains(hit);
    }"""
    return bool(page.evaluate(script, [selector, within]))
