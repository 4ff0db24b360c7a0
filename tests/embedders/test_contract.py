"""What every embedder promises."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from qa.embedders import load_embedder
from qa.embedders.cached import CachingEmbedder
from qa.protocols import Embedder
from qa.settings import EmbeddingSettings, Settings

TEXTS = [
    "The port reopened on Monday after a two-day strike.",
    "Copper fell for a third day.",
    "Why did dockers walk out in Tirana?",
    "Ferries to Bari left an hour late, and some lorries waited on the motorway for most of the night. " * 3,
    "Yes.",
    "",
    "São Paulo 東京 \ud800 \x00",
]


@pytest.fixture(
    scope="module",
    params=[
        "hashing",
        "cached",
        pytest.param("onnx", marks=pytest.mark.model),
        pytest.param("sentence_transformer", marks=pytest.mark.model),
    ],
)
def embedder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    if request.param == "cached":
        plain = load_embedder(EmbeddingSettings(backend="hashing"), tmp_path_factory.mktemp("models"), prepare=True)
        return CachingEmbedder(plain, tmp_path_factory.mktemp("cache") / "embeddings.sqlite")
    return load_embedder(EmbeddingSettings(backend=request.param), Settings().paths.cache, prepare=True)


def tolerance(embedder: Embedder) -> float:
    """torch's kernels depend on the batch's shape; all others promise equality to the bit."""
    return 2e-6 if embedder.fingerprint["backend"] == "sentence_transformer" else 0.0


def test_vectors_have_length_one_and_keep_their_order(embedder: Embedder) -> None:
    vectors = embedder.embed_documents(TEXTS)
    assert vectors.shape == (len(TEXTS), embedder.dimension)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-5)
    one_by_one = [embedder.embed_documents([text])[0] for text in TEXTS]
    assert np.abs(vectors - np.stack(one_by_one)).max() <= tolerance(embedder)


def test_equal_text_gives_an_equal_vector_whatever_is_beside_it(embedder: Embedder) -> None:
    alone = embedder.embed_documents([TEXTS[1]])[0]
    random = np.random.default_rng(0)
    for size in (2, 5, 40):
        batch = [TEXTS[i] for i in random.integers(0, len(TEXTS), size)]
        place = int(random.integers(size))
        batch[place] = TEXTS[1]
        assert np.abs(embedder.embed_documents(batch)[place] - alone).max() <= tolerance(embedder)
        assert np.array_equal(embedder.embed_documents(batch), embedder.embed_documents(batch))


def test_a_question_is_embedded_as_a_document_is_where_there_are_no_prompts(embedder: Embedder) -> None:
    for text in TEXTS:
        vector = embedder.embed_query(text)
        assert vector.shape == (embedder.dimension,) and vector.dtype == np.float32
        assert np.abs(vector - embedder.embed_documents([text])[0]).max() <= tolerance(embedder)


def test_nothing_gives_no_vectors(embedder: Embedder) -> None:
    assert embedder.embed_documents([]).shape == (0, embedder.dimension)
    assert embedder.count_tokens([]) == []


def test_what_is_alike_is_close(embedder: Embedder) -> None:
    query = embedder.embed_query("When did the port reopen after the strike?")
    near, far = embedder.embed_documents(TEXTS[:2]) @ query
    assert near > far + 0.2


def test_tokens_are_counted_without_marks_and_without_truncation(embedder: Embedder) -> None:
    assert embedder.count_tokens(["", "strike", "the strike", "the strike " * 1000]) == [0, 1, 2, 2000]


def test_only_the_first_tokens_are_read(embedder: Embedder) -> None:
    limit = embedder.max_tokens
    words = ["strike", "port"] * limit
    full = embedder.embed_query(" ".join(words[:limit]))
    assert np.abs(embedder.embed_query(" ".join([*words[:limit], "copper"])) - full).max() <= tolerance(embedder)
    assert np.abs(embedder.embed_query(" ".join([*words[: limit - 1], "copper"])) - full).max() > 1e-3


@pytest.mark.parametrize("text", ["x" * 1_000_000, "ab " * 333_333, " " * 1_000_000, "é" * 500_000])
def test_a_megabyte_is_no_trouble(embedder: Embedder, text: str) -> None:
    start = time.process_time()  # wall time says more about what else the machine does
    assert embedder.embed_query(text).shape == (embedder.dimension,)
    assert embedder.embed_documents([text, "short"]).shape == (2, embedder.dimension)
    assert len(embedder.count_tokens([text])) == 1
    assert time.process_time() - start < 5


def test_questions_from_many_threads(embedder: Embedder) -> None:
    questions = [f"What happened on day {number} of the strike?" for number in range(48)]
    alone = [embedder.embed_query(question) for question in questions]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(embedder.embed_query, questions))
        counts = list(pool.map(lambda q: embedder.count_tokens([q])[0], questions))
    assert np.abs(np.stack(together) - np.stack(alone)).max() <= tolerance(embedder)
    assert counts == embedder.count_tokens(questions)


def test_the_fingerprint_says_what_makes_vectors_comparable(embedder: Embedder) -> None:
    assert all(isinstance(value, str) for value in embedder.fingerprint.values())
    assert embedder.fingerprint["dimension"] == str(embedder.dimension)
    assert embedder.fingerprint["max_tokens"] == str(embedder.max_tokens)
    assert embedder.fingerprint["model"] == embedder.name
