"""How long a reader waits: from the click on Ask to the first text of the answer on the page, and to the whole answer.

A real browser asks a real server; a MutationObserver in the page takes the times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import chromium
from playwright.sync_api import sync_playwright

ASK = """(question) => new Promise((resolve) => {
  const log = document.getElementById("log");
  const before = log.querySelectorAll(".exchange[data-address]").length;
  let started = 0, first = 0;
  const seen = new MutationObserver(() => {
    const last = log.querySelector(".exchange:last-child");
    if (!first && last?.querySelector(".segment, .nothing")?.textContent) first = performance.now() - started;
    const failed = last?.querySelector(".failure");
    if (failed || log.querySelectorAll(".exchange[data-address]").length > before) {
      seen.disconnect();
      const answered = last.dataset.status === "answered";
      resolve(failed ? null : { first, whole: performance.now() - started, answered });
    }
  });
  seen.observe(log, { childList: true, subtree: true, characterData: true });
  document.getElementById("q").value = question;
  started = performance.now();
  document.getElementById("send").click();
})"""
"""Asks, and resolves to the milliseconds until the first text and until the whole answer; to null when it failed."""


@dataclass(frozen=True, slots=True)
class Wait:
    """What one question took, in milliseconds."""

    first: float
    whole: float
    answered: bool


def measure_waits(address: str, questions: Sequence[str], warm: int) -> list[Wait]:
    """Ask each question on a page of its own, the first `warm` ones once before."""
    waits = []
    with sync_playwright() as playwright:
        browser = chromium.launch(playwright)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        for number, question in enumerate([*questions[:warm], *questions]):
            page.goto(address)
            found = page.evaluate(ASK, question)
            if found is None:
                raise RuntimeError(f"the page could not ask {question!r}")
            if number >= warm:
                waits.append(Wait(**found))
        browser.close()
    return waits
