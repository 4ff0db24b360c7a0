"""Keeping the index up to date: a build whenever articles arrive, change or go."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from watchfiles import watch

from qa.errors import IndexBusy, QAError
from qa.index import BuildReport, build_index
from qa.protocols import Embedder
from qa.settings import Settings

__all__ = ["watch_corpus"]

QUIET_MS = 300
"""A burst of changes counts as over after this long without one, so that a copy in progress is read once."""
RETRY_SECONDS = 1.0
SWEEP_SECONDS = 30.0
"""The corpus is compared with the index at least this often: network file systems do not tell of every change."""

_log = logging.getLogger(__name__)


def watch_corpus(
    settings: Settings,
    embedder: Embedder,
    on_report: Callable[[BuildReport], None],
    on_error: Callable[[QAError], None],
    stop: threading.Event,
) -> None:
    """Build now and after each burst of changes, until `stop` is set.

    A build that fails is reported and tried again with the next change or sweep, or after a second when another process
    holds the lock: what was live stays live.
    """
    changed = threading.Event()
    # A thread of its own, so that what changes during a build is not missed.
    watcher = threading.Thread(target=_notice, args=(settings.paths.corpus, changed, stop), daemon=True)
    watcher.start()
    while not stop.is_set():
        changed.clear()
        try:
            on_report(build_index(settings, embedder))
            pause = SWEEP_SECONDS
        except QAError as error:
            on_error(error)
            pause = RETRY_SECONDS if isinstance(error, IndexBusy) else SWEEP_SECONDS
        changed.wait(pause)
    watcher.join(timeout=2 * RETRY_SECONDS)


def _notice(corpus: Path, changed: threading.Event, stop: threading.Event) -> None:
    """Set `changed` after each burst of changes and when the folder is replaced, and at the end, to wake the waiter."""
    known = _identity(corpus)
    while not stop.is_set():
        found = _identity(corpus)
        if found is None:
            known = None  # the same folder may come back with other content
            stop.wait(RETRY_SECONDS)
            continue
        if found != known:  # it came back, or another folder was mounted or moved here: the old watch is deaf
            known = found
            changed.set()
        try:
            for changes in watch(corpus, stop_event=stop, step=QUIET_MS, rust_timeout=500, yield_on_timeout=True):
                if changes:
                    changed.set()
                if _identity(corpus) != known:
                    break
        except (OSError, RuntimeError) as error:
            _log.warning("cannot watch %s: %s", corpus, error)
            stop.wait(RETRY_SECONDS)
    changed.set()


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
