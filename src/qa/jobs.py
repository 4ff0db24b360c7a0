"""Rebuilding the index on request: one at a time, in a process of its own, and how it is going."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any

from qa.contract import JobReply
from qa.errors import QAError
from qa.problems import ProblemError
from qa.replies import new_id, now_utc
from qa.settings import Settings

__all__ = ["Jobs", "Rebuild", "rebuild_in_child"]

Rebuild = Callable[[], dict[str, Any]]

JOBS_KEPT = 20
_BUILT = (0, 5)
"""Exit codes of a build that made what it could: 5 says that some files failed, and the report names them."""

_log = logging.getLogger("qa.server")


class Jobs:
    """Rebuilds by id; the latest are remembered."""

    def __init__(self, rebuild: Rebuild) -> None:
        self._rebuild = rebuild
        self._jobs: dict[str, JobReply] = {}
        self._running = threading.Lock()

    def start(self) -> JobReply:
        """Start a rebuild in a thread. Raises `ProblemError` while one is running."""
        if not self._running.acquire(blocking=False):
            raise ProblemError("rebuild-running")
        job = JobReply(
            id=new_id("job_"), status="running", created_at=now_utc(), finished_at=None, result=None, error=None
        )
        self._jobs[job.id] = job
        for old in list(self._jobs)[:-JOBS_KEPT]:
            del self._jobs[old]
        threading.Thread(target=self._run, args=(job,), name="rebuild", daemon=True).start()
        return job

    def latest(self) -> JobReply | None:
        """The job that was started last, or None if there was none."""
        return next(reversed(list(self._jobs.values())), None)

    def get(self, job_id: str) -> JobReply | None:
        """The job as it is now, or None if there is none with this id."""
        return self._jobs.get(job_id)

    def _run(self, job: JobReply) -> None:
        try:
            done: dict[str, Any] = {"status": "succeeded", "result": self._rebuild()}
        except QAError as error:
            done = {"status": "failed", "error": str(error)}
        except Exception:  # noqa: BLE001 - whatever it was, the next rebuild must be possible
            _log.exception("the rebuild %s failed", job.id)
            done = {"status": "failed", "error": "the rebuild failed; the server's log says why"}
        self._jobs[job.id] = job.model_copy(update={**done, "finished_at": now_utc()})
        self._running.release()


def rebuild_in_child(settings: Settings) -> dict[str, Any]:
    """Build the index in a process of its own, with these settings, and return its report. Raises `QAError`.

    A build takes cores and memory that answering should not share, and may end in ways that must not end the server.
    """
    sections = settings.model_dump(mode="json", exclude={"server"}, exclude_none=True)
    # JSON strings, numbers, booleans and lists are TOML too.
    lines = [
        line
        for section, values in sections.items()
        for line in (f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items()))
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".toml", encoding="utf-8") as config:
        config.write("\n".join(lines))
        config.flush()
        paths = ["--corpus", str(settings.paths.corpus), "--index", str(settings.paths.index)]
        command = [sys.executable, "-m", "qa", "index", "--json", "--config", config.name, *paths]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode not in _BUILT:
        raise QAError((done.stderr.strip().splitlines() or ["the build said nothing"])[-1])
    report: dict[str, Any] = json.loads(done.stdout)
    return report
