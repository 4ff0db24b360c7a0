"""Building: only what changed is read, split and embedded; whatever happens, the live generation stays live."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from qa.catalog import FileRecord
from qa.embedders import load_embedder
from qa.engine import Engine
from qa.errors import IndexMismatch, QAError, ReaderError, StorageError
from qa.index import BuildPlan, BuildReport, build_index, plan_build, resolve_versions
from qa.settings import Settings
from qa.storage import IndexFolder

Build = Callable[..., BuildReport]


def record(path: str, *articles: tuple[str, str, str]) -> FileRecord:
    return FileRecord(path, "00", articles, (), ())


def counted(plan: BuildPlan) -> tuple[int, int, int, int]:
    return len(plan.added), len(plan.changed), len(plan.removed), len(plan.unchanged)


def test_plan_compares_content() -> None:
    plan = plan_build({"a": "1", "b": "2", "c": "3"}, {"b": "2", "c": "0", "d": "4"})
    assert plan == BuildPlan(added=("a",), changed=("c",), removed=("d",), unchanged=("b",))


def test_the_newest_version_of_an_article_wins_and_the_loser_is_named() -> None:
    versions, warnings = resolve_versions(
        [record("a.md", ("a_1", "new", "2024-05-02")), record("b.md", ("a_1", "old", "2024-05-01"))]
    )
    assert versions == {"a_1": ("new", "a.md")}
    assert warnings == ["b.md: the same article stands in a.md, which is used"]


def test_of_equal_versions_the_last_path_wins() -> None:
    versions, warnings = resolve_versions([record("a.md", ("a_1", "same", "")), record("b.md", ("a_1", "same", ""))])
    assert versions == {"a_1": ("same", "b.md")}
    assert warnings == ["a.md: the same article stands in b.md, which is used"]


def test_first_build_indexes_every_format(build: Build) -> None:
    report = build()
    assert (report.generation, report.built, report.full) == (1, True, "first build")
    assert counted(report.plan) == (6, 0, 0, 0)
    assert report.failed == ()
    assert report.counts["articles"] == 6


def test_nothing_changed_makes_no_generation(build: Build, settings: Settings) -> None:
    build()
    report = build()
    assert (report.generation, report.built, report.embedded, report.full) == (1, False, 0, None)
    assert counted(report.plan) == (0, 0, 0, 6)
    assert IndexFolder(settings.paths.index).generations() == [1]


def test_a_generation_that_stands_in_is_replaced_although_nothing_changed(build: Build, settings: Settings) -> None:
    build()
    (settings.paths.index / "CURRENT").unlink()
    assert Engine.open(settings).status().state == "degraded"
    assert (build().built, Engine.open(settings).status().state) == (True, "ready")


def test_added_changed_and_removed_are_counted_and_answered(build: Build, settings: Settings) -> None:
    build()
    corpus = settings.paths.corpus
    (corpus / "new.txt").write_text("Canal bridge opens\n\nThe canal bridge at Lindau opened to traffic on Sunday.\n")
    ferry = corpus / "ferry.txt"
    ferry.write_text(ferry.read_text().replace("1,200 passengers", "1,350 passengers"))
    (corpus / "dam.md").unlink()
    report = build()
    assert counted(report.plan) == (1, 1, 1, 4)
    assert report.full is None
    engine = Engine.open(settings)
    assert "Lindau" in engine.ask("Where did the canal bridge open?").text
    assert "1,350 passengers" in engine.ask("How many passengers had booked the night ferry?").text
    for question in ("How many turbines were replaced?", "What did Paula Venn say?"):
        assert all("Oster" not in p.text for p in engine.search(question).passages)
    engine.close()


def test_incremental_equals_built_at_once(
    build: Build, settings: Settings, make_settings: Callable[..., Settings]
) -> None:
    held_back = ["dam.md", "more.jsonl"]
    for name in held_back:
        (settings.paths.corpus / name).rename(settings.paths.corpus.parent / name)
    build()
    for name in held_back:
        (settings.paths.corpus.parent / name).rename(settings.paths.corpus / name)
        build()
    other = settings.paths.corpus.parent / "other"
    shutil.copytree(settings.paths.corpus, other / "corpus")
    at_once = make_settings(other)
    build_index(at_once, load_embedder(at_once.embedding, at_once.paths.cache, prepare=True))
    grown, made = Engine.open(settings), Engine.open(at_once)
    for question in ("How many arrests were made?", "When will the ferry sail?", "Who gave the telescopes?"):
        first, second = grown.search(question).passages, made.search(question).passages
        assert [(p.chunk, p.score, p.dense_score) for p in first] == [(p.chunk, p.score, p.dense_score) for p in second]
        assert grown.ask(question).text == made.ask(question).text
    grown.close()
    made.close()


def test_one_bad_file_is_reported_and_the_rest_is_built(build: Build, settings: Settings) -> None:
    (settings.paths.corpus / "bad.json").write_text("{not json")
    (settings.paths.corpus / "empty.txt").write_text("")
    (settings.paths.corpus / "photo.txt").write_bytes(bytes(range(256)) * 20)
    report = build()
    assert report.counts["articles"] == 6
    assert {error.path for error in report.failed} == {"bad.json", "empty.txt", "photo.txt"}
    again = build()
    assert not again.built
    assert {error.path for error in again.failed} == {"bad.json", "empty.txt", "photo.txt"}


def test_a_file_that_breaks_keeps_the_version_indexed_before(build: Build, settings: Settings) -> None:
    build()
    (settings.paths.corpus / "police.json").write_bytes(b"{ truncated")
    report = build()
    assert counted(report.plan) == (0, 0, 0, 6)
    (error,) = report.failed
    assert "kept" in error.reason


def test_a_copy_of_an_article_is_indexed_once(build: Build, settings: Settings) -> None:
    shutil.copy(settings.paths.corpus / "police.json", settings.paths.corpus / "police-copy.json")
    report = build()
    assert report.counts["articles"] == 6
    assert any("the same article stands in" in warning for warning in report.warnings)
    (settings.paths.corpus / "police.json").unlink()
    assert build().counts["articles"] == 6


def test_when_the_newer_version_goes_the_older_one_returns(build: Build, settings: Settings) -> None:
    old = settings.paths.corpus / "police.json"
    new = settings.paths.corpus / "police-2.json"
    new.write_text(old.read_text().replace("seven people", "eight people").replace("2024-05-21T17", "2024-05-21T19"))
    build()
    engine = Engine.open(settings)
    assert "eight people" in engine.ask("How many people were arrested in raids?").text
    new.unlink()
    assert counted(build().plan) == (0, 1, 0, 5)
    engine.reload_if_changed()
    assert "seven people" in engine.ask("How many people were arrested in raids?").text
    engine.close()


def test_no_text_is_embedded_twice(build: Build, settings: Settings) -> None:
    build()
    report = build(full=True)
    assert (report.full, report.built, report.embedded) == ("asked for", True, 0)
    assert report.from_cache > 0


def test_another_chunk_setting_builds_everything_and_says_so(
    build: Build, settings: Settings, make_settings: Callable[..., Settings]
) -> None:
    build()
    changed = make_settings(settings.paths.corpus.parent, chunks={"max_tokens": 40})
    report = build_index(changed, load_embedder(changed.embedding, changed.paths.cache, prepare=True))
    assert report.full == "chunk_tokens: '40' was '128'"
    assert counted(report.plan) == (6, 0, 0, 0)


def test_a_store_of_another_kind_is_filled_from_the_cache(
    build: Build, settings: Settings, make_settings: Callable[..., Settings]
) -> None:
    build()
    changed = make_settings(settings.paths.corpus.parent, store={"approximate_above": 3})
    (settings.paths.corpus / "new.txt").write_text(
        "Canal bridge opens\n\nThe canal bridge at Lindau opened on Sunday.\n"
    )
    report = build_index(changed, load_embedder(changed.embedding, changed.paths.cache, prepare=True))
    assert report.built
    assert report.embedded <= 1
    engine = Engine.open(changed)
    assert "Lindau" in engine.ask("Where did the canal bridge open?").text
    engine.close()


def test_a_corpus_that_vanished_is_an_error_and_the_index_stays(build: Build, settings: Settings) -> None:
    build()
    settings.paths.corpus.rename(settings.paths.corpus.with_name("moved"))
    with pytest.raises(ReaderError, match="corpus"):
        build()
    assert Engine.open(settings).status().articles == 6


def test_a_corpus_that_is_suddenly_empty_is_an_error_unless_asked_for(build: Build, settings: Settings) -> None:
    build()
    shutil.rmtree(settings.paths.corpus)
    settings.paths.corpus.mkdir()
    with pytest.raises(StorageError, match="holds no article any more, but the index has 6"):
        build()
    report = build(full=True)
    assert report.counts["articles"] == 0
    answer = Engine.open(settings).ask("Who reopened the dam?")
    assert (answer.status, answer.reason) == ("not_found", "empty_index")


def test_an_index_of_another_model_is_refused_by_name(build: Build, settings: Settings) -> None:
    build()
    engine = Engine(settings, Renamed(load_embedder(settings.embedding, settings.paths.cache, prepare=True)))
    engine.reload_if_changed()
    with pytest.raises(IndexMismatch, match="model hashing there, another here"):
        engine.ask("Who reopened the dam?")


def test_a_build_that_fails_halfway_leaves_the_index_alone(build: Build, settings: Settings) -> None:
    build()
    (settings.paths.corpus / "new.txt").write_text("Bridge opens\n\nThe canal bridge at Lindau opened on Sunday.\n")
    with pytest.raises(Broken):
        build_index(settings, Failing(load_embedder(settings.embedding, settings.paths.cache, prepare=True)))
    assert IndexFolder(settings.paths.index).current_number() == 1
    assert not list(settings.paths.index.glob("*.tmp"))
    assert build().generation == 2


def test_sentences_longer_than_a_chunk_are_counted(build: Build, settings: Settings) -> None:
    (settings.paths.corpus / "long.txt").write_text("A long one\n\n" + "word and " * 400 + "end.\n")
    assert build().oversized == 1


class Broken(QAError):
    """What `Failing` raises."""


class Renamed:
    """An embedder like another, under another model's name."""

    def __init__(self, inner: object) -> None:
        self._inner = inner
        self.fingerprint = {**inner.fingerprint, "model": "another"}  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


class Failing(Renamed):
    """An embedder that breaks when it embeds."""

    def __init__(self, inner: object) -> None:
        super().__init__(inner)
        self.fingerprint = inner.fingerprint  # type: ignore[attr-defined]

    def embed_documents(self, texts: object) -> object:
        raise Broken("out of order")
