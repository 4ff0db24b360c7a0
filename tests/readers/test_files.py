from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import pytest

from qa.errors import ReaderError
from qa.readers import SourceFile, load_file, read_file, scan_corpus
from qa.readers import files as files_module

STORY = "Bridge reopens\n\nTraffic flows again.\n"


def put(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(STORY, encoding="utf-8")


def source_of(root: Path, name: str) -> SourceFile:
    return next(file for file in scan_corpus(root).files if file.path == name)


def test_scan_lists_articles_in_stable_order(tmp_path: Path) -> None:
    put(tmp_path, "b.txt", "a/z.md", "a/é.HTML", "a-b/x.json", "B.jsonl", "notes.docx", "a/README.md", "photo")
    scan = scan_corpus(tmp_path)
    assert [file.path for file in scan.files] == ["B.jsonl", "a-b/x.json", "a/README.md", "a/z.md", "a/é.HTML", "b.txt"]
    assert scan.ignored == ("notes.docx", "photo")
    assert scan.problems == ()
    assert scan.files[0].size == len(STORY)
    assert scan == scan_corpus(tmp_path)


def test_unfinished_and_hidden_files_are_skipped(tmp_path: Path) -> None:
    put(tmp_path, ".a.txt", "a.txt~", "~$a.md", "a.txt.tmp", "b.PART", ".git/a.txt", "README.md", "a.json.part")
    scan = scan_corpus(tmp_path)
    assert scan.files == scan.ignored == scan.problems == ()


def test_an_empty_folder_is_no_error(tmp_path: Path) -> None:
    assert scan_corpus(tmp_path).files == ()


@pytest.mark.parametrize("name", ["nowhere", "file.txt"])
def test_a_missing_folder_names_the_way_out(tmp_path: Path, name: str) -> None:
    put(tmp_path, "file.txt")
    with pytest.raises(ReaderError, match=rf"{name}: no such corpus folder; set paths\.corpus.*QA_PATHS__CORPUS"):
        scan_corpus(tmp_path / name)
    with pytest.raises(ReaderError, match="no such corpus folder"):
        load_file(tmp_path / name, SourceFile("a.txt", 1, 1, 1))


def test_links_are_reported_and_never_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    root = tmp_path / "corpus"
    put(outside, "secret.txt")
    put(root, "a.txt")
    (root / "link.txt").symlink_to(outside / "secret.txt")
    (root / "folder").symlink_to(outside)
    (root / "loop").symlink_to(root)
    (root / "gone.txt").symlink_to(root / "nothing.txt")
    scan = scan_corpus(root)
    assert [file.path for file in scan.files] == ["a.txt"]
    assert [problem.path for problem in scan.problems] == ["folder", "gone.txt", "link.txt", "loop"]
    assert all("links are not followed" in problem.reason for problem in scan.problems)
    for path in ("link.txt", "folder/secret.txt", "loop/a.txt"):
        with pytest.raises(ReaderError, match=r"link, and links are not followed|cannot be opened: not a directory"):
            load_file(root, SourceFile(path, 1, 1, 1))


@pytest.mark.parametrize("path", ["../outside.txt", "a/../../outside.txt", "/etc/hostname", ""])
def test_paths_out_of_the_folder_are_refused(tmp_path: Path, path: str) -> None:
    put(tmp_path, "outside.txt", "corpus/a.txt")
    with pytest.raises(ReaderError, match="outside the corpus"):
        load_file(tmp_path / "corpus", SourceFile(path, 1, 1, 1))


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    put(tmp_path / "real", "a.txt")
    (tmp_path / "corpus").symlink_to(tmp_path / "real")
    assert read_file(tmp_path / "corpus", source_of(tmp_path / "corpus", "a.txt")).articles[0].title == "Bridge reopens"


def test_swapping_in_a_link_between_scan_and_read_leads_nowhere(tmp_path: Path) -> None:
    put(tmp_path, "outside/a.txt", "corpus/desk/a.txt")
    root = tmp_path / "corpus"
    source = source_of(root, "desk/a.txt")
    (root / "desk").rename(root / "old")
    (root / "desk").symlink_to(tmp_path / "outside")
    with pytest.raises(ReaderError, match=r"desk/a\.txt: "):
        load_file(root, source)


def test_pipes_and_sockets_do_not_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # Socket addresses are short.
    os.mkfifo("pipe.txt")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.md")
        scan = scan_corpus(tmp_path)
        assert scan.files == ()
        assert [problem.reason for problem in scan.problems] == ["not a regular file"] * 2
        for name in ("pipe.txt", "socket.md"):
            with pytest.raises(ReaderError, match=r"not a regular file|cannot be opened"):
                load_file(tmp_path, SourceFile(name, 0, 0, 0))
    with pytest.raises(ReaderError, match=r"not a regular file"):
        (tmp_path / "folder.txt").mkdir()
        load_file(tmp_path, SourceFile("folder.txt", 0, 0, 0))


def test_names_that_cannot_be_shown_are_reported(tmp_path: Path) -> None:
    put(tmp_path, "a\nb.txt", "c\x1b[31m.txt")
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text(STORY)
    scan = scan_corpus(tmp_path)
    assert scan.files == ()
    assert [problem.path for problem in scan.problems] == [r"a\nb.txt", r"c\x1b[31m.txt", r"caf\udce9.txt"]
    assert all("rename it" in str(problem) for problem in scan.problems)


def test_large_file_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "big.txt").open("wb") as file:
        file.truncate(10**12)
    monkeypatch.setattr(files_module, "_read", lambda *_: pytest.fail("it was read"))
    with pytest.raises(ReaderError, match=r"big\.txt: larger than 50,000,000 bytes \(1,000,000,000,000\)"):
        load_file(tmp_path, source_of(tmp_path, "big.txt"))


def test_unreadable_entries_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a.txt", "closed/b.txt")
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    scan = scan_corpus(tmp_path)
    assert [file.path for file in scan.files] == ["a.txt"]
    assert str(scan.problems[0]) == "closed: the folder cannot be listed: permission denied"


def test_vanished_file_is_an_error(tmp_path: Path) -> None:
    put(tmp_path, "a.txt")
    source = source_of(tmp_path, "a.txt")
    (tmp_path / "a.txt").unlink()
    with pytest.raises(ReaderError, match=r"a\.txt: cannot be opened: no such file"):
        load_file(tmp_path, source)


def test_file_written_in_place_since_the_scan_waits(tmp_path: Path) -> None:
    put(tmp_path, "a.txt")
    source = source_of(tmp_path, "a.txt")
    with (tmp_path / "a.txt").open("a") as file:
        file.write("More to come")
    with pytest.raises(ReaderError, match="changed while it was being read; it is read again at the next build"):
        load_file(tmp_path, source)


def test_file_put_in_place_since_the_scan_is_read(tmp_path: Path) -> None:
    put(tmp_path, "a.txt")
    source = source_of(tmp_path, "a.txt")
    (tmp_path / "new.tmp").write_text("Another story")
    (tmp_path / "new.tmp").replace(tmp_path / "a.txt")
    assert load_file(tmp_path, source) == b"Another story"


@pytest.mark.parametrize("change", ["append", "truncate", "overwrite"])
def test_file_changed_during_the_read_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    put(tmp_path, "a.txt")
    source = source_of(tmp_path, "a.txt")
    read = os.read

    def meddle(descriptor: int, count: int) -> bytes:
        block = read(descriptor, count)
        if not block:
            time.sleep(0.01)  # Clocks of file systems tick in steps.
            mode = {"append": "a", "truncate": "w", "overwrite": "r+"}[change]
            with (tmp_path / "a.txt").open(mode) as file:
                file.write("" if change == "truncate" else "X")
        return block

    monkeypatch.setattr(os, "read", meddle)
    with pytest.raises(ReaderError, match="changed while it was being read"):
        load_file(tmp_path, source)


def test_no_half_article_from_a_writer_in_place(tmp_path: Path) -> None:
    """A writer that rewrites one file again and again: what is read is always one of its versions, whole."""
    path = tmp_path / "a.txt"
    path.write_text("0" * 5000)
    stop = threading.Event()

    def write() -> None:
        version = 0
        while not stop.is_set():
            version = (version + 1) % 10
            path.write_text(str(version) * 5000)
            time.sleep(0.0005)

    writer = threading.Thread(target=write)
    writer.start()
    whole = 0
    try:
        for _ in range(300):
            try:
                data = load_file(tmp_path, source_of(tmp_path, "a.txt"))
            except ReaderError as error:
                assert "changed while" in str(error)
                continue
            # An empty file is a state that the writer really leaves for a moment; no reader can know better.
            assert data == b"" or (len(data) == 5000 and len(set(data)) == 1)
            whole += 1
    finally:
        stop.set()
        writer.join()
    assert whole
