"""Shared fixtures: a small invented corpus, settings that need no model, and an index built over it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from qa.embedders import load_embedder
from qa.engine import Engine
from qa.index import BuildReport, build_index
from qa.settings import Settings, load_settings

CORPUS = Path(__file__).parent / "corpus"

# Time belongs to the benchmarks: on a busy machine any example can be slow.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def make_settings(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Settings]:
    """Settings for a folder: corpus/ and index/ inside it, the hashing embedder, one embedding cache for the run."""
    cache = tmp_path_factory.mktemp("cache")

    def make(folder: Path, **sections: dict[str, object]) -> Settings:
        sections.setdefault("embedding", {"backend": "hashing"})
        # The hashing embedder knows words only: its confidence is lower than the real model's.
        sections.setdefault("answers", {"min_confidence": 0.15, "scorer": "none"})
        paths = {"corpus": folder / "corpus", "index": folder / "index", "records": folder / "records", "cache": cache}
        return load_settings({"paths": paths, **sections})

    return make


@pytest.fixture
def settings(make_settings: Callable[[Path], Settings], tmp_path: Path) -> Settings:
    """Settings over a private copy of the small corpus; nothing is indexed yet."""
    shutil.copytree(CORPUS, tmp_path / "corpus")
    return make_settings(tmp_path)


@pytest.fixture
def build(settings: Settings) -> Callable[..., BuildReport]:
    """Build the index of `settings`."""

    def run(**options: bool) -> BuildReport:
        return build_index(settings, load_embedder(settings.embedding, settings.paths.cache, prepare=True), **options)

    return run


@pytest.fixture(scope="session")
def engine(make_settings: Callable[[Path], Settings], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine over the small corpus, for tests that change nothing."""
    folder = tmp_path_factory.mktemp("shared")
    shutil.copytree(CORPUS, folder / "corpus")
    settings = make_settings(folder)
    build_index(settings, load_embedder(settings.embedding, settings.paths.cache, prepare=True))
    opened = Engine.open(settings)
    yield opened
    opened.close()
