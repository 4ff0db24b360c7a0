"""Chromium, and servers to open in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import chromium
import pytest

from qa.settings import Settings
from watched import Paced, Site, Watched, furnish

MISSING = "NO BROWSER, so no page was tested"


# For a module and not for the run: Playwright keeps an event loop going in this thread, which other tests start anew.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium: one on the machine, else the one that Playwright downloaded. Its absence is a failure in CI."""
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as playwright:
        try:
            opened = chromium.launch(playwright)
        except Error as error:
            if chromium.find() or os.environ.get("CI"):
                raise
            pytest.skip(f"{MISSING}: {error.message.splitlines()[0]}")
        yield opened
        opened.close()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say loudly that there was no browser; `-q` says nothing of what was skipped."""
    skipped = [report for report in terminalreporter.stats.get("skipped", ()) if MISSING in str(report.longrepr)]
    if skipped:
        terminalreporter.write_sep(
            "!", f"{MISSING}: {len(skipped)} tests skipped; install Chromium", red=True, bold=True
        )


@pytest.fixture(scope="module")
def site(make_settings: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The small corpus, for tests that change nothing."""
    folder = tmp_path_factory.mktemp("site")
    furnish(folder)
    site = Site(make_settings(folder))
    site.index()
    site.start()
    yield site
    site.stop()


@pytest.fixture
def paced() -> Iterator[Paced]:
    """Slows answers down; give it to `new_site` as `around`."""
    pace = Paced()
    yield pace
    pace.let_go()


@pytest.fixture
def new_site(make_settings: Callable[..., Settings], tmp_path: Path, paced: Paced) -> Iterator[Callable[..., Site]]:
    """Make a site of the test's own over the small corpus, with any settings; `indexed=False`: without an index."""
    made: list[Site] = []

    def new(*, indexed: bool = True, around: Any = lambda app: app, **sections: dict[str, object]) -> Site:
        folder = tmp_path / f"site{len(made)}"
        furnish(folder)
        made.append(Site(make_settings(folder, **sections), around))
        if indexed:
            made[-1].index()
        made[-1].start()
        return made[-1]

    yield new
    for site in made:
        site.stop()


@pytest.fixture
def watch(browser: Any, site: Site, new_site: Callable[..., Site]) -> Iterator[Callable[..., Watched]]:
    """Pages that fail the test if anything leaves the origin, breaks the policy or throws."""
    made: list[Watched] = []

    def new(at: Site = site, **options: Any) -> Watched:
        made.append(Watched(browser, at, **options))
        return made[-1]

    yield new
    for watched in made:
        watched.context.close()
    wrong = [text for watched in made for text in watched.faults()]
    assert not wrong, wrong
