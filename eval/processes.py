"""What the measuring scripts share: real `qa` processes, their memory, and a client that keeps its connection.

Everything is bounded in time, stays on the loopback interface, and is ended by process id.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from qa.settings import load_settings

__all__ = [
    "ROOT",
    "Client",
    "Finished",
    "Place",
    "Server",
    "copy_corpus",
    "default_cache",
    "end",
    "end_children_on_sigterm",
    "median",
    "percentile",
    "qa_command",
    "read_questions",
]

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
STOP_SECONDS = 20.0
HTTP_SECONDS = 60.0
_POLL_SECONDS = 0.01
_LINES = (".jsonl", ".ndjson")
"""Formats with an article a line, of which a part of the lines makes a smaller corpus."""
_IDLE_SECONDS = 2.0


def qa_command() -> list[str]:
    """The `qa` beside this interpreter, as a user runs it."""
    script = Path(sys.executable).parent / "qa"
    return [str(script)] if script.exists() else [sys.executable, "-m", "qa"]


def default_cache() -> Path:
    """Where prepared models are kept unless a setting says otherwise."""
    return load_settings().paths.cache


def memory_mb(pid: int) -> tuple[float, float] | None:
    """(now, highest so far) of a process in MB, None when it is gone.

    Not `getrusage`: its figure for a child starts with what the parent held when it forked.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    values = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    if "VmHWM" not in values:  # already a zombie
        return None
    return tuple(int(values[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM"))  # type: ignore[return-value]


def _watch(process: subprocess.Popen[Any], deadline: float) -> tuple[int, float, float]:
    """Wait for a process of ours; return its exit code, its CPU seconds and its highest memory in MB."""
    peak = 0.0
    while time.perf_counter() < deadline:
        if (now := memory_mb(process.pid)) is not None:
            peak = max(peak, now[1])
        # Not `Popen.wait`: only wait4 tells the CPU time of one child.
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage.ru_utime + usage.ru_stime, peak
        time.sleep(_POLL_SECONDS)
    raise TimeoutError(f"process {process.pid} did not end in time")


def end_children_on_sigterm() -> None:
    """Let a script that is asked to end (as `timeout` does) run its `finally` blocks, which end what it started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def end(process: subprocess.Popen[Any], seconds: float = STOP_SECONDS) -> int:
    """End a process of ours politely, then not; return its exit code."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait(seconds)


@dataclass(frozen=True, slots=True)
class Finished:
    """A `qa` process that has ended."""

    code: int
    seconds: float
    cpu_seconds: float
    """Of all its threads, user and system: what it would take at least on a machine that does nothing else."""
    peak_mb: float
    stdout: str
    stderr: str

    def json(self) -> Any:
        return json.loads(self.stdout)

    def require(self, *codes: int) -> Self:
        """Raise unless the exit code is 0 or one of `codes`."""
        if self.code not in (0, *codes):
            raise RuntimeError(f"qa ended with {self.code}:\n{self.stdout[-2000:]}{self.stderr[-2000:]}")
        return self


@dataclass(frozen=True, slots=True)
class Place:
    """A working folder: corpus/, index/, cache/ and logs inside it, and the environment that leads `qa` there."""

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    """Further settings by environment variable, such as ``QA_EMBEDDING__BACKEND``."""

    @property
    def corpus(self) -> Path:
        return self.folder / "corpus"

    @property
    def index(self) -> Path:
        return self.folder / "index"

    @property
    def cache(self) -> Path:
        return Path(self.settings.get("QA_PATHS__CACHE", self.folder / "cache"))

    @property
    def environment(self) -> dict[str, str]:
        own = {
            "QA_PATHS__CORPUS": str(self.corpus),
            "QA_PATHS__INDEX": str(self.index),
            "QA_PATHS__CACHE": str(self.cache),
            **self.settings,
        }
        # What the caller's shell sets about our paths must not lead the processes elsewhere.
        return {**{k: v for k, v in os.environ.items() if not k.startswith("QA_")}, **own}

    def link_models(self) -> None:
        """Take the prepared models from the default cache, so that the one-time export is not part of a figure."""
        self.cache.mkdir(parents=True, exist_ok=True)
        models = default_cache() / "models"
        if models.is_dir() and not (self.cache / "models").exists():
            (self.cache / "models").symlink_to(models)

    def start(self, *arguments: str, log: Path | None = None) -> subprocess.Popen[bytes]:
        """Start `qa` with its output in a file (by default nowhere)."""
        with open(log or os.devnull, "wb") as output:
            return subprocess.Popen(
                [*qa_command(), *arguments],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def run(self, *arguments: str, seconds: float = 600.0, command: Sequence[str] | None = None) -> Finished:
        """Run `qa` (or another command) to its end; measure its time and its highest memory."""
        out, err = self.folder / f".out-{os.getpid()}", self.folder / f".err-{os.getpid()}"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            started = time.perf_counter()
            process = subprocess.Popen(
                [*(command or qa_command()), *arguments],
                cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
            )  # fmt: skip
            try:
                code, cpu, peak = _watch(process, started + seconds)
                took = time.perf_counter() - started
            finally:
                end(process)
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in (out, err)]
        return Finished(code, took, cpu, peak, *texts)


class Client:
    """One keep-alive connection to a server on the loopback interface."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HTTP_SECONDS)
        self._used = 0.0

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, bytes, float]:
        """Return status, body and seconds from sending to the last byte. Raises `OSError`, `HTTPException`."""
        data = None if body is None else json.dumps(body).encode()
        headers = {} if data is None else {"Content-Type": "application/json"}
        started = time.perf_counter()
        if started - self._used > _IDLE_SECONDS:
            self._connection.close()  # the server is about to do so, or has: that is no lost answer
        self._used = started
        try:
            self._connection.request(method, path, data, headers)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        return response.status, content, time.perf_counter() - started

    def ask(self, question: str) -> tuple[int, dict[str, Any], float]:
        """POST /ask; return status, reply and seconds."""
        status, content, seconds = self.request("POST", "/ask", {"question": question})
        return status, json.loads(content), seconds

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """GET a JSON document."""
        status, content, _ = self.request("GET", path)
        return status, json.loads(content)

    def close(self) -> None:
        self._connection.close()


class Server:
    """`qa serve` on a free loopback port, from start until it is ready, and ended with the block."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._log = place.folder / "serve.log"
        self.port = _free_port()

    def __enter__(self) -> Self:
        started = time.perf_counter()
        self.process = self._place.start("serve", "--port", str(self.port), log=self._log)
        try:
            self._wait(started)
        except BaseException:
            end(self.process)
            raise
        self.start_seconds = time.perf_counter() - started
        return self

    def __exit__(self, *_: object) -> None:
        self.exit_code = end(self.process)

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def memory_mb(self) -> tuple[float, float]:
        """(now, highest so far)."""
        memory = memory_mb(self.process.pid)
        if memory is None:
            raise RuntimeError(f"the server has ended:\n{self.log()[-2000:]}")
        return memory

    def wait_for(self, generation: int, seconds: float = START_SECONDS) -> float:
        """Wait until questions are answered from this generation or a later one; return how long that took."""
        started = time.perf_counter()
        with self.client() as client:
            while client.get("/v1/index")[1]["generation"] < generation:
                if time.perf_counter() - started > seconds:
                    raise TimeoutError(f"the server did not follow to generation {generation} in {seconds:.0f} s")
                time.sleep(_POLL_SECONDS)
        return time.perf_counter() - started

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        client = Client(self.port)
        try:
            yield client
        finally:
            client.close()

    def _wait(self, started: float) -> None:
        while time.perf_counter() - started < START_SECONDS:
            if self.process.poll() is not None:
                break
            with self.client() as client, contextlib.suppress(OSError, http.client.HTTPException):
                if client.request("GET", "/readyz")[0] == http.HTTPStatus.OK:
                    return
            time.sleep(_POLL_SECONDS)
        raise RuntimeError(f"the server did not get ready:\n{self.log()[-2000:]}")


def read_questions(path: Path, most: int | None = None) -> list[str]:
    """The questions of a JSONL file, under the key ``question`` or ``question_sentence``; each once."""
    with path.open(encoding="utf-8") as file:
        records = [json.loads(line) for line in file if line.strip()]
    texts = [record.get("question") or record.get("question_sentence") or "" for record in records]
    return list(dict.fromkeys(text for text in texts if text))[:most]


def copy_corpus(source: Path, target: Path, keep_every: int = 1) -> None:
    """Copy a corpus, or every n-th article of it: of the lines of JSONL files, of the files otherwise."""
    target.mkdir(parents=True)
    lines, files = itertools.count(), itertools.count()
    for path in sorted(source.rglob("*")):
        goal = target / path.relative_to(source)
        if path.is_dir():
            goal.mkdir(exist_ok=True)
        elif keep_every == 1:
            shutil.copyfile(path, goal)
        elif path.suffix in _LINES:
            with path.open(encoding="utf-8") as whole, goal.open("w", encoding="utf-8") as part:
                part.writelines(line for line in whole if next(lines) % keep_every == 0)
        elif next(files) % keep_every == 0:
            shutil.copyfile(path, goal)


def median(values: Sequence[float]) -> float:
    return percentile(values, 50)


def percentile(values: Sequence[float], percent: float) -> float:
    """By linear interpolation between the two nearest; NaN of nothing."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
