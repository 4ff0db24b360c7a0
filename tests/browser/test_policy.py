"""That the other tests see nothing wrong means something only if these see what is made wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from watched import QUESTION, Watched

pytestmark = pytest.mark.browser


def test_the_policy_would_stop_a_script(watch: Callable[..., Watched]) -> None:
    watched = watch()
    page = watched.open()
    refused = page.evaluate(
        "(() => { try { document.body.innerHTML = '<b>x</b>'; return false } catch { return true } })()"
    )
    assert refused, "require-trusted-types-for is not in force"
    page.evaluate("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.2:9/x.png'}))")
    page.wait_for_timeout(300)
    assert any("Content Security Policy" in text for text in watched.faults())
    watched.expected = ("",)


def test_axe_would_complain(watch: Callable[..., Watched]) -> None:
    watched = watch()
    page = watched.open()
    watched.ask(QUESTION)
    assert watched.complaints() == []
    page.evaluate("""() => {
        document.querySelector(".chip").removeAttribute("aria-label");
        document.querySelector(".chip").textContent = "";
        document.querySelector(".answer").style.color = "#bbb";
    }""")
    assert {text.split()[0] for text in watched.complaints()} == {"link-name", "color-contrast"}
    watched.expected = ("style-src",)
