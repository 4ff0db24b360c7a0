"""Settings: flags > environment > qa.toml > defaults. The only file that reads the environment.

Environment variables are ``QA_`` plus the path with double underscores: ``QA_PATHS__CORPUS`` is ``[paths] corpus``.
Unknown keys are errors that name the key, wherever they stand.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, InitSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from qa.errors import SettingsError
from qa.types import Writer

__all__ = [
    "AnswersSettings",
    "ChunksSettings",
    "EmbeddingSettings",
    "LLMSettings",
    "PathsSettings",
    "RetrievalSettings",
    "ServerSettings",
    "Settings",
    "StoreSettings",
    "SupportSettings",
    "load_settings",
    "setting_keys",
]

CONFIG_FILE = "qa.toml"
PREFIX = "QA_"
CONFIG_VARIABLE = "QA_CONFIG"
_CONFIDENTIAL = ("server.admin_token", "llm.api_key", "llm.base_url", "server", "llm")
"""Keys whose values no message repeats: they are secrets, or hold one."""


def _default_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "sourceline"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PathsSettings(_Section):
    """Where things are. Relative paths start at the working directory."""

    corpus: Path = Field(Path("corpus"), description="Folder with the articles.")
    index: Path = Field(Path("index"), description="Folder with the index generations.")
    records: Path = Field(Path("records"), description="Folder with the shared answers and the feedback.")
    cache: Path = Field(
        default_factory=_default_cache, description="Prepared models and embeddings by content; safe to delete."
    )


class EmbeddingSettings(_Section):
    """Which model turns text into vectors, and how it runs."""

    backend: Literal["onnx", "sentence_transformer", "hashing"] = Field(
        "onnx",
        description="`onnx` runs without torch; `sentence_transformer` takes any device; `hashing` is for tests.",
    )
    model: str = Field(
        "all-MiniLM-L6-v2", description="A sentence-transformers model: a folder, a hub name or the packaged default."
    )
    quantization: Literal["int8", "none"] = Field("int8", description="Weights of the ONNX model.")
    device: str = Field("cpu", description="torch device of the `sentence_transformer` backend.")
    threads: Annotated[int, Field(ge=0, le=256)] = Field(
        0, description="Threads for embedding articles; 0 takes every core."
    )


class ChunksSettings(_Section):
    """How sentences are grouped for retrieval."""

    max_tokens: Annotated[int, Field(ge=16, le=8192)] = Field(
        128, description="Word pieces of the embedding model per chunk, title included; cut to what the model reads."
    )
    overlap_sentences: Annotated[int, Field(ge=0, le=8)] = Field(
        0, description="Sentences that a chunk repeats from the one before it."
    )


class StoreSettings(_Section):
    """Where vectors are searched."""

    kind: Literal["faiss"] = Field("faiss", description="Vector store.")
    approximate_above: Annotated[int, Field(ge=0)] = Field(
        400_000, description="Number of chunks above which FAISS searches approximately (IVF) instead of exactly."
    )


class RetrievalSettings(_Section):
    """How passages are found."""

    passages: Annotated[int, Field(ge=1, le=100)] = Field(14, description="Passages that an answer is sought in.")
    candidates: Annotated[int, Field(ge=1, le=1000)] = Field(100, description="Chunks taken from each ranking.")
    rrf_k: Annotated[int, Field(ge=1, le=1000)] = Field(10, description="Constant of reciprocal rank fusion.")
    dense_weight: Annotated[float, Field(ge=0, le=10)] = Field(1.0, description="Weight of the dense ranking.")
    lexical_weight: Annotated[float, Field(ge=0, le=10)] = Field(1.0, description="Weight of the BM25 ranking.")
    dates: bool = Field(True, description="Prefer articles from the time that a question calls for.")


class AnswersSettings(_Section):
    """How answers are written."""

    answerer: Writer = Field(
        "auto",
        description="What writes answers: `extractive` quotes the articles, `llm` needs a language model, `auto` takes "
        "the language model where one is set.",
    )
    scorer: str = Field(
        "sourceline",
        min_length=1,
        description="What judges sentences: `sourceline` (ships with it), `none`, or a sentence-transformers "
        "cross-encoder on this machine, by name or folder.",
    )
    max_sentences: Annotated[int, Field(ge=1, le=10)] = Field(3, description="Sentences in an answer, at most.")
    min_confidence: Annotated[float, Field(ge=0, le=1)] = Field(
        0.4, description="Below this confidence the answer is `not found`."
    )


class SupportSettings(_Section):
    """The check that the cited sentences say a statement in other words; without a cross-encoder, rules alone."""

    cross_encoder: str = Field(
        "",
        description="A sentence-transformers cross-encoder on this machine, by name or folder, that judges what the "
        "rules let pass: one that gives one score, or labels with `entailment` among them.",
    )
    min_entailment: Annotated[float, Field(ge=0, le=1)] = Field(
        0.5, description="Below this probability of the cross-encoder a statement is left out."
    )


class LLMSettings(_Section):
    """A language model behind an OpenAI-compatible API; without `base_url` and `model` nothing is sent anywhere."""

    base_url: str = Field("", description="Address of the API, such as `http://127.0.0.1:11434/v1`.")
    model: str = Field("", description="Model, as the API names it.")
    api_key: SecretStr | None = Field(None, description="Key of the API.")
    api_key_file: Path | None = Field(None, description="File with the key, instead of `llm.api_key`.")
    timeout_seconds: Annotated[float, Field(gt=0, le=600)] = Field(
        20.0, description="Longest time for a reply, repair included; then the articles are quoted."
    )
    connect_seconds: Annotated[float, Field(gt=0, le=60)] = Field(3.0, description="Longest time to connect.")
    max_tokens: Annotated[int, Field(ge=16, le=8192)] = Field(512, description="Tokens of a reply, at most.")
    context_tokens: Annotated[int, Field(ge=256, le=200_000)] = Field(
        4000, description="Tokens of a prompt, at most: passages that do not fit are left out whole."
    )
    max_concurrent: Annotated[int, Field(ge=1, le=256)] = Field(
        2, description="Requests to the language model at the same time; more wait their turn."
    )
    min_confidence: Annotated[float, Field(ge=0, le=1)] = Field(
        0.2, description="Below this confidence the language model is not asked."
    )
    rewrite_follow_ups: bool = Field(
        False,
        description="Have the language model rewrite questions that depend on earlier ones, in a quarter of "
        "`llm.timeout_seconds` more (10 seconds at most); else rules do it.",
    )

    @property
    def rewrite_seconds(self) -> float:
        """Longest time for rewriting a question, before `timeout_seconds` begins; 0 where that is off."""
        return min(10.0, self.timeout_seconds / 4) if self.rewrite_follow_ups else 0.0

    @field_validator("base_url")
    @classmethod
    def _plain_address(cls, value: str) -> str:
        if not value:
            return value
        try:
            parts = urlsplit(value)
            plain = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            plain = False
        if not plain:
            raise ValueError("needs an http or https address")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("takes neither a name, a query nor a fragment; the key belongs into llm.api_key")
        return value.rstrip("/")


class ServerSettings(_Section):
    """The web chat and the HTTP API."""

    host: str = Field("127.0.0.1", description="Address to listen on; others than loopback need an admin token.")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8000, description="Port; 0 takes a free one.")
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Host names to accept besides loopback ones: a list, or names divided by commas."
    )
    admin_token: SecretStr | None = Field(
        None, description="Bearer token for rebuilding over HTTP; unset: no such route."
    )
    max_concurrent: Annotated[int, Field(ge=1, le=256)] = Field(
        4, description="Questions answered at the same time; more wait their turn."
    )
    max_waiting: Annotated[int, Field(ge=0, le=10_000)] = Field(
        64, description="Questions that may wait; beyond it the server says 503."
    )
    timeout_seconds: Annotated[float, Field(gt=0, le=600)] = Field(30.0, description="Longest time for one answer.")
    follow_seconds: Annotated[float, Field(gt=0, le=3600)] = Field(
        0.2, description="How often the server looks for a new generation."
    )
    sharing: bool = Field(True, description="Whether answers can be shared: kept on the disk under an address.")
    feedback: bool = Field(True, description="Whether readers can rate answers; `qa eval feedback` reads the ratings.")

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


class Settings(BaseSettings):
    """All settings, grouped by the step that reads them."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, case_sensitive=False
    )

    paths: PathsSettings = PathsSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    chunks: ChunksSettings = ChunksSettings()
    store: StoreSettings = StoreSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    answers: AnswersSettings = AnswersSettings()
    support: SupportSettings = SupportSettings()
    llm: LLMSettings = LLMSettings()
    server: ServerSettings = ServerSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources. `_file` (the parsed qa.toml) comes in with the keyword arguments."""
        flags = dict(init_settings())
        file = flags.pop("_file", {})
        return (
            InitSettingsSource(settings_cls, init_kwargs=flags),
            env_settings,
            InitSettingsSource(settings_cls, init_kwargs=file),
        )


def setting_keys() -> dict[str, str]:
    """Every key as ``section.name`` with its description, in the order of this file."""
    return {
        f"{section}.{name}": field.description or ""
        for section, model in Settings.model_fields.items()
        if isinstance(model.annotation, type) and issubclass(model.annotation, _Section)
        for name, field in model.annotation.model_fields.items()
    }


def load_settings(flags: Mapping[str, Mapping[str, Any]] | None = None, config: Path | None = None) -> Settings:
    """Combine flags (by section, None values ignored), environment, the settings file and defaults.

    `config` (else ``QA_CONFIG``, else ``qa.toml`` in the working directory) must exist when it is named.
    Raises `SettingsError` that names the key or the file.
    """
    given = {
        section: {key: value for key, value in values.items() if value is not None}
        for section, values in (flags or {}).items()
    }
    named = config or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)
    _refuse_unknown_variables()
    try:
        return Settings(**given, _file=_read_config(named))  # type: ignore[arg-type, call-arg]
    except ValidationError as error:
        raise SettingsError("; ".join(_explain(dict(problem)) for problem in error.errors())) from None


def _read_config(named: Path | None) -> dict[str, Any]:
    path = named or Path(CONFIG_FILE)
    if named is None and not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read settings file {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"settings file {path} is not valid TOML: {error}") from None


def _refuse_unknown_variables() -> None:
    known = {PREFIX + key.replace(".", "__").upper() for key in setting_keys()}
    for name in sorted(os.environ):
        upper = name.upper()
        if upper.startswith(PREFIX) and upper not in known and upper != CONFIG_VARIABLE:
            raise SettingsError(f"unknown environment variable {name}{_suggest(upper, known)}")


def _explain(problem: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown setting {key}{_suggest(key, setting_keys())}"
    if key in _CONFIDENTIAL:
        return f"setting {key}: {problem['msg']}"
    return f"setting {key}: {problem['msg']} (got {problem.get('input')!r})"


def _suggest(key: str, known: Mapping[str, str] | set[str]) -> str:
    close = difflib.get_close_matches(key, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
