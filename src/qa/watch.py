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
    """Set `changed` after each burst of changes, when the folder comes back, and at the end, to wake the waiter."""
    while not stop.is_set():
        try:
            for _ in watch(corpus, stop_event=stop, step=QUIET_MS, rust_timeout=500):
                changed.set()
        except (OSError, RuntimeError) as error:
            _log.warning("cannot watch %s: %s", corpus, error)
        changed.set()
        stop.wait(RETRY_SECONDS)
