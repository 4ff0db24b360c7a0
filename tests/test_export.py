"""The Markdown export: what a Markdown parser reads in it is the stored text, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from starlette.testclient import TestClient

from payloads import PAYLOADS, URLS
from qa.contract import AnswerReply
from qa.engine import Engine
from qa.export import answer_markdown, escape, file_name
from qa.openapi import EXAMPLES
from qa.replies import safe_url
from qa.server import create_app
from test_pages import BASE, QUESTION

HOME = "http://127.0.0.1:8000"
TEXT = st.text(
    st.characters(exclude_categories=["C", "Zl", "Zp"]) | st.sampled_from(list("\\`*_[]<>&~|^$@=#+-:.()1w! "))
)
MARKUP = [
    *PAYLOADS,
    *("# heading", "#hashtag", "- item", "+ item", "1. item", "2) item", "---", "===", "> quote", ": term", "    code"),
    *(
        "*em*",
        "__strong__",
        "`code`",
        "~~gone~~",
        "| a | b |",
        "$x$",
        "^up^",
        "==mark==",
        "[^1]",
        "[^1]: note",
        "a  \nb",
    ),
    *("&amp; &#60; &copy;", "\\", "\\*", "www.example.org", "https://example.org", "mail@example.org", "@someone"),
    *("{#id .class}", "<!-- x -->", "<https://example.org>", "![a](b)", "[a]: /url", "* * *", "10. ", "a\n- b", "%"),
]


def parser() -> MarkdownIt:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"])


def plain(text: str) -> str:
    return " ".join(text.split())


def read(markdown: str) -> list[tuple[str, str, list[str]]]:
    """Every block as (kind, its text, its link targets). Fails on anything but headings, paragraphs, items, links."""
    found = []
    kinds: list[str] = []
    for token in parser().parse(markdown):
        if token.type == "inline":
            text, links = "", []
            for child in token.children or []:
                assert child.type in ("text", "text_special", "link_open", "link_close"), (child, markdown)
                text += child.content
                if child.type == "link_open":
                    links.append(str(child.attrs["href"]))
            found.append((kinds[-1], text, links))
        elif token.nesting > 0:
            assert token.type in ("heading_open", "paragraph_open", "bullet_list_open", "list_item_open"), token
            kinds.append(token.tag)
        else:
            assert token.nesting < 0, token
            kinds.pop()
    return found


def reply_with(text: str, url: str | None = None) -> AnswerReply:
    """The example answer with one text in every place that comes from articles and readers."""
    answer: dict[str, Any] = EXAMPLES["AnswerReply"]
    segment = {**answer["answer"]["segments"][0], "text": text, "end": len(text)}
    return AnswerReply.model_validate(
        {
            **answer,
            "question": text,
            "answer": {"text": text, "text_with_markers": text, "segments": [segment]},
            "citations": [{**answer["citations"][0], "quote": text, "original_url": url}],
            "sources": [{**answer["sources"][0], "title": text, "publisher": text}],
        }
    )


@pytest.mark.parametrize("text", [text for text in MARKUP if "\0" not in text])
def test_text_that_looks_like_markup_stays_text(text: str) -> None:
    check_text(text)


@given(TEXT)
@example("0.")
@example("1\u00a0.")
def test_any_text_stays_text(text: str) -> None:
    check_text(text)


@pytest.mark.parametrize(
    "text", ["==mark==", "$x$", "^up^", "{#id}", "@someone", "|cell|", "~sub~", "https://a.example", "www.a.example"]
)
def test_what_other_dialects_know_is_escaped(text: str) -> None:
    """Pandoc's and GitHub's extensions, which the parser here lacks."""
    escaped = escape(f"so {text} it is")
    assert escaped.replace("\\", "") == f"so {text} it is"
    assert all(escaped[at - 1] == "\\" for at, char in enumerate(escaped) if char in "=$^{}@|~")
    assert "s://" not in escaped and "www." not in escaped


def check_text(text: str) -> None:
    shown, text = plain(text), text.strip()
    ((kind, heading, _),) = read(f"# {escape(text)}\n") or [("h1", "", [])]
    assert (kind, plain(heading)) == ("h1", shown)
    if not shown:
        return
    blocks = read(answer_markdown(reply_with(text), HOME))
    title, said, made, note = blocks
    assert (title[0], plain(title[1]), title[2]) == ("h1", shown, [])
    assert (plain(said[1]), said[2]) == (plain(f"{text}[^1]"), [])
    assert made[1].startswith("Answered 2026-11-22T10:00:00Z by Sourceline from generation 7")
    assert plain(note[1]) == plain(f"[^1]: “{text}” {text}, {text}, 2026-10-02T08:30:00+01:00.")
    assert note[2] == [f"{HOME}/articles/a_7f3c91d2#s0"]


@pytest.mark.parametrize(
    "url", [*filter(safe_url, URLS), "https://news.example/a(b)c*d_e[f]?g=&copy;&h=\\i>j", "https://news.example/~x"]
)
def test_a_link_leads_where_it_should(url: str) -> None:
    (*_, note) = read(answer_markdown(reply_with("Yes.", url), HOME))
    assert [unquote(target) for target in note[2]] == [unquote(url)]


def test_what_was_not_found_is_exported_with_what_came_closest() -> None:
    answer = EXAMPLES["AnswerReply"]
    reply = AnswerReply.model_validate(
        {
            **answer,
            "status": "not_found",
            "not_found": EXAMPLES["NotFoundOut"],
            "answer": {"text": "", "text_with_markers": "", "segments": []},
            "citations": [],
            "sources": [],
        }
    )
    blocks = read(answer_markdown(reply, HOME))
    assert blocks[1][1] == "No article here answers that."
    assert EXAMPLES["ClosestOut"]["quote"] in blocks[2][1] and blocks[2][2] == [f"{HOME}/articles/a_7f3c91d2#s0"]


@pytest.mark.parametrize(
    "name", ["What is it?", "Ärger in Köln – 東京?", 'a"b\r\nX-Evil: 1;c', "?" * 5 + "1", "x" * 500, "/../etc"]
)
def test_a_file_name_is_a_name(name: str) -> None:
    header = file_name(name)
    header.encode("ascii")
    found = re.fullmatch(r"attachment; filename=\"answer\.md\"; filename\*=UTF-8''([A-Za-z0-9%.-]+)", header)
    assert found
    decoded = unquote(found[1])
    assert decoded.endswith(".md") and len(decoded) <= 63
    assert re.fullmatch(r"[^\W_]+(-[^\W_]+)*\.md", decoded)


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[TestClient]:
    with TestClient(create_app(engine), base_url=BASE) as opened:
        yield opened


def test_an_answer_downloads_as_markdown(client: TestClient, engine: Engine) -> None:
    body = client.post("/ask", json={"question": QUESTION}).json()
    response = client.get(f"/a/{body['id']}.md")
    assert response.headers["content-type"] == "text/markdown; charset=utf-8"
    assert (
        "filename*=UTF-8''how-many-turbines-did-engineers-replace-at-the-oster-dam.md"
        in (response.headers["content-disposition"])
    )
    blocks = read(response.text)
    assert blocks[0][:2] == ("h1", QUESTION)
    assert re.sub(r"(\[\^\d+\])+", "", blocks[1][1]) == body["answer"]["text"]
    notes = {text.partition("]: ")[0].removeprefix("[^"): text for _, text, _ in blocks[3:]}
    assert set(notes) == {str(citation["n"]) for citation in body["citations"]}
    for citation in body["citations"]:
        text = engine.article(citation["article_id"]).article.text
        assert f"“{text[citation['source_start'] : citation['source_end']]}”" in notes[str(citation["n"])]
        assert "River Post" in notes[str(citation["n"])]
