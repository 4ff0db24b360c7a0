"""The index folder's contracts, by value. What crashes, full disks and rot do to it is under `crash/`."""

import errno
import fcntl
import json
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crash.layers import HookFiles
from qa import __version__
from qa.errors import IndexBusy, IndexDamaged, IndexMismatch, IndexMissing, StorageError
from qa.files import OsFiles, storage_errors
from qa.manifest import FORMAT
from qa.storage import Generation, IndexFolder

GOLDEN = Path(__file__).parent / "storage"


def build(folder: IndexFolder, text: str, **about: Any) -> int:
    with folder.builder() as builder:
        writer = builder.begin()
        writer.write("text", text.encode())
        return writer.commit(about)


def text_of(folder: IndexFolder) -> str:
    with folder.open_current() as generation:
        assert generation.degraded is None
        return generation.read("text").decode()


def tree_of(root: Path) -> dict[str, bytes]:
    """Every file but the leases, which a look at a generation makes."""
    files = (p for p in sorted(root.rglob("*")) if p.is_file() and p.parent.name != "leases")
    return {str(p.relative_to(root)): p.read_bytes() for p in files}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "index"


@pytest.fixture
def folder(root: Path) -> IndexFolder:
    return IndexFolder(root)


# The first build


def test_before_the_first_build(folder: IndexFolder, root: Path) -> None:
    with pytest.raises(IndexMissing, match=f"no index in {root} yet: run `qa index`"):
        folder.open_current()
    with pytest.raises(IndexMissing, match="run `qa index`"):
        folder.rollback()
    with pytest.raises(IndexMissing, match="there are: none"):
        folder.open_generation(1)
    assert folder.generations() == []
    assert folder.current_number() is None
    assert folder.stamp() is None
    assert not root.exists(), "looking makes nothing"


def test_an_empty_folder_is_no_index(folder: IndexFolder, root: Path) -> None:
    root.mkdir()
    with pytest.raises(IndexMissing, match="yet: run"):
        folder.open_current()


def test_first_build(folder: IndexFolder, root: Path) -> None:
    with folder.builder() as builder:
        assert builder.parent is None
        assert builder.degraded is None
        writer = builder.begin()
        assert writer.number == 1
        writer.write("text", b"hello")
        assert writer.read("text") == b"hello"
        assert writer.commit({"articles": 3}) == 1
    assert sorted(p.name for p in root.iterdir()) == ["CURRENT", "LOCK", "gen-000001", "leases"]
    assert sorted(p.name for p in (root / "gen-000001").iterdir()) == ["manifest.json", "text"]
    with folder.open_current() as generation:
        assert generation.number == 1
        assert generation.path == root / "gen-000001"
        assert generation.about == {"articles": 3}
        assert generation.parent is None
        assert generation.program == f"sourceline {__version__}"
        assert generation.names == ("text",)
        assert generation.read("text") == b"hello"
        assert generation.file("text") == root / "gen-000001" / "text"
        assert generation.degraded is None
    assert (folder.current_number(), folder.generations()) == (1, [1])


def test_the_folder_is_the_owners_alone(folder: IndexFolder, root: Path) -> None:
    build(folder, "a")
    for path in (root, root / "gen-000001", root / "leases"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in (root / "CURRENT", root / "gen-000001" / "text", root / "gen-000001" / "manifest.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_pointer_and_manifest_are_plain_json(folder: IndexFolder, root: Path) -> None:
    build(folder, "hello", model="ferry – Fähre")
    manifest = root / "gen-000001" / "manifest.json"
    body = json.loads(manifest.read_bytes())
    assert body["format"] == FORMAT
    assert body["about"] == {"model": "ferry – Fähre"}
    hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert body["files"] == {"text": {"size": 5, "sha256": hello}}
    pointer = json.loads((root / "CURRENT").read_bytes())
    assert (pointer["generation"], pointer["highest"]) == (1, 1)


def test_missing_parents_of_the_folder_are_made(tmp_path: Path) -> None:
    folder = IndexFolder(tmp_path / "a" / "b" / "index")
    build(folder, "x")
    assert text_of(folder) == "x"


# Building on what is there


def test_the_next_build_sees_its_parent_and_takes_files_over(folder: IndexFolder, root: Path) -> None:
    build(folder, "one", n=1)
    with folder.builder() as builder:
        assert builder.parent is not None
        assert builder.parent.about == {"n": 1}
        writer = builder.begin()
        path = writer.copy_from(builder.parent, "text")
        assert path == root / "gen-000002.tmp" / "text" == writer.path("text")
        assert path.read_bytes() == b"one"
        path.write_bytes(b"one and two")
        writer.seal("text")
        assert writer.read("text") == b"one and two"
        assert text_of(folder) == "one", "nothing shows before the commit"
        assert writer.commit({"n": 2}) == 2
    with folder.open_current() as generation:
        assert (generation.number, generation.parent, generation.read("text")) == (2, 1, b"one and two")
    with folder.open_generation(1) as generation:
        assert generation.read("text") == b"one"


def test_copying_checks_what_it_copies(folder: IndexFolder, root: Path) -> None:
    build(folder, "one")
    with folder.builder() as builder:
        assert builder.parent is not None
        (root / "gen-000001" / "text").write_bytes(b"two")
        with pytest.raises(IndexDamaged, match="gen-000001/text"):
            builder.begin().copy_from(builder.parent, "text")


def test_sqlite_writes_its_own_file(folder: IndexFolder) -> None:
    with folder.builder() as builder:
        writer = builder.begin()
        connection = sqlite3.connect(writer.path("catalog.sqlite"))
        connection.execute("CREATE TABLE t (x)")
        connection.execute("INSERT INTO t VALUES ('dam')")
        connection.commit()
        connection.close()
        writer.seal("catalog.sqlite")

        def check(generation: Generation) -> None:
            assert rows(generation.file("catalog.sqlite")) == [("dam",)]

        writer.commit({}, check)
    with folder.open_current() as generation:
        assert rows(generation.file("catalog.sqlite")) == [("dam",)]


def rows(path: Path) -> list[Any]:
    connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    try:
        return connection.execute("SELECT x FROM t").fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "../a", ".hidden", "a\nb", "manifest.json", "x" * 101])
def test_only_plain_names(folder: IndexFolder, name: str) -> None:
    with folder.builder() as builder, pytest.raises(StorageError, match="cannot be the name"):
        builder.begin().write(name, b"")


def test_a_file_is_written_once(folder: IndexFolder) -> None:
    with folder.builder() as builder:
        writer = builder.begin()
        writer.write("text", b"a")
        with pytest.raises(StorageError, match="text: File exists"):
            writer.write("text", b"b")


def test_only_what_was_written_can_be_read_or_sealed(folder: IndexFolder) -> None:
    with folder.builder() as builder:
        writer = builder.begin()
        with pytest.raises(StorageError, match="text: not written yet"):
            writer.read("text")
        with pytest.raises(StorageError, match="text: No such file"):
            writer.seal("text")


def test_what_changes_after_writing_is_noticed(folder: IndexFolder, root: Path) -> None:
    build(folder, "old")
    with folder.builder() as builder:
        writer = builder.begin()
        writer.write("text", b"new")
        writer.path("text").write_bytes(b"bad")
        with pytest.raises(IndexDamaged, match="text: not the bytes"):
            writer.read("text")
        with pytest.raises(IndexDamaged, match="text: not the bytes"):
            writer.commit({})
    assert text_of(folder) == "old"
    assert not (root / "gen-000002.tmp").exists()


def test_a_file_that_was_not_sealed_stops_the_commit(folder: IndexFolder, root: Path) -> None:
    with folder.builder() as builder:
        writer = builder.begin()
        writer.write("text", b"x")
        writer.path("catalog.sqlite-journal").write_bytes(b"x")
        with pytest.raises(StorageError, match="sqlite-journal: was written but never sealed"):
            writer.commit({})
    assert folder.generations() == []


@pytest.mark.parametrize("about", [{"x": {1, 2}}, {"x": float("nan")}, {"x": b"bytes"}])
def test_a_description_that_is_no_json_stops_the_commit(folder: IndexFolder, about: dict[str, Any]) -> None:
    with folder.builder() as builder, pytest.raises(StorageError, match="description of generation 1 is not JSON"):
        builder.begin().commit(about)
    assert folder.generations() == []


@pytest.mark.parametrize("about", [{}, {"z": [1, 2.5, None], "a": {"b": "\ud800 \0 ü"}}, {"10": 1, "9": 2}])
def test_any_json_describes_a_generation(folder: IndexFolder, about: dict[str, Any]) -> None:
    build(folder, "x", **about)
    with folder.open_current() as generation:
        assert generation.about == about


def test_keys_that_are_no_strings_become_strings(folder: IndexFolder) -> None:
    with folder.builder() as builder:
        builder.begin().commit({"counts": {10: 1, 9: 2}})
    with folder.open_current() as generation:
        assert generation.about == {"counts": {"10": 1, "9": 2}}


class Interrupted(BaseException):
    """As KeyboardInterrupt: not an Exception."""


@pytest.mark.parametrize("error", [ValueError("a sentence is off"), IndexDamaged("x"), Interrupted()])
def test_a_failing_self_check_ends_the_build(folder: IndexFolder, root: Path, error: BaseException) -> None:
    build(folder, "old")
    before = tree_of(root)

    def check(generation: Generation) -> None:
        assert generation.read("text") == b"new"
        assert generation.number == 2
        raise error

    with folder.builder() as builder:
        writer = builder.begin()
        writer.write("text", b"new")
        with pytest.raises(type(error)):
            writer.commit({}, check)
    assert tree_of(root) == before


def test_an_error_in_the_builders_block_abandons_the_generation(folder: IndexFolder, root: Path) -> None:
    with pytest.raises(KeyboardInterrupt), folder.builder() as builder:
        builder.begin().write("text", b"x")
        raise KeyboardInterrupt
    assert not list(root.glob("gen-*"))
    assert build(folder, "x") == 1


def test_a_builder_makes_one_generation(folder: IndexFolder, root: Path) -> None:
    with folder.builder() as builder:
        first = builder.begin()
        first.write("text", b"a")
        second = builder.begin()
        assert not (root / "gen-000001.tmp" / "text").exists(), "the first was abandoned"
        with pytest.raises(StorageError, match="committed or abandoned"):
            first.write("more", b"")
        second.commit({})
        for use in (lambda: second.write("more", b""), lambda: second.path("more"), lambda: second.commit({})):
            with pytest.raises(StorageError, match="committed or abandoned"):
                use()
        second.abandon()
        with pytest.raises(StorageError, match="take a new builder"):
            builder.begin()
    assert folder.generations() == [1]


def test_two_generations_are_kept(folder: IndexFolder, root: Path) -> None:
    kept = []
    for text in "abcd":
        build(folder, text)
        kept.append(folder.generations())
    assert kept == [[1], [1, 2], [2, 3], [3, 4]]
    assert text_of(folder) == "d"
    assert sorted(p.name for p in (root / "leases").iterdir()) == ["gen-000003", "gen-000004"]


def test_a_generation_that_is_half_removed_is_not_listed(folder: IndexFolder, root: Path) -> None:
    build(folder, "a"), build(folder, "b")
    seen = []
    slow = IndexFolder(root, HookFiles(OsFiles(), "rmdir", "", lambda: seen.append(folder.generations())))
    build(slow, "c")
    slow = IndexFolder(root, HookFiles(OsFiles(), "unlink", "text", lambda: seen.append(folder.generations())))
    build(slow, "d")
    assert seen == [[2, 3], [3, 4]]


def test_every_byte_and_every_name_is_brought_to_the_disk(
    folder: IndexFolder, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real layer really calls fsync: for each file, its folder, the pointer and the index folder."""
    synced = []
    monkeypatch.setattr("qa.files.os.fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    with folder.builder() as builder:
        writer = builder.begin()
        writer.write("text", b"x")
        writer.path("catalog.sqlite").write_bytes(b"x")
        writer.seal("catalog.sqlite")
        writer.commit({})
    generation = root / "gen-000001"
    names = (generation / "text", generation / "catalog.sqlite", generation / "manifest.json", generation)
    order = [path.stat().st_ino for path in (*names, root, root / "CURRENT", root)]
    assert synced[-len(order) :] == order


def test_what_others_put_into_the_folder_is_left_alone(folder: IndexFolder, root: Path) -> None:
    build(folder, "a")
    others = ("notes.txt", "gen-1", "gen-0000x1", "work.tmp", "gen-000001.bak", "leases/mine")
    for name in others:
        (root / name).write_text(name)
    (root / "gen-000077 (copy)").mkdir()
    build(folder, "b"), build(folder, "c")
    assert text_of(folder) == "c"
    assert folder.generations() == [2, 3]
    assert all((root / name).read_text() == name for name in others)


def test_dead_builds_are_cleared_away_and_their_numbers_passed_over(folder: IndexFolder, root: Path) -> None:
    build(folder, "a")
    (root / "gen-000002.tmp" / "deep").mkdir(parents=True)
    (root / "gen-000002.tmp" / "deep" / "x").write_text("x")
    (root / "gen-000005.tmp").mkdir()
    (root / "CURRENT.tmp").write_text("{")
    shutil.copytree(root / "gen-000001", root / "gen-000007")
    assert text_of(folder) == "a", "a generation that was never live is not looked at"
    with folder.builder() as builder:
        assert sorted(p.name for p in root.glob("*0*")) == ["gen-000001"]
        assert not (root / "CURRENT.tmp").exists()
        assert builder.begin().number == 8


def test_a_generation_that_was_never_live_does_not_stand_in(folder: IndexFolder, root: Path) -> None:
    """Its build was killed before the switch: nobody was promised it."""
    build(folder, "a"), build(folder, "b")
    pointer = (root / "CURRENT").read_bytes()
    build(folder, "c")
    (root / "CURRENT").write_bytes(pointer)
    (root / "gen-000002" / "text").write_bytes(b"rot")
    with pytest.raises(IndexDamaged, match="gen-000002/text.*no other generation can stand in"):
        folder.open_current()


# One builder


def test_two_builders_cannot_work_at_once(folder: IndexFolder, root: Path) -> None:
    with folder.builder():
        for use in (folder.builder().__enter__, IndexFolder(root).builder().__enter__):
            with pytest.raises(IndexBusy, match=f"holds {root / 'LOCK'}"):
                use()
    build(folder, "a")
    with folder.builder(), pytest.raises(IndexBusy, match="another build is running"):
        IndexFolder(root).rollback()
    assert text_of(folder) == "a"


# Readers


def test_a_reader_keeps_its_generation(folder: IndexFolder) -> None:
    build(folder, "a")
    pinned = folder.open_current()
    for text in "bcd":
        build(folder, text)
    assert folder.generations() == [1, 3, 4]
    assert pinned.read("text") == b"a"
    pinned.verify()
    pinned.close()
    pinned.close()
    build(folder, "e")
    assert folder.generations() == [4, 5]


def test_two_readers_of_one_generation(folder: IndexFolder) -> None:
    build(folder, "a")
    first, second = folder.open_current(), folder.open_current()
    first.close()
    for text in "bcd":
        build(folder, text)
    assert folder.generations() == [1, 3, 4]
    assert second.read("text") == b"a"
    second.close()


def test_a_build_that_collects_between_the_pointer_and_the_lease(folder: IndexFolder, root: Path) -> None:
    """The reader has read CURRENT and sleeps; when it wakes up, that generation is gone."""
    build(folder, "a")

    def meanwhile() -> None:
        build(folder, "b"), build(folder, "c")

    slow = IndexFolder(root, HookFiles(OsFiles(), "lock", "gen-000001", meanwhile))
    assert text_of(slow) == "c"
    build(folder, "d")
    assert not (root / "leases" / "gen-000001").exists(), "the lease that came too late is cleared away"


@pytest.mark.parametrize(("op", "name"), [("open", "manifest.json"), ("open", "text")])
def test_a_build_that_collects_after_the_lease(folder: IndexFolder, root: Path, op: str, name: str) -> None:
    build(folder, "a")

    def meanwhile() -> None:
        build(folder, "b"), build(folder, "c")

    slow = IndexFolder(root, HookFiles(OsFiles(), op, name, meanwhile))
    with slow.open_current() as generation:
        assert (generation.number, generation.read("text")) == (1, b"a")


def test_a_lease_on_a_file_that_was_removed_meanwhile_is_none(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root.mkdir()
    path = root / "lease"
    flock = fcntl.flock

    def removed_first(handle: int, how: int) -> None:
        path.unlink()
        flock(handle, how)

    monkeypatch.setattr("qa.files.fcntl.flock", removed_first)
    assert OsFiles().lock(path, exclusive=False) is None


def test_a_generation_that_is_being_removed_cannot_be_opened(folder: IndexFolder, root: Path) -> None:
    build(folder, "a"), build(folder, "b")
    lock = OsFiles().lock(root / "leases" / "gen-000001", exclusive=True)
    assert lock is not None
    with pytest.raises(IndexDamaged, match="gen-000001: the generation is being removed"):
        folder.open_generation(1)
    OsFiles().unlock(lock)
    folder.open_generation(1).close()


def test_a_copied_folder_opens_without_leases_and_lock(folder: IndexFolder, root: Path, tmp_path: Path) -> None:
    build(folder, "a")
    shutil.copytree(root, tmp_path / "copy", ignore=shutil.ignore_patterns("leases", "LOCK"))
    assert text_of(IndexFolder(tmp_path / "copy")) == "a"


def test_files_that_are_not_in_the_generation(folder: IndexFolder) -> None:
    build(folder, "a")
    with folder.open_current() as generation:
        for name in ("vectors.faiss", "manifest.json", "../CURRENT"):
            with pytest.raises(IndexDamaged, match="generation 1 has no such file"):
                generation.read(name)


def test_without_a_pointer_the_newest_generation_stands_in(folder: IndexFolder, root: Path) -> None:
    build(folder, "a"), build(folder, "b")
    (root / "CURRENT").unlink()
    assert folder.current_number() is None
    with folder.open_current() as generation:
        assert generation.read("text") == b"b"
        assert generation.degraded == f"{root / 'CURRENT'} is missing"
    assert build(folder, "c") == 3
    assert text_of(folder) == "c"


def test_a_damaged_pointer_is_named(folder: IndexFolder, root: Path) -> None:
    build(folder, "a")
    (root / "CURRENT").write_text('{"generation": 1}')
    with pytest.raises(IndexDamaged, match="CURRENT: not the bytes that were written"):
        folder.current_number()
    assert folder.stamp() is not None


def test_stamp_differs_after_every_switch(folder: IndexFolder, root: Path) -> None:
    """Also where inodes are used again and the clock stands still."""
    stamps = set()
    for text in "abcdef":
        build(folder, text)
        os.utime(root / "CURRENT", ns=(0, 0))
        stamp = folder.stamp()
        assert stamp == folder.stamp()
        stamps.add(stamp)
    folder.rollback()
    stamps.add(folder.stamp())
    assert len(stamps) == 7


# Rolling back


def test_rollback_and_the_builds_after_it(folder: IndexFolder) -> None:
    for text in "abc":
        build(folder, text)
    assert folder.rollback() == 2
    assert (text_of(folder), folder.current_number(), folder.generations()) == ("b", 2, [2, 3])
    with pytest.raises(IndexMissing, match="no earlier generation"):
        folder.rollback()
    assert build(folder, "d") == 4, "3 is not given out a second time"
    with folder.open_current() as generation:
        assert generation.parent == 2
    assert folder.generations() == [2, 4], "what was rolled back is garbage, not what is gone back to"
    assert folder.rollback() == 2


def test_rollback_to_a_number_and_forward_again(folder: IndexFolder) -> None:
    build(folder, "a"), build(folder, "b")
    assert folder.rollback(1) == 1
    assert text_of(folder) == "a"
    assert folder.rollback(2) == 2
    assert text_of(folder) == "b"
    assert folder.rollback(2) == 2
    with pytest.raises(IndexMissing, match="no generation 7 in .*; there are: 1, 2"):
        folder.rollback(7)


def test_rollback_goes_only_to_what_verifies(folder: IndexFolder, root: Path) -> None:
    build(folder, "a"), build(folder, "b")
    (root / "gen-000001" / "text").write_bytes(b"rot")
    with pytest.raises(IndexDamaged, match="gen-000001/text"):
        folder.rollback(1)
    with pytest.raises(IndexMissing, match="run `qa index --full`"):
        folder.rollback()
    assert text_of(folder) == "b"


@pytest.mark.parametrize(
    ("broken", "number"), [("CURRENT", 2), ("gen-000002/text", 1), ("gen-000002/manifest.json", 1)]
)
def test_rollback_is_the_way_out_of_damage(folder: IndexFolder, root: Path, broken: str, number: int) -> None:
    build(folder, "a"), build(folder, "b")
    (root / broken).write_bytes(b"rot")
    assert folder.rollback() == number
    assert text_of(folder) == {1: "a", 2: "b"}[number]


def test_rollback_is_no_victim_of_a_pinned_line(folder: IndexFolder) -> None:
    """The generation that the live one was built from comes before a newer one that somebody still reads."""
    for text in "abc":
        build(folder, text)
    folder.rollback()
    with folder.open_generation(3):
        build(folder, "d")
        assert folder.generations() == [2, 3, 4]
        assert folder.rollback() == 2


def test_a_failed_build_after_a_rollback_removes_nothing(folder: IndexFolder) -> None:
    build(folder, "a"), build(folder, "b")
    folder.rollback()
    with folder.builder() as builder:
        builder.begin()
    assert folder.rollback(2) == 2
    assert text_of(folder) == "b"


# Formats (T18)


def from_the_future(folder: IndexFolder, text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qa.storage.FORMAT", FORMAT + 1)
        patch.setattr("qa.manifest.FORMAT", FORMAT + 1)
        patch.setattr("qa.storage.__version__", "9.9")
        build(folder, text)


def test_a_format_from_the_future_is_refused_and_left_alone(folder: IndexFolder, root: Path) -> None:
    from_the_future(folder, "new")
    before = tree_of(root)
    for use in (folder.open_current, lambda: folder.open_generation(1), folder.builder().__enter__):
        with pytest.raises(
            IndexMismatch, match=f"sourceline 9.9 in format {FORMAT + 1}; this program reads format {FORMAT}"
        ):
            use()
    assert tree_of(root) == before
    with pytest.raises(IndexMismatch, match=r"9\.9"):
        folder.rollback(1)


def damaged(folder: IndexFolder) -> Generation:
    raise IndexDamaged("nothing verifies")


def test_a_format_from_the_future_cannot_stand_in(folder: IndexFolder, root: Path) -> None:
    from_the_future(folder, "new")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(IndexFolder, "open_current", damaged)
        build(folder, "old")
    assert text_of(folder) == "old"
    (root / "gen-000002" / "text").write_bytes(b"rot")
    with pytest.raises(IndexDamaged, match="no other generation can stand in"):
        folder.open_current()
    with pytest.raises(IndexMissing, match="no earlier generation"):
        folder.rollback()


def test_every_format_that_was_ever_written_still_opens(tmp_path: Path) -> None:
    golden = sorted(path for path in GOLDEN.iterdir() if path.is_dir())
    assert [path.name for path in golden] == ["format-1"]
    for path in golden:
        shutil.copytree(path, tmp_path / path.name)
        folder = IndexFolder(tmp_path / path.name)
        assert folder.generations() == [1, 2]
        with folder.open_current() as generation:
            assert (generation.number, generation.parent, generation.degraded) == (2, 1, None)
            assert generation.created_at == "2026-01-02T03:04:05+00:00"
            assert generation.about == {"articles": 2, "model": "none"}
            assert generation.read("text") == b"The dam held. The ferry did not sail.\n"
        assert folder.rollback() == 1
        assert text_of(folder) == "The dam held.\n"


# Clocks (T19)


@pytest.mark.parametrize(
    "step", [timedelta(0), timedelta(days=3650), timedelta(days=-3650)], ids=["frozen", "forward", "backward"]
)
def test_the_clock_is_information_only(root: Path, step: timedelta) -> None:
    now = [datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)]

    def clock() -> datetime:
        now[0] += step
        return now[0]

    folder = IndexFolder(root, clock=clock)
    for number, text in enumerate("abc", 1):
        assert build(folder, text) == number
        assert text_of(folder) == text
        with folder.open_current() as generation:
            assert generation.created_at == now[0].isoformat()
    assert folder.generations() == [2, 3]
    assert folder.rollback() == 2


# Errors of the system


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, r"x/y: No space left on device \(ENOSPC\): free some space"),
        (errno.EMFILE, r"\(EMFILE\): too few open files"),
        (errno.EROFS, r"\(EROFS\): the file system is mounted read-only"),
        (errno.ENAMETOOLONG, r"x/y: File name too long \(ENAMETOOLONG\)$"),
        (None, r"x/y: Input/output error \(EIO\)$"),
    ],
)
def test_errors_name_path_cause_and_way_out(code: int | None, message: str) -> None:
    error = OSError(code, "whatever") if code else OSError("no number")
    with pytest.raises(StorageError, match=message) as caught, storage_errors(Path("x/y")):
        raise error
    assert caught.value.__cause__ is error


def failing(op: str, suffix: str, code: int) -> OsFiles:
    class Failing(OsFiles):
        pass

    def fail(self: OsFiles, path: Path, *args: Any, **named: Any) -> Any:
        if str(path).endswith(suffix):
            raise OSError(code, os.strerror(code))
        return getattr(super(Failing, self), op)(path, *args, **named)

    setattr(Failing, op, fail)
    return Failing()


@pytest.mark.parametrize(
    ("op", "suffix", "use"),
    [
        ("listdir", "index", IndexFolder.generations),
        ("identity", "CURRENT", IndexFolder.stamp),
        ("open", "CURRENT", IndexFolder.current_number),
        ("open", "CURRENT", IndexFolder.open_current),
        ("lock", "LOCK", lambda folder: build(folder, "x")),
        ("sync_folder", "index", lambda folder: build(folder, "x")),
        ("lock", "gen-000001", IndexFolder.open_current),
    ],
)
def test_an_error_of_the_system_is_no_damage(
    folder: IndexFolder, root: Path, op: str, suffix: str, use: Callable[..., Any]
) -> None:
    build(folder, "a")
    with pytest.raises(StorageError, match="Too many open files"):
        use(IndexFolder(root, failing(op, suffix, errno.EMFILE)))
    assert text_of(folder) == "a"


def test_garbage_that_cannot_be_removed_is_no_obstacle(
    folder: IndexFolder, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stubborn = IndexFolder(root, failing("unlink", "text", errno.EACCES))
    for text in "abcd":
        build(stubborn, text)
    assert text_of(folder) == "d"
    assert "gen-000001: could not be removed" in caplog.text
    (root / "gen-000009.tmp").mkdir()
    (root / "gen-000009.tmp" / "text").write_text("x")
    assert build(stubborn, "e") == 10
    assert build(folder, "f") == 11
    assert sorted(p.name for p in root.glob("gen-*")) == ["gen-000010", "gen-000011"]


def test_what_must_be_there_in_a_manifest(folder: IndexFolder, root: Path) -> None:
    """Hashes that fit do not help a manifest that lacks its keys or names a file elsewhere."""
    from qa.manifest import seal

    build(folder, "a")
    (root / "CURRENT").unlink()
    path = root / "gen-000001" / "manifest.json"
    body = {key: value for key, value in json.loads(path.read_bytes()).items() if key != "sha256"}
    listed = body["files"]["text"]
    for wrong in (
        {**body, "files": None},
        {**body, "files": {"../text": listed}},
        {**body, "generation": 2},
        {"format": 1},
    ):
        path.write_bytes(seal(wrong))
        with pytest.raises(IndexDamaged, match="manifest.json"):
            folder.open_generation(1)
    path.write_bytes(seal(body))
    folder.open_generation(1).close()
