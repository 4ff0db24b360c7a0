"""T4: bytes rot, files vanish, folders are swapped: always noticed, and the other generation stands in."""

import json
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from qa.errors import IndexDamaged
from qa.storage import Generation, IndexFolder

from .layers import MemoryFiles
from .scenarios import build, version_of

BASE = Path("/disk")
ROOT = BASE / "index"
OLD, LIVE = ROOT / "gen-000001", ROOT / "gen-000002"
DATA = ("catalog.sqlite", "vectors.faiss", "store.json")


@pytest.fixture
def files() -> MemoryFiles:
    memory = MemoryFiles(BASE)
    build(IndexFolder(ROOT, memory), 1)
    build(IndexFolder(ROOT, memory), 2)
    return memory


def bytes_of(files: MemoryFiles, path: Path) -> bytes:
    node: Any = files.plain()
    for part in path.relative_to(BASE).parts:
        node = node[part]
    return node


@contextmanager
def changed(files: MemoryFiles, path: Path, data: bytes) -> Iterator[None]:
    before = bytes_of(files, path)
    files.scribble(path, data)
    try:
        yield
    finally:
        files.scribble(path, before)


def flips(data: bytes, full: bool) -> Iterator[bytes]:
    """`data` with one bit flipped: each bit, or one in each byte."""
    rng = random.Random(len(data))
    for i in range(len(data)):
        for bit in range(8) if full else (rng.randrange(8),):
            yield data[:i] + bytes([data[i] ^ (1 << bit)]) + data[i + 1 :]


def damages(data: bytes, full: bool) -> Iterator[bytes]:
    """What can become of a file that holds `data`."""
    if full or len(data) < 1000:
        yield from flips(data, full)
    else:
        rng = random.Random(7)
        for _ in range(200):
            i = rng.randrange(len(data))
            yield data[:i] + bytes([data[i] ^ (1 << rng.randrange(8))]) + data[i + 1 :]
    for length in range(0, len(data), 1 if full else max(1, len(data) // 40)):
        yield data[:length]
    for start in range(0, len(data), 4096):
        zeroed = data[:start] + bytes(len(data[start : start + 4096])) + data[start + 4096 :]
        yield zeroed
    for extra in (b"\0", b" ", b"\n", b"x" * 5000):
        yield data + extra


def check_all(files: MemoryFiles, path: Path, full: bool, expected: int) -> int:
    """Every damage to `path`: `expected` is served, degraded, with the file named. Return how many there were."""
    folder = IndexFolder(ROOT, files)
    count = 0
    for data in damages(bytes_of(files, path), full):
        count += 1
        with changed(files, path, data):
            found, degraded = version_of(folder)
            assert found == expected
            assert degraded is not None
            assert str(path) in degraded
    assert version_of(folder) == (2, None)
    return count


SWEEP = pytest.mark.parametrize("full", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["some", "all"])


@SWEEP
@pytest.mark.parametrize("name", [*DATA, "manifest.json"])
def test_any_damage_to_the_live_generation_is_noticed(files: MemoryFiles, name: str, full: bool) -> None:
    assert check_all(files, LIVE / name, full, expected=1) >= (6 if name == "store.json" else 200)


@SWEEP
def test_any_damage_to_the_pointer_is_noticed(files: MemoryFiles, full: bool) -> None:
    assert check_all(files, ROOT / "CURRENT", full, expected=2) >= 200


@SWEEP
def test_the_generation_that_stands_in_is_checked_as_strictly(files: MemoryFiles, full: bool) -> None:
    """CURRENT vouches for the live manifest alone; the older one carries its own hash."""
    files.unlink(LIVE / "store.json")
    for name in ("manifest.json", *DATA):
        for data in damages(bytes_of(files, OLD / name), full):
            with changed(files, OLD / name, data), pytest.raises(IndexDamaged, match="run `qa index --full`"):
                IndexFolder(ROOT, files).open_current()


def swap_files(name: str) -> Callable[[MemoryFiles], None]:
    def swap(files: MemoryFiles) -> None:
        files.scribble(LIVE / name, bytes_of(files, OLD / name))

    return swap


def swap_folders(files: MemoryFiles) -> None:
    files.replace(LIVE, ROOT / "aside")
    files.replace(OLD, LIVE)
    files.replace(ROOT / "aside", OLD)


def remove_folder(files: MemoryFiles) -> None:
    files.replace(LIVE, ROOT / "aside")


def folder_in_place_of_a_file(files: MemoryFiles) -> None:
    files.unlink(LIVE / "store.json")
    files.mkdir(LIVE / "store.json")


@pytest.mark.parametrize(
    ("damage", "named"),
    [(swap_files(name), name) for name in (*DATA, "manifest.json")]
    + [(lambda files, name=name: files.unlink(LIVE / name), name) for name in (*DATA, "manifest.json")]
    + [(remove_folder, "gen-000002"), (folder_in_place_of_a_file, "store.json")],
)
def test_exchanged_and_missing_files_are_noticed(files: MemoryFiles, damage: Any, named: str) -> None:
    damage(files)
    found, degraded = version_of(IndexFolder(ROOT, files))
    assert found == 1
    assert degraded is not None
    assert named in degraded


def test_exchanged_folders_leave_nothing_to_trust(files: MemoryFiles) -> None:
    swap_folders(files)
    with pytest.raises(IndexDamaged, match="gen-000002/manifest.json: not the bytes that were written"):
        IndexFolder(ROOT, files).open_current()
    build(IndexFolder(ROOT, files), 9)
    assert version_of(IndexFolder(ROOT, files)) == (9, None)


def test_a_folder_under_another_number_is_noticed(files: MemoryFiles) -> None:
    files.unlink(ROOT / "CURRENT")
    files.replace(LIVE, ROOT / "gen-000007")
    found, degraded = version_of(IndexFolder(ROOT, files))
    assert (found, degraded) == (1, f"{ROOT / 'CURRENT'} is missing")


def test_damage_after_opening_is_noticed_by_read_and_by_verify(files: MemoryFiles) -> None:
    with IndexFolder(ROOT, files).open_current() as generation:
        for name in DATA:
            data = bytes_of(files, LIVE / name)
            for rotten in (data[:-1] + b"\xff", data + b"x", data[:-1], b""):
                with changed(files, LIVE / name, rotten):
                    with pytest.raises(IndexDamaged, match=f"gen-000002/{name}: not the bytes that were written"):
                        generation.read(name)
                    with pytest.raises(IndexDamaged, match=f"gen-000002/{name}"):
                        generation.verify()
        generation.verify()


def test_links_pipes_and_folders_are_no_files(tmp_path: Path) -> None:
    """Nothing outside the folder is read through a link, and a pipe does not hang the reader."""
    folder = IndexFolder(tmp_path / "index")
    build(folder, 1), build(folder, 2)
    path = tmp_path / "index" / "gen-000002" / "store.json"
    for make in (lambda p: p.symlink_to(tmp_path / "same"), os.mkfifo, os.mkdir):
        path.rename(tmp_path / "same")
        make(path)
        found, degraded = version_of(folder)
        assert found == 1
        assert degraded is not None
        assert degraded.startswith(f"{path}: cannot be read")
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        (tmp_path / "same").rename(path)
    assert version_of(folder) == (2, None)


def test_a_stray_file_in_a_generation_does_no_harm(tmp_path: Path) -> None:
    folder = IndexFolder(tmp_path / "index")
    build(folder, 1)
    (tmp_path / "index" / "gen-000001" / ".DS_Store").write_bytes(b"x")
    assert version_of(folder) == (1, None)
    with folder.open_current() as generation, pytest.raises(IndexDamaged, match=r"no such file"):
        generation.file(".DS_Store")


@pytest.mark.parametrize(
    "broken", [LIVE / "store.json", LIVE / "manifest.json", ROOT / "CURRENT"], ids=lambda p: p.name
)
def test_the_next_build_heals(files: MemoryFiles, broken: Path) -> None:
    files.scribble(broken, b"rot")
    folder = IndexFolder(ROOT, files)
    with folder.builder() as builder:
        assert builder.degraded is not None
        assert str(broken) in builder.degraded
        assert builder.parent is not None
        assert builder.parent.number == (2 if broken.name == "CURRENT" else 1)
    build(folder, 3)
    assert version_of(folder) == (3, None)


def test_the_next_build_heals_when_nothing_verifies(files: MemoryFiles) -> None:
    files.scribble(LIVE / "store.json", b"rot")
    files.scribble(OLD / "store.json", b"rot")
    folder = IndexFolder(ROOT, files)
    with folder.builder() as builder:
        assert builder.parent is None
        assert builder.degraded is not None
    assert build(folder, 3) == 3
    assert version_of(folder) == (3, None)


# The sweeps themselves: with these defects in the program they have to fail.


def _no_check(self: Generation, hold: object = ()) -> None:
    pass


def _believe(data: bytes, path: Path) -> Any:
    try:
        return json.loads(data)
    except ValueError as error:
        raise IndexDamaged(f"{path}: no JSON") from error


@pytest.mark.parametrize("name", ["vectors.faiss", "CURRENT"])
def test_the_sweep_catches_a_defect(files: MemoryFiles, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "CURRENT":
        monkeypatch.setattr("qa.storage.unseal", _believe)
        monkeypatch.setattr("qa.manifest.unseal", _believe)
        with pytest.raises(AssertionError):
            check_all(files, ROOT / name, False, expected=2)
    else:
        monkeypatch.setattr(Generation, "_check_all", _no_check)
        with pytest.raises(IndexDamaged):  # only when it is read: too late to fall back
            check_all(files, LIVE / name, False, expected=1)
