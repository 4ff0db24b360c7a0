"""Watching: what happens in the corpus folder is in the index seconds later, and trouble passes."""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from commands import command, furnish, plain_environment
from qa.embedders import load_embedder
from qa.errors import IndexBusy, QAError
from qa.index import BuildReport
from qa.settings import Settings
from qa.storage import IndexFolder
from qa.watch import watch_corpus

SECONDS = 15.0
"""How long a change may take on a busy machine; a quiet one needs about one."""


class Watcher:
    """`watch_corpus` in a thread, and what it told."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.reports: list[BuildReport] = []
        self.errors: list[QAError] = []
        self._stop = threading.Event()
        embedder = load_embedder(settings.embedding, settings.paths.cache, prepare=True)
        self._thread = threading.Thread(
            target=watch_corpus,
            args=(settings, embedder, self.reports.append, self.errors.append, self._stop),
        )
        self._thread.start()

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something to become true."""
        end = time.monotonic() + SECONDS
        while not condition():
            assert self._thread.is_alive(), "the watcher died"
            assert time.monotonic() < end, f"{what} took longer than {SECONDS} s"
            time.sleep(0.05)

    def until_articles(self, count: int) -> None:
        """Wait for a report of so many articles in the index."""
        self.until(lambda: self.reports and self.reports[-1].counts["articles"] == count, f"{count} articles")

    def stop(self) -> None:
        """End it, which takes no sweep."""
        self._stop.set()
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()


@pytest.fixture
def watcher(settings: Settings) -> Iterator[Watcher]:
    """A watcher that has built the small corpus."""
    running = Watcher(settings)
    try:
        running.until_articles(6)
        yield running
    finally:
        running.stop()


def write_article(folder: Path, name: str) -> None:
    (folder / name).write_text(f"Bridge {name} opens\n\nThe canal bridge {name} at Lindau opened on Sunday.\n")


def test_files_that_come_change_and_go(watcher: Watcher) -> None:
    corpus = watcher.settings.paths.corpus
    (corpus / "deeper").mkdir()
    write_article(corpus / "deeper", "new.txt")
    watcher.until_articles(7)
    ferry = corpus / "ferry.txt"
    ferry.write_text(ferry.read_text().replace("1,200", "1,350"))
    watcher.until(lambda: watcher.reports[-1].plan.changed, "a change")
    shutil.rmtree(corpus / "deeper")
    watcher.until_articles(6)
    assert watcher.errors == []


def test_a_burst_is_not_built_file_by_file(watcher: Watcher) -> None:
    before = len(watcher.reports)
    for number in range(20):
        write_article(watcher.settings.paths.corpus, f"{number}.txt")
    watcher.until_articles(26)
    assert len(watcher.reports) - before <= 5


@pytest.mark.parametrize("way", ["renamed", "made anew"])
def test_a_corpus_folder_that_vanishes_and_returns(watcher: Watcher, way: str) -> None:
    corpus = watcher.settings.paths.corpus
    away = corpus.with_name("away")
    if way == "renamed":
        corpus.rename(away)
    else:
        shutil.copytree(corpus, away)
        shutil.rmtree(corpus)
    watcher.until(lambda: watcher.errors, "the error")
    assert isinstance(watcher.errors[-1], QAError)
    time.sleep(4.0)
    assert len(watcher.errors) < 4, "told, but not every second"
    assert IndexFolder(watcher.settings.paths.index).current_number() == 1
    write_article(away, "new.txt")
    if way == "renamed":
        away.rename(corpus)
    else:
        shutil.copytree(away, corpus)
    watcher.until_articles(7)
    write_article(corpus, "later.txt")
    watcher.until_articles(8)


def test_a_build_by_somebody_else_is_waited_for(watcher: Watcher) -> None:
    with IndexFolder(watcher.settings.paths.index).builder():
        write_article(watcher.settings.paths.corpus, "new.txt")
        watcher.until(lambda: watcher.errors, "the error")
        assert isinstance(watcher.errors[0], IndexBusy)
    watcher.until_articles(7)


def test_a_broken_file_is_told_and_the_watch_goes_on(watcher: Watcher) -> None:
    corpus = watcher.settings.paths.corpus
    (corpus / "police.json").write_text("{ torn")
    watcher.until(lambda: watcher.reports[-1].failed, "the failed file")
    write_article(corpus, "new.txt")
    watcher.until_articles(7)
    assert [error.path for error in watcher.reports[-1].failed] == ["police.json"]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_the_command_ends_with_a_signal(tmp_path: Path, name: str) -> None:
    furnish(tmp_path)
    with subprocess.Popen(
        command("watch"), cwd=tmp_path, env=plain_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while b"generation 1 built" not in process.stdout.readline():
            assert process.poll() is None
        write_article(tmp_path / "corpus", "new.txt")
        while b"generation 2 built" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(getattr(signal, name))
        assert process.wait(timeout=20) == 0
        assert process.stderr.read() == b"watching corpus (Ctrl-C ends it)\n"
