from __future__ import annotations

import textwrap

import pytest

from qa.readers.paragraphs import reflow

LONG = (
    "The harbour master said on Tuesday that the old pier would be closed for the winter, and that ferries would land "
    "at the new quay until the spring. Nobody was hurt when a beam gave way in November."
)
OTHER = "Traders on the pier fear for their custom. They have written to the council and hope for an answer soon."


@pytest.mark.parametrize("width", [60, 72, 80, 98])
def test_wrapped_paragraphs_become_one_line(width: int) -> None:
    wrapped = f"{textwrap.fill(LONG, width)}\n\n{textwrap.fill(OTHER, width)}"
    assert reflow(wrapped) == f"{LONG}\n\n{OTHER}"


def test_wrapped_paragraphs_without_blank_lines_part_at_short_ends() -> None:
    wrapped = f"{textwrap.fill(OTHER, 64)}\n{textwrap.fill(LONG, 64)}"
    assert reflow(wrapped) == f"{OTHER}\n\n{LONG}"


def test_a_long_address_does_not_hide_wrapping() -> None:
    address = "https://gazette.example/" + "a" * 120
    wrapped = f"{textwrap.fill(LONG * 3, 72)}\n\n{address}"
    assert reflow(wrapped) == f"{LONG * 3}\n\n{address}"


def test_long_lines_are_paragraphs() -> None:
    assert reflow(f"{LONG}\n{OTHER}\n{LONG}") == f"{LONG}\n\n{OTHER}\n\n{LONG}"


def test_one_sentence_a_line_stays_apart() -> None:
    assert (
        reflow("A short line.\nAnother short line.\nThe last.") == "A short line.\n\nAnother short line.\n\nThe last."
    )


def test_lists_keep_their_lines() -> None:
    text = "The plan:\n\n- more trains\n- fewer buses\n1. first\n2) second\n\n" + LONG
    assert reflow(text) == text


def test_verse_keeps_its_lines() -> None:
    assert reflow("Roses\nViolets\nSugar") == "Roses\nViolets\nSugar"


@pytest.mark.parametrize("text", ["", "One line", "- a", LONG, f"{LONG}\n\n{OTHER}"])
def test_finished_text_stays_as_it_is(text: str) -> None:
    assert reflow(text) == text
