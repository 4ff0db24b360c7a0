"""Questions as people type them, asked of the starter corpus with the real model: what cites which sentence."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from qa.embedders import load_embedder
from qa.engine import Engine
from qa.index import build_index
from qa.resources import starter_corpus
from qa.settings import load_settings

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    settings = load_settings({"paths": {"corpus": starter_corpus(), "index": tmp_path_factory.mktemp("starter")}})
    build_index(settings, load_embedder(settings.embedding, settings.paths.cache, prepare=True))
    engine = Engine.open(settings)
    yield engine
    engine.close()


@pytest.mark.parametrize(
    ("question", "cited"),
    [
        ("Tell me about the Three Rivers Joint Team", "The Three Rivers Joint Team was formed five years ago"),
        ("Explain fast flux", "Avalanche used a method called fast flux."),
        ("Was anyone arrested in the Qakbot operation?", "Nobody was arrested."),
        ("Did WannaCry hit the NHS?", "the worst effects were felt by the National Health Service"),
        ("What happened to the HSE in Ireland?", "gave intruders their first foothold in the Health Service Executive"),
    ],
)
def test_the_sentence_that_answers_is_cited(starter: Engine, question: str, cited: str) -> None:
    answer = starter.ask(question)
    assert any(cited in " ".join(citation.quote.split()) for citation in answer.citations)


@pytest.mark.parametrize(
    ("subject", "newest"),
    [
        ("the UN cybercrime convention", "2025-10-26"),
        ("the cybercrime treaty", "2025-10-26"),
        ("Genesis Market", "2023-04-06"),
        ("Locked Shields", "2023-04-22"),
    ],
)
@pytest.mark.parametrize("request_for", ["latest on {}", "What is the latest news on {}?"])
def test_the_latest_cites_the_newest_article_on_the_subject(
    starter: Engine, request_for: str, subject: str, newest: str
) -> None:
    answer = starter.ask(request_for.format(subject))
    assert newest in {(article.published_at or "")[:10] for article in answer.articles}


@pytest.mark.parametrize(
    ("question", "asked", "cited"),
    [
        ("Who is Dimitry Khoroshev?", "Who is Dmitry Khoroshev?", "Dmitry Khoroshev, a Russian national"),
        ("what is wanacry", "what is WannaCry", "A ransomware programme known as WannaCry"),
        ("what is stuxnett", "what is Stuxnet", "Stuxnet"),
    ],
)
def test_a_misspelt_name_is_asked_as_the_articles_write_it(
    starter: Engine, question: str, asked: str, cited: str
) -> None:
    answer = starter.ask(question)
    assert (answer.question, answer.resolved_question) == (question, asked)
    assert any(cited in " ".join(citation.quote.split()) for citation in answer.citations)
    found = starter.search(question)
    assert (found.resolved_question, found.passages) == (asked, answer.passages), "it shows where an answer is sought"


@pytest.mark.parametrize(
    "question",
    [
        "Who is Dmitry Khoroshev?",
        "How many people does Norsk Hydro employ?",  # employees are written of: a stem of its own
        "Which flight was derailed by the planet?",  # plain words, one slip from others that are there
        "Which company specialises in lab-grown meat?",  # specialists are no name
        "Who is Javier Milei?",  # too short: five letters are near too much
        "Who is Friedrich Merz?",
    ],
)
def test_no_other_word_is_changed(starter: Engine, question: str) -> None:
    assert starter.ask(question).resolved_question is None


@pytest.mark.parametrize(
    "question",
    [
        "Tell me about the MOVEit breach",
        "What is the latest on Change Healthcare?",
        "What happened to the SolarWinds customers?",
        "Which country did North Korean IT workers target?",
        "Did the CIA help Albania?",
        "who is julien assange",
    ],
)
def test_what_no_article_says_is_refused_however_it_is_asked(starter: Engine, question: str) -> None:
    assert starter.ask(question).status == "not_found"
