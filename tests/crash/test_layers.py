"""The layer in memory keeps the rules of the real one: the same calls, the same results and errors."""

from pathlib import Path
from typing import Any

import pytest

from qa.files import OsFiles, read_file, remove_tree, write_file

from .layers import MemoryFiles


@pytest.fixture(params=["os", "memory"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return OsFiles() if request.param == "os" else MemoryFiles(tmp_path)


def test_files_are_written_read_renamed_and_removed(files: Any, tmp_path: Path) -> None:
    files.mkdir(tmp_path / "a")
    write_file(files, tmp_path / "a" / "x", b"hello")
    assert read_file(files, tmp_path / "a" / "x", 5) == b"hello"
    assert read_file(files, tmp_path / "a" / "x", 2) == b"hel", "one byte more than asked for shows that it grew"
    files.replace(tmp_path / "a" / "x", tmp_path / "a" / "y")
    assert files.listdir(tmp_path / "a") == ["y"]
    assert files.identity(tmp_path / "a" / "y")[2] == 5
    files.mkdir(tmp_path / "a" / "deep")
    write_file(files, tmp_path / "a" / "deep" / "z", b"")
    files.replace(tmp_path / "a", tmp_path / "b")
    assert files.identity(tmp_path / "a") is None
    assert files.identity(tmp_path / "b" / "y" / "below a file") is None
    remove_tree(files, tmp_path / "b")
    assert files.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("op", "name", "error"),
    [
        ("open", "none", FileNotFoundError),
        ("open", "full", OSError),
        ("open", "file/x", NotADirectoryError),
        ("create", "file", FileExistsError),
        ("create", "none/x", FileNotFoundError),
        ("mkdir", "full", FileExistsError),
        ("unlink", "none", FileNotFoundError),
        ("unlink", "full", IsADirectoryError),
        ("rmdir", "full", OSError),
        ("rmdir", "none", FileNotFoundError),
        ("listdir", "none", FileNotFoundError),
        ("listdir", "file", NotADirectoryError),
        ("sync_folder", "none", FileNotFoundError),
    ],
)
def test_errors_are_the_same(files: Any, tmp_path: Path, op: str, name: str, error: type[OSError]) -> None:
    files.mkdir(tmp_path / "full")
    write_file(files, tmp_path / "full" / "x", b"")
    write_file(files, tmp_path / "file", b"")
    with pytest.raises(error):
        getattr(files, op)(tmp_path / name)


def test_a_folder_replaces_an_empty_folder_only(files: Any, tmp_path: Path) -> None:
    for name in ("a", "b", "empty"):
        files.mkdir(tmp_path / name)
    write_file(files, tmp_path / "b" / "x", b"")
    with pytest.raises(OSError, match="not empty"):
        files.replace(tmp_path / "a", tmp_path / "b")
    files.replace(tmp_path / "b", tmp_path / "empty")
    assert files.listdir(tmp_path / "empty") == ["x"]


def test_locks(files: Any, tmp_path: Path) -> None:
    path = tmp_path / "lock"
    shared = [files.lock(path, exclusive=False) for _ in range(2)]
    assert None not in shared
    assert files.lock(path, exclusive=True) is None
    for handle in shared:
        files.close(handle)
    alone = files.lock(path, exclusive=True)
    assert files.lock(path, exclusive=False) is None
    files.unlock(alone)
    files.close(files.lock(path, exclusive=False))
