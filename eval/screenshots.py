"""Take the pictures of the README: the chat over the starter corpus with a cited sentence opened, light and dark.

    make screenshots

A real server answers from an index that is built for it; the pictures go to docs/screenshots/.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import chromium
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
QUESTION = "How many customers lost power in the Ukraine blackout?"
SIZE = {"width": 1200, "height": 640}


@contextmanager
def serving(index: Path) -> Iterator[str]:
    """The address of a server on a free port."""
    command = [sys.executable, "-m", "qa", "serve", "--port", "0", "--index", str(index)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            told = ""
            while not (found := re.search(r"http://\S+", told)):
                line = process.stderr.readline()
                if not line:
                    raise SystemExit(f"the server did not start: {told}")
                told += line
            yield found[0]
        finally:
            process.send_signal(signal.SIGINT)


def take(browser: Browser, address: str, scheme: str, target: Path) -> None:
    """Ask, open the first citation, and take the picture."""
    context = browser.new_context(viewport=SIZE, color_scheme=scheme, device_scale_factor=1.5, reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"{address}?q={quote(QUESTION)}")
    page.wait_for_selector(".exchange")
    page.click("#log a[href*='cite=']")
    page.wait_for_selector("#panel mark")
    page.mouse.move(SIZE["width"] - 5, SIZE["height"] - 5)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(300)
    page.screenshot(path=str(target))
    context.close()


def main() -> None:
    """Build, serve, take both pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "screenshots")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        index = Path(folder) / "index"
        subprocess.run([sys.executable, "-m", "qa", "index", "--starter", "--index", str(index)], check=True)
        browser = chromium.launch(playwright)
        with serving(index) as address:
            for scheme in ("light", "dark"):
                target = arguments.out / f"chat-{scheme}.png"
                take(browser, address, scheme, target)
                print(f"{target}: {target.stat().st_size:,} bytes")
        browser.close()


if __name__ == "__main__":
    main()
