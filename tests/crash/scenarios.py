"""What a process is doing when it is killed, fails or loses power; and what may be found afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from qa.errors import IndexMissing
from qa.storage import Generation, IndexFolder

from .layers import scribble

Content = dict[str, bytes]
"""The files of one generation."""


@cache
def content(version: int) -> Content:
    """Three files: one that a library writes by itself, one of several pages, one tiny."""
    noise = b"".join(hashlib.sha256(b"%d %d" % (version, i)).digest() for i in range(300))
    return {
        "catalog.sqlite": b"catalog" + noise[: 5000 + version],
        "vectors.faiss": noise,
        "store.json": b"%d" % version,
    }


def build(folder: IndexFolder, version: int) -> int:
    """Build a generation with `content(version)`; its catalog starts as a copy of the parent's, as in real life."""
    with folder.builder() as builder:
        writer = builder.begin()
        files = content(version)
        if builder.parent:
            writer.copy_from(builder.parent, "catalog.sqlite")
        scribble(folder._files, writer.path("catalog.sqlite"), files["catalog.sqlite"])
        writer.seal("catalog.sqlite")
        writer.write("vectors.faiss", files["vectors.faiss"])
        writer.write("store.json", files["store.json"])
        return writer.commit({"version": version}, check)


def check(generation: Generation) -> None:
    assert read(generation) == content(generation.about["version"])


def read(generation: Generation) -> Content:
    return {name: generation.read(name) for name in generation.names}


def version_of(folder: IndexFolder) -> tuple[int | None, str | None]:
    """Open as a server would; return the whole content's version (None: no index yet) and why it is degraded."""
    try:
        generation = folder.open_current()
    except IndexMissing:
        return None, None
    with generation:
        check(generation)
        return generation.about["version"], generation.degraded


def dead_build(root: Path, files: Any, number: int) -> None:
    """What a build leaves that was killed while writing, and another killed while switching."""
    temp = root / f"gen-{number:06d}.tmp"
    files.mkdir(temp)
    scribble(files, temp / "vectors.faiss", b"half")
    scribble(files, root / "CURRENT.tmp", b'{"genera')


@dataclass(frozen=True)
class Scenario:
    name: str
    prepare: Callable[[Path, Any], None]
    act: Callable[[IndexFolder], Any]
    old: int | None
    new: int

    def __str__(self) -> str:
        return self.name


def _built(*versions: int) -> Callable[[Path, Any], None]:
    def prepare(root: Path, files: Any) -> None:
        for version in versions:
            build(IndexFolder(root, files), version)

    return prepare


def _with_dead_build(root: Path, files: Any) -> None:
    _built(1, 2)(root, files)
    dead_build(root, files, 3)


def _rolled_back(root: Path, files: Any) -> None:
    _built(1, 2, 3)(root, files)
    IndexFolder(root, files).rollback()


FIRST = Scenario("first build", _built(), lambda folder: build(folder, 1), None, 1)
ADD = Scenario("add", _built(1), lambda folder: build(folder, 2), 1, 2)
COLLECT = Scenario("add and collect", _built(1, 2), lambda folder: build(folder, 3), 2, 3)
ROLLBACK = Scenario("rollback", _built(1, 2), lambda folder: folder.rollback(), 2, 1)
DEAD = Scenario("after a dead build", _with_dead_build, lambda folder: build(folder, 3), 2, 3)
AGAIN = Scenario("build after a rollback", _rolled_back, lambda folder: build(folder, 4), 2, 4)
SCENARIOS = (FIRST, ADD, COLLECT, ROLLBACK, DEAD, AGAIN)
