"""Short answers: words of a cited sentence, given in replies, emphasised on the page and in the terminal."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from starlette.testclient import TestClient

from commands import CORPUS, call, furnish
from payloads import PAYLOADS
from qa.citations import cite, cited_short_answer
from qa.contract import AnswerReply
from qa.embedders import load_embedder
from qa.engine import Engine, IndexStatus
from qa.errors import CitationError
from qa.index import build_index
from qa.pages import Pages, SearchForm
from qa.replies import answer_reply, around_short_answer
from qa.resources import web_folder
from qa.scorers import SHIPPED
from qa.server import create_app
from qa.settings import ServerSettings, Settings
from qa.support import check_support
from qa.types import Answer, Article, Chunk, Passage, Sentence, ShortAnswer, Statement
from test_pages import Page, show
from test_server import check_answer

QUESTIONS = {
    "How many turbines were replaced at the Oster Dam?": "3",
    "How many passengers had booked the ferry?": "1,200",
    "How much did the repair of the dam cost in euros?": "2.4 million",
}
QUESTION = next(iter(QUESTIONS))


# From question to reply, with the shipped scorer


@pytest.fixture(scope="module")
def client(make_settings: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The small corpus, judged by the scorer, answered however unsure."""
    folder = tmp_path_factory.mktemp("short")
    shutil.copytree(CORPUS, folder / "corpus")
    settings = make_settings(folder, answers={"scorer": SHIPPED, "min_confidence": 0.0})
    build_index(settings, load_embedder(settings.embedding, settings.paths.cache, prepare=True))
    engine = Engine.open(settings)
    with TestClient(create_app(engine), base_url="http://127.0.0.1") as opened:
        yield opened
    engine.close()


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_words_that_answer_are_given(client: TestClient, question: str) -> None:
    body = client.post("/v1/ask", json={"question": question}).json()
    assert QUESTIONS[question] in body["short_answer"]["text"]
    assert len(body["short_answer"]["text"]) < 20
    check_answer(client, body)


WORDS = ["Oster", "Dam", "turbine", "ferry", "storm", "homes", "who", "how many", "when", "euros", "😀", "arrested"]


@profile(max_examples=15, database=None)
@given(words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=6), most=st.integers(1, 10))
def test_whatever_is_asked_the_words_are_the_articles_own(client: TestClient, words: list[str], most: int) -> None:
    question = " ".join([*words, "Vestnett?"])
    check_answer(client, client.post("/v1/ask", json={"question": question, "max_sentences": most}).json())


def test_nothing_found_has_no_short_answer(client: TestClient) -> None:
    body = client.post("/v1/ask", json={"question": QUESTION, "filters": {"publishers": ["Nobody"]}}).json()
    assert (body["status"], body["short_answer"]) == ("not_found", None)


def test_without_its_scorer_a_server_says_what_is_missing(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    shutil.copytree(CORPUS, tmp_path / "corpus")
    settings = make_settings(tmp_path, answers={"scorer": "no-such-scorer"})
    build_index(settings, load_embedder(settings.embedding, settings.paths.cache, prepare=True))
    engine = Engine.open(settings)
    with TestClient(create_app(engine), base_url="http://127.0.0.1") as client:
        problem = client.post("/v1/ask", json={"question": QUESTION}).json()
    assert (problem["status"], problem["type"]) == (503, "/problems/model-unavailable")
    assert problem["detail"].startswith("no model 'no-such-scorer'")
    engine.close()


def test_the_page_emphasises_them_in_their_sentence(client: TestClient) -> None:
    body = client.post("/v1/ask", json={"question": QUESTION}).json()
    html = client.get("/", params={"q": QUESTION}, headers={"Accept": "text/html"}).text
    assert re.findall(r'<strong class="short-answer">(.*?)</strong>', html) == [body["short_answer"]["text"]]


def test_the_terminal_shows_them_in_bold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(furnish(tmp_path))
    assert call("index").code == 0
    monkeypatch.setenv("QA_ANSWERS__SCORER", SHIPPED)
    monkeypatch.setenv("QA_ANSWERS__MIN_CONFIDENCE", "0")
    body = json.loads(call("ask", QUESTION, "--json").out)
    short = body["short_answer"]["text"]
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    shown = call("ask", QUESTION).out.splitlines()[0]
    assert f"\x1b[1m{short}\x1b[0m" in shown
    assert body["answer"]["text_with_markers"] == re.sub(r"\x1b\[[0-9;]*m", "", shown)


# What is emphasised


def passage_of(*sentences: str) -> Passage:
    article = Article("a_1", "A title", " ".join(sentences))
    found, at = [], 0
    for index, text in enumerate(sentences):
        found.append(Sentence("a_1", index, at, at + len(text), text))
        at += len(text) + 1
    return Passage(Chunk(1, "a_1", 0, len(found), 0, len(article.text), 9), article, tuple(found), 1.0)


def answer_of(passage: Passage, short: ShortAnswer | None) -> Answer:
    """An answer of all sentences of a passage."""
    cited = cite([Statement(sentence.text, (sentence,)) for sentence in passage.sentences], [passage], check_support)
    return Answer(
        question="Which?",
        status="answered",
        reason=None,
        statements=cited.statements,
        citations=cited.citations,
        articles=cited.articles,
        passages=(passage,),
        closest=(),
        answerer="extractive",
        confidence=1.0,
        dropped=0,
        generation=1,
        timings_ms={"total": 1.0},
        short_answer=cited_short_answer(short, cited),
    )


def reply_of(before: str, words: str, after: str) -> AnswerReply:
    """A reply of two sentences, the second with a short answer."""
    passage = passage_of("🪁 It began.", before + words + after)
    second = passage.sentences[1]
    start = second.start + len(before)
    return answer_reply(answer_of(passage, ShortAnswer(second, start, start + len(words))), None)


def page_of(reply: AnswerReply) -> str:
    home = Pages(web_folder(), ServerSettings()).home(IndexStatus("ready", None), SearchForm(), reply=reply)
    return bytes(home.body).decode()


@pytest.mark.parametrize(
    ("before", "words", "after"),
    [
        ("Mayor Ute 🪁🎏 Falk flew ", "nine metres", " on Monday."),
        ("", "Mayor Ute Falk", " flew a kite."),
        ("It was nine ", "metres 🪁.", ""),
        ("", "👩‍👩‍👧‍👦", ""),
        *((f"A <b>{payload[:9]}</b> and ", payload, f" & {payload}.") for payload in PAYLOADS),
    ],
)
def test_exactly_the_words_are_emphasised_and_all_of_it_is_text(before: str, words: str, after: str) -> None:
    reply = reply_of(before, words, after)
    assert reply.short_answer is not None
    assert (reply.short_answer.text, reply.short_answer.citation) == (words, 2)
    one, two = reply.answer.segments
    assert around_short_answer(one, reply) == (one.text, "", "")
    assert around_short_answer(two, reply) == (before, words, after)
    html = page_of(reply)
    assert show(reply).find("strong", class_="short-answer") == [{"class": "short-answer"}]
    (around,) = re.findall(
        r'<span class="segment">([^<]*)<strong class="short-answer">([^<]*)</strong>([^<]*)</span><sup', html
    )
    assert [Page(part).texts for part in around] == [[part] if part else [] for part in (before, words, after)]


def test_a_sentence_in_other_words_has_no_emphasis() -> None:
    """Offsets are those of the quote: they say nothing of a segment that is not the quote."""
    reply = reply_of("They flew ", "nine", " metres.")
    segment = reply.answer.segments[1].model_copy(update={"text": "It was nine metres that they flew."})
    assert around_short_answer(segment, reply) == (segment.text, "", "")
    uncited = reply.answer.segments[1].model_copy(update={"citations": [1]})
    assert around_short_answer(uncited, reply) == (uncited.text, "", "")


def test_without_a_short_answer_nothing_is_emphasised() -> None:
    reply = answer_reply(answer_of(passage_of("They flew nine metres."), None), None)
    assert reply.short_answer is None
    assert "short-answer" not in page_of(reply)


# Only what is cited


def test_a_short_answer_of_a_sentence_that_is_not_cited_is_left_out() -> None:
    passage = passage_of("It began.", "They flew nine metres.")
    cited = cite([Statement("It began.", (passage.sentences[0],))], [passage], check_support)
    assert cited_short_answer(ShortAnswer(passage.sentences[1], 20, 24), cited) is None
    assert cited_short_answer(None, cited) is None


def test_what_is_no_part_of_the_citation_raises() -> None:
    passage = passage_of("It began.", "They flew nine metres.", "It ended.")
    second = passage.sentences[1]
    cited = cite([Statement(second.text, (second,))], [passage], check_support)
    whole = ShortAnswer(second, second.start, second.end)
    assert cited_short_answer(whole, cited) == whole
    forged = replace(second, text="They flew five metres.")
    for wrong in (
        ShortAnswer(second, second.start - 1, second.end),
        ShortAnswer(second, second.start, second.end + 1),
        ShortAnswer(second, second.start + 2, second.start + 2),
        ShortAnswer(second, second.end, second.start),
        ShortAnswer(forged, second.start, second.end),
    ):
        with pytest.raises(CitationError, match=r"is no part of citation 1"):
            cited_short_answer(wrong, cited)
