"""The stub that stands for a language model, and articles that it is asked about."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest
from starlette.testclient import TestClient

from llm.hostile import Hostile, hostile
from qa.embedders import load_embedder
from qa.engine import Engine
from qa.index import build_index
from qa.server import create_app
from qa.settings import Settings

Publish = Callable[[Sequence[dict[str, str]]], TestClient]


@pytest.fixture(scope="module")
def stub() -> Iterator[Hostile]:
    """The server; a module shares it."""
    with hostile() as started:
        yield started


@pytest.fixture(scope="module")
def publish(
    stub: Hostile, make_settings: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Publish]:
    """Index articles and serve them, the stub being the language model."""
    with ExitStack() as stack:

        def serve(articles: Sequence[dict[str, str]]) -> TestClient:
            folder = tmp_path_factory.mktemp("published")
            (folder / "corpus").mkdir()
            (folder / "corpus" / "all.jsonl").write_text("".join(json.dumps(article) + "\n" for article in articles))
            settings = make_settings(folder, llm=stub.settings())
            assert build_index(settings, load_embedder(settings.embedding, settings.paths.cache, prepare=True))
            engine = Engine.open(settings)
            stack.callback(engine.close)
            assert engine.status().articles == len({*map(json.dumps, articles)}), "those that repeat others are one"
            return stack.enter_context(TestClient(create_app(engine), base_url="http://127.0.0.1"))

        yield serve
