"""What goes wrong in practice, through the real command: a clear error, and the last good generation answers on."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from commands import Result, call, furnish
from qa import index as building
from qa.manifest import seal

QUESTION = "How many passengers had booked the ferry?"
FIRST, SECOND = "1,200", "1,300"
"""What the articles say to the question in generation 1 and 2."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A furnished folder with two generations."""
    folder = furnish(tmp_path_factory.mktemp("built"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert call("index").code == 0
        change(folder)
        assert call("index").code == 0
    return folder


@pytest.fixture
def home(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: settings, the small corpus and an index with two generations."""
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory without an index."""
    monkeypatch.chdir(tmp_path)
    return furnish(tmp_path)


def change(folder: Path) -> None:
    ferry = folder / "corpus" / "ferry.txt"
    ferry.write_text(ferry.read_text().replace(FIRST, SECOND))


def one_error(result: Result, code: int, *parts: str) -> None:
    assert (result.code, result.out) == (code, ""), result
    assert result.err.startswith("error: ")
    assert len(result.err.splitlines()) == 1
    for part in parts:
        assert part in result.err


def generations(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "index").glob("gen-*"))


# Files that are no articles


def sparse(path: Path, size: int) -> None:
    path.touch()
    os.truncate(path, size)


BAD_FILES: dict[str, Callable[[Path], object]] = {
    "empty.txt": lambda path: path.touch(),
    "blank.md": lambda path: path.write_text(" \n\n\t\n"),
    "binary.txt": lambda path: path.write_bytes(bytes(range(256)) * 40),
    "picture.html": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 90),
    "zeros.json": lambda path: sparse(path, 50_000_000),
    "huge.txt": lambda path: sparse(path, 50_000_001),
    "truncated.json": lambda path: path.write_text('[{"title": "Bridge opens", "text": "The canal bri'),
    "deep.json": lambda path: path.write_text("[" * 200_000),
    "number.json": lambda path: path.write_text("17"),
    "wordless.jsonl": lambda path: path.write_text('{"title": "Bridge opens"}\n'),
    "pipe.txt": lambda path: os.mkfifo(path),
    "link.txt": lambda path: path.symlink_to("ferry.txt"),
    "loop": lambda path: path.symlink_to("."),
}


def test_bad_files_are_each_named_and_cost_nothing_else(bare: Path) -> None:
    for name, make in BAD_FILES.items():
        make(bare / "corpus" / name)
    result = call("index")
    assert result.code == 5
    failed = [line for line in result.err.splitlines() if line.startswith("failed: ")]
    assert sorted(line.removeprefix("failed: ").partition(":")[0] for line in failed) == sorted(BAD_FILES)
    reasons = dict(line.removeprefix("failed: ").split(": ", 1) for line in failed)
    assert reasons["huge.txt"] == "larger than 50,000,000 bytes (50,000,001)"
    assert reasons["binary.txt"] == reasons["zeros.json"] == "binary file, not text"
    assert "links are not followed" in reasons["link.txt"]
    assert f"6 added, 0 changed, 0 removed, 0 unchanged, {len(BAD_FILES)} failed" in result.out
    assert FIRST in call("ask", QUESTION).out
    again = call("index")
    assert again.code == 5
    assert "generation 1 is up to date" in again.out


def test_a_bad_record_costs_that_record(bare: Path) -> None:
    good = json.dumps({"title": "Bridge opens", "text": "The canal bridge at Lindau opened on Sunday."})
    (bare / "corpus" / "many.jsonl").write_text(f'{{"torn\n{good}\n[]\n')
    result = call("index")
    assert result.code == 5
    assert [line.split(":")[1:3] for line in result.err.splitlines()] == [[" many.jsonl", "1"], [" many.jsonl", "3"]]
    assert "Lindau" in call("ask", "Where did the canal bridge open?").out


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-8-sig", "cp1252"])
def test_an_unusual_encoding_is_read(bare: Path, encoding: str) -> None:
    text = "Café in Zürich reopens\n\nThe café “Zum Bären” in Zürich reopened on Sunday after eleven years.\n"
    if encoding == "latin-1":
        text = text.replace("“", '"').replace("”", '"')
    (bare / "corpus" / "cafe.txt").write_bytes(text.encode(encoding))
    assert call("index").code == 0
    assert "in Zürich reopened on Sunday" in call("ask", "When did the café in Zürich reopen?").out


def test_copies_are_indexed_once_and_named(bare: Path) -> None:
    for number in range(3):
        shutil.copy(bare / "corpus" / "police.json", bare / "corpus" / f"police-{number}.json")
    result = call("index")
    assert result.code == 0
    assert "6 articles" in result.out
    assert result.err.count("the same article stands in") == 3


def test_a_corpus_that_vanishes_while_it_is_read_costs_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = building.load_file

    def vanish(root: Path, source: object) -> bytes:
        shutil.rmtree(root, ignore_errors=True)
        return load(root, source)  # type: ignore[arg-type]

    monkeypatch.setattr(building, "load_file", vanish)
    result = call("index")
    assert result.code in (1, 5), result
    assert "corpus" in result.err
    assert SECOND in call("ask", QUESTION).out


# A disk that is full


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """No file may grow beyond `limit` bytes: the system's way to refuse writing that needs no disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def largest_file(folder: Path) -> int:
    return max(path.stat().st_size for path in (folder / "index" / "gen-000002").iterdir())


@pytest.mark.parametrize("limit", [0, 1, 100, 1_000, 10_000, 30_000])
@pytest.mark.parametrize("more", [False, True], ids=["bytes", "bytes more than the largest file"])
def test_a_disk_that_is_full_while_building(home: Path, limit: int, more: bool) -> None:
    change_again = (home / "corpus" / "ferry.txt").read_text().replace(SECOND, "1,400")
    (home / "corpus" / "ferry.txt").write_text(change_again)
    (home / "corpus" / "long.txt").write_text("Minutes\n\n" + "The council met again at noon.\n\n" * 9_000)
    with full_disk(limit + more * largest_file(home)):
        result = call("index")
        one_error(result, 1, "index/gen-000003" if limit else "index/")
        assert SECOND in call("ask", QUESTION).out
    assert generations(home) == ["gen-000001", "gen-000002"], "nothing is left behind"
    assert call("index").code == 0
    assert "1,400" in call("ask", QUESTION).out


@pytest.mark.parametrize("limit", [0, 1, 1_000, 10_000])
def test_a_disk_that_is_full_while_building_for_the_first_time(bare: Path, limit: int) -> None:
    with full_disk(limit):
        one_error(call("index"), 1, "index/")
        one_error(call("ask", QUESTION), 4, "run `qa index`")
    assert call("index").code == 0
    assert FIRST in call("ask", QUESTION).out


# A folder that may not be written or read


@pytest.fixture
def nobody(home: Path) -> Iterator[Callable[..., Result]]:
    """Call the command without the right to write, or to read, what belongs to somebody else."""
    folder = Path(tempfile.mkdtemp())
    shutil.copytree(home, folder, dirs_exist_ok=True)
    call("ask", QUESTION)  # imports what the call below needs

    def run(mode: int, *args: str) -> Result:
        paths = [folder / "index", *(folder / "index").rglob("*")]
        for path in paths:
            path.chmod(mode if path.is_dir() else mode & 0o444)
        folder.chmod(0o755)
        os.chdir(folder)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            return call(*args)
        finally:
            if root:
                os.seteuid(0)
            for path in paths:
                path.chmod(0o700 if path.is_dir() else 0o600)

    yield run
    shutil.rmtree(folder)


def test_a_read_only_index_answers(nobody: Callable[..., Result]) -> None:
    answer = nobody(0o555, "ask", QUESTION)
    assert (answer.code, answer.err) == (0, "")
    assert SECOND in answer.out
    one_error(nobody(0o555, "index"), 1, "index", "check who owns the folder")
    one_error(nobody(0o555, "rollback"), 1, "index", "check who owns the folder")


def test_an_index_that_may_not_be_read(nobody: Callable[..., Result]) -> None:
    for verb in (["ask", QUESTION], ["verify"], ["index"]):
        one_error(nobody(0o000, *verb), 1, "index", "EACCES", "check who owns the folder")


def test_an_index_path_that_is_a_file(bare: Path) -> None:
    (bare / "index").write_text("not a folder")
    one_error(call("index"), 1, "index", "ENOTDIR")
    assert call("ask", QUESTION).code != 0
    assert (bare / "index").read_text() == "not a folder"


# An index that is damaged

DAMAGE: dict[str, Callable[[Path], object]] = {
    "flipped": lambda path: path.write_bytes(flip(path.read_bytes())),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "grown": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "emptied": lambda path: path.write_bytes(b""),
    "removed": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


def flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def index_files(folder: Path) -> list[Path]:
    return sorted((folder / "index" / "gen-000002").iterdir())


@pytest.mark.parametrize("kind", DAMAGE)
def test_any_damaged_file_is_named_and_the_generation_before_answers(home: Path, kind: str) -> None:
    names = [path.name for path in index_files(home)]
    assert {"catalog.sqlite", "manifest.json"} < set(names)
    whole = home / "whole"
    (home / "index").rename(whole)
    for name in names:
        shutil.copytree(whole, home / "index")
        DAMAGE[kind](home / "index" / "gen-000002" / name)
        answer = call("ask", QUESTION)
        assert (answer.code, FIRST in answer.out) == (0, True), f"{name} {kind}: {answer}"
        assert f"gen-000002/{name}" in answer.err
        assert "generation 1 answers" in answer.err
        checked = call("verify")
        assert (checked.code, f"gen-000002/{name}" in checked.err) == (6, True), f"{name} {kind}: {checked}"
        shutil.rmtree(home / "index")


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_pointer_is_named_and_the_newest_generation_answers(home: Path, kind: str) -> None:
    DAMAGE[kind](home / "index" / "CURRENT")
    answer = call("ask", QUESTION)
    assert (answer.code, SECOND in answer.out) == (0, True)
    assert answer.err.startswith("degraded: ")
    assert "CURRENT" in answer.err
    repaired = call("index", "--full")
    if kind == "a folder":  # nothing that a rename can replace
        assert (repaired.code, len(repaired.err.splitlines())) == (1, 1)
    else:
        assert repaired.code == 0
        assert call("ask", QUESTION).err == ""


def test_with_every_generation_damaged_a_rebuild_is_the_way_out(home: Path) -> None:
    for path in (home / "index").glob("gen-*/catalog.sqlite"):
        DAMAGE["flipped"](path)
    one_error(call("ask", QUESTION), 6, "catalog.sqlite", "run `qa index --full`")
    one_error(call("verify"), 6, "catalog.sqlite", "run `qa index --full`")
    assert call("index").code == 0
    assert SECOND in call("ask", QUESTION).out


def test_a_format_from_the_future_is_left_alone(home: Path) -> None:
    manifest = home / "index" / "gen-000002" / "manifest.json"
    body = {**json.loads(manifest.read_text()), "format": 99, "program": "sourceline 9.9"}
    del body["sha256"]
    manifest.write_bytes(seal(body))
    pointer = home / "index" / "CURRENT"
    current = json.loads(pointer.read_text())
    del current["sha256"]
    digest = building.hashlib.sha256(manifest.read_bytes()).hexdigest()
    pointer.write_bytes(seal({**current, "manifest_sha256": digest}))
    for verb in (["ask", QUESTION], ["verify"], ["index"], ["index", "--full"]):
        one_error(call(*verb), 4, "sourceline 9.9", "format 99")
    assert call("rollback", "--to", "1").code == 0
    assert FIRST in call("ask", QUESTION).out


# Questions that nobody should ask

QUESTIONS = {
    "100,000 characters": ("why " * 25_000, 2),
    "punctuation": ("?!… —— (“”)", 2),
    "emoji": ("🛳️🛳️🛳️", 2),
    "controls": ("\x01\x02\x1b[\x07", 2),
    "direction": ("\u202e\u2066\u200f", 2),
    "Chinese": ("渡轮有多少乘客预订?", None),
    "Arabic": ("كم عدد الركاب الذين حجزوا العبّارة؟", None),
    "Thai": ("มีผู้โดยสารกี่คนจองเรือเฟอร์รี่", None),
    "marks": ("e" + "\u0301" * 1_900, None),
    "one word": ("a" * 2_000, None),
    "SQL": ("'; DROP TABLE articles; --", None),
    "an option": ("--help me --json", None),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_any_question_gets_an_answer_a_refusal_or_not_found(home: Path, name: str) -> None:
    question, code = QUESTIONS[name]
    for verb in ("ask", "search"):
        result = call(verb, "--", question)
        assert result.code in ((0, 3) if code is None else (code,)), result
        if result.code == 2:
            one_error(result, 2, "the question")
    assert SECOND in call("ask", QUESTION).out
