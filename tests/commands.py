"""Running the command line as a user does: in this process where that is enough, in one of its own where it is not."""

from __future__ import annotations

import io
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from qa.cli import main

CORPUS = Path(__file__).parent / "corpus"

SETTINGS = """\
[embedding]
backend = "hashing"
[answers]
scorer = "none"
min_confidence = 0.15
[paths]
cache = "cache"
"""
"""A qa.toml that needs no model; what it leaves out stays at its default, so corpus/ and index/ are in the folder."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str


def call(*args: str, stdin: bytes = b"") -> Result:
    """Run the command in this process, in the working directory."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with (
        redirect_stdout(out),
        redirect_stderr(err),
        mock.patch.object(sys, "argv", ["qa", *args]),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")),
        _same_logging(),
    ):
        try:
            main()
            code: object = 0
        except SystemExit as end:
            code = end.code or 0
    assert isinstance(code, int), code
    return Result(code, *(stream.buffer.getvalue().decode() for stream in (out, err)))  # type: ignore[attr-defined]


def spawn(*args: str, cwd: Path, environment: Mapping[str, str] | None = None, stdin: bytes = b"") -> Result:
    """Run the command in a process of its own, with pipes for its streams."""
    done = subprocess.run(command(*args), cwd=cwd, env=plain_environment(environment), input=stdin, capture_output=True)
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


def command(*args: str) -> list[str]:
    """The command line that runs Sourceline from any folder."""
    return [sys.executable, "-m", "qa", *args]


def plain_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without what decides about colours, widths and settings."""
    dropped = {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"}
    kept = {k: v for k, v in os.environ.items() if k not in dropped and not k.startswith("QA_")}
    return {**kept, "TERM": "xterm-256color", **(extra or {})}


def furnish(folder: Path) -> Path:
    """Make a folder to work in: qa.toml and a copy of the small corpus; nothing is indexed."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(CORPUS, folder / "corpus")
    (folder / "qa.toml").write_text(SETTINGS)
    return folder


@contextmanager
def _same_logging() -> Iterator[None]:
    logger = logging.getLogger("qa.engine")
    level = logger.level
    try:
        yield
    finally:
        logger.setLevel(level)
